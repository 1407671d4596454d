//! What the gateway serves: GraphQL over HTTP, probes and metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use tower_http::catch_panic::CatchPanicLayer;

use super::execute::errors::GraphqlError;
use super::{Answer, Asked, Gateway, Outcome, Request, refused};
use crate::http::{answer_to_panic, negotiate};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What handlers work with.
#[derive(Clone)]
struct Wire {
    gateway: Gateway,
    stopping: Arc<AtomicBool>,
}

/// What is served, with bodies of at most `limit` bytes. `stopping` says that no more requests should come.
pub fn router(gateway: Gateway, limit: usize, stopping: Arc<AtomicBool>) -> Router {
    Router::new()
        .route("/graphql", get(by_get).post(by_post))
        .route("/live", get(|| async {}))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .layer((CatchPanicLayer::custom(answer_to_panic), DefaultBodyLimit::max(limit)))
        .with_state(Wire { gateway, stopping })
}

async fn ready(State(wire): State<Wire>) -> impl IntoResponse {
    if wire.stopping.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping");
    }
    if wire.gateway.metrics().is_refused() {
        // It serves the one before, so it takes requests.
        return (StatusCode::OK, "degraded: the newest supergraph is refused");
    }
    (StatusCode::OK, "ready")
}

async fn metrics(State(wire): State<Wire>) -> impl IntoResponse {
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

async fn by_get(
    State(wire): State<Wire>,
    headers: HeaderMap,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Response {
    let Some(media_type) = negotiate(&headers) else { return not_acceptable() };
    let Ok(Query(Parameters { query, operation_name, variables, extensions })) = parameters else {
        return bad_input(media_type, "The URL is /graphql?query=…&variables={…}&operationName=….");
    };
    let object = |text: Option<String>| text.map(|text| serde_json::from_str(&text)).transpose();
    let (Ok(variables), Ok(extensions)) = (object(variables), object(extensions)) else {
        return bad_input(media_type, "The parameters `variables` and `extensions` are objects in JSON.");
    };
    let request = Request { query, operation_name, variables, extensions };
    respond(media_type, wire.gateway.answer(request, Asked { headers, by_get: true }).await)
}

async fn by_post(
    State(wire): State<Wire>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
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
    let body = match body {
        Ok(body) => body,
        Err(rejection) => {
            let mut response = bad_input(media_type, "The body cannot be read; perhaps it is too large.");
            *response.status_mut() = rejection.status();
            return response;
        }
    };
    match serde_json::from_slice(&body) {
        Ok(request) => {
            respond(media_type, wire.gateway.answer(request, Asked { headers, by_get: false }).await)
        }
        Err(_) => bad_input(
            media_type,
            "The body is not {\"query\": \"…\", \"variables\": {…}, \"operationName\": \"…\"} in JSON.",
        ),
    }
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
fn respond(media_type: &'static str, Answer { body, outcome }: Answer) -> Response {
    let status = match outcome {
        Outcome::NotByGet => StatusCode::METHOD_NOT_ALLOWED,
        Outcome::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        Outcome::Refused if media_type != "application/json" => StatusCode::BAD_REQUEST,
        Outcome::Refused | Outcome::Executed => StatusCode::OK,
    };
    let mut response = (status, [(header::CONTENT_TYPE, media_type)], body).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if outcome == Outcome::NotByGet {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}
