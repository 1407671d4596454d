//! A subgraph whose schema changes while it is served.

use serde_json::{Value, json};

use super::{following, join, sdl_file, subgraph};
use crate::support::{Client, eventually, on_both_stacks};

const ADA: &str = "+4917139200042";
const ASKED: &str = "subscription { followed { externalId followers status } }";

/// Whether the served graph has a field of `LinkedProfile`.
async fn has_field(client: &Client, field: &str) -> bool {
    let answer = client.query("{ __type(name: \"LinkedProfile\") { fields { name } } }").await;
    let fields = answer.body["data"]["__type"]["fields"].as_array().unwrap().clone();
    fields.iter().any(|one| one["name"] == field)
}

on_both_stacks! {
    async fn a_subscription_goes_on_over_a_new_supergraph_or_ends(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__GATEWAY__POLL_SECONDS", 1);
        let subgraph = join(&mut place).await;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let mut socket = following::follow(&ada, ASKED).await;
        subgraph.until_followed_by(1).await;
        // One field more: nothing that it asks for is another.
        let more = subgraph::SDL.replace("  followers: Int\n", "  followers: Int\n  following: Int\n");
        std::fs::write(sdl_file(&place), &more).unwrap();
        eventually("the new field is served", async || has_field(&ada, "following").await.then_some(())).await;
        subgraph.tell("wa_ada");
        let event = following::answer(&mut socket).await.unwrap();
        assert_eq!(event["data"]["followed"], json!({ "externalId": "wa_ada", "followers": 6, "status": "ACTIVE" }));
        // What it asks for is gone: a clear end, at the next event.
        std::fs::write(sdl_file(&place), subgraph::SDL.replace("  followers: Int\n", "")).unwrap();
        eventually("the field is gone", async || (!has_field(&ada, "followers").await).then_some(())).await;
        subgraph.tell("wa_ada");
        let last = following::answer(&mut socket).await.unwrap();
        assert_eq!((following::code(&last), &last["data"]), ("SUPERGRAPH_CHANGED", &Value::Null), "{last:#}");
        assert_eq!(following::answer(&mut socket).await, None);
        subgraph.until_followed_by(0).await;
    }

    /// A schema that cannot be composed changes nothing, and says so.
    async fn a_bad_schema_changes_nothing(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__GATEWAY__POLL_SECONDS", 1);
        let _subgraph = join(&mut place).await;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        for bad in ["type Query {", "type Query { viewer: String }"] {
            std::fs::write(sdl_file(&place), bad).unwrap();
            eventually("it says that it is degraded", async || {
                let ready: Value = reqwest::get(format!("{}/ready", app.url)).await.unwrap().json().await.unwrap();
                (ready["status"] == "degraded").then_some(())
            })
            .await;
            let metrics = reqwest::get(format!("{}/metrics", app.url)).await.unwrap().text().await.unwrap();
            assert!(metrics.contains("accounts_center_gateway_supergraph_refused 1"), "{metrics}");
            assert_eq!(metrics.matches("# EOF").count(), 1);
            let answer = ada.query("{ viewer { profiles { handle followers } } }").await;
            assert_eq!(answer.body["data"]["viewer"]["profiles"][0]["followers"], 6, "{:#}", answer.body);
            std::fs::write(sdl_file(&place), subgraph::SDL).unwrap();
            eventually("all is well again", async || {
                let ready: Value = reqwest::get(format!("{}/ready", app.url)).await.unwrap().json().await.unwrap();
                (ready["status"] == "ready").then_some(())
            })
            .await;
        }
    }
}
