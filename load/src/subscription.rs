//! One WebSocket with one subscription, by the protocol graphql-transport-ws.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::change::Told;

/// What a socket tells the run.
pub struct News {
    pub socket: usize,
    pub what: What,
}

pub enum What {
    Event {
        at: Instant,
        /// Of the commit that it tells of.
        mark: String,
    },
    /// The socket or its subscription is over, which the run did not ask for.
    Lost(String),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Incoming {
    ConnectionAck,
    Ping,
    Pong,
    Next { payload: Next },
    Error { payload: Value },
    Complete,
}

#[derive(Deserialize)]
struct Next {
    data: Option<Told>,
    #[serde(default)]
    errors: Vec<Value>,
}

pub struct Subscription(WebSocketStream<TcpStream>);

impl Subscription {
    /// Connects, signs in and subscribes. The protocol does not acknowledge a subscription; the pong
    /// says at least that the server has read our message and not refused it.
    pub async fn open(address: SocketAddr, token: &str, query: &str) -> anyhow::Result<Self> {
        let mut request = format!("ws://{address}/graphql").into_client_request()?;
        let protocol = HeaderValue::from_static("graphql-transport-ws");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // The defaults would take 128 KiB for each socket.
        let config = WebSocketConfig::default().read_buffer_size(1024).write_buffer_size(0);
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
        let mut subscription = Self(socket);
        subscription.start(token, query).await?;
        Ok(subscription)
    }

    async fn start(&mut self, token: &str, query: &str) -> anyhow::Result<()> {
        let authorization = format!("Bearer {token}");
        let payload = json!({ "authorization": authorization });
        self.send(json!({ "type": "connection_init", "payload": payload })).await?;
        match self.receive().await? {
            (_, Incoming::ConnectionAck) => {}
            _ => bail!("no connection_ack after connection_init"),
        }
        let payload = json!({ "query": query });
        self.send(json!({ "type": "subscribe", "id": "1", "payload": payload })).await?;
        self.send(json!({ "type": "ping" })).await?;
        match self.receive().await? {
            (_, Incoming::Pong) => Ok(()),
            (_, Incoming::Error { payload }) => bail!("the subscription is refused: {payload}"),
            _ => bail!("no pong after ping"),
        }
    }

    /// Passes every event on until the socket ends or nobody listens any more.
    pub async fn listen(mut self, socket: usize, news: UnboundedSender<News>) {
        loop {
            let what = match self.next_event().await {
                Ok((at, mark)) => What::Event { at, mark },
                Err(error) => What::Lost(format!("{error:#}")),
            };
            let over = matches!(what, What::Lost(_));
            if news.send(News { socket, what }).is_err() || over {
                return;
            }
        }
    }

    async fn next_event(&mut self) -> anyhow::Result<(Instant, String)> {
        match self.receive().await? {
            (at, Incoming::Next { payload }) => {
                ensure!(payload.errors.is_empty(), "errors in an event: {:?}", payload.errors);
                let data = payload.data.context("an event without data")?;
                Ok((at, data.mark()?))
            }
            (_, Incoming::Error { payload }) => bail!("the subscription failed: {payload}"),
            (_, Incoming::Complete) => bail!("the server completed the subscription"),
            (_, Incoming::ConnectionAck | Incoming::Ping | Incoming::Pong) => {
                bail!("a message that was not due")
            }
        }
    }

    async fn send(&mut self, message: Value) -> anyhow::Result<()> {
        Ok(self.0.send(Message::text(message.to_string())).await?)
    }

    /// The next message of the protocol but for pings, which are answered here, with the moment of
    /// its arrival. Pings of WebSocket itself are answered by tungstenite.
    async fn receive(&mut self) -> anyhow::Result<(Instant, Incoming)> {
        loop {
            let message = self.0.next().await.context("the connection was cut")??;
            let at = Instant::now();
            match message {
                Message::Text(text) => match serde_json::from_str(&text)? {
                    Incoming::Ping => self.send(json!({ "type": "pong" })).await?,
                    incoming => return Ok((at, incoming)),
                },
                Message::Close(frame) => bail!("the server closed the socket: {frame:?}"),
                _ => {}
            }
        }
    }
}
