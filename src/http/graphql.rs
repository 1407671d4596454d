//! GraphQL over HTTP (the GraphQL-over-HTTP specification): POST with JSON, and what GET shares with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use async_graphql::{Response as GraphResponse, ServerError, Value};
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::body::{Limits, collect};
use super::forwarded::FORWARDED_FOR;
use super::{Wire, client, logging};
use crate::error::{Code, Error};
use crate::gateway::subgraph::headers;
use crate::graph::consistency::MIN_VERSION;
use crate::graph::outcome::{self, Outcome};
use crate::graph::{Answered, Asked};
use crate::session::{Cookies, ROUTER, TokenError, Viewer};
use crate::verification::Client;

pub(super) const GRAPHQL_JSON: &str = "application/graphql-response+json";
const JSON: &str = "application/json";

/// An answer as it is written: `data` stands there only if the operation was executed.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: &'a BTreeMap<String, Value>,
}

impl<'a> Answer<'a> {
    pub(super) fn new(response: &'a GraphResponse, outcome: Outcome) -> Self {
        let data = (outcome == Outcome::Executed).then_some(&response.data);
        Self { errors: &response.errors, data, extensions: &response.extensions }
    }
}

/// Executes one operation.
pub(super) async fn post(
    State(wire): State<Arc<Wire>>,
    peer: ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, content) = request.into_parts();
    let headers = &Arc::new(parts.headers);
    let Some(media_type) = negotiate(headers) else {
        let error = bad_input(format!("Accept has neither {GRAPHQL_JSON} nor {JSON}."));
        return refusal(StatusCode::NOT_ACCEPTABLE, &error);
    };
    if !is_json(headers) {
        let error = bad_input("Send the operation as `Content-Type: application/json`.");
        return refusal_as(media_type, StatusCode::UNSUPPORTED_MEDIA_TYPE, &error);
    }
    let asked = match asked(&wire, (headers, peer), media_type).await {
        Ok(asked) => asked,
        Err(refusal) => return *refusal,
    };
    let operations = match shows_router(&wire, headers) {
        Ok(true) => &wire.for_routers,
        Ok(false) => &wire.operations,
        Err(error) => return unauthenticated(media_type, &error),
    };
    let operation = match read(content, wire.app.config.http.body()).await {
        Ok(operation) => operation,
        Err((status, message)) => return refusal_as(media_type, status, &bad_input(message)),
    };
    logging::note(operation.operation_name.as_deref(), &operation.query);
    let Answered { body, outcome, headers, .. } = operations.answer(operation, asked, body).await;
    let mut response = answer(body, outcome, media_type);
    response.headers_mut().extend(headers);
    response
}

/// The headers with the address that a request comes from, whatever stood there, where other subgraphs are told so.
pub(super) fn with_address(wire: &Wire, headers: &HeaderMap, client: &Client) -> Option<HeaderMap> {
    wire.operations.gateway().filter(|gateway| gateway.forwards(&FORWARDED_FOR))?;
    let address = HeaderValue::try_from(client.ip_address?.to_string()).ok()?;
    let mut named = headers.clone();
    named.insert(FORWARDED_FOR, address);
    Some(named)
}

/// What the headers say of a request, or why it is refused.
pub(super) async fn asked(
    wire: &Wire,
    (headers, peer): (&Arc<HeaderMap>, ConnectInfo<SocketAddr>),
    media_type: &'static str,
) -> Result<Asked, Box<Response>> {
    let viewer =
        authenticate(wire, headers).await.map_err(|error| Box::new(unauthenticated(media_type, &error)))?;
    let at_least = min_version(headers).ok_or_else(|| {
        let error = bad_input("Accounts-Center-Min-Version is a version: the number that an answer told.");
        Box::new(refusal_as(media_type, StatusCode::BAD_REQUEST, &error))
    })?;
    let cookies = Cookies::of_request(headers);
    let client = client(wire, headers, peer);
    let headers = match with_address(wire, headers, &client) {
        Some(named) => named.into(),
        None => headers.clone(),
    };
    Ok(Asked { viewer, client, at_least, by_get: false, cookies, headers })
}

/// Whether a request shows the token of a federation router, which may ask for more of the graph (S28). Whose rights it has
/// is another matter: what a router may ask for is answered as its caller may see it.
///
/// # Errors
/// UNAUTHENTICATED for one that is no such token.
pub(super) fn shows_router(wire: &Wire, headers: &HeaderMap) -> Result<bool, Error> {
    let Some(token) = headers.get(headers::ROUTER) else { return Ok(false) };
    let verified = token.to_str().map_err(|_| TokenError::Invalid);
    match verified.and_then(|token| wire.app.tokens.verify_service(token.trim(), ROUTER)) {
        Ok(()) => Ok(true),
        Err(error) => Err(Error::unauthenticated(match error {
            TokenError::Expired => "The token in Accounts-Center-Router has expired; mint a new one.",
            TokenError::Invalid => "The token in Accounts-Center-Router is none of a router.",
        })),
    }
}

/// The same where nobody else may ask.
///
/// # Errors
/// UNAUTHENTICATED for whoever shows none.
pub(super) fn require_router(wire: &Wire, headers: &HeaderMap) -> Result<(), Error> {
    match shows_router(wire, headers)? {
        true => Ok(()),
        false => Err(Error::unauthenticated("Show a router's token in Accounts-Center-Router.")),
    }
}

/// The version that the client wants to see at least; 0 if it does not say, `None` if it is no number.
pub(super) fn min_version(headers: &HeaderMap) -> Option<i64> {
    let Some(version) = headers.get(MIN_VERSION) else { return Some(0) };
    let version = version.to_str().ok()?.parse().ok()?;
    (version >= 0).then_some(version)
}

/// Who asks, by the `Authorization` header; `None` without one.
///
/// # Errors
/// UNAUTHENTICATED; what the database says, where it has to be asked whether the session has ended.
pub(super) async fn authenticate(wire: &Wire, headers: &HeaderMap) -> Result<Option<Viewer>, Error> {
    let Some(header) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let token_error = |error: TokenError| Error::unauthenticated(error.to_string());
    let header = header.to_str().map_err(|_| token_error(TokenError::Invalid))?;
    let viewer = bearer(wire, header).map_err(token_error)?;
    if wire.app.ended.has_ended(viewer).await? {
        return Err(Error::unauthenticated("This session has ended; sign in again."));
    }
    Ok(Some(viewer))
}

/// Who shows `Bearer …`, though the session may have ended.
pub(super) fn bearer(wire: &Wire, authorization: &str) -> Result<Viewer, TokenError> {
    let (scheme, token) = authorization.split_once(' ').ok_or(TokenError::Invalid)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(TokenError::Invalid);
    }
    wire.app.tokens.verify(token.trim())
}

/// The answer to a request of which is not known who asks.
pub(super) fn unauthenticated(media_type: &'static str, error: &Error) -> Response {
    if error.code() != Code::Unauthenticated {
        return refusal_as(media_type, StatusCode::SERVICE_UNAVAILABLE, error);
    }
    let mut response = refusal_as(media_type, StatusCode::UNAUTHORIZED, error);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// The operation in a body. Not by the extractor of async-graphql-axum, which takes uploads and batches as well: to
/// refuse those it would read the body three times.
async fn read(body: Body, limits: Limits) -> Result<async_graphql::Request, (StatusCode, String)> {
    let bytes = collect(body, limits).await.map_err(|unread| (unread.status(), unread.message(limits)))?;
    serde_json::from_slice(&bytes).map_err(|_| {
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        let message = match first {
            Some(b'[') => "Send one operation a request; batches are not supported.",
            _ => "The body is not {\"query\": \"…\", \"variables\": {…}, \"operationName\": \"…\"} in JSON.",
        };
        (StatusCode::BAD_REQUEST, message.to_owned())
    })
}

/// An answer to what was not executed.
pub(super) fn refusal(status: StatusCode, error: &Error) -> Response {
    refusal_as(GRAPHQL_JSON, status, error)
}

/// The same in the media type that the client takes. The status says what the protocol has to say of it, also
/// where the media type would allow 200.
pub(super) fn refusal_as(media_type: &'static str, status: StatusCode, error: &Error) -> Response {
    let response = outcome::refuse(error);
    let mut refusal = answer(body(&response, Outcome::Refused), Outcome::Refused, media_type);
    *refusal.status_mut() = status;
    refusal
}

pub(super) fn body(response: &GraphResponse, outcome: Outcome) -> Bytes {
    serde_json::to_vec(&Answer::new(response, outcome)).unwrap_or_default().into()
}

pub(super) fn answer(body: Bytes, outcome: Outcome, media_type: &'static str) -> Response {
    let status = match outcome {
        Outcome::Refused if media_type == GRAPHQL_JSON => StatusCode::BAD_REQUEST,
        Outcome::NotByGet => StatusCode::METHOD_NOT_ALLOWED,
        Outcome::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    (status, [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// The media type to answer with, by the weights of `Accept` (RFC 9110, section 12.5.1); `None` if the client takes
/// neither. Of two that it likes as much it gets the one that was made for this.
pub(crate) fn negotiate(headers: &HeaderMap) -> Option<&'static str> {
    let accepts: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    if accepts.is_empty() {
        return Some(GRAPHQL_JSON);
    }
    let ranges: Vec<(&str, f32)> = accepts.iter().flat_map(|accept| accept.split(',')).map(range).collect();
    // The most specific range that covers a type says how much it is liked.
    let weight = |media_type: &str| {
        [media_type, "application/*", "*/*"]
            .iter()
            .find_map(|name| ranges.iter().find(|(range, _)| range.eq_ignore_ascii_case(name)))
            .map_or(0.0, |(_, weight)| *weight)
    };
    let (graphql, json) = (weight(GRAPHQL_JSON), weight(JSON));
    match graphql.max(json) {
        best if best <= 0.0 => None,
        best if best <= graphql => Some(GRAPHQL_JSON),
        _ => Some(JSON),
    }
}

/// `type/subtype;q=0.5` as the range and its weight.
fn range(text: &str) -> (&str, f32) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (name, weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| {
        let media_type = value.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case(JSON)
    })
}

pub(super) fn bad_input(message: impl Into<String>) -> Error {
    Error::client(Code::BadUserInput, message)
}
