//! The public keys by which others verify our tokens: `/.well-known/jwks.json`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::Wire;

/// A key that signs from now on was in here since long before: `keys.signing_number` goes one by one.
pub(super) async fn jwks(State(wire): State<Arc<Wire>>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, Json(wire.app.tokens.jwks())).into_response()
}
