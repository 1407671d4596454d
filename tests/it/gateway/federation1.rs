//! Subgraphs of Federation 1, composed: `extend type`, external keys, and everything shared that is a key.

use serde_json::json;

use super::federation::Front;
use super::rows::Rows;

fn rows() -> Rows {
    let product = |upc: &str| json!({ "__typename": "Product", "upc": upc });
    let review = |id: &str, upc: &str| json!({ "__typename": "Review", "id": id, "product": product(upc) });
    Rows::new(json!([
        { "__typename": "Query", "products": [product("a"), product("b")],
            "reviews": [review("1", "b"), review("2", "a"), review("3", "b")] },
        { "__typename": "Product", "upc": "a", "sku": "s-a", "price": 5, "reviews": [review("2", "a")] },
        { "__typename": "Product", "upc": "b", "sku": "s-b", "price": 500,
            "reviews": [review("1", "b"), review("3", "b")] },
        review("1", "b"), review("2", "a"), review("3", "b"),
    ]))
    .computed("Product", "cheap", |product, _| json!(product["price"].as_i64().map(|price| price < 100)))
}

#[tokio::test]
async fn keys_of_extended_types_lead_on() {
    let front = Front::new("federation1", rows()).await;
    const QUERY: &str = "{ products { cheap reviews { id } } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "products") {
                  {
                    products {
                      __typename
                      sku
                      upc
                      price
                    }
                  }
                },
                Parallel {
                  Flatten(path: "products.@") {
                    Fetch(service: "inventory") {
                      {
                        ... on Product {
                          __typename
                          price
                          sku
                        }
                      } =>
                      {
                        ... on Product {
                          cheap
                        }
                      }
                    },
                  },
                  Flatten(path: "products.@") {
                    Fetch(service: "reviews") {
                      {
                        ... on Product {
                          __typename
                          upc
                        }
                      } =>
                      {
                        ... on Product {
                          reviews {
                            id
                          }
                        }
                      }
                    },
                  },
                },
              },
            }
        "#,
    );
    front.answered(QUERY, &[("products", 1), ("inventory", 1), ("reviews", 1)]).await;
    front.answered("{ reviews { id product { sku price } } }", &[("reviews", 1), ("products", 1)]).await;
}

#[tokio::test]
async fn what_is_provided_is_not_asked_for_elsewhere() {
    let front = Front::new("federation1", rows()).await;
    const QUERY: &str = "{ reviews { product { price } } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Fetch(service: "reviews") {
                {
                  reviews {
                    product {
                      price
                    }
                  }
                }
              },
            }
        "#,
    );
    front.answered(QUERY, &[("reviews", 1)]).await;
}
