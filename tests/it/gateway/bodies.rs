//! What is no request of GraphQL over HTTP: refused before it is read as one.

use reqwest::header;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::shop::{GatewayProcess, Shop};

const QUERY: &str = r#"{"query": "{ me { name } }"}"#;
const JSON: &str = "application/json";

/// What a foreign page's form can send without asking, what is larger than it may be, and answers that nobody could read.
#[tokio::test]
async fn what_is_no_request_is_refused() {
    let shop = Shop::new().await;
    let mut command = shop.command(&[]);
    command.env("ACCOUNTS__HTTP__BODY_LIMIT", "1000");
    let gateway = GatewayProcess::start(command).await;
    let with_spaces = |count: usize| format!("{QUERY}{}", " ".repeat(count - QUERY.len()));
    for (content_type, accept, body, status) in [
        (JSON, JSON, QUERY.to_owned(), 200),
        ("application/json; charset=utf-8", "*/*", QUERY.to_owned(), 200),
        ("text/plain", JSON, QUERY.to_owned(), 415),
        ("application/x-www-form-urlencoded", JSON, QUERY.to_owned(), 415),
        ("multipart/form-data; boundary=x", JSON, QUERY.to_owned(), 415),
        (JSON, "text/html", QUERY.to_owned(), 406),
        (JSON, JSON, with_spaces(1000), 200),
        (JSON, JSON, with_spaces(1001), 413),
        (JSON, JSON, with_spaces(1_000_000), 413),
    ] {
        let request = gateway.http.post(format!("{}/graphql", gateway.url)).body(body.clone());
        let request = request.header(header::CONTENT_TYPE, content_type).header(header::ACCEPT, accept);
        let response = request.send().await.unwrap();
        let what = format!("{} bytes of {content_type} for {accept}", body.len());
        assert_eq!(response.status(), status, "{what}");
        if status != 406 {
            assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store", "{what}");
        }
        let answer: Value = response.json().await.unwrap();
        if status == 200 {
            assert_eq!(answer["data"]["me"]["name"], "Ada", "{what}");
        } else {
            assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{what}");
        }
        let calls = shop.calls();
        assert_eq!(calls, [usize::from(status == 200), 0, 0, 0], "{what}");
    }
    let by_get = gateway.http.get(format!("{}/graphql?query=%7Bme%7Bname%7D%7D", gateway.url));
    assert_eq!(by_get.header(header::ACCEPT, "text/html").send().await.unwrap().status(), 406);
    let mutation = gateway.http.get(format!("{}/graphql?query=mutation%7BclearReviews%7D", gateway.url));
    let refused = mutation.send().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()[header::ALLOW]),
        (405, &"POST".parse().unwrap())
    );
    assert_eq!(shop.calls(), [0; 4]);
}

/// To answer and close while the client still writes would reset the connection: it might never see why.
#[tokio::test]
async fn who_sends_too_much_is_told_so_once_it_is_sent() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[]).await;
    let address = gateway.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    // More than the sockets on the way hold.
    let body = " ".repeat(7_000_000);
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {JSON}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("BAD_USER_INPUT"), "{answer}");
}
