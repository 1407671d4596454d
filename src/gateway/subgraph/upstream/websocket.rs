//! A subgraph's subscription over WebSocket: the `graphql-transport-ws` protocol, from the client's side.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use futures_util::stream::{self, Stream};
use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::Failure;
use crate::gateway::settings::Subgraph;

const PROTOCOL: HeaderValue = HeaderValue::from_static("graphql-transport-ws");
/// Between two of our pings at most; a subgraph that says nothing from one to the next is gone.
const PING: Duration = Duration::from_secs(30);
/// How long the subgraph gets to take a message.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a message around an event.
const ENVELOPE: usize = 1024;
/// The only operation of its connection.
const ID: &str = "1";

/// A message. Not an enum: to find out which variant it is, serde would copy it, and a part as it stands is none then.
#[derive(Deserialize)]
struct FromSubgraph<'a> {
    r#type: Type,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Type {
    ConnectionAck,
    Next,
    Error,
    Complete,
    Ping,
    Pong,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ToSubgraph<'a> {
    ConnectionInit { payload: Init<'a> },
    Subscribe { id: &'a str, payload: &'a RawValue },
    Pong,
}

/// Browsers cannot send headers, so servers look for credentials in here.
#[derive(Serialize)]
struct Init<'a> {
    #[serde(rename = "Authorization", skip_serializing_if = "Option::is_none")]
    authorization: Option<&'a str>,
}

struct Connection {
    socket: Box<WebSocketStream<MaybeTlsStream<TcpStream>>>,
    pings: Interval,
    /// Nothing has been heard since the last ping.
    awaits_pong: bool,
}

/// What a message comes to.
enum Heard {
    Acknowledged,
    Event(Bytes),
    /// The last event.
    Refused(Bytes),
    Complete,
    Nothing,
}

/// Opens a connection and begins the subscription on it.
pub async fn open(
    (place, headers): (Uri, HeaderMap),
    body: Bytes,
    settings: &Subgraph,
) -> Result<impl Stream<Item = Result<Bytes, Failure>> + Send + use<>, Failure> {
    let connecting = connect(place, &headers, settings.event_bytes.saturating_add(ENVELOPE));
    let socket = timeout(settings.connect(), connecting).await.map_err(|_| Failure::TimedOut)??;
    let begin = Instant::now();
    let period = PING.min(settings.silence() / 2);
    let mut pings = interval_at(begin + period, period);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection = Connection { socket: Box::new(socket), pings, awaits_pong: false };
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    connection.send(&ToSubgraph::ConnectionInit { payload: Init { authorization } }).await?;
    loop {
        match connection.next().await? {
            Heard::Acknowledged => break,
            Heard::Nothing => {}
            Heard::Event(_) | Heard::Refused(_) | Heard::Complete => return Err(Failure::Malformed),
        }
    }
    let payload = serde_json::from_slice(&body).map_err(|_| Failure::Malformed)?;
    connection.send(&ToSubgraph::Subscribe { id: ID, payload }).await?;
    Ok(stream::unfold(Some(connection), |connection| async move {
        let mut connection = connection?;
        loop {
            match connection.next().await {
                Ok(Heard::Event(event)) => return Some((Ok(event), Some(connection))),
                Ok(Heard::Refused(event)) => return Some((Ok(event), None)),
                Ok(Heard::Complete) => return None,
                Ok(Heard::Acknowledged | Heard::Nothing) => {}
                Err(failure) => return Some((Err(failure), None)),
            }
        }
    }))
}

async fn connect(
    place: Uri,
    headers: &HeaderMap,
    most: usize,
) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, Failure> {
    let text = place.to_string();
    // `http` becomes `ws`, and `https` `wss`.
    let text = text.strip_prefix("http").map_or_else(|| text.clone(), |rest| format!("ws{rest}"));
    let mut request = text.into_client_request().map_err(|_| Failure::Unreachable)?;
    for (name, value) in headers {
        request.headers_mut().append(name, value.clone());
    }
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL);
    // The defaults keep 128 KiB for each connection.
    let config = WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(0)
        .max_write_buffer_size(1024 * 1024)
        .max_message_size(Some(most))
        .max_frame_size(Some(most));
    let (socket, _) =
        connect_async_with_config(request, Some(config), true).await.map_err(|error| refused(&error))?;
    Ok(socket)
}

impl Connection {
    async fn send(&mut self, message: &ToSubgraph<'_>) -> Result<(), Failure> {
        let text = serde_json::to_string(message).map_err(|_| Failure::Malformed)?;
        self.write(Message::text(text)).await
    }

    async fn write(&mut self, message: Message) -> Result<(), Failure> {
        match timeout(PATIENCE, self.socket.send(message)).await {
            Ok(sent) => sent.map_err(|error| failed(&error)),
            Err(_) => Err(Failure::TimedOut),
        }
    }

    async fn next(&mut self) -> Result<Heard, Failure> {
        let message = loop {
            tokio::select! {
                // What has come counts, also where nobody had time to read it until the next ping was due.
                biased;
                message = self.socket.next() => break message,
                _ = self.pings.tick() => {
                    if std::mem::replace(&mut self.awaits_pong, true) {
                        return Err(Failure::TimedOut);
                    }
                    self.write(Message::Ping(Bytes::new())).await?;
                }
            }
        };
        self.awaits_pong = false;
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(Heard::Nothing),
            Some(Ok(Message::Binary(_) | Message::Frame(_))) => return Err(Failure::Malformed),
            Some(Err(error)) => return Err(failed(&error)),
            Some(Ok(Message::Close(frame))) => return Err(closed(frame.map(|frame| frame.code.into()))),
            None => return Err(Failure::Interrupted),
        };
        let FromSubgraph { r#type, payload } = serde_json::from_str(&text).map_err(|_| Failure::Malformed)?;
        let payload = payload.map(RawValue::get);
        match r#type {
            Type::ConnectionAck => Ok(Heard::Acknowledged),
            Type::Next => {
                let payload = payload.ok_or(Failure::Malformed)?;
                Ok(Heard::Event(Bytes::copy_from_slice(payload.as_bytes())))
            }
            Type::Error => {
                let payload = payload.ok_or(Failure::Malformed)?;
                Ok(Heard::Refused(format!("{{\"data\":null,\"errors\":{payload}}}").into()))
            }
            Type::Complete => Ok(Heard::Complete),
            Type::Ping => {
                self.send(&ToSubgraph::Pong).await?;
                Ok(Heard::Nothing)
            }
            Type::Pong => Ok(Heard::Nothing),
        }
    }
}

/// What a close code says: the protocol has some for what a caller may not, or may no longer.
fn closed(code: Option<u16>) -> Failure {
    match code {
        Some(code @ (4401 | 4403 | 4429)) => Failure::Refused(code),
        _ => Failure::Interrupted,
    }
}

/// Why there is no connection.
fn refused(error: &Error) -> Failure {
    match error {
        Error::Http(response) => Failure::Status(response.status().as_u16()),
        Error::Protocol(_) => Failure::Malformed,
        _ => Failure::Unreachable,
    }
}

/// Why one that was open is none any more.
fn failed(error: &Error) -> Failure {
    match error {
        Error::Capacity(_) => Failure::TooLarge,
        Error::Utf8(_) => Failure::Malformed,
        _ => Failure::Interrupted,
    }
}
