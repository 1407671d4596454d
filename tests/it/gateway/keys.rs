//! `@key`: several of them, nested and composite ones, and such that nobody resolves.

use serde_json::{Value, json};

use super::federation::Front;
use super::rows::Rows;

pub fn rows() -> Rows {
    let product = |upc: &str| json!({ "__typename": "Product", "upc": upc });
    let variant =
        |upc: &str, size: u8| json!({ "__typename": "Variant", "product": product(upc), "size": size });
    let coloured = |upc: &str, size: u8, colour: &str| json!({ "__typename": "Variant", "product": product(upc), "size": size, "colour": colour });
    let order =
        |number: u8, upc: &str| json!({ "__typename": "Order", "number": number, "product": product(upc) });
    Rows::new(json!([
        { "__typename": "Query", "products": [product("a"), product("b")],
            "orders": [order(1, "b"), order(2, "a"), order(3, "b")] },
        { "__typename": "Product", "upc": "a", "sku": "s-a", "name": "Alice", "count": 3,
            "variants": [variant("a", 1), variant("a", 2)] },
        { "__typename": "Product", "upc": "b", "sku": "s-b", "name": null, "count": 0,
            "variants": [variant("b", 1)] },
        coloured("a", 1, "red"), coloured("a", 2, "green"), coloured("b", 1, "blue"),
        order(1, "b"), order(2, "a"), order(3, "b"),
    ]))
}

/// From one key to another one, in a subgraph that has both.
#[tokio::test]
async fn several_keys_lead_on() {
    let front = Front::new("keys", rows()).await;
    const QUERY: &str = "{ orders { number product { upc name count } } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "orders") {
                  {
                    orders {
                      number
                      product {
                        __typename
                        upc
                      }
                    }
                  }
                },
                Flatten(path: "orders.@.product") {
                  Fetch(service: "catalog") {
                    {
                      ... on Product {
                        __typename
                        upc
                      }
                    } =>
                    {
                      ... on Product {
                        name
                        sku
                      }
                    }
                  },
                },
                Flatten(path: "orders.@.product") {
                  Fetch(service: "stock") {
                    {
                      ... on Product {
                        __typename
                        sku
                      }
                    } =>
                    {
                      ... on Product {
                        count
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    let data = front.answered(QUERY, &[("orders", 1), ("catalog", 1), ("stock", 1)]).await;
    assert_eq!(data["orders"][1]["product"], json!({ "upc": "a", "name": "Alice", "count": 3 }));
}

/// What is shown often is asked for once, whoever has it, and by the key that the subgraph knows.
#[tokio::test]
async fn each_entity_is_represented_once_by_the_key_of_its_subgraph() {
    let front = Front::new("keys", rows()).await;
    front.gateway.query("{ orders { product { count } } }").await;
    let mut sent = front.representations("stock");
    sent.sort_by_key(Value::to_string);
    let expected = ["s-a", "s-b"].map(|sku| json!({ "__typename": "Product", "sku": sku }));
    assert_eq!(sent, expected);
}

/// A key of several fields, one of them an object.
#[tokio::test]
async fn nested_and_composite_keys_are_sent_whole() {
    let front = Front::new("keys", rows()).await;
    const QUERY: &str = "{ products { variants { size colour } } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "catalog") {
                  {
                    products {
                      __typename
                      upc
                    }
                  }
                },
                Flatten(path: "products.@") {
                  Fetch(service: "sizes") {
                    {
                      ... on Product {
                        __typename
                        upc
                      }
                    } =>
                    {
                      ... on Product {
                        variants {
                          __typename
                          size
                          product {
                            upc
                          }
                        }
                      }
                    }
                  },
                },
                Flatten(path: "products.@.variants.@") {
                  Fetch(service: "catalog") {
                    {
                      ... on Variant {
                        __typename
                        product {
                          upc
                        }
                        size
                      }
                    } =>
                    {
                      ... on Variant {
                        colour
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    front.answered(QUERY, &[("catalog", 2), ("sizes", 1)]).await;
    front.gateway.query(QUERY).await;
    let mut sent = front.representations("catalog");
    sent.sort_by_key(Value::to_string);
    let key =
        |upc: &str, size: u8| json!({ "__typename": "Variant", "product": { "upc": upc }, "size": size });
    assert_eq!(sent, [key("a", 1), key("a", 2), key("b", 1)]);
}

/// The subgraph that names an entity by a key which it does not resolve is asked for nothing else of it.
#[tokio::test]
async fn an_unresolvable_key_is_told_and_never_asked_for() {
    let front = Front::new("keys", rows()).await;
    const QUERY: &str = "{ products { upc } orders { product { upc } } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Parallel {
                Fetch(service: "orders") {
                  {
                    orders {
                      product {
                        upc
                      }
                    }
                  }
                },
                Fetch(service: "catalog") {
                  {
                    products {
                      upc
                    }
                  }
                },
              },
            }
        "#,
    );
    front.answered(QUERY, &[("catalog", 1), ("orders", 1)]).await;
    front
        .answered(
            "{ orders { product { upc variants { colour product { name } } } } }",
            &[("orders", 1), ("sizes", 1), ("catalog", 1)],
        )
        .await;
    let orders = &front.federation.subgraphs["orders"];
    front.gateway.query("{ orders { product { name } } products { name count } }").await;
    assert!(orders.calls().iter().all(|call| !call.query.contains("_entities")));
}

/// An entity without its key cannot be asked for: what others know of it is null, and nobody is called in vain.
#[tokio::test]
async fn an_entity_that_is_null_is_asked_for_nowhere() {
    let nothing = rows().with("Order", "product", &Value::Null).with("Query", "orders", &json!([]));
    let front = Front::new("keys", nothing).await;
    front.answered("{ orders { product { name } } }", &[("orders", 1)]).await;
}
