//! Pages of other origins: those in `http.allowed_origins` may call the graph, with cookies, and no other one may (S33).
//!
//! The protocol is CORS, of the Fetch standard, section 3.2.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser remembers that it may.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// What front-ends send beside what every page may.
const SENT: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_NONE_MATCH,
    HeaderName::from_static("accounts-center-session"),
    HeaderName::from_static("accounts-center-min-version"),
    HeaderName::from_static("traceparent"),
];
/// What their scripts may read beside what every page may.
const READ: [HeaderName; 2] = [header::ETAG, header::WWW_AUTHENTICATE];

/// Lets the pages of these origins in; `None` where there is none, and nothing to be said.
pub(crate) fn layer(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_credentials(true)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers(SENT)
            .expose_headers(READ)
            .max_age(REMEMBERED)
    })
}
