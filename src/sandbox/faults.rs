//! A platform that misbehaves, on demand.

use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Sandbox;
use super::problem::Problem;

/// How to misbehave; by default not at all.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Before anything happens.
    latency_ms: u64,
    /// 0 to 1: how many calls fail with `status`, evenly spread. Absent with a `status`: all.
    error_rate: Option<f64>,
    /// 503 if absent.
    status: Option<u16>,
    /// What such a failure says in `Retry-After`, in seconds.
    retry_after: Option<u64>,
    /// Only of calls whose path ends with this: `/notices`. Absent: of all.
    only: Option<String>,
    /// 200 with what is no JSON.
    garbage: bool,
    /// Cut the connection instead of doing it.
    drop_before: bool,
    /// Do it, and cut the connection instead of answering.
    drop_after_effect: bool,
    /// Deliver each webhook twice, at the same moment.
    duplicate_webhooks: bool,
    /// Deliver no webhook.
    lose_webhooks: bool,
    /// What is wrong with the id tokens of its OpenID provider.
    pub id_token: Option<IdTokenFault>,
    /// What is owed of `error_rate`, so that it needs no chance.
    #[serde(skip)]
    owed: f64,
}

/// An id token that must not be believed.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdTokenFault {
    Issuer,
    Audience,
    Nonce,
    Expiry,
    /// By another key than the one that the token names.
    Signature,
    /// By a key that the provider does not list.
    Key,
    /// `alg: none`.
    Unsigned,
    /// By HMAC with the client's secret, which is no key of the provider.
    Shared,
    /// There is none.
    Absent,
}

impl Faults {
    /// How often a webhook is delivered.
    pub fn webhook_copies(&self) -> usize {
        match self {
            Self { lose_webhooks: true, .. } => 0,
            Self { duplicate_webhooks: true, .. } => 2,
            _ => 1,
        }
    }

    fn concern(&self, path: &str) -> bool {
        self.only.as_ref().is_none_or(|end| path.ends_with(end))
    }

    /// The status to fail this call with, if it is its turn.
    fn failure(&mut self) -> Option<StatusCode> {
        let rate = self.error_rate.unwrap_or(if self.status.is_some() { 1.0 } else { 0.0 });
        self.owed += rate.clamp(0.0, 1.0);
        if self.owed < 1.0 {
            return None;
        }
        self.owed -= 1.0;
        let status = self.status.and_then(|status| StatusCode::from_u16(status).ok());
        Some(status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE))
    }
}

/// Does to a call what the platform's faults say.
pub async fn misbehave(
    State(sandbox): State<Sandbox>,
    Path(parameters): Path<Vec<(String, String)>>,
    request: Request,
    next: Next,
) -> Response {
    let key = parameters.first().map(|(_, key)| key.as_str()).unwrap_or_default();
    let Some(state) = sandbox.platform(key) else { return next.run(request).await };
    let (mut faults, mut failure) = (Faults::default(), None);
    state.send_if_modified(|state| {
        if state.faults.concern(request.uri().path()) {
            failure = state.faults.failure();
            faults = state.faults.clone();
        }
        false
    });
    tokio::time::sleep(Duration::from_millis(faults.latency_ms)).await;
    if faults.drop_before {
        cut_connection();
    }
    if let Some(status) = failure {
        let problem = Problem::new(status, "a fault that was asked for");
        return problem.retry_after(faults.retry_after).into_response();
    }
    if faults.garbage {
        return "<html>this is not JSON".into_response();
    }
    let response = next.run(request).await;
    if faults.drop_after_effect {
        cut_connection();
    }
    response
}

/// Ends the task that serves this connection, and with it the connection: the server above has no way to
/// give no answer. Unlike a panic it says nothing.
fn cut_connection() {
    std::panic::resume_unwind(Box::new("a fault that was asked for"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_evenly_spread() {
        let mut half = Faults { error_rate: Some(0.5), ..Faults::default() };
        let failed: Vec<_> = (0..4).map(|_| half.failure().is_some()).collect();
        assert_eq!(failed, [false, true, false, true]);
        assert_eq!(
            Faults { status: Some(429), ..Faults::default() }.failure(),
            Some(StatusCode::TOO_MANY_REQUESTS)
        );
        assert_eq!(Faults::default().failure(), None);
    }
}
