//! What a platform offers, by the platform contract: its routes, codes and profiles.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::routing::{delete, get, post, put};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::once::Call;
use super::problem::Problem;
use super::state::{Code, Profile};
use super::{Sandbox, business, faults, messages, notices, privacy, publications, sessions};

pub fn router(sandbox: &Sandbox) -> Router<Sandbox> {
    Router::new()
        .route("/codes", post(deliver_code))
        .route("/profiles/{external_id}", get(profile))
        .route("/profiles/{external_id}/privacy", get(privacy::read).put(privacy::push))
        .route("/profiles/{external_id}/notices", post(notices::tell))
        .route("/profiles/{external_id}/publications", get(publications::settle).post(publications::publish))
        .route("/profiles/{external_id}/publications/{publication_id}", delete(publications::remove))
        .route("/profiles/{external_id}/business-info", put(business::push))
        .route("/profiles/{external_id}/messages", post(messages::send))
        .route("/profiles/{external_id}/sessions/revoke", post(sessions::revoke))
        .route_layer(middleware::from_fn_with_state(sandbox.clone(), faults::misbehave))
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the contract has them, and a request without them is refused")]
struct CodeRequest {
    handle: Option<String>,
    external_id: Option<String>,
    code: String,
    purpose: String,
    expires_at: DateTime<Utc>,
    locale: String,
}

#[derive(Serialize, Deserialize)]
struct Delivered {
    external_id: String,
}

/// Puts a code into a profile's inbox, once for each idempotency key.
async fn deliver_code(
    State(sandbox): State<Sandbox>,
    Path(platform): Path<String>,
    headers: HeaderMap,
    Json(request): Json<CodeRequest>,
) -> Result<(StatusCode, Json<Delivered>), Problem> {
    let sent_at = sandbox.0.clock.now();
    let call = Call::new(&sandbox, &platform, &headers, "POST /codes")?;
    let delivered = call.once("", |state, _| {
        let found = match (&request.handle, &request.external_id) {
            (Some(handle), _) => state.profile_of_handle(handle),
            (None, Some(external_id)) => state.profile(external_id),
            (None, None) => return Err(Problem::new(StatusCode::BAD_REQUEST, "handle or external_id")),
        };
        let unknown = || Problem::new(StatusCode::NOT_FOUND, "nobody has this handle");
        let external_id = found.ok_or_else(unknown)?.external_id.clone();
        state.keep_code(Code {
            external_id: external_id.clone(),
            code: request.code,
            purpose: request.purpose,
            sent_at,
        });
        Ok(Delivered { external_id })
    })?;
    Ok((StatusCode::ACCEPTED, Json(delivered)))
}

/// Name, handle, avatar and state of a profile.
async fn profile(
    State(sandbox): State<Sandbox>,
    Path((platform, external_id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Profile>, Problem> {
    let call = Call::new(&sandbox, &platform, &headers, "GET /profiles/{external_id}")?;
    call.read(|state| state.profile(&external_id).cloned().map(Json).ok_or_else(Problem::no_such_profile))
}
