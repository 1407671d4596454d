//! Clients that take their time (S31): they are let go of, and the others are served.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::gateway::shop::{GatewayProcess, Shop};
use crate::support::{Client, SocketMessage, on_both_stacks};

const SETTINGS: [(&str, &str); 2] =
    [("ACCOUNTS__HTTP__HEADER_SECONDS", "1"), ("ACCOUNTS__HTTP__BODY_SECONDS", "2")];

/// Far longer than any of the limits, as machines are slow.
const PATIENCE: Duration = Duration::from_secs(20);

on_both_stacks! {
    async fn s31_slow_clients_are_let_go(place: Place) {
        let mut place = place;
        SETTINGS.iter().for_each(|(name, value)| place.set(name, value));
        let app = place.app().await;
        let mut socket = app.client().socket().await;
        are_let_go(&app.url, "{\"query\": \"{ platforms { key } }\"}").await;
        // It has said nothing for longer than a request may take.
        socket.send(json!({ "type": "ping" })).await;
        assert_eq!(socket.next().await, SocketMessage::Json(json!({ "type": "pong" })));
    }
}

#[tokio::test]
async fn s31_slow_clients_of_the_gateway_are_let_go() {
    let shop = Shop::new().await;
    let mut command = shop.command(&[]);
    command.envs(SETTINGS);
    let gateway = GatewayProcess::start(command).await;
    are_let_go(&gateway.url, "{\"query\": \"{ __typename }\"}").await;
}

/// However long a connection may wait for its next request: for its first one it does not wait so long.
#[tokio::test]
async fn s31_a_connection_that_asks_for_nothing_is_let_go() {
    let shop = Shop::new().await;
    let mut command = shop.command(&[]);
    command.env("ACCOUNTS__HTTP__HEADER_SECONDS", "600");
    let gateway = GatewayProcess::start(command).await;
    let address = gateway.url.strip_prefix("http://").unwrap();
    for answer in futures_util::future::join_all(["", "POS"].map(|first| talk(address, first, &[]))).await {
        assert!(!answer.contains(" 200 "), "{answer}");
    }
}

/// An answer of some megabytes to a client that takes none of it, and to one that does.
#[tokio::test]
async fn s31_a_client_that_does_not_read_its_answer_is_let_go() {
    let shop = Shop::new().await;
    let mut command = shop.command(&[]);
    command.env("ACCOUNTS__HTTP__SEND_SECONDS", "3");
    let gateway = GatewayProcess::start(command).await;
    let again: String = (0..1100).map(|n| format!("a{n}: __schema {{ ...F }} ")).collect();
    let fragment = "fragment F on __Schema { types { name fields { name type { name kind } } } }";
    let body = json!({ "query": format!("{{ {again} }} {fragment}") }).to_string();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let received = async |pause: Duration, window: u32| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(window).unwrap();
        let address = gateway.url.strip_prefix("http://").unwrap().parse().unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        tokio::time::sleep(pause).await;
        let (mut total, mut buffer) = (0, vec![0; 1 << 20]);
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            total += read;
        }
        total
    };
    let (whole, part) =
        tokio::join!(received(Duration::ZERO, 1 << 22), received(Duration::from_secs(12), 4096));
    assert!(whole > 4_500_000, "{whole} bytes are too few for this test");
    assert!(part < whole, "all {whole} bytes came, though nobody took them for seconds");
}

async fn are_let_go(url: &str, body: &str) {
    let address = url.strip_prefix("http://").unwrap();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let whole = format!("{head}{body}");
    let clients = [
        // Says nothing at all.
        ("", vec![]),
        // Not even the version of HTTP.
        ("POS", vec![]),
        ("POST /graphql HTTP/1.1\r\nhost: x\r\n", vec![]),
        // Goes on for ever, slowly.
        ("POST /graphql HTTP/1.1\r\nhost: x\r\nx: ", vec![" "; 300]),
    ];
    let silent = clients.map(|(first, later)| async move {
        let answer = talk(address, first, &later).await;
        assert!(!answer.contains(" 200 "), "{first:?}: {answer}");
    });
    let beside = async {
        // A header comes late, but in time; the answer comes, and then the connection is idle for too long.
        let (early, late) = whole.split_at(30);
        let answer = talk(address, early, &[late]).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"data\""), "{answer}");
        // A connection may be used again.
        let answer = talk(address, &whole, &[&whole]).await;
        assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 2, "{answer}");
        // The body never comes to its end.
        let answer = talk(address, &whole[..whole.len() - 1], &[]).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("The body did not come within 2 s."), "{answer}");
        assert!(Client::new(url).query("{ __typename }").await.body["data"].is_object());
    };
    tokio::join!(futures_util::future::join_all(silent), beside);
}

/// Writes a text, then others with pauses, until the server ends the connection. Gives all that it has said.
async fn talk(address: &str, first: &str, later: &[&str]) -> String {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let write = async {
        writing.write_all(first.as_bytes()).await.unwrap();
        for text in later {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if writing.write_all(text.as_bytes()).await.is_err() {
                break;
            }
        }
        // Dropping this half would tell the server that nothing more comes.
        std::future::pending::<()>().await;
    };
    let mut said = Vec::new();
    let read = async {
        // A reset is an end too.
        let _ = reading.read_to_end(&mut said).await;
    };
    let ended = async {
        tokio::select! {
            () = write => {}
            () = read => {}
        }
    };
    let let_go = tokio::time::timeout(PATIENCE, ended).await;
    assert!(let_go.is_ok(), "{first:?}: the connection is still open");
    String::from_utf8(said).unwrap()
}
