//! GraphQL over WebSocket: the `graphql-transport-ws` protocol.
//!
//! One task for each socket, which reads, executes and writes. Nothing is queued for a client: while it does
//! not read, its subscriptions are not polled, and after `http.send_seconds` the socket is dropped.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::StreamMap;

use super::Wire;
use super::graphql::{Answer, bearer};
use crate::error::{Code, Error};
use crate::graph::outcome::{self, Outcome};
use crate::graph::{Asked, Execution, Told};
use crate::limits::SocketSlot;
use crate::session::{Cookies, Viewer, Watch};
use crate::verification::Client;

const PROTOCOL: &str = "graphql-transport-ws";
/// Bytes of one answer over a socket.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Operations that one socket may have open.
const MAX_OPERATIONS: usize = 100;
/// How long both sides may take to close.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a socket ends: the protocol's close codes, and those of RFC 6455.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    /// The server restarts: come back.
    Restart,
    BadMessage,
    Unauthorized,
    Forbidden,
    SessionEnded,
    Unavailable,
    InitTimeout,
    DuplicateOperation,
    TooManyInits,
    TooManySockets,
    TooLarge,
    NotText,
}

impl Close {
    fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::Restart => (1012, "The server restarts; come back"),
            Self::BadMessage => (4400, "Invalid message"),
            Self::Unauthorized => (4401, "Unauthorized: send connection_init first"),
            Self::Forbidden => (4403, "Forbidden: the access token is not valid"),
            Self::SessionEnded => (4403, "Forbidden: the session has ended"),
            Self::Unavailable => (1013, "The service is not available right now; try again in a moment"),
            Self::InitTimeout => (4408, "Connection initialisation timeout"),
            Self::DuplicateOperation => (4409, "Subscriber for this id already exists"),
            Self::TooManyInits => (4429, "Too many initialisation requests"),
            Self::TooManySockets => (4429, "Too many sockets are open; close some of them"),
            Self::TooLarge => (1009, "The message is too large"),
            Self::NotText => (1007, "The message is not UTF-8"),
        };
        CloseFrame { code, reason: reason.into() }
    }
}

/// Why a socket's loop ended.
enum End {
    /// Say why, and close.
    Close(Close),
    /// The client closes: to read on answers it (RFC 6455, section 5.5.1).
    Bye,
    /// The client has gone, or takes nothing.
    Gone,
}

impl End {
    /// What to say of a message that could not be read.
    fn of(error: &axum::Error) -> Self {
        use tokio_tungstenite::tungstenite::Error;
        let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>());
        match source {
            Some(Error::Capacity(_)) => Self::Close(Close::TooLarge),
            Some(Error::Utf8(_)) => Self::Close(Close::NotText),
            _ => Self::Gone,
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum FromClient {
    ConnectionInit { payload: Option<InitPayload> },
    Ping { payload: Option<serde_json::Value> },
    Pong {},
    Subscribe { id: String, payload: Box<async_graphql::Request> },
    Complete { id: String },
}

#[derive(Default, Deserialize)]
struct InitPayload {
    #[serde(alias = "Authorization")]
    authorization: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ToClient<'a> {
    ConnectionAck,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<serde_json::Value>,
    },
    Next {
        id: &'a str,
        payload: Payload<'a>,
    },
    Error {
        id: &'a str,
        payload: Errors<'a>,
    },
    Complete {
        id: &'a str,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Payload<'a> {
    Response(Answer<'a>),
    Written(&'a RawValue),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Errors<'a> {
    Response(&'a [async_graphql::ServerError]),
    Written(&'a RawValue),
}

/// The answer to what was not executed, as it was written.
#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    errors: &'a RawValue,
}

/// An operation's answers; `None` once at its end.
type Operation = Pin<Box<dyn Stream<Item = Option<(Told, Outcome)>> + Send>>;

/// Opens a socket, if the browser's page may.
pub(super) fn open(
    wire: Arc<Wire>,
    client: Client,
    headers: &HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    // A browser always says where its page is from; a page of somebody else must not use this person's rights.
    if let Some(origin) = headers.get(header::ORIGIN)
        && !wire.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
    {
        return (StatusCode::FORBIDDEN, "this origin is not in http.allowed_origins").into_response();
    }
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let speaks = offered.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    if !speaks.map(str::trim).any(|protocol| protocol == PROTOCOL) {
        return (StatusCode::BAD_REQUEST, "offer the WebSocket protocol graphql-transport-ws")
            .into_response();
    }
    let Some(slot) = wire.quotas.open(client.ip_address) else {
        return (StatusCode::TOO_MANY_REQUESTS, "too many sockets are open from this address")
            .into_response();
    };
    let limit = wire.app.config.http.body_limit;
    upgrade
        .protocols([PROTOCOL])
        // The defaults cost 128 KiB a socket.
        .read_buffer_size(1024)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_ANSWER)
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(async move |socket| {
            // Counted, so that a stopping server waits until it has said farewell. In a task of its own: the one that
            // upgraded keeps what it needed for that.
            wire.sockets.clone().spawn(Connection::new(wire, client, slot).run(socket));
        })
}

/// Says why a socket ends, and waits a moment for the other side.
async fn farewell(mut socket: WebSocket, close: Option<Close>) {
    let farewell = async {
        if let Some(close) = close {
            socket.send(Message::Close(Some(close.frame()))).await?;
        }
        // Until the other side has closed as well: to end with unread input resets the connection, and the code may
        // never be seen.
        while let Some(Ok(_)) = socket.recv().await {}
        Ok::<_, axum::Error>(())
    };
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

fn too_many() -> Error {
    let message = format!("A socket has at most {MAX_OPERATIONS} operations; complete one first.");
    Error::client(Code::BadUserInput, message)
}

fn too_large() -> Error {
    let message = "The answer is larger than a socket takes; ask for less, or by POST.";
    Error::client(Code::AnswerTooLarge, message)
}

/// An answer that was written already.
fn raw(body: &[u8]) -> Result<&RawValue, End> {
    serde_json::from_slice(body).map_err(|_| End::Gone)
}

fn too_many_subscriptions() -> Error {
    let message = "This account or address has as many subscriptions as it may have; complete one first.";
    Error::client(Code::BadUserInput, message)
}

struct Connection {
    wire: Arc<Wire>,
    client: Client,
    /// Its place among those of its address and its account.
    slot: SocketSlot,
    /// Absent before `connection_init`; then who it is, if anybody.
    caller: Option<Option<Viewer>>,
    /// Waits for the end of the caller's session.
    session: Option<Watch>,
    operations: StreamMap<Arc<str>, Operation>,
    /// Those of them that are queries or mutations.
    single: HashSet<Arc<str>>,
}

impl Connection {
    fn new(wire: Arc<Wire>, client: Client, slot: SocketSlot) -> Self {
        Self {
            wire,
            client,
            slot,
            caller: None,
            session: None,
            operations: StreamMap::new(),
            single: HashSet::new(),
        }
    }

    #[expect(clippy::manual_async_fn, reason = "an async fn keeps what it is given twice")]
    fn run(mut self, mut socket: WebSocket) -> impl Future<Output = ()> + Send {
        async move {
            let end = match self.serve(&mut socket).await {
                Ok(never) => match never {},
                Err(end) => end,
            };
            // Before the farewell: what it held must not wait for a client that does not answer.
            drop(self);
            match end {
                End::Close(close) => Box::pin(farewell(socket, Some(close))).await,
                End::Bye => Box::pin(farewell(socket, None)).await,
                End::Gone => {}
            }
        }
    }

    async fn serve(&mut self, socket: &mut WebSocket) -> Result<std::convert::Infallible, End> {
        let settings = &self.wire.app.config.http;
        let mut stop = self.wire.stop.clone();
        let begin = Instant::now();
        let patience = Duration::from_secs(settings.init_timeout_seconds);
        let mut uninitialised = Box::pin(tokio::time::sleep_until(begin + patience));
        let period = Duration::from_secs(settings.ping_seconds);
        let mut pings = tokio::time::interval_at(begin + period, period);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = begin;
        // What is boxed here is as large as what it does, and a socket mostly does nothing.
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Box::pin(self.finish(socket)).await),
                // Before what comes: pings are no initialisation.
                () = &mut uninitialised, if self.caller.is_none() => {
                    return Err(End::Close(Close::InitTimeout));
                }
                message = socket.recv() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => {
                            Box::pin(self.hear(socket, &text)).await?;
                            // One wait for both: the end of the server ends all sessions' waiting.
                            if let Some(session) = &self.session {
                                stop.clone_from(session.token());
                            }
                        }
                        Some(Ok(Message::Binary(_))) => return Err(End::Close(Close::BadMessage)),
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Err(error)) => return Err(End::of(&error)),
                        Some(Ok(Message::Close(_))) => return Err(End::Bye),
                        None => return Err(End::Gone),
                    }
                }
                Some((id, answer)) = self.operations.next(), if !self.operations.is_empty() => {
                    Box::pin(self.tell(socket, &id, answer)).await?;
                }
                _ = pings.tick() => {
                    // A ping that nobody answered in a whole period: the other side is gone.
                    if heard.elapsed() > period * 2 {
                        return Err(End::Gone);
                    }
                    Box::pin(self.send(socket, Message::Ping(Default::default()))).await?;
                }
            }
        }
    }

    /// Ends a socket of a session that has ended, at once; or of a server that stops: what is under way and has one
    /// answer gets it, subscriptions go on elsewhere.
    async fn finish(&mut self, socket: &mut WebSocket) -> End {
        if !self.wire.stop.is_cancelled() {
            return End::Close(Close::SessionEnded);
        }
        let drain = Duration::from_secs(self.wire.app.config.http.drain_seconds);
        let answers = async {
            while !self.single.is_empty() {
                let Some((id, answer)) = self.operations.next().await else { break };
                if self.tell(socket, &id, answer).await.is_err() {
                    break;
                }
            }
        };
        // A little before the end, so that the farewell is still heard.
        let _ = tokio::time::timeout(drain.mul_f32(0.8), answers).await;
        End::Close(Close::Restart)
    }

    async fn hear(&mut self, socket: &mut WebSocket, text: &str) -> Result<(), End> {
        let message = serde_json::from_str(text).map_err(|_| End::Close(Close::BadMessage))?;
        match message {
            FromClient::ConnectionInit { payload } => {
                if self.caller.is_some() {
                    return Err(End::Close(Close::TooManyInits));
                }
                let caller = self.authenticate(payload.unwrap_or_default()).await?;
                if !self.slot.is_of(caller.map(|viewer| viewer.account)) {
                    return Err(End::Close(Close::TooManySockets));
                }
                self.session =
                    caller.map(|viewer| self.wire.app.ended.watch(viewer.session, &self.wire.stop));
                self.caller = Some(caller);
                self.say(socket, &ToClient::ConnectionAck).await
            }
            FromClient::Ping { payload } => self.say(socket, &ToClient::Pong { payload }).await,
            FromClient::Pong {} => Ok(()),
            FromClient::Subscribe { id, payload } => {
                let Some(viewer) = self.caller else { return Err(End::Close(Close::Unauthorized)) };
                self.require_session(viewer).await?;
                let id: Arc<str> = id.into();
                if self.operations.contains_key(&id) {
                    return Err(End::Close(Close::DuplicateOperation));
                }
                if self.operations.len() >= MAX_OPERATIONS {
                    return self.refuse(socket, &id, &too_many()).await;
                }
                let execution = self.execute(viewer, *payload);
                let place = if execution.is_subscription { Some(self.slot.subscribe()) } else { None };
                if matches!(place, Some(None)) {
                    return self.refuse(socket, &id, &too_many_subscriptions()).await;
                }
                if !execution.is_subscription {
                    self.single.insert(id.clone());
                }
                // The place goes with the operation, however that ends.
                let end = async move {
                    drop(place);
                    None
                };
                let answers = execution.answers.map(Some).chain(stream::once(end));
                self.operations.insert(id, Box::pin(answers));
                Ok(())
            }
            FromClient::Complete { id } => {
                self.operations.remove(id.as_str());
                self.single.remove(id.as_str());
                Ok(())
            }
        }
    }

    /// Says why an operation is not begun: at once, and nothing is kept. Who sends on and on has to take the answers, too.
    async fn refuse(&mut self, socket: &mut WebSocket, id: &str, error: &Error) -> Result<(), End> {
        let refusal = outcome::refuse(error);
        let payload = Errors::Response(&refusal.errors);
        self.say(socket, &ToClient::Error { id, payload }).await
    }

    async fn authenticate(&mut self, payload: InitPayload) -> Result<Option<Viewer>, End> {
        let Some(authorization) = payload.authorization else { return Ok(None) };
        let viewer = bearer(&self.wire, &authorization).map_err(|_| End::Close(Close::Forbidden))?;
        self.require_session(Some(viewer)).await?;
        Ok(Some(viewer))
    }

    /// A socket is told of the end of its session; where that cannot be known just now, each operation asks.
    async fn require_session(&mut self, viewer: Option<Viewer>) -> Result<(), End> {
        let Some(viewer) = viewer else { return Ok(()) };
        match self.wire.app.ended.has_ended(viewer).await {
            Ok(false) => Ok(()),
            Ok(true) => Err(End::Close(Close::SessionEnded)),
            Err(error) => {
                error.log();
                Err(End::Close(Close::Unavailable))
            }
        }
    }

    fn execute(&self, viewer: Option<Viewer>, operation: async_graphql::Request) -> Execution {
        let cookies = Cookies::default();
        let (client, headers) = (self.client.clone(), Arc::default());
        let asked = Asked { viewer, client, at_least: 0, by_get: false, cookies, headers };
        self.wire.operations.execute_stream(operation, asked)
    }

    async fn tell(
        &mut self,
        socket: &mut WebSocket,
        id: &Arc<str>,
        answer: Option<(Told, Outcome)>,
    ) -> Result<(), End> {
        let Some((answer, outcome)) = answer else {
            self.operations.remove(id);
            self.single.remove(id);
            return self.say(socket, &ToClient::Complete { id }).await;
        };
        match outcome {
            Outcome::Executed => {
                let payload = match &answer {
                    Told::Response(response) => Payload::Response(Answer::new(response, outcome)),
                    Told::Written(body) => Payload::Written(raw(body)?),
                };
                self.say_of(socket, id, &ToClient::Next { id, payload }).await
            }
            // Says that it has ended, too.
            Outcome::Refused | Outcome::NotByGet | Outcome::Overloaded => {
                self.operations.remove(id);
                self.single.remove(id);
                let payload = match &answer {
                    Told::Response(response) => Errors::Response(&response.errors),
                    Told::Written(body) => {
                        let refusal: Refusal<'_> = serde_json::from_slice(body).map_err(|_| End::Gone)?;
                        Errors::Written(refusal.errors)
                    }
                };
                self.say_of(socket, id, &ToClient::Error { id, payload }).await
            }
        }
    }

    /// Says something of an operation, or that it is too much: that ends the operation and none of the others.
    async fn say_of(
        &mut self,
        socket: &mut WebSocket,
        id: &Arc<str>,
        message: &ToClient<'_>,
    ) -> Result<(), End> {
        let text = serde_json::to_string(message).map_err(|_| End::Gone)?;
        if text.len() < MAX_ANSWER {
            return self.send(socket, Message::Text(text.into())).await;
        }
        self.operations.remove(id);
        self.single.remove(id);
        self.refuse(socket, id, &too_large()).await
    }

    async fn say(&mut self, socket: &mut WebSocket, message: &ToClient<'_>) -> Result<(), End> {
        let text = serde_json::to_string(message).map_err(|_| End::Gone)?;
        if text.len() >= MAX_ANSWER {
            return Err(End::Close(Close::TooLarge));
        }
        self.send(socket, Message::Text(text.into())).await
    }

    /// Sends a message; a client that does not take it in time is gone. `&mut self` because streams are not `Sync`.
    async fn send(&mut self, socket: &mut WebSocket, message: Message) -> Result<(), End> {
        let patience = Duration::from_secs(self.wire.app.config.http.send_seconds);
        match tokio::time::timeout(patience, socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server keeps of each of tens of thousands of idle sockets, beside the buffers of the connection.
    #[test]
    fn an_idle_socket_is_small() {
        fn size<F: Future>(_: impl FnOnce(Connection, WebSocket) -> F) -> usize {
            size_of::<F>()
        }
        let task = size(Connection::run);
        assert!(
            task <= 1150,
            "the task of a socket has {task} bytes; the socket is {} of it",
            size_of::<WebSocket>()
        );
    }
}
