//! A subgraph of the tests: a server over real HTTP that answers from rows, counts its calls, and can be as ill as a test
//! needs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::rows::Rows;

/// What a subgraph does with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Well,
    /// Answers with this status and no GraphQL.
    Status(u16),
    /// Answers after so long.
    Slow(Duration),
    /// Answers with what is no GraphQL.
    Garbage(&'static str),
    /// The same, where it is no text either.
    Bytes(&'static [u8]),
    /// Answers with what is compressed by gzip.
    Gzip(&'static [u8]),
    /// Closes the connection in the middle of the answer.
    Cut,
    /// Answers with so many bytes.
    Huge(usize),
    /// Is ill in this way for so many calls, then well.
    For(usize, Box<Health>),
}

/// A call as it came.
#[derive(Clone, Debug)]
pub struct Call {
    pub query: String,
    pub variables: Value,
    pub headers: HeaderMap,
    /// Which one it was of all that happened here.
    pub began: usize,
    ended: Arc<AtomicUsize>,
}

/// What happened first, and what next, in all subgraphs of this process.
static MOMENTS: AtomicUsize = AtomicUsize::new(1);

fn moment() -> usize {
    MOMENTS.fetch_add(1, Ordering::SeqCst)
}

impl Call {
    /// When it was answered; nothing came before it if it was not.
    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }
}

pub struct Subgraph {
    pub url: String,
    state: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

struct Shared {
    rows: Mutex<Rows>,
    health: Mutex<Health>,
    calls: Mutex<Vec<Call>>,
}

impl Subgraph {
    /// Serves rows at a free port.
    pub async fn start(rows: Rows) -> Self {
        let state = Arc::new(Shared {
            rows: Mutex::new(rows),
            health: Mutex::new(Health::Well),
            calls: Mutex::default(),
        });
        let router = Router::new().route("/", post(answer)).with_state(state.clone());
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let serving = AbortOnDropHandle::new(tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        }));
        Self { url, state, _serving: serving }
    }

    pub fn set(&self, health: Health) {
        *self.state.health.lock().unwrap() = health;
    }

    /// The calls since this was asked the last time.
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state.calls.lock().unwrap())
    }
}

async fn answer(State(state): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let (query, variables) = (request["query"].as_str().unwrap().to_owned(), request["variables"].clone());
    let ended = Arc::new(AtomicUsize::default());
    let call = Call {
        query: query.clone(),
        variables: variables.clone(),
        headers,
        began: moment(),
        ended: ended.clone(),
    };
    state.calls.lock().unwrap().push(call);
    let health = {
        let mut health = state.health.lock().unwrap();
        match &mut *health {
            Health::For(0, _) => Health::Well,
            Health::For(left, ill) => {
                *left -= 1;
                (**ill).clone()
            }
            other => other.clone(),
        }
    };
    let json = |text: String| ([(header::CONTENT_TYPE, "application/json")], text).into_response();
    match health {
        Health::Well | Health::For(..) => {}
        Health::Slow(time) => tokio::time::sleep(time).await,
        Health::Status(status) => {
            return (StatusCode::from_u16(status).unwrap(), "out of order").into_response();
        }
        Health::Garbage(text) => return json(text.to_owned()),
        Health::Bytes(bytes) => {
            return ([(header::CONTENT_TYPE, "application/json")], bytes).into_response();
        }
        Health::Gzip(bytes) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_ENCODING, "gzip")];
            return (headers, bytes).into_response();
        }
        Health::Huge(bytes) => {
            return json(format!("{{\"data\":{{\"x\":\"{}\"}}}}", "x".repeat(bytes)));
        }
        Health::Cut => {
            let pieces: [Result<&str, std::io::Error>; 2] =
                [Ok("{\"data\":{"), Err(std::io::Error::other("cut"))];
            return Response::new(Body::from_stream(futures_util::stream::iter(pieces)));
        }
    }
    // What it panicked over is told by the test that asked for it, and not by all behind it.
    let rows = state.rows.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = rows.answer(&query, &variables);
    drop(rows);
    ended.store(moment(), Ordering::SeqCst);
    json(json!(answer).to_string())
}
