//! The subgraph over HTTP: `POST /graphql`.

use async_graphql::{Request, Response};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::routing::post;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::graph::{InstagramSchema, schema};
use crate::token::{Refused, Verifier};

/// Serves until told to stop, then lets requests under way end.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    stop: CancellationToken,
    verifier: Verifier,
) -> std::io::Result<()> {
    let router = Router::new().route("/graphql", post(graphql)).with_state((schema(), verifier));
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// Who is nobody gets an answer all the same: the schema is for everyone, and each field that is not says so.
async fn graphql(
    State((schema, verifier)): State<(InstagramSchema, Verifier)>,
    headers: HeaderMap,
    Json(request): Json<Request>,
) -> Json<Response> {
    let caller = match bearer(&headers) {
        Some(token) => verifier.verify(token).await,
        None => Err(Refused::Invalid),
    };
    Json(schema.execute(request.data(caller)).await)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
