//! One subgraph over HTTP: pooled connections, limits of time and size, tries, and a circuit breaker.

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
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use recloser::{AsyncRecloser, Recloser};
use secrecy::ExposeSecret;
use tower::{Service, ServiceExt};
use tower_http::decompression::Decompression;

use super::failure::Failure;
use crate::gateway::settings::Subgraph;

const ACCEPTS: HeaderValue =
    HeaderValue::from_static("application/graphql-response+json, application/json;q=0.9");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// A connection that was idle for so long is closed.
const IDLE: Duration = Duration::from_secs(30);
/// Bytes that a connection reads at once, at most, and keeps room for while it is idle.
const BUFFER: usize = 16 * 1024;
/// A connection whose other side has gone without a word is found out by these: of TCP, and of HTTP/2.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_TRIES: u32 = 3;
const KEEPALIVE_PAUSE: Duration = Duration::from_secs(10);
/// Between two tries; each pause is drawn from up to twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

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
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE_PAUSE));
        tcp.set_keepalive_retries(Some(KEEPALIVE_TRIES));
        tcp.set_connect_timeout(Some(settings.connect()));
        let secured = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http();
        let connector = match settings.http2 {
            true => secured.enable_http2().wrap_connector(tcp),
            false => secured.enable_all_versions().wrap_connector(tcp),
        };
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http1_max_buf_size(BUFFER)
            .http2_keep_alive_interval(KEEPALIVE)
            .http2_keep_alive_timeout(KEEPALIVE_PAUSE)
            .http2_only(settings.http2)
            .build(connector);
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
        let attempt = self.attempt(body, headers, may_repeat);
        let timed = tokio::time::timeout(self.settings.answer(), attempt).await;
        let outcome = timed.unwrap_or(Err(Failure::TimedOut));
        if let Err(failure) = &outcome {
            self.note(Err(*failure));
        }
        outcome
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
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let own = request.headers_mut();
        own.clone_from(headers);
        own.insert(header::CONTENT_TYPE, JSON);
        own.insert(header::ACCEPT, ACCEPTS);
        if self.settings.compress {
            let mut http = Decompression::new(self.http.clone());
            let response = http.ready().await.map_err(|_| Failure::Unreachable)?.call(request).await;
            return self.collect(response.map_err(|_| Failure::Unreachable)?).await;
        }
        self.collect(self.http.request(request).await.map_err(|_| Failure::Unreachable)?).await
    }

    /// Sends a request whose answer comes bit by bit.
    pub async fn open(
        &self,
        (method, uri): (Method, Uri),
        body: Bytes,
        headers: &HeaderMap,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request.headers_mut().clone_from(headers);
        request.headers_mut().insert(header::CONTENT_TYPE, JSON);
        self.http.request(request).await.map_err(|_| Failure::Unreachable)
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
}
