//! Introspection where it is switched off.

use serde_json::{Value, json};

use super::shop::Shop;

/// In whatever form the schema is asked for, nothing of it is told and nobody is called; `__typename` is no such question.
#[tokio::test]
async fn the_schema_is_told_to_nobody_where_that_is_switched_off() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[("INTROSPECTION", "false")]).await;
    for query in [
        "{ __schema { queryType { name } } }",
        "{ me { name } again: __type(name: \"User\") { name } }",
        "{ me { name } ...F } fragment F on Query { ... { __type(name: \"Kind\") { enumValues { name } } } }",
        "query($a: Boolean! = true) { me { name } ... @include(if: $a) { __schema { types { name } } } }",
    ] {
        let answer = gateway.query(query).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "INTROSPECTION_DISABLED", "{query}: {answer}");
        assert_eq!(answer.get("data").unwrap_or(&Value::Null), &Value::Null);
    }
    assert_eq!(shop.calls(), [0; 4]);
    let answer = gateway.query("{ __typename me { __typename name } }").await;
    let me = json!({ "__typename": "User", "name": "Ada" });
    assert_eq!(answer, json!({ "data": { "__typename": "Query", "me": me } }));
}
