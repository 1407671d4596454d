//! The example subgraphs by themselves, and behind a router that is not ours.

mod apollo;
mod instagram;
pub mod issuer;
mod together;
mod whatsapp;
mod whatsapp_process;

use serde_json::{Value, json};

/// What a router asks for a profile.
const ENTITIES: &str = "query($r: [_Any!]!) { _entities(representations: $r) { __typename
    ... on LinkedProfile { externalId FIELDS } ... on InstagramMedia { likeCount } } }";

/// Asks a subgraph at `url` as a router does.
async fn ask(url: &str, token: Option<&str>, query: &str, variables: Value) -> Value {
    let body = json!({ "query": query, "variables": variables });
    let mut request = reqwest::Client::builder().no_proxy().build().unwrap().post(url).json(&body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.unwrap().json().await.unwrap()
}

/// Code and path of each error.
fn errors(answer: &Value) -> Vec<(&str, String)> {
    let errors = answer["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let told = errors
        .iter()
        .map(|error| (error["extensions"]["code"].as_str().unwrap_or("none"), error["path"].to_string()));
    told.collect()
}
