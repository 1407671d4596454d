//! Nulls where none may be: what is around them is null, up to where one may stand; with an error that says why.

use serde_json::{Value, json};

use super::federation::{Federation, Front};
use super::rows::Rows;
use super::shop::{rows, table};
use super::subgraph::Health;

/// Subgraphs that mind nulls themselves, and such that answer them where their schema has none.
async fn fronts(table: &Rows) -> [Front; 2] {
    let front = async |minds: bool| {
        let federation = Federation::minding("shop", table.clone(), (minds, |_: &str| table.clone())).await;
        federation.front(&[]).await
    };
    [front(true).await, front(false).await]
}

fn nameless() -> Rows {
    let mut rows = rows();
    let rows = rows.as_array_mut().unwrap();
    let grace = rows.iter_mut().find(|row| row["__typename"] == "User" && row["id"] == "2").unwrap();
    grace["name"] = Value::Null;
    Rows::new(rows.clone().into())
}

fn paths(answer: &Value) -> Vec<String> {
    let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{answer:#}"));
    let mut paths: Vec<String> = errors.iter().map(|error| error["path"].to_string()).collect();
    paths.sort_unstable();
    paths
}

const QUERIES: [&str; 4] = [
    "{ me { name } product(upc: 1) { title reviews { author { name } } } }",
    "{ users { id name } me { name } }",
    "{ latest { id author { id name } } }",
    "{ product(upc: 1) { reviews { id author { nick } } } me { reviews { author { name reviews { author { name } } } } } }",
];

/// Whether a subgraph minds its own nulls or not, the data is that of one server.
#[tokio::test]
async fn a_null_goes_up_whoever_minds_it() {
    for front in fronts(&nameless()).await {
        for query in QUERIES {
            let answer = front.gateway.query(query).await;
            let unfederated = front.unfederated(query, &Value::Null);
            assert_eq!(answer["data"], unfederated["data"], "{query}: {answer:#}");
            assert_eq!(
                answer.get("errors").is_some(),
                unfederated.get("errors").is_some(),
                "{query}: {answer:#}"
            );
        }
    }
}

/// Without an error of a subgraph there is one of the gateway, at the field that must not be null.
#[tokio::test]
async fn each_null_is_told_once() {
    let [minding, lax] = fronts(&nameless()).await;
    let answer = lax.gateway.query(QUERIES[0]).await;
    assert_eq!(paths(&answer), [r#"["product","reviews",1,"author","name"]"#]);
    assert_eq!(answer["errors"][0]["extensions"]["code"], "NULL_IN_NON_NULLABLE_FIELD");
    // The subgraph has said it already.
    let answer = minding.gateway.query(QUERIES[0]).await;
    assert_eq!(paths(&answer), [r#"["product","reviews",1,"author","name"]"#], "{answer:#}");
    assert_eq!(answer["errors"][0]["extensions"]["code"], "NULL", "{answer:#}");
}

/// With the error of a subgraph there is none beside it.
#[tokio::test]
async fn a_subgraphs_error_is_enough() {
    for front in fronts(&table().failing("User", "name")).await {
        let answer = front.gateway.query("{ product(upc: 1) { title reviews { author { name } } } }").await;
        assert_eq!(answer["data"], json!({ "product": null }));
        let errors = answer["errors"].as_array().unwrap();
        assert!(errors.iter().any(|error| error["extensions"]["code"] == "BROKEN"), "{answer:#}");
        assert!(
            errors.iter().all(|error| error["extensions"]["code"] != "NULL_IN_NON_NULLABLE_FIELD"),
            "{answer:#}"
        );
    }
}

/// Up to the root, if nothing on the way may be null.
#[tokio::test]
async fn nothing_is_left_if_nothing_may_be_null() {
    let table = table();
    let front = Federation::new("shop", table).await.front(&[]).await;
    front.federation.subgraphs["users"].set(Health::Status(500));
    let answer = front.gateway.query("{ latest { id author { name } } products { upc } }").await;
    assert_eq!(answer["data"], Value::Null, "{answer:#}");
    assert_eq!(answer["errors"][0]["extensions"]["code"], "SUBGRAPH_HTTP_ERROR");
    let answer = front.gateway.query("{ latest { id author { nick } } products { upc } }").await;
    assert_eq!(answer["data"]["latest"][0], json!({ "id": "r1", "author": { "nick": null } }));
}
