//! `@extends`: Federation 1's way to add to a type of another subgraph, in a schema of Federation 2.

use serde_json::json;

use super::federation::Front;
use super::rows::Rows;

fn rows() -> Rows {
    let user = |id: &str| json!({ "__typename": "User", "id": id });
    let post = |id: &str, author: &str| json!({ "__typename": "Post", "id": id, "text": format!("by {author}"), "author": user(author) });
    Rows::new(json!([
        { "__typename": "Query", "users": [user("1"), user("2")], "posts": [post("p", "1"), post("q", "2")] },
        { "__typename": "User", "id": "1", "name": "Ada", "posts": [post("p", "1")] },
        { "__typename": "User", "id": "2", "name": "Grace", "posts": [post("q", "2")] },
        post("p", "1"), post("q", "2"),
    ]))
    .computed("User", "greeting", |user, _| json!(user.get("name").map(|name| format!("Hello {name}"))))
}

#[tokio::test]
async fn an_extended_type_is_one_type() {
    let front = Front::new("extends", rows()).await;
    const QUERY: &str = "{ users { greeting posts { text } } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "users") {
                  {
                    users {
                      __typename
                      id
                      name
                    }
                  }
                },
                Flatten(path: "users.@") {
                  Fetch(service: "posts") {
                    {
                      ... on User {
                        __typename
                        name
                        id
                      }
                    } =>
                    {
                      ... on User {
                        greeting
                        posts {
                          text
                        }
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    let data = front.answered(QUERY, &[("users", 1), ("posts", 1)]).await;
    assert_eq!(data["users"][0]["greeting"], "Hello \"Ada\"");
    front.answered("{ posts { author { id } } }", &[("posts", 1)]).await;
    front
        .answered("{ posts { author { greeting name } } users { id } }", &[("posts", 2), ("users", 2)])
        .await;
}
