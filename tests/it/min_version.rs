//! A version that a client asks for, and that there never was.

use serde_json::json;

use crate::support::on_both_stacks;

const ADA: &str = "+4917139200042";
const HUB: &str = "{ viewer { version profiles { handle } } }";

on_both_stacks! {
    async fn a_version_that_there_never_was_costs_a_look_and_no_load(place: Place) {
        let app = place.app().await;
        app.hears().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        ada.query(HUB).await.field();
        let [_, checked, _, loaded] = app.app().graphs.counts().by_layer().map(|(_, count)| count);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        for _ in 0..5 {
            let ask = http.post(format!("{}/graphql", app.url)).bearer_auth(ada.token.as_ref().unwrap());
            let ask = ask.header("Accounts-Center-Min-Version", 1_000_000).json(&json!({ "query": HUB }));
            let body: serde_json::Value = ask.send().await.unwrap().json().await.unwrap();
            assert_eq!(body["data"]["viewer"]["version"], 2, "{body:#}");
        }
        let [_, checked_after, _, loaded_after] = app.app().graphs.counts().by_layer().map(|(_, count)| count);
        assert_eq!(loaded_after, loaded);
        assert!(checked_after >= checked + 5, "{checked_after} after {checked}");
    }
}
