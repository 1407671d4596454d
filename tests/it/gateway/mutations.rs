//! Mutations: each root field is done with, all of it, before the next one begins.

use std::time::Duration;

use serde_json::json;

use super::federation::{Federation, Front};
use super::rows::Rows;
use super::subgraph::{Call, Health};
use crate::support::eventually;

fn rows() -> Rows {
    let basket = json!({ "__typename": "Basket", "id": "1" });
    Rows::new(json!([
        { "__typename": "Query", "basket": basket },
        { "__typename": "Mutation", "put": basket, "pay": basket, "empty": 3 },
        { "__typename": "Basket", "id": "1", "count": 3, "due": 7 },
    ]))
}

const QUERY: &str = "mutation {
    put(item: 1) { count due } pay(amount: 2) { due count } empty again: pay(amount: 3) { due } }";

#[tokio::test]
async fn mutations_of_several_subgraphs_are_answered_as_one() {
    let front = Front::new("mutations", rows()).await;
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "baskets") {
                  mutation {
                    put(item: 1) {
                      __typename
                      count
                      id
                    }
                  }
                },
                Parallel {
                  Fetch(service: "payments") {
                    mutation {
                      pay(amount: 2) {
                        __typename
                        due
                        id
                      }
                    }
                  },
                  Flatten(path: "put") {
                    Fetch(service: "payments") {
                      {
                        ... on Basket {
                          __typename
                          id
                        }
                      } =>
                      {
                        ... on Basket {
                          due
                        }
                      }
                    },
                  },
                },
                Parallel {
                  Fetch(service: "baskets") {
                    mutation {
                      empty
                    }
                  },
                  Flatten(path: "pay") {
                    Fetch(service: "baskets") {
                      {
                        ... on Basket {
                          __typename
                          id
                        }
                      } =>
                      {
                        ... on Basket {
                          count
                        }
                      }
                    },
                  },
                },
                Fetch(service: "payments") {
                  mutation {
                    again: pay(amount: 3) {
                      due
                    }
                  }
                },
              },
            }
        "#,
    );
    front.answered(QUERY, &[("baskets", 3), ("payments", 3)]).await;
}

/// In the order of the operation, and not one call at the same time as the mutation that comes next.
#[tokio::test]
async fn one_begins_when_the_one_before_is_done_with() {
    let front = Federation::new("mutations", rows()).await.front(&[]).await;
    // So that what does not wait is seen to be early.
    for subgraph in front.federation.subgraphs.values() {
        subgraph.set(Health::Slow(Duration::from_millis(30)));
    }
    let answer = front.gateway.query(QUERY).await;
    assert!(answer.get("errors").is_none(), "{answer:#}");
    let mut calls: Vec<Call> =
        front.federation.subgraphs.values().flat_map(super::subgraph::Subgraph::calls).collect();
    calls.sort_by_key(|call| call.began);
    let mutations: Vec<usize> =
        (0..calls.len()).filter(|at| calls[*at].query.starts_with("mutation")).collect();
    let asked = ["put", "pay", "empty", "again"];
    for (at, name) in mutations.iter().zip(asked) {
        assert!(calls[*at].query.contains(name), "{} is not {name}", calls[*at].query);
        assert!(calls[..*at].iter().all(|before| before.ended() < calls[*at].began), "{name} began early");
    }
    assert_eq!(mutations.len(), asked.len());
}

/// One that fails is null with an error, and the others are done.
#[tokio::test]
async fn one_that_fails_does_not_hold_up_the_others() {
    let front = Front::new("mutations", rows().failing("Mutation", "put")).await;
    let answer = front.gateway.query(QUERY).await;
    assert_eq!(
        answer["data"],
        json!({
        "put": null, "pay": { "due": 7, "count": 3 }, "empty": 3, "again": { "due": 7 } })
    );
    assert_eq!(answer["errors"][0]["path"], json!(["put"]));
    assert_eq!(answer["errors"].as_array().unwrap().len(), 1, "{answer:#}");
}

/// A subgraph that is gone is not asked a second time: it may have done what it was told.
#[tokio::test]
async fn a_mutation_is_never_tried_again() {
    let front = Front::new("mutations", rows()).await;
    front.federation.subgraphs["payments"].set(Health::For(1, Box::new(Health::Status(503))));
    let answer = front.gateway.query("mutation { pay(amount: 1) { due } }").await;
    assert_eq!(answer["data"], json!({ "pay": null }));
    assert_eq!(front.calls()["payments"], 1);
}

/// What completes a mutation asks anew: a call that is the same in every byte and began before it knows nothing of it.
#[tokio::test]
async fn what_completes_a_mutation_does_not_join_what_began_before() {
    let front = Front::new("mutations", rows()).await;
    let (query, mutation) = ("{ basket { due } }", "mutation { put(item: 1) { due } }");
    let asked = front.answered(query, &[("baskets", 1), ("payments", 1)]).await;
    front.answered(mutation, &[("baskets", 1), ("payments", 1)]).await;
    let payments = &front.federation.subgraphs["payments"];
    payments.set(Health::Slow(Duration::from_secs(1)));
    let before = front.gateway.query(query);
    let changing = async {
        let call = eventually("the query has come to its second call", async || payments.calls().pop()).await;
        (call, front.gateway.query(mutation).await)
    };
    let (before, (earlier, changed)) = futures_util::future::join(before, changing).await;
    assert_eq!((&before["data"], &changed["data"]["put"]["due"]), (&asked, &json!(7)));
    let later = payments.calls();
    assert_eq!(later.len(), 1);
    assert_eq!(
        (&later[0].query, &later[0].variables),
        (&earlier.query, &earlier.variables),
        "else it proves nothing"
    );
    assert!(later[0].began < earlier.ended(), "it was under way");
}

/// Fragments of one condition are not brought together past what stands between them: that is done in between.
#[tokio::test]
async fn conditions_change_no_order() {
    let front = Front::new("mutations", rows()).await;
    let query = "mutation($x: Boolean!) {
        ... @include(if: $x) { put(item: 1) { id } } pay(amount: 2) { id } ... @include(if: $x) { empty } }";
    front.answered_with(query, &json!({ "x": true }), &[("baskets", 2), ("payments", 1)]).await;
    front.answered_with(query, &json!({ "x": false }), &[("payments", 1)]).await;
}
