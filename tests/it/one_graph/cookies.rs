//! Cookies that the accounts graph sets in several steps of one answer.

use reqwest::header::SET_COOKIE;
use serde_json::{Value, json};

use super::{join_with, subgraph};
use crate::cookies::{sent_back, sign_in};
use crate::support::on_both_stacks;

on_both_stacks! {
    async fn each_step_of_a_mutation_may_set_a_cookie(place: Place) {
        let mut place = place;
        let sdl = format!("{} type Mutation {{ poke: String }}", subgraph::SDL);
        let subgraph = join_with(&mut place, &sdl).await;
        subgraph.answer_instead(json!({ "data": { "poke": "ouch" } }));
        let app = place.app().await;
        let (_, cookie) = sign_in(&place, &app.url).await;
        // Between the two is one of another subgraph, so they are two steps.
        let field = "refreshSession(input: {}) { session { id } }";
        let query = format!("mutation {{ a: {field} poke b: {field} }}");
        let request = reqwest::Client::new().post(format!("{}/graphql", app.url)).json(&json!({ "query": query }));
        let response = request.header("cookie", sent_back(&cookie)).send().await.unwrap();
        let set: Vec<_> = response.headers().get_all(SET_COOKIE).iter().cloned().collect();
        let answer: Value = response.json().await.unwrap();
        assert_eq!((&answer["data"]["poke"], answer.get("errors")), (&json!("ouch"), None), "{answer:#}");
        assert_eq!(answer["data"]["a"], answer["data"]["b"]);
        assert_eq!(set.len(), 2, "{set:?}");
    }
}
