//! What the gateway serves: GraphQL over HTTP and WebSocket, probes and metrics.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;

use super::execute::errors::GraphqlError;
use super::identity::Identity;
use super::{Answer, Asked, Gateway, Outcome, Request, refused};
use crate::config;
use crate::http::body::collect;
use crate::http::websocket::{self, Sockets};
use crate::http::{answer_to_panic, cors, forwarded, logging, negotiate, origins, secure};
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
            logging::layers(ids, is_development),
            CatchPanicLayer::custom(answer_to_panic),
            secure(header::REFERRER_POLICY, "no-referrer"),
            secure(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ))
        .with_state(Arc::new(wire))
}

/// Says in the log which operation it is.
fn note(request: &Request) {
    logging::note(request.operation_name.as_deref(), request.query.as_deref().unwrap_or_default());
}

async fn ready(State(wire): State<Arc<Wire>>) -> impl IntoResponse {
    if wire.sockets.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping");
    }
    if wire.gateway.identity().is_some_and(Identity::is_blind) {
        return (StatusCode::SERVICE_UNAVAILABLE, "the keys of access tokens have not been seen yet");
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
                return websocket::too_large_headers();
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
