//! Notices: what the hub tells a profile's owner where they are.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Sandbox;
use super::once::{Call, require_profile};
use super::problem::Problem;

#[derive(Clone, Serialize, Deserialize)]
pub struct Notice {
    pub external_id: String,
    pub kind: String,
    pub locale: String,
    pub text: String,
    pub action_url: Option<String>,
    pub sent_at: DateTime<Utc>,
}

#[derive(Deserialize)]
pub struct NewNotice {
    kind: String,
    locale: String,
    text: String,
    action_url: Option<String>,
}

/// Puts a notice into a profile's inbox, once for each idempotency key.
pub async fn tell(
    State(sandbox): State<Sandbox>,
    Path((platform, external_id)): Path<(String, String)>,
    headers: HeaderMap,
    Json(new): Json<NewNotice>,
) -> Result<StatusCode, Problem> {
    let sent_at = sandbox.0.clock.now();
    let call = Call::new(&sandbox, &platform, &headers, "POST /profiles/{external_id}/notices")?;
    call.once(&external_id, |state, _| {
        require_profile(state, &external_id)?;
        let NewNotice { kind, locale, text, action_url } = new;
        let notice = Notice { external_id: external_id.clone(), kind, locale, text, action_url, sent_at };
        super::state::keep(&mut state.notices, notice);
        Ok(())
    })?;
    Ok(StatusCode::ACCEPTED)
}
