//! Errors as `application/problem+json` (RFC 9457).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error answer of a platform.
pub struct Problem {
    status: StatusCode,
    detail: String,
    /// Seconds after which it may be tried again.
    retry_after: Option<u64>,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None }
    }

    pub fn retry_after(self, seconds: Option<u64>) -> Self {
        Self { retry_after: seconds, ..self }
    }

    pub fn unknown_platform() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such platform in this sandbox")
    }

    pub fn no_such_profile() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such profile")
    }

    /// What is pushed is older than what is there.
    pub fn older_revision(present: u64) -> Self {
        Self::new(StatusCode::CONFLICT, format!("revision {present} is there"))
    }

    /// The sandbox's own fault.
    pub fn lost() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the sandbox has lost a result")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let headers = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, headers, body.to_string()).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
