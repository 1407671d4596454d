//! One subgraph over HTTP: pooled connections, limits of time and size, tries, and a circuit breaker.

mod connections;

use std::future::{pending, ready};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::FutureExt;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use recloser::{AsyncRecloser, Recloser};
use secrecy::ExposeSecret;
use tower::ServiceExt;
use tower_http::decompression::Decompression;

use super::failure::Failure;
use crate::gateway::settings::Subgraph;
use connections::{Http, KeepAlive, pool};

const ACCEPTS: HeaderValue =
    HeaderValue::from_static("application/graphql-response+json, application/json;q=0.9");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Between two tries; each pause is drawn from up to twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Calls one subgraph. Cheap to clone.
#[derive(Clone)]
pub struct SubgraphClient {
    uri: Uri,
    http: Http,
    settings: Arc<Subgraph>,
    /// Absent if the circuit is never opened.
    circuit: Option<Arc<AsyncRecloser>>,
}

/// What a subgraph has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    pub body: Bytes,
    /// Cookies for the client, of the accounts graph alone.
    pub cookies: Vec<HeaderValue>,
}

impl SubgraphClient {
    pub fn new(uri: Uri, settings: Subgraph) -> Self {
        Self::kept_alive(uri, settings, KeepAlive::USUAL)
    }

    fn kept_alive(uri: Uri, settings: Subgraph, keep_alive: KeepAlive) -> Self {
        let http = pool(&settings, keep_alive);
        let circuit = (settings.circuit_percent > 0).then(|| {
            let threshold = f32::from(settings.circuit_percent) / 100.0;
            let recloser = Recloser::custom()
                .error_rate(threshold)
                .closed_len(settings.circuit_calls.max(1))
                .half_open_len((settings.circuit_calls / 10).max(1))
                .open_wait(Duration::from_secs(settings.circuit_seconds))
                .build();
            Arc::new(AsyncRecloser::from(recloser))
        });
        Self { uri, http, settings: Arc::new(settings), circuit }
    }

    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    pub fn settings(&self) -> &Subgraph {
        &self.settings
    }

    /// Sends an operation, which is tried again if it `may_repeat` and a failure passes. Whoever reads what comes says by
    /// [`Self::note`] whether that is an answer.
    pub async fn call(&self, body: Bytes, headers: &HeaderMap, may_repeat: bool) -> Result<Called, Failure> {
        if self.is_open() {
            return Err(Failure::CircuitOpen);
        }
        let outcome = self.in_time(self.attempt(body, headers, may_repeat)).await;
        if let Err(failure) = &outcome {
            self.note(Err(*failure));
        }
        outcome
    }

    /// What comes of something within the time that an answer may take.
    pub fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> impl Future<Output = Result<T, Failure>> {
        let timed = tokio::time::timeout(self.settings.answer(), work);
        timed.map(|outcome| outcome.unwrap_or(Err(Failure::TimedOut)))
    }

    pub fn is_open(&self) -> bool {
        // Asks for leave, and no more: what is dropped before it has an outcome is not counted.
        let ask =
            |circuit: &Arc<AsyncRecloser>| circuit.call(pending::<Result<(), Failure>>()).now_or_never();
        self.circuit.as_ref().and_then(ask).is_some()
    }

    /// Counts what has become of a call.
    pub fn note(&self, outcome: Result<(), Failure>) {
        if let Some(circuit) = &self.circuit {
            let is_fault = |failure: &Failure| failure.is_fault();
            let _ = circuit.call_with(is_fault, ready(outcome)).now_or_never();
        }
    }

    async fn attempt(&self, body: Bytes, headers: &HeaderMap, may_repeat: bool) -> Result<Called, Failure> {
        let tries = if may_repeat { self.settings.retries as usize } else { 0 };
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(tries)
            .with_jitter()
            .build();
        loop {
            let outcome = self.send(body.clone(), headers).await;
            let (Err(failure), true) = (&outcome, may_repeat) else { return outcome };
            let Some(pause) = failure.is_passing().then(|| pauses.next()).flatten() else { return outcome };
            tokio::time::sleep(pause).await;
        }
    }

    async fn send(&self, body: Bytes, headers: &HeaderMap) -> Result<Called, Failure> {
        let mut request = request((Method::POST, self.uri.clone()), body, headers);
        request.headers_mut().insert(header::ACCEPT, ACCEPTS);
        if self.settings.compress {
            let response = Decompression::new(self.http.clone()).oneshot(request).await;
            return self.collect(response.map_err(|_| Failure::Unreachable)?).await;
        }
        self.collect(self.http.request(request).await.map_err(|_| Failure::Unreachable)?).await
    }

    /// Sends a request whose answer comes bit by bit.
    pub async fn open(
        &self,
        place: (Method, Uri),
        body: Bytes,
        headers: &HeaderMap,
    ) -> Result<Response<Incoming>, Failure> {
        self.http.request(request(place, body, headers)).await.map_err(|_| Failure::Unreachable)
    }

    /// The whole body, if it may be GraphQL. A subgraph may say what is wrong with an operation beside a status.
    async fn collect<B>(&self, response: Response<B>) -> Result<Called, Failure>
    where
        B: axum::body::HttpBody<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = response.into_parts();
        let status = parts.status.as_u16();
        let body = gather(Limited::new(body, self.settings.answer_bytes)).await.map_err(|error| {
            if error.is::<LengthLimitError>() { Failure::TooLarge } else { Failure::Unreachable }
        });
        let is_success = parts.status.is_success();
        match body {
            Ok(body) => {
                let may_be_graphql =
                    is_success || (parts.status.is_client_error() && body.first() == Some(&b'{'));
                if !may_be_graphql {
                    return Err(Failure::Status(status));
                }
                let may_set = !self.settings.router_token.expose_secret().is_empty();
                let set = may_set.then(|| parts.headers.get_all(header::SET_COOKIE).into_iter().cloned());
                Ok(Called { body, cookies: set.into_iter().flatten().collect() })
            }
            Err(_) if !is_success => Err(Failure::Status(status)),
            Err(failure) => Err(failure),
        }
    }
}

fn request((method, uri): (Method, Uri), body: Bytes, headers: &HeaderMap) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    request.headers_mut().clone_from(headers);
    request.headers_mut().insert(header::CONTENT_TYPE, JSON);
    request
}

/// A body in one piece of its own. A part of it is let go of as soon as it is copied, because it holds the whole buffer
/// that its connection has read it into.
async fn gather<B: axum::body::HttpBody<Data = Bytes>>(body: B) -> Result<Bytes, B::Error> {
    // What is announced is believed as far as this, and beyond it once so much has come.
    const BELIEVED: usize = 256 * 1024;
    let mut body = pin!(body);
    let announced = body.size_hint().lower() as usize;
    let mut whole = Vec::with_capacity(announced.min(BELIEVED));
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            if whole.len() + data.len() > whole.capacity() {
                whole.reserve_exact((announced.saturating_sub(whole.len())).max(whole.len()).max(data.len()));
            }
            whole.extend_from_slice(&data);
        }
    }
    whole.shrink_to_fit();
    Ok(whole.into())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::Body;
    use futures_util::stream;
    use tokio::net::TcpListener;

    use super::*;

    /// A part of a body, counted for as long as anybody holds it.
    struct Part(Arc<AtomicUsize>);

    impl AsRef<[u8]> for Part {
        fn as_ref(&self) -> &[u8] {
            b"part"
        }
    }

    impl Drop for Part {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A part holds a buffer that is far larger than it: none of them waits for the next one, nor is the answer one.
    #[tokio::test]
    async fn a_part_is_let_go_of_as_soon_as_it_is_copied() {
        for count in [1, 100] {
            let held = Arc::new(AtomicUsize::default());
            let counter = held.clone();
            let parts = (0..count).map(move |_| {
                assert_eq!(counter.fetch_add(1, Ordering::Relaxed), 0, "the one before is held");
                Ok::<_, Infallible>(Bytes::from_owner(Part(counter.clone())))
            });
            let whole = gather(Body::from_stream(stream::iter(parts))).await.unwrap();
            assert_eq!(whole, "part".repeat(count));
            assert_eq!(held.load(Ordering::Relaxed), 0, "of {count}");
        }
    }

    /// A subgraph that keeps its connection open and says nothing more. Over HTTP/2 all calls share that one, which lives
    /// through the end of each of them: a ping without an answer ends it. Over HTTP/1 a call that is given up does.
    #[tokio::test]
    async fn a_connection_that_has_gone_silent_is_not_used_for_ever() {
        crate::tls::choose_library();
        for http2 in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let place = format!("http://{}/", listener.local_addr().unwrap());
            let taken = Arc::new(AtomicUsize::default());
            let counter = taken.clone();
            let silent = tokio::spawn(async move {
                let mut held = Vec::new();
                while let Ok(connection) = listener.accept().await {
                    held.push(connection);
                    counter.store(held.len(), Ordering::Relaxed);
                }
            });
            let mut settings = crate::config::Config::from_pairs([]).unwrap().gateway.subgraph;
            settings.answer_milliseconds = 100;
            (settings.http2, settings.circuit_percent) = (http2, 0);
            let soon = Duration::from_millis(200);
            let keep_alive = KeepAlive { interval: soon, pause: soon, probes: 1 };
            let client = SubgraphClient::kept_alive(place.parse().unwrap(), settings, keep_alive);
            let calls = async {
                while taken.load(Ordering::Relaxed) < 2 {
                    let outcome = client.call(Bytes::from_static(b"{}"), &HeaderMap::new(), false).await;
                    assert!(matches!(outcome, Err(Failure::TimedOut | Failure::Unreachable)), "{outcome:?}");
                }
            };
            // A limit for what would go on for ever.
            let ended = tokio::time::timeout(Duration::from_secs(20), calls).await;
            assert!(ended.is_ok(), "HTTP/2 {http2}: all calls go over one connection");
            silent.abort();
        }
    }
}
