//! `@provides` and `@external`: what a subgraph knows of a foreign entity at one path and nowhere else.

use serde_json::json;

use super::federation::Front;
use super::rows::Rows;

pub fn rows() -> Rows {
    let user = |id: &str| json!({ "__typename": "User", "id": id });
    let review = |id: &str, author: &str| json!({ "__typename": "Review", "id": id, "body": format!("of {author}"), "author": user(author) });
    let known = |id: &str, name: &str, team: &str| {
        json!({ "__typename": "User", "id": id, "name": name, "nick": name.to_lowercase(),
            "team": { "__typename": "Team", "title": team } })
    };
    Rows::new(json!([
        { "__typename": "Query", "reviews": [review("1", "ada"), review("2", "grace"), review("3", "ada")],
            "newest": review("3", "ada") },
        review("1", "ada"), review("2", "grace"), review("3", "ada"),
        known("ada", "Ada", "Engines"), known("grace", "Grace", "Compilers"),
    ]))
}

#[tokio::test]
async fn what_is_provided_needs_no_other_call() {
    let front = Front::new("provides", rows()).await;
    const QUERY: &str = "{ reviews { body author { id name } } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Fetch(service: "reviews") {
                {
                  reviews {
                    body
                    author {
                      id
                      name
                    }
                  }
                }
              },
            }
        "#,
    );
    front.answered(QUERY, &[("reviews", 1)]).await;
}

#[tokio::test]
async fn what_is_not_provided_is_fetched() {
    let front = Front::new("provides", rows()).await;
    const QUERY: &str = "{ reviews { author { name nick team { title } } } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "reviews") {
                  {
                    reviews {
                      author {
                        __typename
                        name
                        team {
                          title
                        }
                        id
                      }
                    }
                  }
                },
                Flatten(path: "reviews.@.author") {
                  Fetch(service: "users") {
                    {
                      ... on User {
                        __typename
                        id
                      }
                    } =>
                    {
                      ... on User {
                        nick
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    front.answered(QUERY, &[("reviews", 1), ("users", 1)]).await;
    assert_eq!(front.gateway.query(QUERY).await["data"]["reviews"][0]["author"]["nick"], "ada");
    assert_eq!(front.representations("users").len(), 2, "three authors, two of them the same");
}

/// A path may provide what is below an object.
#[tokio::test]
async fn what_is_below_an_object_is_provided_too() {
    let front = Front::new("provides", rows()).await;
    const NESTED: &str = "{ newest { author { team { title } } } }";
    front.planned(
        NESTED,
        r#"
            QueryPlan {
              Fetch(service: "reviews") {
                {
                  newest {
                    author {
                      team {
                        title
                      }
                    }
                  }
                }
              },
            }
        "#,
    );
    front.answered(NESTED, &[("reviews", 1)]).await;
}
