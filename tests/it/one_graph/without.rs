//! `serve --without gateway`: the accounts graph alone, whatever is configured.

use super::join;
use crate::support::{ServerProcess, on_both_stacks};

const ADA: &str = "+4917139200042";
const OF_OTHERS: [&str; 2] = ["{ greeting }", "{ viewer { profiles { followers } } }"];

on_both_stacks! {
    async fn a_server_without_the_gateway_knows_nothing_of_other_subgraphs(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters");
        let subgraph = join(&mut place).await;
        let mut server = ServerProcess::start_arguing(&place, &["--without", "gateway"]).await;
        let ada = server.client().sign_in(&place, ADA).await;
        for query in OF_OTHERS {
            let refused = ada.client.query(query).await;
            assert_eq!(refused.error_code(), "GRAPHQL_VALIDATION_FAILED", "{query}: {:#}", refused.body);
        }
        assert_eq!(ada.client.query("{ viewer { id } }").await.field()["id"], ada.account);
        assert!(subgraph.calls().is_empty());
        assert!(server.interrupt().await.success());
        // The same with it.
        let server = ServerProcess::start(&place).await;
        for query in OF_OTHERS {
            let answer = ada.client.at(&server.url).query(query).await;
            answer.field();
        }
        assert!(!subgraph.calls().is_empty());
    }
}
