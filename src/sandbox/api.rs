//! What a platform offers, by the platform contract.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::state::{Code, Profile};
use super::{CREDENTIAL, Sandbox, faults};

pub fn router(sandbox: &Sandbox) -> Router<Sandbox> {
    Router::new()
        .route("/codes", post(deliver_code))
        .route("/profiles/{external_id}", get(profile))
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

#[derive(Serialize)]
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
    const ENDPOINT: &str = "POST /codes";
    let state = sandbox.platform(&platform).ok_or_else(Problem::unknown_platform)?;
    let sent_at = sandbox.0.clock.now();
    let mut result = Err(Problem::new(StatusCode::NOT_FOUND, "nobody has this handle"));
    state.send_modify(|state| {
        state.count_call(ENDPOINT);
        result = (|| {
            authorize(&headers)?;
            let key = idempotency_key(&headers)?;
            if let Some(first) = state.results.get(&key) {
                return Ok(first.clone());
            }
            let found = match (&request.handle, &request.external_id) {
                (Some(handle), _) => state.profile_of_handle(handle),
                (None, Some(external_id)) => state.profile(external_id),
                (None, None) => return Err(Problem::new(StatusCode::BAD_REQUEST, "handle or external_id")),
            };
            let unknown = || Problem::new(StatusCode::NOT_FOUND, "nobody has this handle");
            let external_id = found.ok_or_else(unknown)?.external_id.clone();
            state.keep_code(Code {
                external_id: external_id.clone(),
                code: request.code.clone(),
                purpose: request.purpose.clone(),
                sent_at,
            });
            state.count_effect(ENDPOINT);
            state.results.insert(key, external_id.clone());
            Ok(external_id)
        })();
    });
    result.map(|external_id| (StatusCode::ACCEPTED, Json(Delivered { external_id })))
}

/// Name, handle, avatar and state of a profile.
async fn profile(
    State(sandbox): State<Sandbox>,
    Path((platform, external_id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Profile>, Problem> {
    let state = sandbox.platform(&platform).ok_or_else(Problem::unknown_platform)?;
    state.send_modify(|state| state.count_call("GET /profiles/{external_id}"));
    authorize(&headers)?;
    let found = state.borrow().profile(&external_id).cloned();
    found.map(Json).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such profile"))
}

fn authorize(headers: &HeaderMap) -> Result<(), Problem> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if shown.and_then(|value| value.strip_prefix("Bearer ")) == Some(CREDENTIAL) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::UNAUTHORIZED, format!("the sandbox takes the credential {CREDENTIAL:?}")))
}

fn idempotency_key(headers: &HeaderMap) -> Result<String, Problem> {
    let key = headers.get("Idempotency-Key").and_then(|value| value.to_str().ok());
    key.filter(|key| !key.is_empty()).map(str::to_owned).ok_or_else(|| {
        Problem::new(StatusCode::BAD_REQUEST, "a POST with an effect bears an Idempotency-Key")
    })
}
