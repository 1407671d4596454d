//! Unions and interfaces that are spread over subgraphs: none of them knows all types.

use serde_json::{Value, json};

use super::federation::Front;
use super::rows::Rows;

pub fn rows() -> Rows {
    let of = |ty: &str, id: &str| json!({ "__typename": ty, "id": id });
    Rows::new(json!([
        { "__typename": "Query",
            "found": [of("Book", "b"), of("Film", "f"), null], "nodes": [of("Film", "f"), of("Book", "b")],
            "bought": [of("Film", "f"), of("Song", "s")],
            "priced": [of("Song", "s"), of("Book", "b"), of("Film", "f")] },
        { "__typename": "Book", "id": "b", "title": "Alice", "pages": 300, "price": 5 },
        { "__typename": "Film", "id": "f", "title": "Metropolis", "minutes": 153, "price": 9 },
        { "__typename": "Song", "id": "s", "singer": of("Film", "f"), "price": 1 },
    ]))
}

/// Each type is completed by whoever knows it, the others are left alone.
#[tokio::test]
async fn members_of_a_union_are_completed_type_by_type() {
    let front = Front::new("abstracts", rows()).await;
    const QUERY: &str = "{ found { __typename ... on Book { title price } ... on Film { minutes price } ... on Song { id } } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "books") {
                  {
                    found {
                      __typename
                      ... on Book {
                        __typename
                        title
                        id
                      }
                      ... on Film {
                        __typename
                        minutes
                        id
                      }
                    }
                  }
                },
                Flatten(path: "found.@") {
                  Fetch(service: "shops") {
                    {
                      ... on Book {
                        __typename
                        id
                      }
                      ... on Film {
                        __typename
                        id
                      }
                    } =>
                    {
                      ... on Book {
                        price
                      }
                      ... on Film {
                        price
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    front.answered(QUERY, &[("books", 1), ("shops", 1)]).await;
    const BOUGHT: &str =
        "{ bought { ... on Film { minutes } ... on Song { singer { minutes price } } ... on Book { id } } }";
    front.planned(
        BOUGHT,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "shops") {
                  {
                    bought {
                      __typename
                      ... on Film {
                        __typename
                        id
                      }
                      ... on Song {
                        singer {
                          __typename
                          id
                          price
                        }
                      }
                    }
                  }
                },
                BatchFetch(service: "books") {
                  {
                    _e0 {
                      paths: [
                        "bought.@|[Song].singer"
                        "bought.@|[Film]"
                      ]
                      {
                        ... on Film {
                          __typename
                          id
                        }
                      }
                    }
                  }
                  {
                    _e0: _entities(representations: $__batch_reps_0) {
                      ... on Film {
                        minutes
                      }
                    }
                  }
                },
              },
            }
        "#,
    );
    let data = front.answered(BOUGHT, &[("shops", 1), ("books", 1)]).await;
    assert_eq!(data["bought"][1], json!({ "singer": { "minutes": 153, "price": 9 } }));
    // The film in the song and the film beside it are one.
    front.gateway.query(BOUGHT).await;
    let sent = front.representations("books");
    assert!(sent.iter().all(|sent| sent["id"] == "f") && (1..=2).contains(&sent.len()), "{sent:#?}");
}

/// An interface that only one subgraph says a type has.
#[tokio::test]
async fn an_interface_has_types_that_not_every_subgraph_gives_it() {
    let front = Front::new("abstracts", rows()).await;
    const PRICED: &str = "{ priced { __typename price ... on Node { id } ... on Book { pages } } }";
    front.planned(
        PRICED,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "shops") {
                  {
                    priced {
                      __typename
                      price
                      ... on Book {
                        __typename
                        id
                      }
                      ... on Film {
                        id
                      }
                      ... on Song {
                        id
                      }
                    }
                  }
                },
                Flatten(path: "priced.@|[Book]") {
                  Fetch(service: "books") {
                    {
                      ... on Book {
                        __typename
                        id
                      }
                    } =>
                    {
                      ... on Book {
                        pages
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    front.answered(PRICED, &[("shops", 1), ("books", 1)]).await;
    const NODES: &str = "{ nodes { id ... on Priced { price } ... on Song { singer { id } } } }";
    front.planned(
        NODES,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "books") {
                  {
                    nodes {
                      id
                      __typename
                    }
                  }
                },
                Flatten(path: "nodes.@") {
                  Fetch(service: "shops") {
                    {
                      ... on Book {
                        __typename
                        id
                      }
                      ... on Film {
                        __typename
                        id
                      }
                    } =>
                    {
                      ... on Book {
                        price
                      }
                      ... on Film {
                        price
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    front.answered(NODES, &[("books", 1), ("shops", 1)]).await;
}

#[tokio::test]
async fn a_type_alone_needs_no_other_call() {
    let front = Front::new("abstracts", rows()).await;
    front.answered("{ found { __typename } }", &[("books", 1)]).await;
    front.answered("{ found { ... on Song { price } } }", &[("books", 1)]).await;
    front.answered("{ priced { ... on Node { __typename } } }", &[("shops", 1)]).await;
}

/// An object that the subgraph gives a type which is none of the union's is null, and its siblings are there.
#[tokio::test]
async fn a_type_that_does_not_belong_is_null() {
    let strange = json!([{ "__typename": "Query" }, { "__typename": "Book", "id": "b" }]);
    let front = Front::new("abstracts", rows().with("Query", "found", &strange)).await;
    let answer = front.gateway.query("{ found { __typename ... on Book { title } } }").await;
    assert_eq!(answer["data"]["found"], json!([Value::Null, { "__typename": "Book", "title": "Alice" }]));
}
