//! A page of development mode to link profiles by OAuth with: what a front-end does, as small as it can be.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::Wire;
use super::explorer::file;

const PAGE: &str = include_str!("linking_page/index.html");
const FILES: [(&str, &str, &str); 3] = [
    ("/dev/link", "text/html; charset=utf-8", PAGE),
    // Where the browser comes back to: the same page, which finds what it was sent for.
    ("/dev/callback", "text/html; charset=utf-8", PAGE),
    ("/dev/link.js", "text/javascript; charset=utf-8", include_str!("linking_page/link.js")),
];

pub(super) fn router() -> Router<Arc<Wire>> {
    FILES.into_iter().fold(Router::new(), |router, (path, media_type, text)| {
        router.route(path, get(move || async move { file(media_type, text) }))
    })
}

/// The redirect URLs of the page of a server at `address`, under each name that a person opens it by.
pub(crate) fn redirect_uris(address: SocketAddr) -> [String; 2] {
    let port = address.port();
    [format!("http://{address}/dev/callback"), format!("http://localhost:{port}/dev/callback")]
}
