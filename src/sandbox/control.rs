//! What tests and people do with a sandbox platform.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, patch, post, put};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Sandbox;
use super::faults::Faults;
use super::openid;
use super::problem::Problem;
use super::state::Profile;
use super::{messages, privacy, publications, webhooks};
use crate::platform::ProfileState;

pub fn router() -> Router<Sandbox> {
    Router::new()
        .route("/state", get(state))
        .route("/profiles", post(add_profile))
        .route("/profiles/{external_id}", patch(change_profile))
        .route("/profiles/{external_id}/state", post(set_profile_state))
        .route("/profiles/{external_id}/privacy", patch(privacy::change))
        .route("/publications/{publication_id}", delete(publications::take_away))
        .route("/messages", post(messages::receive))
        .route("/inbox", get(inbox))
        .route("/faults", put(set_faults))
        .route("/keys", post(change_keys))
}

/// All it holds.
async fn state(State(sandbox): State<Sandbox>, Path(platform): Path<String>) -> Result<Json<Value>, Problem> {
    let state = sandbox.platform(&platform).ok_or_else(Problem::unknown_platform)?.borrow().clone();
    Ok(Json(json!({
        "profiles": state.profiles,
        "codes": state.codes,
        "notices": state.notices,
        "publications": state.publications,
        "messages": state.messages,
        "privacy": state.privacy,
        "business_info": state.business_info,
        "sessions_revoked": state.sessions_revoked,
        "requests": state.requests,
    })))
}

#[derive(Deserialize)]
struct NewProfile {
    external_id: String,
    handle: String,
    display_name: String,
    avatar_url: Option<String>,
}

async fn add_profile(
    State(sandbox): State<Sandbox>,
    Path(platform): Path<String>,
    Json(new): Json<NewProfile>,
) -> Result<(StatusCode, Json<Profile>), Problem> {
    if new.external_id.is_empty() || new.handle.is_empty() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "external_id and handle must not be empty"));
    }
    let profile = Profile {
        external_id: new.external_id,
        handle: new.handle,
        display_name: new.display_name,
        avatar_url: new.avatar_url,
        state: ProfileState::Active,
    };
    let state = sandbox.platform(&platform).ok_or_else(Problem::unknown_platform)?;
    let added = state.send_if_modified(|state| {
        let is_new = state.profile(&profile.external_id).is_none()
            && state.profile_of_handle(&profile.handle).is_none();
        if is_new {
            state.profiles.push(profile.clone());
        }
        is_new
    });
    if added {
        return Ok((StatusCode::CREATED, Json(profile)));
    }
    Err(Problem::new(StatusCode::CONFLICT, "a profile has this external_id or this handle already"))
}

#[derive(Deserialize)]
struct NewState {
    state: ProfileState,
}

/// Changes a profile's state, and sends the webhook that tells of it.
async fn set_profile_state(
    State(sandbox): State<Sandbox>,
    Path((platform, external_id)): Path<(String, String)>,
    Json(new): Json<NewState>,
) -> Result<StatusCode, Problem> {
    let kind = match new.state {
        ProfileState::Active => "profile.reactivated",
        ProfileState::Deactivated => "profile.deactivated",
        ProfileState::CredentialsExpired => "profile.credentials_expired",
        ProfileState::Deleted => "profile.deleted",
    };
    change(&sandbox, &platform, &external_id, kind, |profile| profile.state = new.state)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileUpdate {
    handle: Option<String>,
    display_name: Option<String>,
    avatar_url: Option<String>,
}

/// Changes what a platform shows of a profile, and sends the webhook that tells of it.
async fn change_profile(
    State(sandbox): State<Sandbox>,
    Path((platform, external_id)): Path<(String, String)>,
    Json(new): Json<ProfileUpdate>,
) -> Result<StatusCode, Problem> {
    change(&sandbox, &platform, &external_id, "profile.updated", |profile| {
        profile.handle = new.handle.unwrap_or_else(|| profile.handle.clone());
        profile.display_name = new.display_name.unwrap_or_else(|| profile.display_name.clone());
        profile.avatar_url = new.avatar_url.or_else(|| profile.avatar_url.clone());
    })
}

/// Changes a profile, and sends a webhook of this kind.
fn change(
    sandbox: &Sandbox,
    platform: &str,
    external_id: &str,
    kind: &'static str,
    change: impl FnOnce(&mut Profile),
) -> Result<StatusCode, Problem> {
    let state = sandbox.platform(platform).ok_or_else(Problem::unknown_platform)?;
    let mut copies = 0;
    let found = state.send_if_modified(|state| {
        copies = state.faults.webhook_copies();
        let profile = state.profiles.iter_mut().find(|profile| profile.external_id == external_id);
        profile.map(change).is_some()
    });
    if found {
        webhooks::tell(sandbox, platform, (kind, json!({ "external_id": external_id })), copies);
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::no_such_profile())
}

#[derive(Deserialize)]
struct InboxOf {
    handle: String,
}

#[derive(Serialize)]
struct Delivered {
    code: String,
    purpose: String,
    sent_at: DateTime<Utc>,
}

/// The codes and notices that were delivered to a handle, newest first.
async fn inbox(
    State(sandbox): State<Sandbox>,
    Path(platform): Path<String>,
    Query(of): Query<InboxOf>,
) -> Result<Json<Value>, Problem> {
    let state = sandbox.platform(&platform).ok_or_else(Problem::unknown_platform)?.borrow();
    let profile = state
        .profile_of_handle(&of.handle)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "nobody has this handle"))?;
    let newest_first = state.codes.iter().rev().filter(|code| code.external_id == profile.external_id);
    let codes: Vec<_> = newest_first
        .map(|code| Delivered {
            code: code.code.clone(),
            purpose: code.purpose.clone(),
            sent_at: code.sent_at,
        })
        .collect();
    let newest_first = state.notices.iter().rev();
    let notices: Vec<_> = newest_first.filter(|notice| notice.external_id == profile.external_id).collect();
    Ok(Json(json!({ "codes": codes, "notices": notices })))
}

/// Signs id tokens by a new key from now on, and lists only that.
async fn change_keys(
    State(sandbox): State<Sandbox>,
    Path(platform): Path<String>,
) -> Result<StatusCode, Problem> {
    let state = sandbox.platform(&platform).ok_or_else(Problem::unknown_platform)?;
    state.send_modify(|state| state.openid = openid::State::new(&sandbox.0.ids));
    Ok(StatusCode::NO_CONTENT)
}

/// Misbehave from now on; `{}` ends it.
async fn set_faults(
    State(sandbox): State<Sandbox>,
    Path(platform): Path<String>,
    Json(faults): Json<Faults>,
) -> Result<StatusCode, Problem> {
    let state = sandbox.platform(&platform).ok_or_else(Problem::unknown_platform)?;
    state.send_modify(|state| state.faults = faults);
    Ok(StatusCode::NO_CONTENT)
}
