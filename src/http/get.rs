//! GraphQL over HTTP by GET: queries, whose answers a client keeps and asks for anew by their ETag. It is also how a
//! WebSocket begins.
//!
//! A page of somebody else can make a browser send a GET (S33), but none with `Authorization`, and it cannot read the
//! answer: what it gets is what anybody gets. So no header is asked for that would force a preflight.

use std::net::SocketAddr;
use std::sync::Arc;

use async_graphql::Request;
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::graphql::{
    GRAPHQL_JSON, answer, asked, bad_input, body, negotiate, refusal, refusal_as, shows_router,
    unauthenticated, with_address,
};
use super::websocket::{self, Visitor};
use super::{Wire, client, logging};
use crate::error::Error;
use crate::graph::outcome::Outcome;
use crate::graph::{Answered, Asked, Tag};

/// A client asks anew each time, and nobody else keeps what is one person's.
const KEPT: HeaderValue = HeaderValue::from_static("private, no-cache");
/// What the same URL answers differently by.
const VARIES: HeaderValue = HeaderValue::from_static("Accept, Authorization");

/// The parameters of a URL. The library's own reading of them misses `operationName`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    query: String,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

/// Executes a query, or opens a WebSocket.
pub(super) async fn get(
    State(wire): State<Arc<Wire>>,
    peer: ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    match upgrade {
        Ok(upgrade) => {
            let is_router = match shows_router(&wire, &headers) {
                Ok(is_router) => is_router,
                Err(error) => return unauthenticated(GRAPHQL_JSON, &error),
            };
            let client = client(&wire, &headers, peer);
            let address = client.ip_address;
            let named = with_address(&wire, &headers, &client);
            let told = named.as_ref().unwrap_or(&headers);
            let kept = match wire.operations.gateway().map(|gateway| gateway.lasting(told)) {
                Some(None) => return websocket::too_large_headers(),
                Some(Some(kept)) if !kept.is_empty() => Some(Arc::new(kept)),
                Some(Some(_)) | None => None,
            };
            let visitor = Visitor { client, is_router, headers: kept };
            websocket::open(wire, (visitor, address), &headers, upgrade)
        }
        Err(rejection) if websocket::is_wanted(&headers) => rejection.into_response(),
        Err(_) => query(&wire, peer, &uri, &headers.into()).await,
    }
}

async fn query(wire: &Wire, peer: ConnectInfo<SocketAddr>, uri: &Uri, headers: &Arc<HeaderMap>) -> Response {
    let Some(media_type) = negotiate(headers) else {
        return refusal(StatusCode::NOT_ACCEPTABLE, &bad_input("Accept has no media type of GraphQL."));
    };
    let limit = wire.app.config.http.body_limit;
    if uri.query().is_some_and(|parameters| parameters.len() > limit) {
        let error = bad_input(format!("The parameters are over {limit} bytes."));
        return refusal_as(media_type, StatusCode::URI_TOO_LONG, &error);
    }
    let asked = match asked(wire, (headers, peer), media_type).await {
        Ok(asked) => Asked { by_get: true, ..asked },
        Err(refusal) => return *refusal,
    };
    let operation = match read(uri) {
        Ok(operation) => operation,
        Err(error) => return refusal_as(media_type, StatusCode::BAD_REQUEST, &error),
    };
    logging::note(operation.operation_name.as_deref(), &operation.query);
    let Answered { body, outcome, tag, .. } = wire.operations.answer(operation, asked, body).await;
    let mut response = match outcome {
        Outcome::Executed => {
            let tag = tag.unwrap_or_else(|| Tag::of(&body));
            return tagged(answer(body, outcome, media_type), &tag, headers);
        }
        Outcome::Refused | Outcome::NotByGet | Outcome::Overloaded => answer(body, outcome, media_type),
    };
    if outcome == Outcome::NotByGet {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

fn read(uri: &Uri) -> Result<Request, Error> {
    let shape = |_: QueryRejection| {
        bad_input(
            "The URL is /graphql?query=…, with variables={…}, operationName=… and extensions={…} if they are needed.",
        )
    };
    let Query(parameters) = Query::<Parameters>::try_from_uri(uri).map_err(shape)?;
    let mut request = Request::new(parameters.query);
    request.operation_name = parameters.operation_name;
    request.variables = json("variables", parameters.variables)?;
    request.extensions = json("extensions", parameters.extensions)?;
    Ok(request)
}

fn json<T: Default + DeserializeOwned>(name: &str, text: Option<String>) -> Result<T, Error> {
    let Some(text) = text else { return Ok(T::default()) };
    serde_json::from_str(&text)
        .map_err(|_| bad_input(format!("The parameter `{name}` is no object in JSON, percent-encoded.")))
}

/// The answer with its tag, or only that it is still the one that the client has.
fn tagged(mut response: Response, tag: &Tag, headers: &HeaderMap) -> Response {
    if is_known(headers, tag) {
        response = StatusCode::NOT_MODIFIED.into_response();
    }
    let named = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(tag.as_str()) {
        named.insert(header::ETAG, tag);
    }
    named.insert(header::CACHE_CONTROL, KEPT);
    named.insert(header::VARY, VARIES);
    response
}

/// Whether `If-None-Match` names the answer. It compares weakly (RFC 9110, section 13.1.2): a proxy that compresses
/// makes a tag weak.
fn is_known(headers: &HeaderMap, tag: &Tag) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = lists.flat_map(|list| list.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_every_form() {
        let tag = Tag::of(b"answer");
        let asks = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_NONE_MATCH, value.parse().unwrap());
            }
            is_known(&headers, &tag)
        };
        let own = tag.as_str();
        assert!(asks(&[own]) && asks(&["*"]) && asks(&[&format!("W/{own}")]));
        assert!(asks(&[&format!("\"x\",{own} , \"y\"")]) && asks(&["\"x\"", own]));
        assert!(!asks(&[]) && !asks(&["\"x\""]) && !asks(&[own.trim_matches('"')]));
        assert_ne!(Tag::of(b"another"), tag);
    }
}
