//! Response keys that get in each other's way: fields of one name with other arguments, and types that differ.

use serde_json::{Map, Value, json};

use super::federation::Front;
use super::rows::Rows;

pub fn rows() -> Rows {
    let of = |ty: &str, id: &str| json!({ "__typename": ty, "id": id });
    Rows::new(json!([
        { "__typename": "Query", "users": [of("User", "u")],
            "accounts": [of("User", "u"), of("Admin", "a"), of("Robot", "r")] },
        { "__typename": "User", "id": "u", "name": "Ada", "label": "user", "owner": of("Admin", "a") },
        { "__typename": "Admin", "id": "a", "label": "admin", "owner": of("User", "u") },
        { "__typename": "Robot", "id": "r", "label": "robot" },
    ]))
    .computed("User", "label", label)
    .computed("Robot", "label", label)
}

fn label(object: &Map<String, Value>, given: &Map<String, Value>) -> Value {
    let short = object["label"].as_str().unwrap();
    if given["long"] == true { json!(format!("a {short}")) } else { json!(short) }
}

/// `id` may be null in one of the types only, so that a subgraph would refuse to answer both under one key.
#[tokio::test]
async fn types_that_differ_are_asked_for_under_other_keys() {
    let front = Front::new("mismatches", rows()).await;
    const QUERY: &str = "{ accounts { ... on User { id } ... on Admin { id } ... on Robot { __typename } } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Fetch(service: "accounts") {
                {
                  accounts {
                    __typename
                    ... on User {
                      id
                    }
                    ... on Admin {
                      _internal_qp_alias_0: id
                    }
                    ... on Robot {
                      __typename
                    }
                  }
                }
              },
            }
        "#,
    );
    let data = front.answered(QUERY, &[("accounts", 1)]).await;
    assert_eq!(data["accounts"], json!([{ "id": "u" }, { "id": "a" }, { "__typename": "Robot" }]));
    front
        .answered(
            "{ accounts { ... on User { a: id b: name } ... on Admin { id a: id } } }",
            &[("accounts", 1), ("people", 1)],
        )
        .await;
}

#[tokio::test]
async fn keys_are_free_to_take_any_name() {
    let front = Front::new("mismatches", rows()).await;
    front.answered("{ users: accounts { id: __typename ... on User { __typename: __typename _entities: id } } accounts: users { id: name name: id } }",
        &[("accounts", 1), ("people", 1)]).await;
    front
        .answered(
            "{ users { representations: name title: label(long: true) owner { _e0: id owner { id: label } } } }",
            &[("people", 1), ("accounts", 1)],
        )
        .await;
}

/// One key, asked for several times: what is selected below it is shown together.
#[tokio::test]
async fn selections_of_one_key_are_merged() {
    let front = Front::new("mismatches", rows()).await;
    const QUERY: &str =
        "{ users { owner { id } owner { label owner { name } } } users { owner { owner { label id } } } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "people") {
                  {
                    users {
                      __typename
                      id
                    }
                  }
                },
                Flatten(path: "users.@") {
                  Fetch(service: "accounts") {
                    {
                      ... on User {
                        __typename
                        id
                      }
                    } =>
                    {
                      ... on User {
                        owner {
                          id
                          label
                          owner {
                            __typename
                            id
                            label
                          }
                        }
                      }
                    }
                  },
                },
                Flatten(path: "users.@.owner.owner") {
                  Fetch(service: "people") {
                    {
                      ... on User {
                        __typename
                        id
                      }
                    } =>
                    {
                      ... on User {
                        name
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    front.answered(QUERY, &[("people", 2), ("accounts", 1)]).await;
}

/// A client may call its variables as it likes, also as those that lists of entities are sent in.
#[tokio::test]
async fn a_variable_of_a_client_may_be_called_as_one_of_ours() {
    let front = Front::new("mismatches", rows()).await;
    let query = "query($representations: Boolean!, $representations_: Boolean!) {
        users { label(long: $representations) name @include(if: $representations) id @skip(if: $representations_) } }";
    let variables = json!({ "representations": true, "representations_": true });
    let data = front.answered_with(query, &variables, &[("people", 1), ("accounts", 1)]).await;
    assert_eq!(data["users"].as_array().unwrap()[0].as_object().unwrap().len(), 2);
    let wrong = json!({ "representations": "x", "representations_": true });
    let answer = front.gateway.send(&json!({ "query": query, "variables": wrong }), &[]).await;
    let message = answer["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("$representations is"), "{message}");
}
