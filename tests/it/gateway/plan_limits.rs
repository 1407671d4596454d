//! S46: operations that are hard to plan, and many of them. Each gets a clear error, in time, and the others are answered.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::shop::{GatewayProcess, Shop};
use crate::support::eventually;

/// Generous, as machines of tests are slow: the limits are far below, and what is slow far above.
const IN_TIME: Duration = Duration::from_secs(12);
/// Milliseconds of a planner that would never come to an end.
const FOR_EVER: u64 = 60_000;

/// With a planner that goes wrong as told.
async fn gateway(shop: &Shop, planner: &str, settings: &[(&str, &str)]) -> GatewayProcess {
    let mut command = shop.command(settings);
    command.env("FAILPOINTS", format!("gateway::plan={planner}"));
    GatewayProcess::start(command).await
}

/// Empty if it was answered.
fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

/// An operation of its own for each number.
fn different(number: usize) -> String {
    format!("{{ me {{ n{number}: name }} }}")
}

/// Texts that mean the same have one plan, also if they come at the same time.
#[tokio::test]
async fn texts_of_one_meaning_are_planned_once() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[]).await;
    let texts = [
        "{ me { id name } }",
        "query Mine { me { id name } }",
        "query Other{me{...F}} fragment F on User{id name}",
        "{ me { ... on User { id } ... { name } } }",
    ];
    let answers = join_all(texts.map(|text| gateway.query(text))).await;
    for answer in answers {
        assert_eq!(answer, json!({ "data": { "me": { "id": "1", "name": "Ada" } } }));
    }
    assert_eq!((gateway.plans("made").await, gateway.plans("same_operation").await), (1, 3));
    gateway.query(texts[2]).await;
    assert_eq!((gateway.plans("made").await, gateway.plans("known").await), (1, 1));
    assert_eq!(gateway.query("{ me { name id } }").await["data"]["me"]["name"], "Ada");
    assert_eq!(gateway.plans("made").await, 2, "another order is another answer");
}

/// One that takes for ever is given up, and that is remembered, whatever its text; others are planned beside it.
#[tokio::test]
async fn s46_a_plan_that_takes_too_long_is_given_up() {
    let shop = Shop::new().await;
    let planner = format!("1*sleep({FOR_EVER})->off");
    let gateway = gateway(&shop, &planner, &[("PLANS__MILLISECONDS", "1000")]).await;
    let begin = Instant::now();
    let queries = ["{ me { name } }", "{ latest { id } }"];
    let answers = join_all(queries.map(|query| gateway.query(query))).await;
    assert!(begin.elapsed() < IN_TIME);
    let slow = answers.iter().position(|answer| code(answer) == "QUERY_PLANNING_TIMEOUT");
    let slow = slow.unwrap_or_else(|| panic!("{answers:#?}"));
    assert_eq!(code(&answers[1 - slow]), "", "the other one is planned: {answers:#?}");
    assert!(answers[slow].get("data").is_none());
    let again = [queries[slow].to_owned(), format!("query Again {}", queries[slow])];
    for text in again {
        assert_eq!(code(&gateway.query(&text).await), "QUERY_PLANNING_TIMEOUT", "{text}");
    }
    assert_eq!((gateway.plans("refused").await, gateway.plans("made").await), (1, 1));
    assert_eq!(gateway.query("{ users { id } }").await["data"]["users"][0]["id"], "1");
}

/// A panic is an error of that operation, and of nobody else.
#[tokio::test]
async fn s46_an_operation_that_makes_the_planner_panic_is_refused() {
    let shop = Shop::new().await;
    let settings = [("PLANS__THREADS", "1"), ("PLANS__MILLISECONDS", "10000")];
    let gateway = gateway(&shop, "1*panic(of a test)->off", &settings).await;
    for _ in 0..2 {
        let answer = gateway.query("{ me { name } }").await;
        assert_eq!(code(&answer), "QUERY_PLANNING_FAILED");
        assert!(!answer.to_string().contains("of a test"), "{answer}");
    }
    assert_eq!((gateway.plans("refused").await, gateway.plans("known").await), (1, 1));
    assert_eq!(gateway.query("{ me { id } }").await["data"]["me"]["id"], "1");
    assert_eq!(gateway.get("/ready").await, (200, "ready".to_owned()));
}

/// More than can be planned is told to come again, and that is not remembered. What has its plan does not wait.
#[tokio::test]
async fn s46_a_full_queue_is_told_and_passes() {
    let shop = Shop::new().await;
    let settings = [("PLANS__THREADS", "1"), ("PLANS__QUEUE", "1"), ("PLANS__MILLISECONDS", "500")];
    let gateway = gateway(&shop, "1*off->1*sleep(6000)->off", &settings).await;
    let known = "{ me { name } }";
    assert_eq!(code(&gateway.query(known).await), "");
    let mut number = 0;
    let refused = eventually("the only thread is busy", async || {
        number += 1;
        (code(&gateway.query(&different(number)).await) == "SERVICE_UNAVAILABLE").then_some(number)
    })
    .await;
    let begin = Instant::now();
    let answers = join_all((0..20).map(|more| {
        let request = json!({ "query": different(1000 + more) });
        gateway.http.post(format!("{}/graphql", gateway.url)).json(&request).send()
    }));
    let beside = async {
        for _ in 0..20 {
            assert_eq!(gateway.query(known).await["data"]["me"]["name"], "Ada");
        }
    };
    let (answers, ()) = futures_util::future::join(answers, beside).await;
    assert!(begin.elapsed() < Duration::from_secs(5), "before the thread is free again");
    for answer in answers {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 503);
        assert_eq!(code(&answer.json().await.unwrap()), "SERVICE_UNAVAILABLE");
    }
    let passed = eventually("there is time for it", async || {
        let answer = gateway.query(&different(refused)).await;
        answer.get("data").cloned()
    });
    assert_eq!(passed.await["me"][format!("n{refused}")], "Ada");
}

/// Planners that have work for a long time do not hold up an operation that has its plan.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s46_operations_that_are_planned_hold_nobody_up() {
    let shop = Shop::new().await;
    // Two threads with 40 plans of half a second: ten seconds.
    let gateway = gateway(&shop, "1*off->sleep(500)", &[("PLANS__MILLISECONDS", "20000")]).await;
    let known = "{ latest { id } }";
    gateway.query(known).await;
    let flood = join_all((0..40).map(|number| {
        let gateway = &gateway;
        async move { gateway.query(&different(number)).await }
    }));
    let beside = async {
        eventually("planning has begun", async || (gateway.plans("made").await > 1).then_some(())).await;
        for _ in 0..50 {
            assert_eq!(code(&gateway.query(known).await), "");
        }
        gateway.plans("made").await
    };
    let (answers, made) = futures_util::future::join(flood, beside).await;
    assert!(made < 41, "it was answered when all others were");
    assert!(answers.iter().all(|answer| code(answer).is_empty()), "{answers:#?}");
}

/// A thousand different operations are planned, and are not all kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s46_a_thousand_different_operations_are_planned() {
    let shop = Shop::new().await;
    let settings = [("PLANS__KEPT", "64"), ("PLANS__MILLISECONDS", "10000")];
    let gateway = shop.gateway(&settings).await;
    futures_util::stream::iter(0..1000)
        .map(|number| {
            let gateway = &gateway;
            async move { (number, gateway.query(&different(number)).await) }
        })
        .buffer_unordered(50)
        .for_each(async |(number, answer)| {
            assert_eq!(answer["data"]["me"][format!("n{number}")], "Ada", "{answer}");
        })
        .await;
    assert!(gateway.plans("made").await >= 1000);
    let before = gateway.plans("made").await;
    for number in 0..200 {
        gateway.query(&different(number)).await;
    }
    assert!(gateway.plans("made").await >= before + 100, "not so many are kept");
}

/// Fragments that are small to write and large to spread, in a body that is as large as it may be.
#[tokio::test]
async fn s46_what_is_large_once_it_is_spread_is_refused() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[]).await;
    let doubling = (0..1000).map(|n| format!("fragment F{n} on User{{...F{} ...F{}}}", n + 1, n + 1));
    let doubling = doubling.collect::<String>();
    let wide = format!("{{ me {{ ...F0 }} }} {doubling} fragment F1000 on User {{ id }}");
    let chain = (0..800).map(|n| format!("fragment F{n} on Review{{author{{reviews{{...F{}}}}}}}", n + 1));
    let deep = format!("{{latest{{...F0}}}} {} fragment F800 on Review{{id}}", chain.collect::<String>());
    for query in [wide, deep] {
        let begin = Instant::now();
        assert_eq!(code(&gateway.query(&query).await), "OPERATION_TOO_LARGE");
        assert!(begin.elapsed() < IN_TIME);
    }
    let circle = "{ me { ...A } } fragment A on User { id ...B } fragment B on User { id ...A }";
    assert_eq!(code(&gateway.query(circle).await), "GRAPHQL_VALIDATION_FAILED");
    assert_eq!(shop.calls(), [0; 4]);
    assert_eq!(code(&gateway.query("{ me { name } }").await), "");
}

/// Whatever a body is full of: it is answered, and so are new operations behind it.
#[tokio::test]
async fn s46_a_body_full_of_fields_holds_nobody_up() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[]).await;
    for query in [
        format!("{{ {} }}", "me{id}".repeat(9000)),
        format!("{{ {} }}", "users{reviews{id}}".repeat(3000)),
        format!("{{ me {{ {} }} }}", "id ".repeat(9000)),
        format!("{{ me {{ {} }} }}", (0..4000).map(|n| format!("a{n}:id ")).collect::<String>()),
        format!("{{ {} }}", (0..2000).map(|n| format!("a{n}:me{{id}}")).collect::<String>()),
    ] {
        let begin = Instant::now();
        let answer = gateway.query(&query).await;
        assert!(begin.elapsed() < IN_TIME, "{} bytes took {:?}: {answer}", query.len(), begin.elapsed());
    }
    eventually("a new operation is answered", async || {
        code(&gateway.query("{ me { name } }").await).is_empty().then_some(())
    })
    .await;
}
