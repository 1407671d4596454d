//! Errors at representations that several places share: each place has one.

use serde_json::{Value, json};

use super::federation::{Federation, Front};
use super::rows::Rows;
use super::shop::table;

async fn front(table: Rows) -> Front {
    Federation::new("shop", table).await.front(&[]).await
}

fn paths(answer: &Value) -> Vec<String> {
    let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{answer:#}"));
    let mut paths: Vec<String> = errors.iter().map(|error| error["path"].to_string()).collect();
    paths.sort_unstable();
    paths
}

#[tokio::test]
async fn every_place_of_a_shared_entity_has_the_error() {
    let front = front(table().failing("Product", "inStock")).await;
    let answer = front.gateway.query("{ latest { what: product { upc there: inStock } } }").await;
    assert_eq!(answer["data"]["latest"][0], json!({ "what": { "upc": "a", "there": null } }));
    assert_eq!(paths(&answer), [0, 1, 2].map(|at| format!("[\"latest\",{at},\"what\",\"there\"]")));
    assert_eq!(front.representations("inventory").len(), 2);
}

/// Two paths, one call.
#[tokio::test]
async fn places_at_other_paths_have_it_too() {
    let front = front(table().failing("User", "nick")).await;
    let answer = front
        .gateway
        .query("{ latest { author { nick } } products { reviews { by: author { nick } } } }")
        .await;
    let mut expected = [0, 1, 2].map(|at| format!("[\"latest\",{at},\"author\",\"nick\"]")).to_vec();
    expected.extend(
        [(0, 0), (0, 1), (1, 0)]
            .map(|(product, at)| format!("[\"products\",{product},\"reviews\",{at},\"by\",\"nick\"]")),
    );
    assert_eq!(paths(&answer), expected, "{answer:#}");
}

/// Of a list within an entity, with the numbers of both.
#[tokio::test]
async fn numbers_within_an_entity_are_kept() {
    let front = front(table().failing("Review", "body")).await;
    let answer = front.gateway.query("{ users { mine: reviews { text: body } } }").await;
    let expected =
        [(0, 0), (0, 1), (1, 0)].map(|(user, at)| format!("[\"users\",{user},\"mine\",{at},\"text\"]"));
    assert_eq!(paths(&answer), expected);
    assert!(
        answer["errors"].as_array().unwrap().iter().all(|error| error["extensions"]["service"] == "reviews")
    );
}

/// A key that the planner has made up, because the types of a union differ in it, is the client's own again.
#[tokio::test]
async fn a_key_of_the_planner_is_in_no_path() {
    let rows = super::aliases::rows().failing("Admin", "id");
    let front = Federation::new("mismatches", rows).await.front(&[]).await;
    let answer = front.gateway.query("{ accounts { ... on User { id } ... on Admin { id } } }").await;
    assert_eq!(paths(&answer), ["[\"accounts\",1,\"id\"]"], "{answer:#}");
}
