//! The line that each request leaves in the log of `serve`.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::command_line::PRODUCTION;
use crate::support::{Place, ServerProcess, Stack, ended, eventually, on_both_stacks};

const SECRET: &str = "tell-nobody";

/// A server with a log in JSON, of which it writes what `filter` lets through.
async fn logging(place: &Place, log: &Path, filter: &str) -> ServerProcess {
    let more = [("ACCOUNTS__LOG__FILTER", filter.to_owned()), ("ACCOUNTS__LOG__FORMAT", "json".to_owned())];
    ServerProcess::start_logging(place, &more, Stdio::from(std::fs::File::create(log).unwrap())).await
}

/// What a log has of requests, once there are `count` of them.
async fn lines(log: &Path, count: usize) -> Vec<Value> {
    eventually("all requests are in the log", async || {
        let text = std::fs::read_to_string(log).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<Value> =
            lines.filter(|line: &Value| line["fields"]["message"] == "answered").collect();
        (lines.len() >= count).then_some(lines)
    })
    .await
}

/// Method, path, status and operation.
fn told(line: &Value) -> (&str, &str, u64, Option<&str>) {
    assert!(line["fields"]["ms"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
    let (span, status) = (&line["span"], &line["fields"]["status"]);
    let text = |name: &str| span[name].as_str();
    (text("method").unwrap(), text("path").unwrap(), status.as_u64().unwrap(), text("operation"))
}

on_both_stacks! {
    /// Method, path, status, time, name of the operation and id; nothing that a client says beside that.
    async fn a_request_leaves_a_line_without_what_it_says(place: Place) {
        let log = place.folder.path().join("log");
        let server = logging(&place, &log, "accounts_center=debug").await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/graphql", server.url);
        let find = json!({
            "query": "query Find($id: ID!) { node(id: $id) { id } }",
            "variables": { "id": SECRET },
        });
        let found = http.post(&url).json(&find).header("x-request-id", "mine").header("cookie", SECRET);
        assert_eq!(found.send().await.unwrap().headers()["x-request-id"], "mine");
        let second = json!({ "query": "query One { a: __typename } query Two { b: __typename }", "operationName": "Two" });
        let second = http.post(&url).json(&second).send().await.unwrap();
        let id = second.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        let by_get = http.get(format!("{url}?query=query%20Keys%7Bplatforms%7Bkey%7D%7D")).send().await.unwrap();
        assert!(by_get.headers().contains_key("etag"));
        http.get(format!("{url}?query=%7B__typename%7D&operationName={SECRET}%20")).send().await.unwrap();
        http.post(&url).json(&find).bearer_auth(SECRET).send().await.unwrap();
        http.get(format!("{}/live?{SECRET}", server.url)).send().await.unwrap();

        let lines = lines(&log, 6).await;
        assert_eq!(lines[0]["span"]["id"], "mine");
        assert_eq!(lines[1]["span"]["id"], id.as_str());
        assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), [
            ("POST", "/graphql", 200, Some("Find")),
            ("POST", "/graphql", 200, Some("Two")),
            ("GET", "/graphql", 200, Some("Keys")),
            ("GET", "/graphql", 400, None),
            // Who asks is not known, so what they ask is not read.
            ("POST", "/graphql", 401, None),
            ("GET", "/live", 200, None),
        ]);
        let ids: std::collections::BTreeSet<_> = lines.iter().map(|line| line["span"]["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 6, "{ids:?}");
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(!text.contains(SECRET), "{text}");
    }

    /// A developer gets no line for each request.
    async fn a_developer_is_left_in_peace(place: Place) {
        let log = place.folder.path().join("log");
        let mut server = logging(&place, &log, "info").await;
        server.client().query("{ platforms { key } }").await.field();
        assert!(server.interrupt().await.success());
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(!text.contains("answered"), "{text}");
    }
}

/// Operators get one, at the level that they have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_production_each_request_leaves_a_line() {
    let mut place = Place::new(Stack::Production).await;
    for (key, value) in PRODUCTION {
        place.set(key, value);
    }
    let migrated = ended(ServerProcess::bare(&place).args(["migrate", "up"])).await;
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    let log = place.folder.path().join("log");
    let file = Stdio::from(std::fs::File::create(&log).unwrap());
    let server = ServerProcess::start_logging(&place, &[], file).await;
    server.client().query("query Keys { platforms { key } }").await.field();
    let lines = lines(&log, 1).await;
    assert_eq!(lines[0]["level"], "INFO");
    assert_eq!(told(&lines[0]), ("POST", "/graphql", 200, Some("Keys")));
}
