//! A profile's privacy settings at the platform: read and pushed by the hub, changed by the person.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::once::{Call, require_profile};
use super::problem::Problem;
use super::{Sandbox, webhooks};

/// What a profile's owner shares at the platform. Each change has a higher revision.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Privacy {
    pub revision: u64,
    pub settings: BTreeMap<String, Value>,
}

/// A profile that has set nothing has revision 0.
pub async fn read(
    State(sandbox): State<Sandbox>,
    Path((platform, external_id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Privacy>, Problem> {
    let call = Call::new(&sandbox, &platform, &headers, "GET /profiles/{external_id}/privacy")?;
    call.read(|state| {
        require_profile(state, &external_id)?;
        Ok(Json(state.privacy.get(&external_id).cloned().unwrap_or_default()))
    })
}

/// Takes the settings unless it has a higher revision. The same once more changes nothing.
pub async fn push(
    State(sandbox): State<Sandbox>,
    Path((platform, external_id)): Path<(String, String)>,
    headers: HeaderMap,
    Json(new): Json<Privacy>,
) -> Result<Json<Privacy>, Problem> {
    let call = Call::new(&sandbox, &platform, &headers, "PUT /profiles/{external_id}/privacy")?;
    call.change(|state| {
        require_profile(state, &external_id)?;
        let present = state.privacy.entry(external_id).or_default();
        if new.revision < present.revision {
            return Err(Problem::older_revision(present.revision));
        }
        present.clone_from(&new);
        Ok(Json(new))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonsChange {
    settings: BTreeMap<String, Value>,
}

/// The person changes some of the settings at the platform, which sends the webhook that tells of it.
pub async fn change(
    State(sandbox): State<Sandbox>,
    Path((platform, external_id)): Path<(String, String)>,
    Json(change): Json<PersonsChange>,
) -> Result<StatusCode, Problem> {
    let state = sandbox.platform(&platform).ok_or_else(Problem::unknown_platform)?;
    let mut copies = 0;
    let found = state.send_if_modified(|state| {
        copies = state.faults.webhook_copies();
        let found = require_profile(state, &external_id).is_ok();
        if found {
            let present = state.privacy.entry(external_id.clone()).or_default();
            present.revision += 1;
            present.settings.extend(change.settings);
        }
        found
    });
    if !found {
        return Err(Problem::no_such_profile());
    }
    webhooks::tell(&sandbox, &platform, ("privacy.changed", json!({ "external_id": external_id })), copies);
    Ok(StatusCode::NO_CONTENT)
}
