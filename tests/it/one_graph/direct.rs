//! What the accounts graph can answer alone goes there directly, and is answered as by a plan (S47).

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::one_graph;
use crate::support::{Client, on_both_stacks};

const ADA: &str = "+4917139200042";
/// What front-ends ask.
const HUBS: [&str; 2] = [
    "{ viewer { id displayName version profiles { id handle status signInEnabled platform { key displayName capabilities } }
        linkGraph { version profiles { id } } activity(first: 5) { totalCount nodes { id kind description } } } }",
    "query Two { platforms { ...p } all: platforms { key } viewer { profiles { ...l } } }
        fragment p on Platform { id key displayName verificationMethods } fragment l on LinkedProfile { id statusReason linkedAt }",
];

/// An answer as text, and its errors without the places in the text, which a plan does not know.
async fn ask(client: &Client, query: &str, variables: &Value) -> (String, Vec<Value>) {
    let request = reqwest::Client::new().post(format!("{}/graphql", client.url));
    let request = request.json(&json!({ "query": query, "variables": variables }));
    let request = client.token.iter().fold(request, reqwest::RequestBuilder::bearer_auth);
    let text = request.send().await.unwrap().text().await.unwrap();
    let answer: Answer = serde_json::from_str(&text).unwrap();
    let mut errors = answer.errors;
    for error in &mut errors {
        error.as_object_mut().unwrap().remove("locations");
    }
    errors.sort_by_key(ToString::to_string);
    (answer.data.map(|data| data.get().to_owned()).unwrap_or_default(), errors)
}

#[derive(Deserialize)]
struct Answer {
    /// As it stands there, for its order.
    data: Option<Box<RawValue>>,
    #[serde(default)]
    errors: Vec<Value>,
}

/// The same operation with something of the subgraph, so that it is planned.
fn planned(query: &str) -> String {
    query.replacen('{', "{ zz: greeting ", 1)
}

/// Asks both ways. Gives how many bytes of data there were.
async fn compare(client: &Client, query: &str, variables: &Value) -> usize {
    let (direct, direct_errors) = ask(client, query, variables).await;
    let (other, other_errors) = ask(client, &planned(query), variables).await;
    let other = other.replacen("\"zz\":\"hello\",", "", 1);
    assert_eq!(direct_errors, other_errors, "{query} {variables}");
    assert_eq!(direct, other, "{query} {variables}");
    direct.len()
}

on_both_stacks! {
    async fn s47_the_direct_way_answers_as_a_plan_does(place: Place) {
        let mut place = place;
        let (app, subgraph) = one_graph(&mut place).await;
        let ada = app.client().sign_in(&place, ADA).await;
        place.sandbox.add_profile("wa_second", "+4917139200077").await;
        ada.client.link(&place, "+4917139200077").await;
        let profiles = ada.client.profiles().await;
        ada.client.unlink(&profiles[1]).await;
        // What ids name: hers, another kind's, none.
        let node = "query N($id: ID!) { node(id: $id) { __typename id ... on LinkedProfile { handle status } } }";
        for id in [profiles[0].as_str(), profiles[1].as_str(), &ada.account, "nothing", ""] {
            compare(&ada.client, node, &json!({ "id": id })).await;
            compare(&app.client(), node, &json!({ "id": id })).await;
        }
        subgraph.calls();
        ada.client.query("{ viewer { id } }").await;
        assert!(subgraph.calls().is_empty(), "that goes directly");
        for hub in HUBS {
            assert!(compare(&ada.client, hub, &json!({})).await > 200, "{hub}");
            compare(&app.client(), hub, &json!({})).await;
        }
    }
}
