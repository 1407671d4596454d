//! A subgraph's subscription by Server-Sent Events: GraphQL over SSE, "distinct connections mode".
//!
//! A subgraph that numbers its events (`id:`) is asked to go on behind the last one where the connection breaks, as
//! browsers do (`Last-Event-ID`, HTML standard, section 9.2); of one that does not the subscription ends.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use eventsource_stream::{Event, EventStreamError, Eventsource};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream, Stream};
use http_body_util::{BodyExt, BodyStream};

use super::{Failure, SubgraphClient, Token};

const ACCEPTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tries to go on behind the last event, one after the other.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

type Events = BoxStream<'static, Result<Event, Failure>>;

struct Following {
    client: SubgraphClient,
    body: Bytes,
    headers: HeaderMap,
    token: Option<Token>,
    events: Events,
    /// What the subgraph calls the last event.
    last: Option<HeaderValue>,
}

/// Begins the subscription.
pub async fn open(
    client: SubgraphClient,
    (body, headers, token): (Bytes, HeaderMap, Option<Token>),
) -> Result<impl Stream<Item = Result<Bytes, Failure>> + Send + use<>, Failure> {
    let events = request(&client, &body, &headers).await?;
    let following = Following { client, body, headers, token, events, last: None };
    Ok(stream::unfold(Some(Box::new(following)), |following| async move {
        let mut following = following?;
        match following.next().await {
            Ok(Some(event)) => Some((Ok(event), Some(following))),
            Ok(None) => None,
            Err(failure) => Some((Err(failure), None)),
        }
    }))
}

impl Following {
    /// The next answer; `None` once the subscription is complete.
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let event = match self.events.next().await {
                Some(Ok(event)) => event,
                Some(Err(failure)) if failure != Failure::Interrupted => return Err(failure),
                Some(Err(_)) | None => {
                    self.go_on().await?;
                    continue;
                }
            };
            if let Some(id) = HeaderValue::from_str(&event.id).ok().filter(|id| !id.is_empty()) {
                self.last = Some(id);
            }
            match event.event.as_str() {
                "next" => return Ok(Some(event.data.into())),
                "complete" => return Ok(None),
                // Others are nothing to us.
                _ => {}
            }
        }
    }

    /// Asks for what comes behind the last event.
    async fn go_on(&mut self) -> Result<(), Failure> {
        let last = self.last.clone().ok_or(Failure::Interrupted)?;
        self.headers.insert(LAST_EVENT_ID, last);
        if let Some(token) = &self.token
            && let Some(token) = token().await
        {
            self.headers.insert(header::AUTHORIZATION, token);
        }
        for attempt in 1..=TRIES {
            tokio::time::sleep(PAUSE * attempt).await;
            let asking = request(&self.client, &self.body, &self.headers);
            if let Ok(Ok(events)) = tokio::time::timeout(self.client.settings().answer(), asking).await {
                self.events = events;
                return Ok(());
            }
        }
        Err(Failure::Interrupted)
    }
}

async fn request(client: &SubgraphClient, body: &Bytes, headers: &HeaderMap) -> Result<Events, Failure> {
    let mut headers = headers.clone();
    headers.insert(header::ACCEPT, ACCEPTS);
    let response = client.open((Method::POST, client.subscriptions_uri()), body.clone(), &headers).await?;
    if !response.status().is_success() {
        return Err(Failure::Status(response.status().as_u16()));
    }
    let is_stream = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !is_stream.is_some_and(|value| value.trim_start().starts_with("text/event-stream")) {
        return Err(Failure::Malformed);
    }
    let most = client.settings().answer_bytes;
    // Bytes since the last event: what parses them keeps them all.
    let pending = Arc::new(AtomicUsize::new(0));
    let counted = pending.clone();
    let body = BodyStream::new(response.into_body().map_err(|_| Failure::Interrupted));
    let bytes = body.filter_map(async |frame| match frame {
        Ok(frame) => frame.into_data().ok().map(Ok),
        Err(failure) => Some(Err(failure)),
    });
    let bytes = bytes.map(move |part: Result<Bytes, Failure>| {
        let part = part?;
        match counted.fetch_add(part.len(), Ordering::Relaxed) + part.len() {
            pending if pending > most => Err(Failure::TooLarge),
            _ => Ok(part),
        }
    });
    let bytes: Pin<Box<dyn Stream<Item = Result<Bytes, Failure>> + Send>> = Box::pin(bytes);
    let events = bytes.eventsource().map(move |event| {
        pending.store(0, Ordering::Relaxed);
        event.map_err(|error| match error {
            EventStreamError::Transport(failure) => failure,
            EventStreamError::Utf8(_) | EventStreamError::Parser(_) => Failure::Malformed,
        })
    });
    Ok(events.boxed())
}
