//! Logins elsewhere that came from a profile here.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Sandbox;
use super::once::{Call, require_profile};
use super::problem::Problem;
use super::state::keep;

#[derive(Clone, Serialize, Deserialize)]
pub struct Revocation {
    pub external_id: String,
    pub revoked_at: DateTime<Utc>,
}

/// Ends the logins that came from a profile.
pub async fn revoke(
    State(sandbox): State<Sandbox>,
    Path((platform, external_id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let revoked_at = sandbox.0.clock.now();
    let call = Call::new(&sandbox, &platform, &headers, "POST /profiles/{external_id}/sessions/revoke")?;
    call.once(&external_id, |state, _| {
        require_profile(state, &external_id)?;
        keep(&mut state.sessions_revoked, Revocation { external_id: external_id.clone(), revoked_at });
        Ok(())
    })?;
    Ok(StatusCode::NO_CONTENT)
}
