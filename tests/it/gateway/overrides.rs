//! `@override`: a field on its way from one subgraph to another; at once, for a part of the requests, or for those that
//! say so.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::federation::{Federation, Front, owned};
use super::rows::Rows;

/// Every field says who has answered it.
fn rows(subgraph: &str) -> Rows {
    let fields = ["whole", "never", "always", "half", "flagged"];
    let mut item = json!({ "__typename": "Item", "id": "1" });
    for field in fields {
        item[field] = subgraph.into();
    }
    Rows::new(json!([{ "__typename": "Query", "items": [{ "__typename": "Item", "id": "1" }] }, item]))
}

async fn front(settings: &[(&str, &str)]) -> Front {
    Federation::with("overrides", rows("old"), rows).await.front(settings).await
}

async fn item(front: &Front, fields: &str, headers: &[(&str, &str)]) -> Value {
    let query = json!({ "query": format!("{{ items {{ {fields} }} }}") });
    let mut answer = front.gateway.send(&query, headers).await;
    assert!(answer.get("errors").is_none(), "{answer:#}");
    answer["data"]["items"][0].take()
}

#[tokio::test]
async fn a_field_without_a_label_is_the_new_subgraphs() {
    let front = front(&[]).await;
    front.planned(
        "{ items { whole } }",
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "old") {
                  {
                    items {
                      __typename
                      id
                    }
                  }
                },
                Flatten(path: "items.@") {
                  Fetch(service: "new") {
                    {
                      ... on Item {
                        __typename
                        id
                      }
                    } =>
                    {
                      ... on Item {
                        whole
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    assert_eq!(item(&front, "whole", &[]).await, json!({ "whole": "new" }));
    assert_eq!(front.calls(), owned(&[("old", 1), ("new", 1)]));
}

#[tokio::test]
async fn a_percentage_is_a_part_of_the_requests() {
    let front = front(&[]).await;
    let mut seen = BTreeSet::new();
    // That half of them is none of so many happens once in 2^199.
    for _ in 0..200 {
        let item = item(&front, "half", &[]).await;
        seen.insert(item["half"].as_str().unwrap().to_owned());
        if seen.len() == 2 {
            break;
        }
    }
    assert_eq!(seen, BTreeSet::from(["new".to_owned(), "old".to_owned()]));
    front.calls();
    for _ in 0..20 {
        assert_eq!(item(&front, "never", &[]).await["never"], "old");
    }
    assert_eq!(front.calls(), owned(&[("old", 20)]));
    for _ in 0..20 {
        assert_eq!(item(&front, "always", &[]).await["always"], "new");
    }
    assert_eq!(front.calls(), owned(&[("old", 20), ("new", 20)]));
}

#[tokio::test]
async fn a_label_holds_for_requests_that_name_it() {
    let front = front(&[("OVERRIDE_LABEL_HEADER", "x-labels")]).await;
    for (labels, expected) in
        [("fresh", "new"), ("other, fresh", "new"), ("other", "old"), ("", "old"), ("freshly", "old")]
    {
        let item = item(&front, "flagged", &[("x-labels", labels)]).await;
        assert_eq!(item["flagged"], expected, "{labels:?}");
    }
    assert_eq!(item(&front, "flagged", &[]).await["flagged"], "old");
    // Who may not say so does not.
    let closed = self::front(&[]).await;
    assert_eq!(item(&closed, "flagged", &[("x-labels", "fresh")]).await["flagged"], "old");
}
