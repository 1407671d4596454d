//! A client that speaks `graphql-transport-ws`, and can be as rude as a test needs.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What came over the socket.
#[derive(Debug, PartialEq)]
pub enum SocketMessage {
    Json(Value),
    /// The close code; 1006 if the connection ended without one.
    Closed(u16),
}

impl Socket {
    /// Opens a socket without a word.
    pub async fn connect(
        url: &str,
        origin: Option<&str>,
    ) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let origin = origin.map(|origin| ("origin", origin.to_owned()));
        Box::pin(Self::connect_with(url, origin.as_slice())).await
    }

    /// The same with headers.
    pub async fn connect_with(
        url: &str,
        more: &[(&'static str, String)],
    ) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let address = url.replacen("http", "ws", 1) + "/graphql";
        let mut request = address.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("Sec-WebSocket-Protocol", HeaderValue::from_static("graphql-transport-ws"));
        for (name, value) in more {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let (stream, response) = connect_async(request).await?;
        assert_eq!(response.headers()["sec-websocket-protocol"], "graphql-transport-ws");
        Ok(Self { stream })
    }

    /// Opens a socket, and is acknowledged.
    pub async fn open(url: &str, token: Option<&str>) -> Self {
        let mut socket = Self::connect(url, None).await.unwrap();
        let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
        socket.send(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.next().await, SocketMessage::Json(json!({ "type": "connection_ack" })));
        socket
    }

    /// The same; `None` if the server goes away meanwhile, or refuses.
    pub async fn try_open(url: &str, token: &str) -> Option<Self> {
        let mut socket = Self::connect(url, None).await.ok()?;
        let payload = json!({ "authorization": format!("Bearer {token}") });
        socket.try_send(&json!({ "type": "connection_init", "payload": payload })).await?;
        let acknowledged = socket.next_within(Duration::from_secs(5)).await?;
        (acknowledged == SocketMessage::Json(json!({ "type": "connection_ack" }))).then_some(socket)
    }

    /// Sends a message; `None` if the server has gone.
    pub async fn try_send(&mut self, message: &Value) -> Option<()> {
        self.stream.send(Message::text(message.to_string())).await.ok()
    }

    pub async fn send(&mut self, message: Value) {
        self.send_raw(Message::text(message.to_string())).await;
    }

    pub async fn send_raw(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.send(json!({ "type": "subscribe", "id": id, "payload": payload })).await;
    }

    /// Subscribes to link status behind a cursor, or behind what the account is now: nothing that is done after
    /// this returns can be missed.
    pub async fn follow_links(&mut self, after: Option<&str>) {
        let after = match after {
            Some(after) => json!(after),
            None => self.ask("{ viewer { eventCursor } }").await["viewer"]["eventCursor"].clone(),
        };
        let query = "subscription($after: String) { linkStatusChanged(after: $after) {
            cursor occurredAt previousLinkStatus linkStatus reason graphVersion profile { id handle status } } }";
        self.subscribe("links", query, json!({ "after": after })).await;
    }

    /// The data of a query that nothing else comes in between.
    pub async fn ask(&mut self, query: &str) -> Value {
        self.subscribe("ask", query, json!({})).await;
        let SocketMessage::Json(answer) = self.next().await else { panic!("closed") };
        assert_eq!(self.next().await, SocketMessage::Json(json!({ "type": "complete", "id": "ask" })));
        answer["payload"]["data"].clone()
    }

    /// The next `linkStatusChanged`.
    pub async fn link_event(&mut self) -> Value {
        self.event("links", "linkStatusChanged").await
    }

    /// The next event of the subscription `id`: what its one `field` has.
    pub async fn event(&mut self, id: &str, field: &str) -> Value {
        match self.next().await {
            SocketMessage::Json(message) if message["type"] == "next" && message["id"] == id => {
                assert!(message["payload"].get("errors").is_none(), "{message:#}");
                message["payload"]["data"][field].clone()
            }
            other => panic!("no event but {other:?}"),
        }
    }

    /// The next message, within 15 seconds; control frames are passed over.
    pub async fn next(&mut self) -> SocketMessage {
        self.next_within(super::PATIENCE).await.expect("nothing came")
    }

    /// The next message; `None` if none comes in time.
    pub async fn next_within(&mut self, time: Duration) -> Option<SocketMessage> {
        let read = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return SocketMessage::Json(serde_json::from_str(&text).unwrap());
                    }
                    Some(Ok(Message::Close(Some(frame)))) => return SocketMessage::Closed(frame.code.into()),
                    Some(Ok(Message::Close(None)) | Err(_)) | None => return SocketMessage::Closed(1006),
                    Some(Ok(_)) => {}
                }
            }
        };
        tokio::time::timeout(time, read).await.ok()
    }
}
