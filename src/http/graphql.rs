//! GraphQL over HTTP (the GraphQL-over-HTTP specification): POST with JSON.

use std::net::SocketAddr;

use async_graphql::{ParseRequestError, Response as GraphResponse, ServerError, Value};
use async_graphql_axum::GraphQLRequest;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{Wire, client};
use crate::error::{Code, Error};
use crate::graph::outcome::{self, Outcome};
use crate::session::{TokenError, Viewer};
use crate::verification::graphql::OneSubmission;

const GRAPHQL_JSON: &str = "application/graphql-response+json";
const JSON: &str = "application/json";

/// An answer as it is written: `data` stands there only if the operation was executed.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
}

impl<'a> Answer<'a> {
    pub(super) fn new(response: &'a GraphResponse, outcome: Outcome) -> Self {
        let data = (outcome == Outcome::Executed).then_some(&response.data);
        Self { errors: &response.errors, data }
    }
}

/// Executes one operation.
pub(super) async fn post(
    State(wire): State<Wire>,
    peer: ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let headers = request.headers().clone();
    let Some(media_type) = negotiate(&headers) else {
        let error = bad_input(format!("Accept has neither {GRAPHQL_JSON} nor {JSON}."));
        return refusal(StatusCode::NOT_ACCEPTABLE, &error);
    };
    if !is_json(&headers) {
        let error = bad_input("Send the operation as `Content-Type: application/json`.");
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, &error);
    }
    let viewer = match authenticate(&wire, &headers) {
        Ok(viewer) => viewer,
        Err(error) => {
            let mut response = refusal(StatusCode::UNAUTHORIZED, &Error::unauthenticated(error.to_string()));
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
            return response;
        }
    };
    let mut operation = match read(&wire, request).await {
        Ok(operation) => operation,
        Err(refused) => return refused,
    };
    if let Some(viewer) = viewer {
        operation = operation.data(viewer);
    }
    let operation = operation.data(client(&headers, peer)).data(OneSubmission::default());
    let (response, outcome) = wire.operations.execute(operation).await;
    write(&response, outcome, media_type)
}

/// Who asks, by the `Authorization` header; `None` without one.
fn authenticate(wire: &Wire, headers: &HeaderMap) -> Result<Option<Viewer>, TokenError> {
    let Some(header) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let header = header.to_str().map_err(|_| TokenError::Invalid)?;
    bearer(wire, header).map(Some)
}

/// Who shows `Bearer …`.
pub(super) fn bearer(wire: &Wire, authorization: &str) -> Result<Viewer, TokenError> {
    let (scheme, token) = authorization.split_once(' ').ok_or(TokenError::Invalid)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(TokenError::Invalid);
    }
    wire.app.tokens.verify(token.trim())
}

async fn read(wire: &Wire, mut request: Request) -> Result<async_graphql::Request, Response> {
    DefaultBodyLimit::max(wire.app.config.http.body_limit).apply(&mut request);
    let limited = request.map(|body| {
        axum::body::Body::new(http_body_util::Limited::new(body, wire.app.config.http.body_limit))
    });
    match GraphQLRequest::<Unreadable>::from_request(limited, &()).await {
        Ok(operation) => Ok(operation.into_inner()),
        Err(Unreadable(error)) => Err(unreadable(wire, &error)),
    }
}

/// Why a body is no operation.
struct Unreadable(ParseRequestError);

impl From<ParseRequestError> for Unreadable {
    fn from(error: ParseRequestError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Unreadable {
    fn into_response(self) -> Response {
        refusal(StatusCode::BAD_REQUEST, &bad_input("The body is no GraphQL request."))
    }
}

fn unreadable(wire: &Wire, error: &ParseRequestError) -> Response {
    let limit = wire.app.config.http.body_limit;
    if error.to_string().contains("length limit exceeded") {
        let error = bad_input(format!("The body is over {limit} bytes."));
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, &error);
    }
    let message = match error {
        ParseRequestError::UnsupportedBatch => "Send one operation a request; batches are not supported.",
        _ => "The body is not {\"query\": \"…\", \"variables\": {…}, \"operationName\": \"…\"} in JSON.",
    };
    refusal(StatusCode::BAD_REQUEST, &bad_input(message))
}

/// An answer to what was not executed.
pub(super) fn refusal(status: StatusCode, error: &Error) -> Response {
    let response = outcome::refuse(error);
    let mut answer = write(&response, Outcome::Refused, GRAPHQL_JSON);
    *answer.status_mut() = status;
    answer
}

fn write(response: &GraphResponse, outcome: Outcome, media_type: &'static str) -> Response {
    let body = serde_json::to_vec(&Answer::new(response, outcome)).unwrap_or_default();
    let status = match outcome {
        Outcome::Refused if media_type == GRAPHQL_JSON => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    (status, [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// The media type to answer with; `None` if the client takes neither.
fn negotiate(headers: &HeaderMap) -> Option<&'static str> {
    let Some(accept) = headers.get(header::ACCEPT) else { return Some(GRAPHQL_JSON) };
    let accept = accept.to_str().ok()?;
    let ranges = || accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    let takes =
        |names: [&str; 3]| ranges().any(|range| names.iter().any(|name| range.eq_ignore_ascii_case(name)));
    if takes([GRAPHQL_JSON, "application/*", "*/*"]) {
        return Some(GRAPHQL_JSON);
    }
    takes([JSON, "text/json", JSON]).then_some(JSON)
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| {
        let media_type = value.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case(JSON)
    })
}

fn bad_input(message: impl Into<String>) -> Error {
    Error::client(Code::BadUserInput, message)
}
