//! The explorer: a page to try the graph with, compiled in and without the internet.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use super::Wire;

/// A page may load from here and nowhere else, and nobody may frame it.
pub(crate) const PAGE_POLICY: &str = "default-src 'self'; img-src 'self' data:; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'";

const FILES: [(&str, &str, &str); 7] = [
    ("/", "text/html; charset=utf-8", include_str!("explorer/index.html")),
    ("/explorer.js", "text/javascript; charset=utf-8", include_str!("explorer/explorer.js")),
    ("/socket.js", "text/javascript; charset=utf-8", include_str!("explorer/socket.js")),
    ("/schema.js", "text/javascript; charset=utf-8", include_str!("explorer/schema.js")),
    ("/session.js", "text/javascript; charset=utf-8", include_str!("explorer/session.js")),
    ("/examples.js", "text/javascript; charset=utf-8", include_str!("explorer/examples.js")),
    ("/explorer.css", "text/css; charset=utf-8", include_str!("explorer/explorer.css")),
];

pub(super) fn router() -> Router<Arc<Wire>> {
    FILES.into_iter().fold(Router::new(), |router, (path, media_type, text)| {
        router.route(path, get(move || async move { file(media_type, text) }))
    })
}

/// A compiled-in file.
pub(crate) fn file(media_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}
