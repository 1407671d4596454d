//! What is hard to plan, in the process that serves the accounts graph as well (S46).

use std::time::Instant;

use futures_util::future::{join, join_all};
use serde_json::json;

use super::join as join_subgraph;
use crate::support::{ServerProcess, on_both_stacks};

const ADA: &str = "+4917139200042";
const RENAME: &str =
    "mutation($input: UpdateAccountInput!) { updateAccount(input: $input) { userErrors { code } } }";
const FOLLOW: &str = "subscription { accountEvents { ... on AccountChange { account { displayName } } } }";

on_both_stacks! {
    /// Neither what goes directly nor an event waits for it, and a planner that panics takes nothing with it.
    async fn s46_what_is_planned_holds_up_nobody(place: Place) {
        let mut place = place;
        let _subgraph = join_subgraph(&mut place).await;
        let planner = "gateway::plan=1*panic(of a test)->sleep(500)".to_owned();
        let more = [("FAILPOINTS", planner), ("ACCOUNTS__GATEWAY__PLANS__THREADS", "1".to_owned())];
        let server = ServerProcess::start_with(&place, &more).await;
        let ada = server.client().sign_in(&place, ADA).await.client;
        for _ in 0..2 {
            let refused = ada.query("{ greeting }").await;
            assert_eq!(refused.error_code(), "QUERY_PLANNING_FAILED", "{:#}", refused.body);
        }
        let mut events = ada.socket().await;
        events.subscribe("1", FOLLOW, json!({})).await;
        events.ask("{ viewer { id } }").await;

        // One thread with 20 plans of half a second: ten seconds.
        let begin = Instant::now();
        let queries: Vec<_> = (0..20).map(|number| format!("{{ n{number}: greeting }}")).collect();
        let flood = async {
            let answers = join_all(queries.iter().map(|query| ada.query(query))).await;
            (answers, begin.elapsed())
        };
        let beside = async {
            for number in 0..10 {
                let name = format!("Ada {number}");
                ada.mutate(RENAME, json!({ "displayName": name })).await.field();
                assert_eq!(events.event("1", "accountEvents").await["account"]["displayName"], name);
                assert_eq!(ada.query("{ viewer { displayName } }").await.field()["displayName"], name);
            }
            begin.elapsed()
        };
        let ((answers, planned), done) = join(flood, beside).await;
        for (number, answer) in answers.iter().enumerate() {
            assert_eq!(answer.body, json!({ "data": { format!("n{number}"): "hello" } }));
        }
        assert!(done < planned / 2, "{done:?} of {planned:?}: they waited for plans");
    }
}
