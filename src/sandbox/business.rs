//! What a business says of itself at the platform.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Sandbox;
use super::once::{Call, require_profile};
use super::problem::Problem;

#[derive(Clone, Default, Serialize, Deserialize)]
pub struct BusinessInfo {
    pub revision: u64,
    pub info: Value,
}

/// Takes it unless it has a higher revision. The same once more changes nothing.
pub async fn push(
    State(sandbox): State<Sandbox>,
    Path((platform, external_id)): Path<(String, String)>,
    headers: HeaderMap,
    Json(new): Json<BusinessInfo>,
) -> Result<Json<BusinessInfo>, Problem> {
    let call = Call::new(&sandbox, &platform, &headers, "PUT /profiles/{external_id}/business-info")?;
    call.change(|state| {
        require_profile(state, &external_id)?;
        let present = state.business_info.entry(external_id).or_default();
        if new.revision < present.revision {
            return Err(Problem::older_revision(present.revision));
        }
        present.clone_from(&new);
        Ok(Json(new))
    })
}
