//! `@interfaceObject` and entity interfaces: one subgraph's interface is another one's object type.

use serde_json::{Value, json};

use super::federation::Front;
use super::rows::Rows;

pub fn rows() -> Rows {
    let media =
        |id: &str| json!({ "__typename": if id.starts_with('b') { "Book" } else { "Film" }, "id": id });
    let review = |body: &str, id: &str| json!({ "__typename": "Review", "body": body, "about": media(id) });
    Rows::new(json!([
        { "__typename": "Query", "media": [media("b1"), media("f1"), media("b2")], "best": media("f1"),
            "reviews": [review("good", "b1"), review("long", "f1")] },
        { "__typename": "Book", "id": "b1", "title": "Alice", "pages": 300, "score": 5,
            "reviews": [review("good", "b1")] },
        { "__typename": "Book", "id": "b2", "title": null, "pages": null, "score": 3, "reviews": [] },
        { "__typename": "Film", "id": "f1", "title": "Metropolis", "minutes": 153, "score": 4,
            "reviews": [review("long", "f1")] },
    ]))
}

/// The subgraph with the object type is told the interface's name, not the type that it does not know.
#[tokio::test]
async fn a_field_of_the_object_type_is_one_of_all_types() {
    let front = Front::new("interfaceobject", rows()).await;
    const QUERY: &str = "{ media { __typename title score ... on Book { pages } } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "media") {
                  {
                    media {
                      __typename
                      title
                      id
                      ... on Book {
                        pages
                      }
                    }
                  }
                },
                Flatten(path: "media.@") {
                  Fetch(service: "reviews") {
                    {
                      ... on Media {
                        __typename
                        id
                      }
                    } =>
                    {
                      ... on Media {
                        score
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    let data = front.answered(QUERY, &[("media", 1), ("reviews", 1)]).await;
    assert_eq!(data["media"][1], json!({ "__typename": "Film", "title": "Metropolis", "score": 4 }));
    front.gateway.query(QUERY).await;
    let sent = front.representations("reviews");
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|sent| sent["__typename"] == "Media"), "{sent:#?}");
}

/// Which type an object is, only the interface's subgraph knows: it is asked as soon as that is to be told.
#[tokio::test]
async fn the_type_of_what_the_object_type_names_is_found_out() {
    let front = Front::new("interfaceobject", rows()).await;
    const QUERY: &str = "{ best { __typename id score ... on Film { minutes } } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "reviews") {
                  {
                    best {
                      __typename
                      id
                      score
                    }
                  }
                },
                Flatten(path: "best") {
                  Fetch(service: "media") {
                    {
                      ... on Media {
                        __typename
                        id
                      }
                    } =>
                    {
                      ... on Media {
                        __typename
                        ... on Film {
                          minutes
                        }
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    let data = front.answered(QUERY, &[("media", 1), ("reviews", 1)]).await;
    assert_eq!(data["best"]["__typename"], "Film");
    assert_eq!(data["best"]["minutes"], 153);
    front.answered("{ best { id score } }", &[("reviews", 1)]).await;
    front
        .answered(
            "{ reviews { about { title ... on Book { pages } } } best { title } }",
            &[("reviews", 1), ("media", 1)],
        )
        .await;
}

#[tokio::test]
async fn it_goes_to_and_fro() {
    let front = Front::new("interfaceobject", rows()).await;
    const QUERY: &str = "{ media { ... on Film { reviews { body about { title score } } } } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "media") {
                  {
                    media {
                      __typename
                      ... on Film {
                        __typename
                        id
                      }
                    }
                  }
                },
                Flatten(path: "media.@|[Film]") {
                  Fetch(service: "reviews") {
                    {
                      ... on Film {
                        __typename
                        id
                      }
                    } =>
                    {
                      ... on Media {
                        reviews {
                          body
                          about {
                            __typename
                            id
                            score
                          }
                        }
                      }
                    }
                  },
                },
                Flatten(path: "media.@|[Film].reviews.@.about") {
                  Fetch(service: "media") {
                    {
                      ... on Media {
                        __typename
                        id
                      }
                    } =>
                    {
                      ... on Media {
                        title
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    let data = front.answered(QUERY, &[("media", 2), ("reviews", 1)]).await;
    assert_eq!(data["media"][0], json!({}));
    assert_eq!(data["media"][1]["reviews"][0]["about"], json!({ "title": "Metropolis", "score": 4 }));
}

/// An entity that the interface's subgraph does not know has no type, and so it is null where one is to be told.
#[tokio::test]
async fn an_entity_of_no_type_is_null() {
    let front = Front::new("interfaceobject", rows()).await;
    front.federation.subgraphs["media"]
        .set(super::subgraph::Health::Garbage(r#"{"data":{"_entities":[null]}}"#));
    let answer = front.gateway.query("{ best { score ... on Film { minutes } } }").await;
    assert!(answer["data"]["best"].get("minutes").is_none_or(Value::is_null), "{answer:#}");
}
