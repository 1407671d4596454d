//! What only development mode has: a sign-in by one click, and the check that it stays on this machine.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::{Wire, client, graphql};
use crate::demo;

#[derive(Deserialize)]
pub(super) struct SignIn {
    /// The page that wants it, if that is not the explorer.
    then: Option<Page>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Page {
    Link,
}

/// Signs in to the demo account and hands the token to a page of ours, in the part of the URL that is never
/// sent to a server.
pub(super) async fn sign_in(
    State(wire): State<Arc<Wire>>,
    peer: ConnectInfo<SocketAddr>,
    Query(wish): Query<SignIn>,
    headers: HeaderMap,
) -> Response {
    let page = match wish.then {
        Some(Page::Link) => "/dev/link",
        None => "/",
    };
    match demo::sign_in(&wire.app, client(&wire, &headers, peer)).await {
        Ok(Some(access)) => {
            let location = format!("{page}#access_token={}", access.token);
            ([(header::CACHE_CONTROL, "no-store")], Redirect::to(&location)).into_response()
        }
        Ok(None) => (StatusCode::NOT_FOUND, "there is no demo account that can sign in").into_response(),
        Err(error) => graphql::refusal(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

/// Refuses requests under any name but this machine's: a page of somebody else that lets its own name point
/// here (DNS rebinding) must not reach the demo account or the sandbox.
pub(crate) async fn require_loopback_host(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let name = host.or_else(|| request.uri().authority().map(Authority::as_str));
    if name.is_some_and(is_loopback) {
        return next.run(request).await;
    }
    let message = "development mode answers to 127.0.0.1, [::1] and localhost only";
    (StatusCode::MISDIRECTED_REQUEST, message).into_response()
}

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_has_these_names() {
        for good in ["127.0.0.1:4000", "localhost", "LOCALHOST:1", "[::1]:4000", "127.1.2.3"] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in
            ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:4000", "192.168.0.1", "", "@"]
        {
            assert!(!is_loopback(bad), "{bad}");
        }
    }
}
