//! One socket.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures_util::stream::{self, Stream, StreamExt};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::StreamMap;

use super::close::{Close, End};
use super::messages::{Errors, FromClient, InitPayload, Payload, Refusal, ToClient};
use super::{Admitted, Endpoint};
use crate::error::{Code, Error};
use crate::graph::Told;
use crate::graph::outcome::{self, Outcome};
use crate::http::graphql::Answer;
use crate::limits::SocketSlot;
use crate::limits::waiting::Room;

/// Bytes of one answer over a socket.
pub(crate) const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Operations that one socket may have open.
const MAX_OPERATIONS: usize = 100;
/// How long both sides may take to close.
const FAREWELL: Duration = Duration::from_secs(1);

/// An operation's answers; `None` once at its end.
type Operation = Pin<Box<dyn Stream<Item = Option<(Told, Outcome)>> + Send>>;

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

fn unreadable() -> Error {
    Error::internal(anyhow::anyhow!("an answer was written that is no JSON"))
}

fn too_many_subscriptions() -> Error {
    let message = "This account or address has as many subscriptions as it may have; complete one first.";
    Error::client(Code::BadUserInput, message)
}

pub(super) struct Connection<E: Endpoint> {
    endpoint: Arc<E>,
    visitor: E::Visitor,
    /// Its place among those of its address and its account.
    slot: SocketSlot,
    /// Absent before `connection_init`.
    speaker: Option<E::Speaker>,
    /// When what the speaker has shown is good no longer.
    until: Option<Instant>,
    /// For its answers; made for the first one.
    room: Option<Room>,
    operations: StreamMap<Arc<str>, Operation>,
    /// Those of them that are queries or mutations.
    single: HashSet<Arc<str>>,
}

impl<E: Endpoint> Connection<E> {
    pub fn new(endpoint: Arc<E>, visitor: E::Visitor, slot: SocketSlot) -> Self {
        let (operations, single) = (StreamMap::new(), HashSet::new());
        Self { endpoint, visitor, slot, speaker: None, until: None, room: None, operations, single }
    }

    #[expect(clippy::manual_async_fn, reason = "an async fn keeps what it is given twice")]
    pub fn run(mut self, mut socket: WebSocket) -> impl Future<Output = ()> + Send {
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
        let settings = self.endpoint.settings();
        let mut stop = self.endpoint.sockets().stop.clone();
        let begin = Instant::now();
        let patience = Duration::from_secs(settings.init_timeout_seconds);
        // To say who speaks, and then for that to be true.
        let mut time = Box::pin(tokio::time::sleep_until(begin + patience));
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
                () = &mut time, if self.speaker.is_none() || self.until.is_some() => {
                    return Err(End::Close(match self.speaker {
                        None => Close::InitTimeout,
                        Some(_) => Close::TokenExpired,
                    }));
                }
                message = socket.recv() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => {
                            Box::pin(self.hear(socket, &text)).await?;
                            // One wait for both: the end of the server ends all sessions' waiting.
                            if let Some(ended) = self.speaker.as_ref().and_then(|one| self.endpoint.ended(one)) {
                                stop.clone_from(ended);
                            }
                            if let Some(until) = self.until {
                                time.as_mut().reset(until);
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
        if !self.endpoint.sockets().stop.is_cancelled() {
            return End::Close(Close::SessionEnded);
        }
        let drain = Duration::from_secs(self.endpoint.settings().drain_seconds);
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
                if self.speaker.is_some() {
                    return Err(End::Close(Close::TooManyInits));
                }
                let InitPayload { authorization } = payload.unwrap_or_default();
                let admitted = self.endpoint.admit(&self.visitor, authorization).await;
                let Admitted { speaker, account, until } = admitted.map_err(End::Close)?;
                if !self.slot.is_of(account) {
                    return Err(End::Close(Close::TooManySockets));
                }
                (self.speaker, self.until) = (Some(speaker), until);
                self.say(socket, &ToClient::ConnectionAck).await
            }
            FromClient::Ping { payload } => self.say(socket, &ToClient::Pong { payload }).await,
            FromClient::Pong {} => Ok(()),
            FromClient::Subscribe { id, payload } => {
                let Some(speaker) = &self.speaker else { return Err(End::Close(Close::Unauthorized)) };
                self.endpoint.check(speaker).await.map_err(End::Close)?;
                let id: Arc<str> = id.into();
                if self.operations.contains_key(&id) {
                    return Err(End::Close(Close::DuplicateOperation));
                }
                if self.operations.len() >= MAX_OPERATIONS {
                    return self.refuse(socket, &id, &too_many()).await;
                }
                let room = self.room.get_or_insert_default().clone();
                let execution = self.endpoint.execute(&self.visitor, speaker, *payload, room);
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
                    Told::Written(body) => match serde_json::from_slice(body) {
                        Ok(written) => Payload::Written(written),
                        // Nothing to the other operations.
                        Err(_) => return self.give_up(socket, id, &unreadable()).await,
                    },
                };
                self.say_of(socket, id, &ToClient::Next { id, payload }).await
            }
            // Says that it has ended, too.
            Outcome::Refused | Outcome::NotByGet | Outcome::Overloaded => {
                self.operations.remove(id);
                self.single.remove(id);
                let payload = match &answer {
                    Told::Response(response) => Errors::Response(&response.errors),
                    Told::Written(body) => match serde_json::from_slice::<Refusal<'_>>(body) {
                        Ok(refusal) => Errors::Written(refusal.errors),
                        Err(_) => return self.give_up(socket, id, &unreadable()).await,
                    },
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
        self.give_up(socket, id, &too_large()).await
    }

    /// Ends an operation and none of the others.
    async fn give_up(&mut self, socket: &mut WebSocket, id: &Arc<str>, error: &Error) -> Result<(), End> {
        self.operations.remove(id);
        self.single.remove(id);
        self.refuse(socket, id, error).await
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
        let patience = Duration::from_secs(self.endpoint.settings().send_seconds);
        match tokio::time::timeout(patience, socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Wire;

    /// What a server keeps of each of tens of thousands of idle sockets, beside the buffers of the connection.
    #[test]
    fn an_idle_socket_is_small() {
        fn size<F: Future>(_: impl FnOnce(Connection<Wire>, WebSocket) -> F) -> usize {
            size_of::<F>()
        }
        let task = size(Connection::<Wire>::run);
        assert!(
            task <= 1150,
            "the task of a socket has {task} bytes; the socket is {} of it",
            size_of::<WebSocket>()
        );
    }
}
