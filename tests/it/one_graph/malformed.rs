//! A subgraph that does not keep to its schema: what it got wrong is wrong, and nothing else.

use serde_json::{Value, json};

use super::{join_with, one_graph, subgraph};
use crate::support::on_both_stacks;

const ADA: &str = "+4917139200042";

fn profile(platform: Value, id: &str) -> Value {
    let mut profile = json!({ "__typename": "LinkedProfile", "externalId": id });
    if platform != json!("left out") {
        profile["platformKey"] = platform;
    }
    profile
}

on_both_stacks! {
    async fn an_entity_without_its_whole_key_is_null_alone(place: Place) {
        let mut place = place;
        let (app, subgraph) = one_graph(&mut place).await;
        let ada = app.client().sign_in(&place, ADA).await;
        for platform in [json!("left out"), Value::Null] {
            let latest = [profile(json!("whatsapp"), "wa_ada"), profile(platform.clone(), "wa_ada")];
            subgraph.answer_instead(json!({ "data": { "latest": latest, "greeting": "hello" } }));
            // The subgraph's own fields are there, and so is all that is not behind the key.
            let query = "{ viewer { id } latest { externalId unlinksAt avatarUrl } greeting }";
            let answer = ada.client.query(query).await;
            assert_eq!(answer.status, 200, "{answer:#?}");
            let own = json!({ "externalId": "wa_ada", "unlinksAt": null, "avatarUrl": null });
            let wanted = json!({ "viewer": { "id": ada.account }, "latest": [own, own], "greeting": "hello" });
            assert_eq!(answer.body["data"], wanted, "{answer:#?}");
            let errors = answer.body["errors"].as_array().unwrap();
            let [error] = errors.as_slice() else { panic!("{answer:#?}") };
            assert_eq!(error["path"], json!(["latest", 1]), "{platform}");
            assert_eq!(error["extensions"]["code"], "SUBGRAPH_MALFORMED_RESPONSE");
            assert!(error["message"].as_str().unwrap().contains("`platformKey`"), "{error}");
            // What must not be null takes what is around it, and no more.
            let answer = ada.client.query("{ viewer { id } latest { status } greeting }").await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body["errors"][0]["extensions"]["code"], "SUBGRAPH_MALFORMED_RESPONSE", "{answer:#?}");
        }
    }

    /// What is refused of one entity refuses nothing else, and is told at its place.
    async fn an_entity_that_cannot_be_looked_up_is_wrong_alone(place: Place) {
        let mut place = place;
        // Its list may have nulls, so that one profile is nothing to the others.
        let subgraph = join_with(&mut place, &subgraph::SDL.replace("[LinkedProfile!]!", "[LinkedProfile]!")).await;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let [own] = ada.client.profiles().await.try_into().unwrap();
        for id in [json!(7), json!({ "a": 1 }), json!([])] {
            let bad = json!({ "__typename": "LinkedProfile", "platformKey": "whatsapp", "externalId": id });
            let latest = [profile(json!("whatsapp"), "wa_ada"), bad];
            subgraph.answer_instead(json!({ "data": { "latest": latest, "greeting": "hello" } }));
            let answer = ada.client.query("{ viewer { id } latest { id } greeting }").await;
            assert_eq!(answer.status, 200, "{answer:#?}");
            let wanted = json!({ "viewer": { "id": ada.account }, "latest": [{ "id": own }, null], "greeting": "hello" });
            assert_eq!(answer.body["data"], wanted, "{answer:#?}");
            let errors = answer.body["errors"].as_array().unwrap();
            let [error] = errors.as_slice() else { panic!("{answer:#?}") };
            assert_eq!(error["path"], json!(["latest", 1]), "{answer:#?}");
        }
    }
}
