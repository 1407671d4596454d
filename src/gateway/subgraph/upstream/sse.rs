//! A subgraph's subscription by Server-Sent Events: GraphQL over SSE, "distinct connections mode".
//!
//! A subgraph that numbers its events (`id:`) is asked to go on behind the last one where the connection breaks, as
//! browsers do (`Last-Event-ID`, HTML standard, section 9.2); of one that does not the subscription ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{io, mem};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use eventsource_stream::{Event, EventStreamError, Eventsource};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream, Stream};
use http_body_util::BodyExt;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;

use super::{Failure, SubgraphClient, Tokens};

const ACCEPTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tries to go on behind the last event, until one comes.
const TRIES: usize = 5;
/// Between two of them; each pause is longer than the one before. A subgraph may ask for longer ones (`retry:`).
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_ASKED: Duration = Duration::from_secs(60);
/// Bytes that a stream begins to read into; there is one for each that follows.
const BUFFER: usize = 1024;

type Events = BoxStream<'static, Result<Event, Failure>>;

struct Following {
    client: SubgraphClient,
    body: Bytes,
    headers: HeaderMap,
    /// Where a token comes from, whenever it is asked anew: a subscription may outlive one.
    tokens: Option<Tokens>,
    events: Events,
    /// What the subgraph calls the last event.
    last: Option<HeaderValue>,
    /// Those that are left before it is given up.
    pauses: ExponentialBackoff,
    /// Milliseconds that the subgraph asks to be left alone for.
    asked: Arc<AtomicU64>,
    /// An event has come since it was asked.
    has_told: bool,
}

/// Begins the subscription.
pub async fn open(
    client: SubgraphClient,
    (body, headers, tokens): (Bytes, HeaderMap, Option<Tokens>),
) -> Result<impl Stream<Item = Result<Bytes, Failure>> + Send + use<>, Failure> {
    let asked = Arc::default();
    let events = request(&client, &body, &headers, &asked).await?;
    let (pauses, last, has_told) = (pauses(), None, true);
    let following = Following { client, body, headers, tokens, events, last, pauses, asked, has_told };
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
                "next" => {
                    if !mem::replace(&mut self.has_told, true) {
                        self.client.note(Ok(()));
                        self.pauses = pauses();
                    }
                    return Ok(Some(event.data.into()));
                }
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
        // An answer that brings nothing is none: whoever ends at once is not asked at once again.
        if !self.has_told {
            self.client.note(Err(Failure::Interrupted));
        }
        loop {
            let pause = self.pauses.next().ok_or(Failure::Interrupted)?;
            let asked = Duration::from_millis(self.asked.load(Ordering::Relaxed)).min(LONGEST_ASKED);
            tokio::time::sleep(pause.max(asked)).await;
            if self.client.is_open() {
                continue;
            }
            if let Some(tokens) = &self.tokens
                && let Some(token) = tokens.token().await
            {
                self.headers.insert(header::AUTHORIZATION, token);
            }
            let asking = request(&self.client, &self.body, &self.headers, &self.asked);
            match self.client.in_time(asking).await {
                Ok(events) => {
                    (self.events, self.has_told) = (events, false);
                    return Ok(());
                }
                Err(failure) => self.client.note(Err(failure)),
            }
        }
    }
}

fn pauses() -> ExponentialBackoff {
    let pauses = ExponentialBuilder::default().with_min_delay(FIRST_PAUSE).with_max_delay(LONGEST_PAUSE);
    pauses.with_max_times(TRIES).with_jitter().build()
}

async fn request(
    client: &SubgraphClient,
    body: &Bytes,
    headers: &HeaderMap,
    asked: &Arc<AtomicU64>,
) -> Result<Events, Failure> {
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
    let silence = client.settings().silence();
    let parts = stream::unfold(response.into_body(), move |mut body| async move {
        let part = match tokio::time::timeout(silence, body.frame()).await {
            Ok(None) => return None,
            Ok(Some(Ok(frame))) => Ok(frame.into_data().unwrap_or_default()),
            // Comments are sent for this: where not even those come nobody is there any more.
            Ok(Some(Err(_))) | Err(_) => Err(io::Error::other("it is interrupted")),
        };
        Some((part, body))
    });
    Ok(events(parts, client.settings().event_bytes, asked.clone()).boxed())
}

/// The events of a stream of bytes.
fn events(
    parts: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    most: usize,
    asked: Arc<AtomicU64>,
) -> impl Stream<Item = Result<Event, Failure>> + Send {
    lines(parts, most, asked).eventsource().map(|event| {
        event.map_err(|error| match error {
            EventStreamError::Transport(failure) => failure,
            EventStreamError::Utf8(_) | EventStreamError::Parser(_) => Failure::Malformed,
        })
    })
}

/// Its lines, each one whole and by itself, without comments: what parses events would look through a part of one anew with
/// all that comes, and copy what is behind one. So lines end with `\n`, as GraphQL servers end them, and none of them, nor an
/// event, is kept beyond `most` bytes.
fn lines(
    parts: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    most: usize,
    asked: Arc<AtomicU64>,
) -> impl Stream<Item = Result<String, Failure>> + Send {
    let codec = LinesCodec::new_with_max_length(most);
    let lines = FramedRead::with_capacity(StreamReader::new(Box::pin(parts)), codec, BUFFER);
    let mut pending = 0;
    lines.filter_map(move |line| {
        let line = match line {
            // A comment is no part of an event.
            Ok(line) if line.starts_with(':') => return std::future::ready(None),
            Ok(line) => line,
            Err(error) => {
                return std::future::ready(Some(Err(match error {
                    LinesCodecError::MaxLineLengthExceeded => Failure::TooLarge,
                    LinesCodecError::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                        Failure::Malformed
                    }
                    LinesCodecError::Io(_) => Failure::Interrupted,
                })));
            }
        };
        if let Some(Ok(milliseconds)) = line.strip_prefix("retry:").map(|value| value.trim().parse()) {
            asked.store(milliseconds, Ordering::Relaxed);
        }
        pending = if line.is_empty() { 0 } else { pending + line.len() };
        std::future::ready(Some(if pending > most { Err(Failure::TooLarge) } else { Ok(line + "\n") }))
    })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// The events of what comes in such parts, and what ends them.
    fn read(parts: impl IntoIterator<Item = &'static [u8]>, most: usize) -> (Vec<String>, Option<Failure>) {
        let parts: Vec<_> = parts.into_iter().map(|part| Ok(Bytes::from_static(part))).collect();
        let all: Vec<_> = events(stream::iter(parts), most, Arc::default()).collect().now_or_never().unwrap();
        let mut told = Vec::new();
        for event in all {
            match event {
                Ok(event) => told.push(event.data),
                Err(failure) => return (told, Some(failure)),
            }
        }
        (told, None)
    }

    #[test]
    fn an_event_has_a_bound_and_comments_are_none_of_it() {
        let event: &[u8] = b"event: next\r\ndata: {\ndata: }\n\n";
        let told = vec!["{\n}".to_owned()];
        assert_eq!(read([event], 100), (told.clone(), None));
        assert_eq!(read(event.chunks(1), 100), (told.clone(), None));
        assert_eq!(read([event], 26), (told.clone(), None));
        assert_eq!(read([event], 20), (vec![], Some(Failure::TooLarge)), "of several lines");
        assert_eq!(
            read([&b"data: 0123456789"[..]], 10),
            (vec![], Some(Failure::TooLarge)),
            "of one without an end"
        );
        let quiet = std::iter::repeat_n(&b": nothing yet\n\n"[..], 1000).chain([event]);
        assert_eq!(read(quiet, 30), (told, None));
        let quiet = std::iter::repeat_n(&b":\n"[..], 1000);
        assert_eq!(read(quiet, 30), (vec![], None));
        assert_eq!(read([&b"data: \xff\n\n"[..]], 30), (vec![], Some(Failure::Malformed)));
    }

    #[test]
    fn a_subgraph_may_ask_to_be_left_alone() {
        let asked = Arc::new(AtomicU64::new(0));
        let parts = stream::iter([Ok(Bytes::from_static(b"retry: 3000\n\nretry: soon\n\n"))]);
        let events: Vec<_> = events(parts, 100, asked.clone()).collect().now_or_never().unwrap();
        assert_eq!((events.len(), asked.load(Ordering::Relaxed)), (0, 3000));
    }

    /// Many parts of one line, and many lines in one part: what parses events gets each byte once, in whole lines, so it neither
    /// looks through a line again with each of its parts nor copies the lines behind one with each of them.
    #[test]
    fn events_are_parsed_of_whole_lines_each_one_once() {
        const MANY: usize = 10_000;
        let given = |parts: Vec<&'static [u8]>| {
            let parts = stream::iter(parts.into_iter().map(|part| Ok(Bytes::from_static(part))));
            let lines = lines(parts, 2 * MANY, Arc::default()).map(Result::unwrap);
            lines.collect::<Vec<_>>().now_or_never().unwrap()
        };
        let mut parts = vec![&b"data: "[..]];
        parts.extend([&b"x"[..]; MANY]);
        parts.push(b"\n\n");
        let (line, empty) = (format!("data: {}\n", "x".repeat(MANY)), "\n".to_owned());
        let once = given(parts);
        assert!(once == [line, empty], "{} of 2 lines", once.len());
        let empty: &[u8] = &[b'\n'; MANY];
        let each = given(vec![empty]);
        assert!(each == vec!["\n"; MANY], "{} of {MANY} lines", each.len());
    }
}
