//! `@shareable`: several subgraphs have the same, and whoever is asked anyway is asked for it.

use serde_json::json;

use super::federation::Front;
use super::rows::Rows;

fn rows() -> Rows {
    let user = |id: &str| json!({ "__typename": "User", "id": id });
    let money = |amount: i32| json!({ "__typename": "Money", "amount": amount, "currency": "EUR" });
    Rows::new(json!([
        { "__typename": "Query", "users": [user("1"), user("2")], "debtors": [user("2")], "version": "7" },
        { "__typename": "User", "id": "1", "name": "Ada", "balance": money(5), "debt": null },
        { "__typename": "User", "id": "2", "name": "Grace", "balance": null, "debt": money(-3) },
    ]))
}

#[tokio::test]
async fn what_all_have_is_asked_of_whoever_is_asked_anyway() {
    let front = Front::new("shareable", rows()).await;
    const USERS: &str = "{ users { name balance { amount currency } } version }";
    front.planned(
        USERS,
        r#"
            QueryPlan {
              Fetch(service: "accounts") {
                {
                  users {
                    name
                    balance {
                      amount
                      currency
                    }
                  }
                  version
                }
              },
            }
        "#,
    );
    front.answered(USERS, &[("accounts", 1)]).await;
    const DEBTORS: &str = "{ debtors { name debt { amount } } }";
    front.planned(
        DEBTORS,
        r#"
            QueryPlan {
              Fetch(service: "billing") {
                {
                  debtors {
                    name
                    debt {
                      amount
                    }
                  }
                }
              },
            }
        "#,
    );
    front.answered(DEBTORS, &[("billing", 1)]).await;
}

/// Value types have no key, and come from two subgraphs side by side in one object.
#[tokio::test]
async fn values_of_one_type_come_from_their_own_subgraphs() {
    let front = Front::new("shareable", rows()).await;
    const QUERY: &str = "{ users { balance { amount } debt { amount currency } } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "accounts") {
                  {
                    users {
                      __typename
                      balance {
                        amount
                      }
                      id
                    }
                  }
                },
                Flatten(path: "users.@") {
                  Fetch(service: "billing") {
                    {
                      ... on User {
                        __typename
                        id
                      }
                    } =>
                    {
                      ... on User {
                        debt {
                          amount
                          currency
                        }
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    let data = front.answered(QUERY, &[("accounts", 1), ("billing", 1)]).await;
    assert_eq!(data["users"][1], json!({ "balance": null, "debt": { "amount": -3, "currency": "EUR" } }));
}
