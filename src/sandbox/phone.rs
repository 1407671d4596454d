//! The sandbox phone: a page that shows a profile's codes.

use axum::Router;
use axum::routing::get;

use super::Sandbox;
use crate::http::explorer::file;

const FILES: [(&str, &str, &str); 3] = [
    ("/phone", "text/html; charset=utf-8", include_str!("phone/index.html")),
    ("/phone.js", "text/javascript; charset=utf-8", include_str!("phone/phone.js")),
    ("/phone.css", "text/css; charset=utf-8", include_str!("phone/phone.css")),
];

pub fn router() -> Router<Sandbox> {
    FILES.into_iter().fold(Router::new(), |router, (path, media_type, text)| {
        router.route(path, get(move || async move { file(media_type, text) }))
    })
}
