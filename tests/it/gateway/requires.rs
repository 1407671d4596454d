//! `@requires`: what one subgraph has to be told by another one; with arguments, fragments, and one behind the other.

use serde_json::{Map, Value, json};

use super::federation::{Federation, Front};
use super::rows::Rows;

fn in_currency(product: &Map<String, Value>, currency: &Value) -> Option<i64> {
    product["price"].as_i64().map(|euros| if currency == "USD" { euros * 2 } else { euros })
}

fn cost(price: Option<i64>, product: &Map<String, Value>) -> Option<i64> {
    price.zip(product["weight"].as_i64()).map(|(price, weight)| price * weight)
}

/// What a subgraph knows. Costs come from what it is told: by itself it knows neither price nor weight.
pub fn rows() -> Rows {
    let product = |upc: &str| json!({ "__typename": "Product", "upc": upc });
    let boxed = |height: u8, width: u8| json!({ "__typename": "Box", "height": height, "width": width });
    let rows = Rows::new(json!([
        { "__typename": "Query", "products": [product("a"), product("b"), product("c")] },
        { "__typename": "Product", "upc": "a", "price": 10, "weight": 2, "box": boxed(2, 3),
            "content": { "__typename": "Book", "pages": 300 } },
        { "__typename": "Product", "upc": "b", "price": 20, "weight": 5, "box": null,
            "content": { "__typename": "Film", "minutes": 90 } },
        { "__typename": "Product", "upc": "c", "price": null, "weight": 1, "box": boxed(1, 1), "content": null },
    ]));
    rows.computed("Product", "price", |product, given| json!(in_currency(product, &given["currency"])))
        .computed("Product", "cost", |product, _| json!(cost(product["price"].as_i64(), product)))
        .computed("Product", "volume", |product, _| {
            let (height, width) = (&product["box"]["height"], &product["box"]["width"]);
            json!(height.as_i64().zip(width.as_i64()).map(|(height, width)| height * width))
        })
        .computed("Product", "label", |product, _| {
            let content = &product["content"];
            let pages = content["pages"].as_i64().map(|pages| format!("{pages} p."));
            json!(pages.or(content["minutes"].as_i64().map(|minutes| format!("{minutes} min."))))
        })
        .computed("Product", "premium", |product, _| json!(product["cost"].as_i64().map(|cost| cost / 10)))
}

/// What one server knows, which nobody has to tell anything.
pub fn whole() -> Rows {
    rows()
        .computed("Product", "cost", |product, _| json!(cost(in_currency(product, &json!("USD")), product)))
        .computed("Product", "premium", |product, _| {
            json!(cost(in_currency(product, &json!("USD")), product).map(|cost| cost / 10))
        })
}

async fn front() -> Front {
    Federation::with("requires", whole(), |_| rows()).await.front(&[]).await
}

const ALL: &[(&str, usize)] = &[("products", 1), ("shipping", 1)];

#[tokio::test]
async fn arguments_of_what_is_required_are_those_of_the_directive() {
    let front = front().await;
    const QUERY: &str = "{ products { cost } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "products") {
                  {
                    products {
                      __typename
                      upc
                      price(currency: "USD")
                      weight
                    }
                  }
                },
                Flatten(path: "products.@") {
                  Fetch(service: "shipping") {
                    {
                      ... on Product {
                        __typename
                        price
                        weight
                        upc
                      }
                    } =>
                    {
                      ... on Product {
                        cost
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    let data = front.answered(QUERY, ALL).await;
    assert_eq!(data["products"][0]["cost"], 40);
}

/// The client asks for the same field with other arguments: both are fetched, and each goes where it belongs.
#[tokio::test]
async fn what_the_client_asks_for_does_not_get_in_the_way() {
    let front = front().await;
    const QUERY: &str = r#"{ products { price(currency: "GBP") cost } }"#;
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "products") {
                  {
                    products {
                      __typename
                      price(currency: "GBP")
                      upc
                      _internal_qp_alias_0: price(currency: "USD")
                      weight
                    }
                  }
                },
                Flatten(path: "products.@") {
                  Fetch(service: "shipping") {
                    {
                      ... on Product {
                        __typename
                        price: _internal_qp_alias_0
                        weight
                        upc
                      }
                    } =>
                    {
                      ... on Product {
                        cost
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    let data = front.answered(QUERY, ALL).await;
    assert_eq!(data["products"][0], json!({ "price": 10, "cost": 40 }));
    front.answered(r#"{ products { cost price: weight weight: price(currency: "USD") } }"#, ALL).await;
    front.answered("{ products { a: cost b: cost price } }", ALL).await;
}

/// Where the planner's library would have both in one place, if conditions were left to it.
#[tokio::test]
async fn conditions_do_not_get_in_the_way_either() {
    let front = front().await;
    for operation in [
        "products { volume } products @skip(if: $v) { KEY cost }",
        "products { ... on Product @skip(if: $v) { volume @include(if: $w) KEY cost } } products { KEY }",
        "products { KEY @skip(if: $v) cost }",
    ] {
        for key in ["price", "price(currency: \"GBP\")", "price: weight", "own: price"] {
            let operation = operation.replace("KEY", key);
            let query =
                format!("query($v: Boolean!, $w: Boolean!) {{ {operation} t: __typename @skip(if: $w) }}");
            for (v, w) in [(false, false), (false, true), (true, false), (true, true)] {
                let variables = json!({ "v": v, "w": w });
                let answer =
                    front.gateway.send(&json!({ "query": query, "variables": variables }), &[]).await;
                assert_eq!(answer, front.unfederated(&query, &variables), "{query} {variables}");
            }
        }
    }
}

#[tokio::test]
async fn objects_are_required_whole_and_by_fragments() {
    let front = front().await;
    const QUERY: &str = "{ products { volume label } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "products") {
                  {
                    products {
                      __typename
                      upc
                      box {
                        width
                        height
                      }
                      content {
                        __typename
                        ... on Film {
                          minutes
                        }
                        ... on Book {
                          pages
                        }
                      }
                    }
                  }
                },
                Flatten(path: "products.@") {
                  Fetch(service: "shipping") {
                    {
                      ... on Product {
                        __typename
                        content {
                          ... on Book {
                            pages
                          }
                          ... on Film {
                            minutes
                          }
                        }
                        upc
                        box {
                          height
                          width
                        }
                      }
                    } =>
                    {
                      ... on Product {
                        label
                        volume
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    front.answered(QUERY, ALL).await;
    front.gateway.query(QUERY).await;
    let sent = front.representations("shipping");
    let told = |upc: &str| sent.iter().find(|sent| sent["upc"] == upc).unwrap().clone();
    assert_eq!(told("a")["content"], json!({ "__typename": "Book", "pages": 300 }));
    assert_eq!(told("b")["content"]["minutes"], 90);
    assert_eq!(told("b")["box"], Value::Null);
    assert_eq!(told("a")["box"]["width"], 3);
    // What is null is told, so that the subgraph knows that it is.
    assert!(told("c").as_object().unwrap().contains_key("content"));
}

/// What is required requires something itself.
#[tokio::test]
async fn requirements_are_met_one_behind_the_other() {
    let front = front().await;
    const QUERY: &str = "{ products { premium } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "products") {
                  {
                    products {
                      __typename
                      upc
                      price(currency: "USD")
                      weight
                    }
                  }
                },
                Flatten(path: "products.@") {
                  Fetch(service: "shipping") {
                    {
                      ... on Product {
                        __typename
                        price
                        weight
                        upc
                      }
                    } =>
                    {
                      ... on Product {
                        cost
                      }
                    }
                  },
                },
                Flatten(path: "products.@") {
                  Fetch(service: "insurance") {
                    {
                      ... on Product {
                        __typename
                        cost
                        upc
                      }
                    } =>
                    {
                      ... on Product {
                        premium
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    let calls = [("products", 1), ("shipping", 1), ("insurance", 1)];
    let data = front.answered(QUERY, &calls).await;
    assert_eq!(data["products"], json!([{ "premium": 4 }, { "premium": 20 }, { "premium": null }]));
    front.answered("{ products { premium volume } }", &calls).await;
}

/// Where what is required fails, its error is told, and the subgraph that needs it is told null.
#[tokio::test]
async fn what_is_required_may_fail() {
    let front = Front::new("requires", rows().failing("Product", "weight")).await;
    let answer = front.gateway.query("{ products { cost volume } }").await;
    assert_eq!(answer["data"]["products"][0], json!({ "cost": null, "volume": 6 }));
    let sent = front.representations("shipping");
    assert!(sent.iter().all(|sent| sent["weight"].is_null()), "{sent:#?}");
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BROKEN", "{answer:#}");
}
