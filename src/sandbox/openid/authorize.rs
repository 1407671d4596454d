//! The authorization endpoint, and its page.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::TimeDelta;
use serde::Deserialize;
use url::Url;

use super::{Grant, issuer};
use crate::http::explorer::file;
use crate::keys::new_secret;
use crate::platform::ProfileState;
use crate::sandbox::problem::Problem;
use crate::sandbox::{CLIENT_ID, Sandbox};

/// How long a code is good.
const CODE_LIFETIME: TimeDelta = TimeDelta::seconds(60);
/// How long its page may stay open is up to the client; codes that nobody fetched are kept so many.
const KEPT_GRANTS: usize = 1000;

const PAGE: &str = include_str!("approval/index.html");
const FILES: [(&str, &str, &str); 2] = [
    ("/approval.js", "text/javascript; charset=utf-8", include_str!("approval/approval.js")),
    ("/approval.css", "text/css; charset=utf-8", include_str!("approval/approval.css")),
];

pub fn router() -> Router<Sandbox> {
    let router = Router::new().route("/authorize", get(authorize));
    FILES.into_iter().fold(router, |router, (path, media_type, text)| {
        router.route(path, get(move || async move { file(media_type, text) }))
    })
}

#[derive(Deserialize)]
struct AuthorizationRequest {
    response_type: Option<String>,
    client_id: Option<String>,
    redirect_uri: Option<String>,
    scope: Option<String>,
    state: Option<String>,
    nonce: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    /// Of the sandbox: the profile whose owner says yes at once.
    approve_as: Option<String>,
    /// Of the sandbox: the person says no at once.
    deny: Option<String>,
}

/// Asks the person, or answers in their place.
async fn authorize(
    State(sandbox): State<Sandbox>,
    Path(platform): Path<String>,
    headers: HeaderMap,
    Query(request): Query<AuthorizationRequest>,
) -> Result<Response, Problem> {
    const ENDPOINT: &str = "GET /authorize";
    let state = sandbox.platform(&platform).ok_or_else(Problem::unknown_platform)?;
    state.send_modify(|state| state.count_call(ENDPOINT));
    let mut back = checked_redirect(&request)?;
    if request.approve_as.is_none() && request.deny.is_none() && request.refusal().is_none() {
        return Ok(file("text/html; charset=utf-8", PAGE).into_response());
    }
    let answer = match (request.refusal(), &request.approve_as) {
        (Some(error), _) => ("error", error.to_owned()),
        (None, Some(external_id)) => {
            let code = new_secret(&sandbox.0.ids);
            let grant = Grant {
                external_id: external_id.clone(),
                redirect_uri: request.redirect_uri.clone().unwrap_or_default(),
                nonce: request.nonce.clone(),
                code_challenge: request.code_challenge.clone().unwrap_or_default(),
                expires_at: sandbox.0.clock.now() + CODE_LIFETIME,
            };
            let is_known = state.send_if_modified(|state| {
                let found = state.profile(external_id);
                let known = found.is_some_and(|profile| profile.state != ProfileState::Deleted);
                if known {
                    state.count_effect(ENDPOINT);
                    while state.openid.grants.len() >= KEPT_GRANTS {
                        state.openid.grants.pop_first();
                    }
                    state.openid.grants.insert(code.clone(), grant);
                }
                known
            });
            if !is_known {
                return Err(Problem::new(StatusCode::NOT_FOUND, "approve_as names no profile"));
            }
            ("code", code)
        }
        (None, None) => ("error", "access_denied".to_owned()),
    };
    back.query_pairs_mut().append_pair(answer.0, &answer.1);
    if let Some(state) = &request.state {
        back.query_pairs_mut().append_pair("state", state);
    }
    back.query_pairs_mut().append_pair("iss", &issuer(&headers, &platform));
    let headers = [(header::LOCATION, back.to_string()), (header::CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::FOUND, headers).into_response())
}

/// Where the browser goes back to. Without a client and a URL of the web nobody is sent anywhere.
fn checked_redirect(request: &AuthorizationRequest) -> Result<Url, Problem> {
    if request.client_id.as_deref() != Some(CLIENT_ID) {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the sandbox's client_id is {CLIENT_ID:?}"),
        ));
    }
    let url = request.redirect_uri.as_deref().and_then(|uri| uri.parse::<Url>().ok());
    url.filter(|url| matches!(url.scheme(), "http" | "https") && url.fragment().is_none())
        .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "redirect_uri is no URL of the web"))
}

impl AuthorizationRequest {
    /// The error (RFC 6749, 4.1.2.1) that the client is told.
    fn refusal(&self) -> Option<&'static str> {
        let has_scope =
            self.scope.as_deref().is_some_and(|scope| scope.split(' ').any(|one| one == "openid"));
        let has_pkce = self.code_challenge_method.as_deref() == Some("S256")
            && self.code_challenge.as_deref().is_some_and(|challenge| challenge.len() == 43);
        if self.response_type.as_deref() != Some("code") {
            return Some("unsupported_response_type");
        }
        if !has_scope {
            return Some("invalid_scope");
        }
        (!has_pkce || self.nonce.is_none()).then_some("invalid_request")
    }
}
