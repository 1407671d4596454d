//! The line that each request leaves in the log.

use std::process::Stdio;

use serde_json::{Value, json};

use super::shop::{GatewayProcess, Shop};
use crate::support::eventually;

/// What production needs to be configured, though the gateway uses none of it.
const PRODUCTION: [(&str, &str); 10] = [
    ("MODE", "production"),
    ("KEYS__SECRET", "0123456789abcdef0123456789abcdef"),
    ("DATABASE__URL", "postgres://db/accounts"),
    ("REDIS__URL", "redis://cache/"),
    ("DEMO__ENABLED", "false"),
    ("PLATFORMS__FACEBOOK__ENABLED", "false"),
    ("PLATFORMS__INSTAGRAM__ENABLED", "false"),
    ("PLATFORMS__WHATSAPP__BASE_URL", "https://whatsapp.example"),
    ("PLATFORMS__WHATSAPP__CREDENTIAL", "from-the-platform"),
    ("PLATFORMS__WHATSAPP__WEBHOOK_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
];

/// Method, status, name of the operation, time and id; nothing that a client says beside that.
#[tokio::test]
async fn a_request_leaves_a_line_without_what_it_says() {
    let shop = Shop::new().await;
    let log = shop.folder.path().join("log");
    let mut command = shop.command(&[]);
    command.envs(PRODUCTION.map(|(name, value)| (format!("ACCOUNTS__{name}"), value)));
    command.stderr(Stdio::from(std::fs::File::create(&log).unwrap()));
    let gateway = GatewayProcess::start(command).await;
    let secret = "tell-nobody";
    let request = json!({
        "query": "query Find($filter: Filter) { products(filter: $filter) { upc } }",
        "variables": { "filter": { "title": secret } },
    });
    let headers = [("x-request-id", "mine"), ("authorization", secret), ("cookie", secret)];
    gateway.send(&request, &headers).await;
    let query = format!("/graphql?query=%7Bme%7Bid%7D%7D&operationName={secret}");
    let response = gateway.http.get(format!("{}{query}", gateway.url)).send().await.unwrap();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    gateway.send(&json!({ "query": "mutation { nothing }", "operationName": "Two words" }), &[]).await;
    let lines = eventually("three lines are there", async || {
        let text = std::fs::read_to_string(&log).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<Value> =
            lines.filter(|line: &Value| line["fields"]["message"] == "answered").collect();
        (lines.len() == 3).then_some(lines)
    })
    .await;
    let told = |line: &Value| {
        assert_eq!(line["level"], "INFO");
        assert!(line["fields"]["ms"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
        let span = &line["span"];
        assert_eq!(span["path"], "/graphql");
        (span["method"].clone(), line["fields"]["status"].clone(), span.get("operation").cloned())
    };
    assert_eq!(lines[0]["span"]["id"], "mine");
    assert_eq!(told(&lines[0]), (json!("POST"), json!(200), Some(json!("Find"))));
    assert_eq!(lines[1]["span"]["id"], id.as_str());
    assert_eq!(told(&lines[1]), (json!("GET"), json!(400), None), "{secret} is no name");
    assert_eq!(told(&lines[2]), (json!("POST"), json!(400), None));
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.contains(secret), "{text}");
    assert!(!text.contains("Two words"), "{text}");
}

/// A developer gets no line for each request.
#[tokio::test]
async fn a_developer_is_left_in_peace() {
    let shop = Shop::new().await;
    let log = shop.folder.path().join("log");
    let mut command = shop.command(&[]);
    command.stderr(Stdio::from(std::fs::File::create(&log).unwrap()));
    let gateway = GatewayProcess::start(command).await;
    gateway.query("{ me { name } }").await;
    shop.publish("type Query {");
    let text = eventually("something is told", async || {
        let text = std::fs::read_to_string(&log).unwrap();
        text.contains("is refused").then_some(text)
    })
    .await;
    assert!(!text.contains("answered"), "{text}");
}
