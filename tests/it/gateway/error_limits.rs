//! Errors beyond what one answer tells: counted, and never held.

use serde_json::{Value, json};

use super::shop::Shop;
use super::subgraph::Health;

/// Answers of a subgraph with so many errors; the data is null.
fn erring(count: usize, error: &str) -> Health {
    let more = format!(",{error}").repeat(count - 1);
    let text = format!("{{\"data\":{{\"me\":null}},\"errors\":[{error}{more}]}}");
    Health::Garbage(Box::leak(text.into_boxed_str()))
}

#[track_caller]
fn codes(answer: &Value) -> Vec<&str> {
    let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{answer}"));
    errors.iter().map(|error| error["extensions"]["code"].as_str().unwrap()).collect()
}

/// An answer tells so many errors, whoever has them, and says how many more there are.
#[tokio::test]
async fn an_answer_tells_so_many_errors_and_counts_the_rest() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[("MAX_ERRORS", "3")]).await;
    shop.users.set(erring(3, r#"{"message":"m","path":["me"]}"#));
    let answer = gateway.query("{ me { name } }").await;
    assert_eq!(codes(&answer), ["DOWNSTREAM_SERVICE_ERROR"; 3], "all of them fit");
    shop.users.set(erring(50, r#"{"message":"m","path":["me"]}"#));
    let answer = gateway.query("{ me { name } latest { id } }").await;
    assert_eq!(codes(&answer)[2..], ["DOWNSTREAM_SERVICE_ERROR", "ERRORS_LEFT_OUT"]);
    let last = json!({
        "message": "More errors than are told here: 47 are left out.",
        "extensions": { "code": "ERRORS_LEFT_OUT", "leftOut": 47 },
    });
    assert_eq!(answer["errors"][3], last);
    assert_eq!(answer["data"]["latest"][0]["id"], "r1", "the rest arrives");
    // Those of one subgraph leave no room for those of another one.
    shop.reviews.set(Health::Status(500));
    let answer = gateway.query("{ latest { id } me { name } }").await;
    assert_eq!(codes(&answer).len(), 4);
    assert_eq!(answer["errors"][3]["extensions"]["leftOut"], 48);
}

/// What is wrong with an operation or its variables is told with the same measure.
#[tokio::test]
async fn a_refusal_tells_so_many_errors_and_counts_the_rest() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[("MAX_ERRORS", "2")]).await;
    let fields = (0..300).map(|n| format!("x{n} ")).collect::<String>();
    let answer = gateway.query(&format!("{{ {fields} }}")).await;
    assert_eq!(codes(&answer), ["GRAPHQL_VALIDATION_FAILED", "GRAPHQL_VALIDATION_FAILED", "ERRORS_LEFT_OUT"]);
    assert_eq!(answer["errors"][2]["extensions"]["leftOut"], 298);
    let request = json!({
        "query": "query($a: Int!, $b: Int!, $c: Int!, $d: Int!) { a: products(first: $a) { upc }
            b: products(first: $b) { upc } c: products(first: $c) { upc } d: products(first: $d) { upc } }",
    });
    let answer = gateway.send(&request, &[]).await;
    assert_eq!(codes(&answer), ["GRAPHQL_VALIDATION_FAILED", "GRAPHQL_VALIDATION_FAILED", "ERRORS_LEFT_OUT"]);
    assert_eq!(answer["errors"][2]["extensions"]["leftOut"], 2);
}

/// Millions of errors, and large ones, are no more memory than the bytes that came.
#[tokio::test]
async fn errors_without_number_or_measure_are_no_memory() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[("SUBGRAPH__ANSWER_MILLISECONDS", "60000")]).await;
    let count = 4_000_000;
    shop.users.set(erring(count, "{}"));
    let answer = gateway.query("{ me { name } }").await;
    assert_eq!(codes(&answer).len(), 101);
    assert_eq!(answer["errors"][100]["extensions"]["leftOut"], count - 100);
    let deep = format!("{{\"message\":\"m\",\"extensions\":{{\"list\":[{}0]}}}}", "0,".repeat(1_000_000));
    shop.users.set(erring(4, &deep));
    let answer = gateway.query("{ me { name } }").await;
    assert_eq!(codes(&answer), ["DOWNSTREAM_SERVICE_ERROR"; 4]);
    assert!(answer.to_string().len() < 10_000, "what is too large is left out");
    // As values these would be some 400 MB; 12 MB came, and are held once or twice.
    let peak = gateway.peak_memory() / 1_000_000;
    assert!(peak < 150, "{peak} MB");
}
