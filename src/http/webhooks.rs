//! What platforms tell us (the platform contract in `README.md`): stored, then answered; a job does the rest.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Wire;
use super::body::collect;
use crate::error::Error;
use crate::profile::{self, ProfileWebhook};

/// The events that make us look at a profile. Others are acknowledged, and do nothing.
const ABOUT_PROFILES: [&str; 6] = [
    "profile.updated",
    "profile.deactivated",
    "profile.reactivated",
    "profile.credentials_expired",
    "profile.deleted",
    "privacy.changed",
];

#[derive(Deserialize)]
struct Message {
    r#type: String,
    platform: String,
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
struct AboutProfile {
    external_id: String,
}

/// Takes a webhook. 204 says that it is stored, or that there is nothing in it for us.
pub(super) async fn receive(
    State(wire): State<Arc<Wire>>,
    Path(platform): Path<String>,
    request: Request,
) -> Response {
    let Some(platform) = wire.app.platforms.get(&platform).cloned() else {
        return refuse(StatusCode::NOT_FOUND, "no such platform is configured here");
    };
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let limits = wire.app.config.http.body();
    let body = match collect(body, limits).await {
        Ok(body) => body,
        Err(unread) => return refuse(unread.status(), &unread.message(limits)),
    };
    let id = match platform.webhooks.verify(&headers, &body, wire.app.clock.now()) {
        Ok(id) => id,
        Err(error) => return refuse(StatusCode::UNAUTHORIZED, &error.to_string()),
    };
    let Ok(message) = serde_json::from_slice::<Message>(&body) else {
        let expected = "the body is not {\"type\": \"…\", \"platform\": \"…\", \"data\": {…}}";
        return refuse(StatusCode::BAD_REQUEST, expected);
    };
    if message.platform != platform.key.as_str() {
        return refuse(StatusCode::UNAUTHORIZED, "the body is of another platform");
    }
    if !ABOUT_PROFILES.contains(&message.r#type.as_str()) {
        return StatusCode::NO_CONTENT.into_response();
    }
    let Ok(about) = serde_json::from_value::<AboutProfile>(message.data) else {
        return refuse(StatusCode::BAD_REQUEST, "data.external_id is missing");
    };
    // By the contract it is opaque, but no database keeps every character.
    if about.external_id.len() > 255 || about.external_id.contains(char::is_control) {
        return refuse(StatusCode::BAD_REQUEST, "data.external_id has over 255 bytes or control characters");
    }
    let webhook = ProfileWebhook {
        platform: &message.platform,
        id,
        external_id: &about.external_id,
        kind: &message.r#type,
    };
    match profile::look_again(&wire.app, webhook).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => {
            error.log();
            let status = match error {
                Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            refuse(status, &error.to_string())
        }
    }
}

fn refuse(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({ "error": detail }))).into_response()
}
