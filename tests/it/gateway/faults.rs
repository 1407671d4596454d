//! S40: subgraphs that are ill. What they do not bring is null with an error, and the rest arrives.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::shop::Shop;
use super::subgraph::Health;

const QUERY: &str = "{ me { name } latest { id author { name } product { inStock } } }";

/// S40: each illness has a code, the path says where, and the time is bounded.
#[tokio::test]
async fn s40_what_an_ill_subgraph_does_not_bring_is_null() {
    let shop = Shop::new().await;
    let settings = [
        ("SUBGRAPH__ANSWER_MILLISECONDS", "300"),
        ("SUBGRAPH__ANSWER_BYTES", "4000"),
        ("SUBGRAPH__CIRCUIT_PERCENT", "0"),
    ];
    let gateway = shop.gateway(&settings).await;
    for (health, code) in [
        (Health::Status(500), "SUBGRAPH_HTTP_ERROR"),
        (Health::Status(503), "SUBGRAPH_HTTP_ERROR"),
        (Health::Status(404), "SUBGRAPH_HTTP_ERROR"),
        (Health::Slow(Duration::from_secs(60)), "SUBGRAPH_TIMEOUT"),
        (Health::Garbage("<html>"), "SUBGRAPH_MALFORMED_RESPONSE"),
        (Health::Garbage("{}"), "SUBGRAPH_MALFORMED_RESPONSE"),
        (Health::Garbage("[1]"), "SUBGRAPH_MALFORMED_RESPONSE"),
        (Health::Garbage("{\"data\": {\"_entities\": 7}}"), "SUBGRAPH_MALFORMED_RESPONSE"),
        (Health::Garbage("{\"data\": {\"_entities\": ["), "SUBGRAPH_MALFORMED_RESPONSE"),
        (Health::Garbage("{\"data\": {\"_entities\": []}} {}"), "SUBGRAPH_MALFORMED_RESPONSE"),
        // No UTF-8, in a value, in a key and in what nobody asked for.
        (
            Health::Bytes(b"{\"data\":{\"_entities\":[{\"inStock\":\"\xff\"}]}}"),
            "SUBGRAPH_MALFORMED_RESPONSE",
        ),
        (Health::Bytes(b"{\"data\":{\"_entities\":[{\"\xc3\":true}]}}"), "SUBGRAPH_MALFORMED_RESPONSE"),
        (
            Health::Bytes(b"{\"data\":{\"_entities\":[]},\"more\":\"\xed\xa0\x80\"}"),
            "SUBGRAPH_MALFORMED_RESPONSE",
        ),
        (Health::Cut, "SUBGRAPH_UNREACHABLE"),
        (Health::Huge(10_000), "SUBGRAPH_RESPONSE_TOO_LARGE"),
    ] {
        shop.inventory.set(health.clone());
        let begin = Instant::now();
        let answer = gateway.query(QUERY).await;
        // Generous: the limit is 0.3 s.
        assert!(begin.elapsed() < Duration::from_secs(10), "{health:?}");
        assert_eq!(answer["data"]["me"]["name"], "Ada", "{health:?}: {answer:#}");
        assert_eq!(answer["data"]["latest"][2]["author"]["name"], "Grace");
        assert_eq!(answer["data"]["latest"][0]["product"], json!({ "inStock": null }));
        let errors = answer["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{health:?}: {errors:#?}");
        assert_eq!(errors[0]["extensions"], json!({ "code": code, "service": "inventory" }), "{health:?}");
        assert_eq!(errors[0]["path"], json!(["latest", 0, "product"]));
    }
    shop.inventory.set(Health::Well);
    assert!(gateway.query(QUERY).await.get("errors").is_none(), "it is well again");
}

/// Misfits of all kinds are null where they stand, and nothing panics.
#[tokio::test]
async fn what_has_another_form_than_was_asked_for_is_null() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[("SUBGRAPH__CIRCUIT_PERCENT", "0")]).await;
    for (answer, nick) in [
        ("{\"data\":{\"me\":{\"nick\":7}}}", json!({ "nick": null })),
        ("{\"data\":{\"me\":{\"nick\":[]}}}", json!({ "nick": null })),
        ("{\"data\":{\"me\":[]}}", Value::Null),
        ("{\"data\":{\"me\":\"x\"}}", Value::Null),
        ("{\"data\":{\"me\":{\"nick\":\"a\\u00e4\\ud83d\\ude00\",\"more\":{}}}}", json!({ "nick": "aä😀" })),
        ("{\"data\":{}}", Value::Null),
        ("{\"data\":null}", Value::Null),
        ("{\"data\":{\"me\":{\"nick\":\"1\",\"nick\":\"2\"}}}", json!({ "nick": "2" })),
        ("{\"data\":{\"me\":{\"nick\":\"1\"}},\"errors\":[{\"message\":\"m\"}]}", json!({ "nick": "1" })),
        ("{\"data\":{\"me\":{\"nick\":\"1\"}},\"errors\":[7,{}]}", json!({ "nick": "1" })),
    ] {
        shop.users.set(Health::Garbage(answer));
        let got = gateway.query("{ me { nick } }").await;
        assert_eq!(got["data"]["me"], nick, "{answer}: {got}");
    }
}

/// A query is tried again where that may help; what changes something is sent once.
#[tokio::test]
async fn queries_are_tried_again_and_mutations_are_not() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[]).await;
    shop.users.set(Health::For(2, Box::new(Health::Status(503))));
    assert_eq!(gateway.query("{ me { name } }").await["data"]["me"]["name"], "Ada");
    assert_eq!(shop.users.calls().len(), 3);
    shop.users.set(Health::For(1, Box::new(Health::Cut)));
    assert_eq!(gateway.query("{ me { name } }").await["data"]["me"]["name"], "Ada");
    shop.users.calls();
    shop.users.set(Health::Status(500));
    gateway.query("{ me { name } }").await;
    assert_eq!(shop.users.calls().len(), 1, "500 does not pass");
    for illness in [Health::Status(503), Health::Cut] {
        shop.reviews.set(illness);
        let answer = gateway.query("mutation { clearReviews }").await;
        assert_eq!(answer["data"], Value::Null);
        assert_eq!(shop.reviews.calls().len(), 1);
    }
}

/// A subgraph that fails again and again is left alone for a moment, and then asked again.
#[tokio::test]
async fn a_circuit_opens_and_closes() {
    let shop = Shop::new().await;
    let settings =
        [("SUBGRAPH__CIRCUIT_CALLS", "4"), ("SUBGRAPH__CIRCUIT_SECONDS", "1"), ("SUBGRAPH__RETRIES", "0")];
    let gateway = shop.gateway(&settings).await;
    shop.users.set(Health::Status(500));
    let mut codes = Vec::new();
    for _ in 0..12 {
        let answer = gateway.query("{ me { name } latest { id } }").await;
        assert_eq!(answer["data"]["latest"][0]["id"], "r1");
        codes.push(answer["errors"][0]["extensions"]["code"].as_str().unwrap().to_owned());
    }
    assert_eq!(codes.last().unwrap(), "SUBGRAPH_CIRCUIT_OPEN", "{codes:?}");
    assert!(shop.users.calls().len() < 12);
    shop.users.set(Health::Well);
    crate::support::eventually("the circuit is closed", async || {
        let answer = gateway.query("{ me { name } }").await;
        answer.get("errors").is_none().then_some(())
    })
    .await;
}

/// What is no GraphQL is a failure like others; what is too large is not, because a client chooses how much it asks for.
#[tokio::test]
async fn garbage_opens_a_circuit_and_too_much_does_not() {
    let shop = Shop::new().await;
    let settings = [
        ("SUBGRAPH__CIRCUIT_CALLS", "4"),
        ("SUBGRAPH__CIRCUIT_SECONDS", "600"),
        ("SUBGRAPH__ANSWER_BYTES", "4000"),
    ];
    let gateway = shop.gateway(&settings).await;
    shop.users.set(Health::Garbage("{\"data\": {\"me\": "));
    shop.reviews.set(Health::Huge(10_000));
    for _ in 0..12 {
        gateway.query("{ me { name } latest { id } }").await;
    }
    let (users, reviews) = (shop.users.calls().len(), shop.reviews.calls().len());
    assert!(users < 12, "{users} calls of garbage");
    assert_eq!(reviews, 12);
    let (_, metrics) = gateway.get("/metrics").await;
    let calls = |labels: &str| {
        let name = format!("accounts_center_gateway_subgraph_calls_total{{{labels}}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
    };
    assert_eq!(calls("subgraph=\"users\",outcome=\"malformed\""), Some(users.to_string()), "{metrics}");
    assert_eq!(calls("subgraph=\"users\",outcome=\"answered\""), None);
    assert_eq!(calls("subgraph=\"reviews\",outcome=\"too_large\""), Some("12".to_owned()));
}

/// Objects of which a subgraph says next to nothing have a place for every key all the same.
#[tokio::test]
async fn what_is_little_text_and_much_memory_is_too_large() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[("ANSWER_BYTES", "2000000")]).await;
    let query = "{ latest { a: id b: id c: id d: body e: body f: body g: body } }";
    assert!(gateway.query(query).await.get("errors").is_none());
    let before = gateway.peak_memory();
    let many = format!("{{\"data\":{{\"latest\":[{}{{}}]}}}}", "{},".repeat(1_000_000));
    shop.reviews.set(Health::Garbage(Box::leak(many.into_boxed_str())));
    let answer = gateway.query(query).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "SUBGRAPH_RESPONSE_TOO_LARGE");
    assert_eq!(answer["data"], Value::Null);
    // The slots of all of them would be more than 100 MB; their text is 3.
    let more = (gateway.peak_memory() - before) / 1_000_000;
    assert!(more < 60, "{more} MB");
}

/// What is the same in every byte, headers included, is asked for once while it is under way. S45: what differs in rights
/// is not the same.
#[tokio::test]
async fn s45_calls_are_shared_by_those_with_the_same_rights_alone() {
    let shop = Shop::new().await;
    let settings = [("SUBGRAPH__FORWARD_HEADERS", "authorization")];
    let gateway = shop.gateway(&settings).await;
    let request = json!({ "query": "{ me { name } }" });
    // The plan is made first, so that the calls are at the same time.
    gateway.send(&request, &[]).await;
    shop.users.calls();
    shop.users.set(Health::Slow(Duration::from_millis(500)));
    let one = || gateway.send(&request, &[("authorization", "Bearer one")]);
    let other = || gateway.send(&request, &[("authorization", "Bearer other")]);
    let answers = join_all([one(), one(), one()]).await;
    let others = futures_util::future::join(join_all([one(), one()]), join_all([other(), other()])).await;
    assert!(
        answers.iter().chain(&others.0).chain(&others.1).all(|answer| answer["data"]["me"]["name"] == "Ada")
    );
    let mut bearers: Vec<String> = shop
        .users
        .calls()
        .iter()
        .map(|call| call.headers["authorization"].to_str().unwrap().to_owned())
        .collect();
    bearers.sort_unstable();
    assert_eq!(bearers, ["Bearer one", "Bearer one", "Bearer other"]);
    let alone = shop.gateway(&[("SUBGRAPH__SHARE", "false")]).await;
    alone.send(&request, &[]).await;
    shop.users.calls();
    join_all((0..3).map(|_| alone.send(&request, &[]))).await;
    assert_eq!(shop.users.calls().len(), 3);
}

/// Whole client queries are shared where that is switched on, and mutations never.
#[tokio::test]
async fn client_queries_are_shared_and_mutations_are_not() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[("SHARE_QUERIES", "true"), ("SUBGRAPH__SHARE", "false")]).await;
    let (query, mutation) =
        (json!({ "query": "{ latest { id } }" }), json!({ "query": "mutation { clearReviews }" }));
    gateway.send(&query, &[]).await;
    gateway.send(&mutation, &[]).await;
    shop.reviews.calls();
    shop.reviews.set(Health::Slow(Duration::from_millis(500)));
    let queries = join_all((0..4).map(|_| gateway.send(&query, &[("authorization", "Bearer one")])));
    let others = join_all((0..4).map(|_| gateway.send(&query, &[("authorization", "Bearer other")])));
    futures_util::future::join(queries, others).await;
    assert_eq!(shop.reviews.calls().len(), 2);
    join_all((0..3).map(|_| gateway.send(&mutation, &[]))).await;
    assert_eq!(shop.reviews.calls().len(), 3);
}

/// Whoever asks for something else gets something else, though it is the same text at the same time.
#[tokio::test]
async fn client_queries_of_other_variables_or_names_are_not_shared() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[("SHARE_QUERIES", "true")]).await;
    let query = "query A($first: Int!) { products(first: $first) { upc } } query B { products { title } }";
    let request = |name: &str, first: u8| json!({ "query": query, "operationName": name, "variables": { "first": first } });
    let requests = [request("A", 1), request("A", 2), request("B", 1)];
    for request in &requests {
        gateway.send(request, &[]).await;
    }
    shop.products.calls();
    shop.products.set(Health::Slow(Duration::from_millis(500)));
    let twice = requests.iter().chain(&requests);
    let answers = join_all(twice.map(|request| gateway.send(request, &[]))).await;
    assert!(answers[..2].iter().all(|answer| answer["data"]["products"][0]["upc"] == "a"), "{answers:#?}");
    assert_eq!(answers[2]["data"]["products"][0], json!({ "title": "Alice" }));
    assert_eq!(answers[..3], answers[3..]);
    let mut asked: Vec<Value> =
        shop.products.calls().iter().map(|call| call.variables["first"].clone()).collect();
    asked.sort_by_key(Value::to_string);
    assert_eq!(asked, [json!(1), json!(2), Value::Null]);
}

/// Whatever is nested beyond all measure, where it was asked for or not: it is answered, and the gateway lives.
#[tokio::test]
async fn what_is_nested_without_end_is_no_stack_without_end() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[("SUBGRAPH__CIRCUIT_PERCENT", "0")]).await;
    for (open, close) in [("[", "]"), ("{\"me\":", "}")] {
        let deep = format!("{}1{}", open.repeat(500_000), close.repeat(500_000));
        for place in [
            "{\"data\":{\"me\":@}}",
            "{\"data\":{\"me\":{\"name\":@}}}",
            "{\"data\":{\"more\":@}}",
            "{\"more\":@}",
            "{\"data\":null,\"errors\":@}",
            "{\"data\":null,\"errors\":[{\"message\":@}]}",
            "{\"data\":null,\"errors\":[{\"message\":\"m\",\"extensions\":{\"a\":@}}]}",
            "{\"data\":null,\"errors\":[{\"message\":\"m\",\"path\":@}]}",
            // Where this string ends, readers do not agree.
            "{\"data\":{\"more\":[\"\\u\"aaa\",@,\"x\"]}}",
            "{\"data\":{\"me\":{\"name\":\"\\u\"aaa\",@,\"x\"}}}",
        ] {
            shop.users.set(Health::Garbage(Box::leak(place.replace('@', &deep).into_boxed_str())));
            let answer = gateway.query("{ me { name } latest { id } }").await;
            assert_eq!(answer["data"]["me"]["name"], Value::Null, "{open}: {place}");
            assert_eq!(answer["data"]["latest"][0]["id"], "r1", "{open}: {place}");
        }
    }
}

/// What is no JSON is no part of an answer, however little of it there is.
#[tokio::test]
async fn what_is_no_json_reaches_nobody() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[("SUBGRAPH__CIRCUIT_PERCENT", "0")]).await;
    for bad in [
        r#""\uZZZZ""#,
        r#""\q""#,
        "\"\u{1}\"",
        "\"\n\"",
        "01",
        "1.",
        "-",
        "+1",
        ".5",
        "1e",
        "tru",
        "nul",
        "'a'",
        "NaN",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "\"\\",
    ] {
        for place in ["{\"data\":{\"me\":{\"name\":@}}}", "{\"data\":{\"me\":{\"name\":\"a\",\"more\":@}}}"] {
            let text = place.replace('@', bad);
            shop.users.set(Health::Garbage(Box::leak(text.clone().into_boxed_str())));
            let answer = gateway.query("{ me { name } latest { id } }").await;
            assert_eq!(answer["data"]["latest"][0]["id"], "r1", "{text}: {answer}");
            assert_eq!(answer["data"]["me"]["name"], Value::Null, "{text}: {answer}");
            assert_eq!(
                answer["errors"][0]["extensions"]["code"], "SUBGRAPH_MALFORMED_RESPONSE",
                "{text}: {answer}"
            );
        }
    }
}

/// A text that was cut in the middle of a character is still one that everybody can read.
#[tokio::test]
async fn half_a_character_is_nothing_to_the_rest() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[]).await;
    shop.users.set(Health::Garbage("{\"data\":{\"me\":{\"name\":\"Ada \\ud83d\"}}}"));
    let answer = gateway.query("{ me { name } latest { id } }").await;
    assert_eq!(answer["data"]["me"]["name"], "Ada \u{fffd}", "{answer}");
    assert_eq!(answer.get("errors"), None, "{answer}");
}
