//! Whole answers from memory.

use serde_json::{Value, json};

use crate::support::{Client, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const HUB: &str = "query Hub($all: Boolean = true) { viewer { id version displayName eventCursor
    profiles @include(if: $all) { id handle status platform { key } } linkGraph { version } } }";

async fn hub(client: &Client, variables: Value) -> Value {
    let answer = client.run(HUB, variables).await;
    answer.field();
    answer.body
}

on_both_stacks! {
    /// The same operation again and again, by two people and after changes, with the memory and without it.
    async fn a_remembered_answer_is_the_answer(place: Place) {
        let mut place = place;
        let remembering = place.app().await;
        remembering.hears().await;
        let ada = remembering.client().sign_in(&place, ADA).await;
        place.sandbox.add_profile("wa_eve", "+4917139200050").await;
        let eve = remembering.client().sign_in(&place, "+4917139200050").await.client;
        let mut seen = Vec::new();
        for variables in [json!({}), json!({ "all": false }), json!({ "all": true })] {
            let first = hub(&ada.client, variables.clone()).await;
            for _ in 0..3 {
                assert_eq!(hub(&ada.client, variables.clone()).await, first);
            }
            assert_ne!(hub(&eve, variables.clone()).await["data"]["viewer"]["id"], first["data"]["viewer"]["id"]);
            seen.push(first);
        }
        assert_eq!(seen[1]["data"]["viewer"].get("profiles"), None, "variables count");
        assert_eq!(seen[0], seen[2], "so do their defaults");
        assert_eq!(seen[0]["data"]["viewer"]["profiles"].as_array().unwrap().len(), 1);
        // A change is seen at once.
        ada.client.link(&place, GRACE).await.field();
        let after = hub(&ada.client, json!({})).await;
        assert_eq!(after["data"]["viewer"]["version"], 4);
        assert_eq!(after["data"]["viewer"]["profiles"].as_array().unwrap().len(), 2);
        assert_eq!(hub(&ada.client, json!({})).await, after);
        // And all of it is what a server without the memory says.
        remembering.stop().await;
        place.set("ACCOUNTS__GRAPH__ANSWER_BYTES", 0);
        let forgetful = place.app().await;
        assert_eq!(hub(&forgetful.renewed(&ada), json!({})).await, after);
    }

    async fn what_depends_on_more_than_the_account_is_not_remembered(place: Place) {
        let app = place.app().await;
        let first = app.client().sign_in(&place, ADA).await;
        let second = app.client().sign_in(&place, ADA).await;
        let query = format!("{{ viewer {{ id }} node(id: \"{}\") {{ ... on AccountSession {{ current }} }} }}", first.session);
        for _ in 0..3 {
            for (person, current) in [(&first, true), (&second, false)] {
                let answer = person.client.query(&query).await;
                assert_eq!(answer.body["data"]["node"]["current"], current);
            }
        }
    }

    /// S27: nobody gets an answer who may not ask.
    async fn s27_a_remembered_answer_is_for_its_account_only(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        hub(&ada, json!({})).await;
        hub(&ada, json!({})).await;
        let anonymous = app.client().run(HUB, json!({})).await;
        assert_eq!(anonymous.body, json!({ "data": { "viewer": null } }));
        let forged = ada.with_token("not a token").run(HUB, json!({})).await;
        assert_eq!(forged.status, 401);
        // What is wrong with an operation is said although its text is known.
        let wrong = ada.run(HUB, json!({ "all": "x" })).await;
        assert_eq!(wrong.error_code(), "GRAPHQL_VALIDATION_FAILED");
    }
}
