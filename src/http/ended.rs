//! For federation routers: which sessions have ended while tokens of theirs may still be good, `/sessions/ended`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Wire;
use super::graphql::{GRAPHQL_JSON, require_router, unauthenticated};
use crate::gateway::sessions::Ended;
use crate::ids::{NodeId, NodeKind};

pub(super) async fn ended(State(wire): State<Arc<Wire>>, headers: HeaderMap) -> Response {
    if let Err(error) = require_router(&wire, &headers) {
        return unauthenticated(GRAPHQL_JSON, &error);
    }
    match wire.app.ended.lately() {
        Some(sessions) => {
            let ids = sessions.into_iter().map(|id| NodeId::new(NodeKind::AccountSession, id).to_string());
            ([(header::CACHE_CONTROL, "no-store")], Json(Ended { sessions: ids.collect() })).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be asked just now").into_response(),
    }
}
