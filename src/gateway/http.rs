//! What the gateway serves: GraphQL over HTTP and WebSocket, probes and metrics.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{self, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use tracing::Span;
use tracing::field::Empty;

use super::execute::errors::GraphqlError;
use super::{Answer, Asked, Gateway, Outcome, REQUEST_ID, Request, refused};
use crate::config;
use crate::http::body::collect;
use crate::http::websocket::{self, Sockets};
use crate::http::{answer_to_panic, cors, forwarded, negotiate, origins, secure};
use crate::ids::Ids;
use crate::limits::SocketQuotas;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What handlers work with.
pub struct Wire {
    pub(super) gateway: Gateway,
    pub(super) settings: config::Http,
    pub(super) sockets: Sockets,
}

/// How it is served.
pub struct Terms {
    pub http: config::Http,
    pub limits: config::Limits,
    /// Where it listens.
    pub address: SocketAddr,
    /// A developer does not want to see a line for each request, and works on pages of this machine.
    pub is_development: bool,
    /// The sockets that are open.
    pub sockets: TaskTracker,
    /// Says that no more requests should come.
    pub stop: CancellationToken,
}

/// What is served.
pub fn router(gateway: Gateway, terms: Terms) -> Router {
    let Terms { http, limits, address, is_development, sockets, stop } = terms;
    let ids = gateway.ids().clone();
    let graph = get(by_get).post(by_post);
    let graph = match cors::layer(&http.allowed_origins) {
        Some(cors) => graph.layer(cors),
        None => graph,
    };
    let origins = origins(&http.allowed_origins, is_development.then_some(address));
    let quotas = SocketQuotas::new(&limits);
    let wire = Wire { gateway, settings: http, sockets: Sockets { origins, quotas, open: sockets, stop } };
    Router::new()
        .route("/graphql", graph)
        .route("/live", get(|| async {}))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .layer((
            SetRequestIdLayer::new(REQUEST_ID, NewIds(ids)),
            TraceLayer::new_for_http()
                .make_span_with(move |request: &http::Request<_>| span(request, is_development))
                .on_response(move |response: &http::Response<_>, took: Duration, _: &Span| {
                    log(response.status(), took, is_development);
                })
                .on_failure(()),
            PropagateRequestIdLayer::new(REQUEST_ID),
            CatchPanicLayer::custom(answer_to_panic),
            secure(header::REFERRER_POLICY, "no-referrer"),
            secure(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ))
        .with_state(Arc::new(wire))
}

/// Names requests that bear no id.
#[derive(Clone)]
struct NewIds(Ids);

impl MakeRequestId for NewIds {
    fn make_request_id<B>(&mut self, _: &http::Request<B>) -> Option<RequestId> {
        let id = format!("{:032x}", u128::from_be_bytes(self.0.bytes()));
        HeaderValue::try_from(id).ok().map(RequestId::new)
    }
}

/// The path and nothing else, as a query string has variables; the operation comes once it is read.
fn span<B>(request: &http::Request<B>, is_quiet: bool) -> Span {
    /// Of an id that a client has made up.
    const LONGEST: usize = 100;
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    let id = id.map(|id| id.get(..LONGEST).unwrap_or(id));
    let (method, path) = (request.method().as_str(), request.uri().path());
    if is_quiet {
        tracing::debug_span!("request", id, method, path, operation = Empty)
    } else {
        tracing::info_span!("request", id, method, path, operation = Empty)
    }
}

/// One line for each request.
fn log(status: StatusCode, took: Duration, is_quiet: bool) {
    let (status, ms) = (status.as_u16(), took.as_secs_f64() * 1e3);
    if is_quiet {
        tracing::debug!(status, ms, "answered");
    } else {
        tracing::info!(status, ms, "answered");
    }
}

/// Says in the log which operation it is.
fn note(request: &Request) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    let named = request.operation_name.as_deref().filter(|name| name_at(name).len() == name.len());
    let name = named.or_else(|| request.query.as_deref().and_then(first_name));
    span.record("operation", name);
}

/// The name of the first operation of a document that begins with one.
fn first_name(document: &str) -> Option<&str> {
    let document = document.trim_start();
    let kinds = ["query", "mutation", "subscription"];
    let rest = kinds.iter().find_map(|kind| document.strip_prefix(kind))?;
    let name = rest.trim_start();
    Some(name_at(name)).filter(|found| !found.is_empty() && name.len() < rest.len())
}

/// The name that a text begins with, if it is not too long for a log; else nothing.
fn name_at(text: &str) -> &str {
    const LONGEST: usize = 100;
    let is_of_name = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    let length = text.bytes().take_while(|byte| is_of_name(*byte)).count();
    let is_name = length <= LONGEST && text.starts_with(|first: char| !first.is_ascii_digit());
    text.get(..length).filter(|_| is_name).unwrap_or_default()
}

async fn ready(State(wire): State<Arc<Wire>>) -> impl IntoResponse {
    if wire.sockets.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping");
    }
    if wire.gateway.metrics().is_refused() {
        // It serves the one before, so it takes requests.
        return (StatusCode::OK, "degraded: the newest supergraph is refused");
    }
    (StatusCode::OK, "ready")
}

async fn metrics(State(wire): State<Arc<Wire>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], wire.gateway.metrics().text())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

/// Executes a query, or opens a WebSocket.
async fn by_get(
    State(wire): State<Arc<Wire>>,
    peer: ConnectInfo<SocketAddr>,
    mut headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Response {
    let address = name_client(&mut headers, peer, &wire.settings);
    match upgrade {
        Ok(upgrade) => {
            let Some(visitor) = wire.gateway.lasting(&headers) else {
                return (
                    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                    "the headers are too large for a socket",
                )
                    .into_response();
            };
            return websocket::open(wire, (visitor, Some(address)), &headers, upgrade);
        }
        Err(rejection) if websocket::is_wanted(&headers) => return rejection.into_response(),
        Err(_) => {}
    }
    let Some(media_type) = negotiate(&headers) else { return not_acceptable() };
    let Ok(Query(Parameters { query, operation_name, variables, extensions })) = parameters else {
        return bad_input(media_type, "The URL is /graphql?query=…&variables={…}&operationName=….");
    };
    let object = |text: Option<String>| text.map(|text| serde_json::from_str(&text)).transpose();
    let (Ok(variables), Ok(extensions)) = (object(variables), object(extensions)) else {
        return bad_input(media_type, "The parameters `variables` and `extensions` are objects in JSON.");
    };
    let request = Request { query: query.map(Into::into), operation_name, variables, extensions };
    note(&request);
    respond(
        media_type,
        wire.gateway.answer(request, Asked { headers: headers.into(), by_get: true, caller: None }).await,
    )
}

async fn by_post(
    State(wire): State<Arc<Wire>>,
    peer: ConnectInfo<SocketAddr>,
    mut headers: HeaderMap,
    body: Body,
) -> Response {
    name_client(&mut headers, peer, &wire.settings);
    let Some(media_type) = negotiate(&headers) else { return not_acceptable() };
    let is_json =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
            value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
        });
    if !is_json {
        let mut response = bad_input(media_type, "Send the operation as `Content-Type: application/json`.");
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let body = match collect(body, wire.settings.body()).await {
        Ok(body) => body,
        Err(unread) => {
            let mut response = bad_input(media_type, &unread.message(wire.settings.body()));
            *response.status_mut() = unread.status();
            return response;
        }
    };
    match serde_json::from_slice(&body) {
        Ok(request) => {
            note(&request);
            respond(
                media_type,
                wire.gateway
                    .answer(request, Asked { headers: headers.into(), by_get: false, caller: None })
                    .await,
            )
        }
        Err(_) => bad_input(
            media_type,
            "The body is not {\"query\": \"…\", \"variables\": {…}, \"operationName\": \"…\"} in JSON.",
        ),
    }
}

/// Says in the headers from which address a request comes, whatever stood there: subgraphs may be told so.
fn name_client(
    headers: &mut HeaderMap,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    settings: &config::Http,
) -> IpAddr {
    let address = forwarded::client_address(headers, peer.ip(), &settings.trusted_proxies);
    if let Ok(value) = HeaderValue::try_from(address.to_string()) {
        headers.insert(forwarded::FORWARDED_FOR, value);
    }
    address
}

fn not_acceptable() -> Response {
    let message = "Accept has neither application/graphql-response+json nor application/json.";
    let answer = refused(Outcome::Refused, &[GraphqlError::new("BAD_USER_INPUT", message)]);
    (StatusCode::NOT_ACCEPTABLE, answer.body).into_response()
}

fn bad_input(media_type: &'static str, message: &str) -> Response {
    let answer = refused(Outcome::Refused, &[GraphqlError::new("BAD_USER_INPUT", message)]);
    let mut response = respond(media_type, answer);
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

/// As GraphQL over HTTP says: a status of its own for what was not executed, but to `application/json`.
fn respond(media_type: &'static str, Answer { body, outcome, cookies }: Answer) -> Response {
    let status = match outcome {
        Outcome::NotByGet => StatusCode::METHOD_NOT_ALLOWED,
        Outcome::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        Outcome::Refused if media_type != "application/json" => StatusCode::BAD_REQUEST,
        Outcome::Refused | Outcome::Executed => StatusCode::OK,
    };
    let mut response = (status, [(header::CONTENT_TYPE, media_type)], body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend(cookies.into_iter().map(|cookie| (header::SET_COOKIE, cookie)));
    if outcome == Outcome::NotByGet {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The log gets names, and nothing else that a client writes into a document or calls a name.
    #[test]
    fn nothing_but_a_name_is_a_name() {
        for (document, name) in [
            ("query Shop($id: ID!) { a }", Some("Shop")),
            ("\n mutation\tBuy2{ a }", Some("Buy2")),
            ("subscription _x @d { a }", Some("_x")),
            ("query { password }", None),
            ("query($secret: ID) { a }", None),
            ("queryShop { a }", None),
            ("{ a }", None),
            ("fragment F on Q { a } query Q { a }", None),
            ("query 2a { a }", None),
            ("", None),
        ] {
            assert_eq!(first_name(document), name, "{document}");
        }
        assert_eq!(name_at(&"a".repeat(101)), "");
        assert_eq!(name_at("a b"), "a");
    }
}
