//! `@composeDirective`: a directive of a subgraph's own is in the supergraph, and changes nothing in what is answered.

use serde_json::json;

use super::federation::Front;
use super::rows::Rows;

#[tokio::test]
async fn a_directive_of_the_subgraphs_own_is_no_hindrance() {
    let supergraph = include_str!("../../federation/composedirective.graphql");
    assert!(supergraph.contains("@mark(with: \"a pencil\")"), "it was composed in");
    let note = |id: &str| json!({ "__typename": "Note", "id": id });
    let rows = Rows::new(json!([
        { "__typename": "Query", "notes": [note("1"), note("2")] },
        { "__typename": "Note", "id": "1", "text": "first", "likes": 2 },
        { "__typename": "Note", "id": "2", "text": null, "likes": 0 },
    ]));
    let front = Front::new("composedirective", rows).await;
    const QUERY: &str = "{ notes { text likes } }";
    front.planned(
        QUERY,
        r#"
            QueryPlan {
              Sequence {
                Fetch(service: "notes") {
                  {
                    notes {
                      __typename
                      text
                      id
                    }
                  }
                },
                Flatten(path: "notes.@") {
                  Fetch(service: "likes") {
                    {
                      ... on Note {
                        __typename
                        id
                      }
                    } =>
                    {
                      ... on Note {
                        likes
                      }
                    }
                  },
                },
              },
            }
        "#,
    );
    front.answered(QUERY, &[("notes", 1), ("likes", 1)]).await;
}
