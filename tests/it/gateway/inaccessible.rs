//! `@inaccessible`: fields, arguments, types and values of enums that subgraphs know and clients do not.

use serde_json::{Value, json};

use super::federation::{Federation, Front};
use super::rows::Rows;

pub fn rows() -> Rows {
    let dog = |chip: &str| json!({ "__typename": "Dog", "chip": chip });
    let cat = json!({ "__typename": "Cat", "name": "Tom", "friend": dog("1") });
    let unicorn = json!({ "__typename": "Unicorn", "name": "Sparkle" });
    Rows::new(json!([
        { "__typename": "Query", "pets": [dog("1"), cat, unicorn, dog("2")], "dogs": [dog("2"), dog("1")] },
        { "__typename": "Dog", "chip": "1", "name": "Rex", "size": "HUGE", "sizes": ["SMALL", "HUGE", null],
            "vaccinated": true },
        { "__typename": "Dog", "chip": "2", "name": "Bo", "size": "SMALL", "sizes": ["LARGE"], "vaccinated": false },
        cat, unicorn,
    ]))
}

/// A key that clients do not see leads from one subgraph to the other all the same, and does not show.
#[tokio::test]
async fn an_inaccessible_key_is_used_and_not_shown() {
    let front = Front::new("inaccessible", rows()).await;
    const QUERY: &str = "{ dogs { name vaccinated } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "pets") {
                  {
                    dogs {
                      __typename
                      name
                      chip
                    }
                  }
                },
                Flatten(path: "dogs.@") {
                  Fetch(service: "vets") {
                    {
                      ... on Dog {
                        __typename
                        chip
                      }
                    } =>
                    {
                      ... on Dog {
                        vaccinated
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    let data = front.answered(QUERY, &[("pets", 1), ("vets", 1)]).await;
    assert_eq!(data["dogs"][1], json!({ "name": "Rex", "vaccinated": true }));
}

/// Types and values become null without an error, in lists too.
#[tokio::test]
async fn what_clients_do_not_see_is_null() {
    let front = Front::new("inaccessible", rows()).await;
    const QUERY: &str =
        "{ pets { __typename ... on Dog { size sizes vaccinated } ... on Cat { friend { size } } } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "pets") {
                  {
                    pets {
                      __typename
                      ... on Dog {
                        __typename
                        size
                        sizes
                        chip
                      }
                      ... on Cat {
                        friend {
                          size
                        }
                      }
                    }
                  }
                },
                Flatten(path: "pets.@|[Dog]") {
                  Fetch(service: "vets") {
                    {
                      ... on Dog {
                        __typename
                        chip
                      }
                    } =>
                    {
                      ... on Dog {
                        vaccinated
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    let data = front.answered(QUERY, &[("pets", 1), ("vets", 1)]).await;
    assert_eq!(data["pets"][2], Value::Null);
    assert_eq!(data["pets"][0]["size"], Value::Null);
    assert_eq!(data["pets"][0]["sizes"], json!(["SMALL", null, null]));
    // Also where no type is told.
    let data = front.answered("{ pets { ... on Cat { name } } }", &[("pets", 1)]).await;
    assert_eq!(data["pets"], json!([{}, { "name": "Tom" }, null, {}]));
}

#[tokio::test]
async fn what_is_inaccessible_cannot_be_asked_for() {
    let front = Front::new("inaccessible", rows()).await;
    for (query, variables) in [
        ("{ dogs { chip } }", json!({})),
        ("{ dogs { name: chip } }", json!({})),
        ("{ pets { ... on Unicorn { name } } }", json!({})),
        ("{ dogs(size: HUGE) { name } }", json!({})),
        ("{ dogs(secret: \"x\") { name } }", json!({})),
        ("query($size: Size) { dogs(size: $size) { name } }", json!({ "size": "HUGE" })),
        ("fragment Of on Unicorn { name } { pets { ...Of } }", json!({})),
    ] {
        let answer = front.gateway.send(&json!({ "query": query, "variables": variables }), &[]).await;
        let code = &answer["errors"][0]["extensions"]["code"];
        assert!(code == "GRAPHQL_VALIDATION_FAILED" || code == "BAD_USER_INPUT", "{query}: {answer:#}");
        let told = answer.to_string().replace("HUGE", "");
        assert!(answer.get("data").is_none() && !told.contains("SMALL"), "{answer:#}");
    }
    assert!(front.calls().is_empty());
    let schema =
        front.gateway.query("{ __schema { types { name possibleTypes { name } } } }").await.to_string();
    assert!(schema.contains("Dog") && !schema.contains("Unicorn"), "{schema}");
}

/// S48: an error at a key that clients do not see is told at what they do see of its path.
#[tokio::test]
async fn s48_no_path_leads_to_what_is_inaccessible() {
    let front = Front::new("inaccessible", rows().failing("Dog", "chip")).await;
    let answer = front.gateway.query("{ dogs { name vaccinated } }").await;
    let errors = answer["errors"].as_array().unwrap();
    let paths: Vec<String> = errors.iter().map(|error| error["path"].to_string()).collect();
    assert_eq!(paths, ["[\"dogs\",0]", "[\"dogs\",1]"], "{answer:#}");
}

/// S48: a plan has the names that subgraphs know, hidden ones too; so nobody gets one unless the configuration says so.
#[tokio::test]
async fn s48_a_plan_is_for_whoever_may_see_all() {
    let request = json!({ "query": "{ dogs { vaccinated } }" });
    let header = [("accounts-center-query-plan", "include")];
    for (shows, settings) in [(false, &[][..]), (true, &[("QUERY_PLANS", "true")])] {
        let front = Federation::new("inaccessible", rows()).await.front(settings).await;
        let answer = front.gateway.send(&request, &header).await;
        assert_eq!(answer["data"]["dogs"][1], json!({ "vaccinated": true }));
        assert_eq!(answer.to_string().contains("chip"), shows, "{answer:#}");
    }
}
