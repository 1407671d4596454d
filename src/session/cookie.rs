//! Cookie mode: a browser keeps the refresh token of its session where no script can read it.
//!
//! The cookie has the prefix `__Host-` (RFC 6265bis, section 4.1.3.2), so that no other host and no plain connection can
//! set it, and is `SameSite=Lax`: a page of somebody else cannot have it sent with a POST, and only a POST refreshes.

use std::sync::Arc;

use async_graphql::Context;
use axum::http::{HeaderMap, HeaderValue, header};
use chrono::TimeDelta;
use cookie::{Cookie, SameSite};
use secrecy::SecretString;

use crate::gateway::subgraph::headers::SESSION_MODE;

const NAME: &str = "__Host-accounts-center-refresh";

/// What a request says of cookies. Cheap to clone.
#[derive(Clone, Default)]
pub struct Cookies {
    is_asked_for: bool,
    refresh_token: Option<Arc<SecretString>>,
}

impl Cookies {
    pub fn of_request(headers: &HeaderMap) -> Self {
        let is_asked_for =
            headers.get(SESSION_MODE).is_some_and(|mode| mode.as_bytes().eq_ignore_ascii_case(b"cookie"));
        let sent = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut sent = sent.flat_map(|cookies| Cookie::split_parse(cookies.to_owned())).flatten();
        let found = sent.find(|cookie| cookie.name() == NAME);
        let refresh_token = found.map(|cookie| Arc::new(SecretString::from(cookie.value().to_owned())));
        Self { is_asked_for, refresh_token }
    }

    fn of(ctx: &Context<'_>) -> Self {
        ctx.data_opt::<Self>().cloned().unwrap_or_default()
    }
}

/// The refresh token in the caller's cookie.
pub fn sent(ctx: &Context<'_>) -> Option<Arc<SecretString>> {
    Cookies::of(ctx).refresh_token
}

/// Puts a refresh token into a cookie, if the caller asks for that or has it from there. Gives it back otherwise.
pub fn keep(ctx: &Context<'_>, token: String, (from_cookie, lifetime): (bool, TimeDelta)) -> Option<String> {
    if !from_cookie && !Cookies::of(ctx).is_asked_for {
        return Some(token);
    }
    set(ctx, &token, lifetime.num_seconds());
    None
}

/// Takes the cookie away, if the caller has one.
pub fn forget(ctx: &Context<'_>) {
    if sent(ctx).is_some() {
        set(ctx, "", 0);
    }
}

fn set(ctx: &Context<'_>, value: &str, seconds: i64) {
    let cookie = Cookie::build((NAME, value))
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(cookie::time::Duration::seconds(seconds))
        .build();
    if let Ok(mut value) = HeaderValue::from_str(&cookie.to_string()) {
        value.set_sensitive(true);
        ctx.append_http_header(header::SET_COOKIE, value);
    }
}
