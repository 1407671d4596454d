//! `@skip` and `@include` over fetches: what is not shown is not asked for.

use serde_json::{Value, json};

use super::federation::Federation;
use super::federation::Front;
use super::shop::table;

async fn front() -> Front {
    Federation::new("shop", table()).await.front(&[]).await
}

const QUERY: &str = "query($with: Boolean! = false, $without: Boolean! = false) {
    products { upc inStock @include(if: $with) title @skip(if: $without)
        ... @include(if: $with) { reviews { body @skip(if: $without) author { name } } } } }";

#[tokio::test]
async fn a_fetch_for_what_is_not_shown_is_left_out() {
    let front = front().await;
    front.planned(
        "query($with: Boolean!) { products { upc inStock @include(if: $with) } }",
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "products") {
                  {
                    products {
                      __typename
                      upc
                    }
                  }
                },
                Include(if: $with) {
                  Flatten(path: "products.@") {
                    Fetch(service: "inventory") {
                      {
                        ... on Product {
                          __typename
                          upc
                        }
                      } =>
                      {
                        ... on Product {
                          inStock
                        }
                      }
                    },
                  },
                },
              },
            }
        "#,
    );
    let all = [("products", 1), ("inventory", 1), ("reviews", 1), ("users", 1)];
    for (with, without, calls) in
        [(false, false, &all[..1]), (false, true, &all[..1]), (true, false, &all[..]), (true, true, &all[..])]
    {
        front.answered_with(QUERY, &json!({ "with": with, "without": without }), calls).await;
    }
    front.answered_with(QUERY, &json!({}), &all[..1]).await;
}

/// At the root, and both at once.
#[tokio::test]
async fn a_root_field_that_is_not_shown_calls_nobody() {
    let front = front().await;
    let query = "query($a: Boolean!) { me @include(if: $a) { name } latest @skip(if: $a) { id } __typename }";
    front.answered_with(query, &json!({ "a": true }), &[("users", 1)]).await;
    front.answered_with(query, &json!({ "a": false }), &[("reviews", 1)]).await;
    front.answered("{ me @skip(if: true) { name } latest @include(if: false) { id } __typename }", &[]).await;
}

/// One key, once under a condition and once without, or under two.
#[tokio::test]
async fn a_field_is_shown_if_one_of_its_places_is() {
    let front = front().await;
    let query =
        "query($a: Boolean!, $b: Boolean!) { me { id name @include(if: $a) ... @include(if: $b) { name } } }";
    for (a, b) in [(true, true), (true, false), (false, true), (false, false)] {
        front.answered_with(query, &json!({ "a": a, "b": b }), &[("users", 1)]).await;
    }
    let query = "query($a: Boolean!, $b: Boolean!) { products {
        reviews @include(if: $a) { id } reviews @skip(if: $b) { author { name } } inStock @skip(if: $a) inStock @skip(if: $b) } }";
    for (a, b) in [(true, true), (true, false), (false, true), (false, false)] {
        let variables = json!({ "a": a, "b": b });
        let answer = front.gateway.send(&json!({ "query": query, "variables": variables }), &[]).await;
        assert_eq!(answer["data"], front.unfederated(query, &variables)["data"], "{variables}");
        assert!(answer.get("errors").is_none(), "{answer:#}");
    }
}

/// Fragments carry their conditions to what they spread.
#[tokio::test]
async fn conditions_of_spreads_hold_for_all_below() {
    let front = front().await;
    let query = "query($a: Boolean!) { latest { ...One @skip(if: $a) ...Two @include(if: $a) } }
        fragment One on Review { author { ...Named } } fragment Two on Review { product { title } }
        fragment Named on User { name nick @include(if: $a) }";
    front.answered_with(query, &json!({ "a": true }), &[("reviews", 1), ("products", 1)]).await;
    front.answered_with(query, &json!({ "a": false }), &[("reviews", 1), ("users", 1)]).await;
    for bad in [json!({}), json!({ "a": null }), json!({ "a": "yes" })] {
        let answer = front.gateway.send(&json!({ "query": query, "variables": bad }), &[]).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED", "{bad}");
        assert_eq!(answer["data"], Value::Null);
    }
}
