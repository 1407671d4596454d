//! Messages: what a profile writes, and what a contact writes to it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::once::{Call, require_profile};
use super::problem::Problem;
use super::state::keep;
use super::{Sandbox, webhooks};

#[derive(Clone, Serialize, Deserialize)]
pub struct Message {
    pub message_id: String,
    /// The profile that it is of or for.
    pub external_id: String,
    /// Where the profile wrote it.
    pub conversation_id: Option<String>,
    /// Who wrote it; absent where the profile did.
    pub contact: Option<String>,
    #[serde(flatten)]
    pub content: Content,
    pub sent_at: DateTime<Utc>,
}

/// One of both.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    Text(String),
    Ciphertext(String),
}

#[derive(Deserialize)]
pub struct NewMessage {
    conversation_id: String,
    #[serde(flatten)]
    content: Content,
}

#[derive(Serialize, Deserialize)]
pub struct Sent {
    message_id: String,
}

/// Sends what a profile writes, once for each idempotency key.
pub async fn send(
    State(sandbox): State<Sandbox>,
    Path((platform, external_id)): Path<(String, String)>,
    headers: HeaderMap,
    Json(new): Json<NewMessage>,
) -> Result<(StatusCode, Json<Sent>), Problem> {
    let (message_id, sent_at) = (sandbox.new_id("message"), sandbox.0.clock.now());
    let call = Call::new(&sandbox, &platform, &headers, "POST /profiles/{external_id}/messages")?;
    let sent = call.once(&external_id, |state, _| {
        require_profile(state, &external_id)?;
        let message = Message {
            message_id: message_id.clone(),
            external_id: external_id.clone(),
            conversation_id: Some(new.conversation_id),
            contact: None,
            content: new.content,
            sent_at,
        };
        keep(&mut state.messages, message);
        Ok(Sent { message_id })
    })?;
    Ok((StatusCode::CREATED, Json(sent)))
}

#[derive(Deserialize)]
pub struct FromContact {
    external_id: String,
    contact: String,
    #[serde(flatten)]
    content: Content,
}

/// A contact writes to a profile: it is kept, and the webhook that tells of it is sent.
pub async fn receive(
    State(sandbox): State<Sandbox>,
    Path(platform): Path<String>,
    Json(new): Json<FromContact>,
) -> Result<(StatusCode, Json<Sent>), Problem> {
    let state = sandbox.platform(&platform).ok_or_else(Problem::unknown_platform)?;
    let message = Message {
        message_id: sandbox.new_id("message"),
        external_id: new.external_id,
        conversation_id: None,
        contact: Some(new.contact),
        content: new.content,
        sent_at: sandbox.0.clock.now(),
    };
    let mut copies = 0;
    let found = state.send_if_modified(|state| {
        copies = state.faults.webhook_copies();
        let found = require_profile(state, &message.external_id).is_ok();
        if found {
            keep(&mut state.messages, message.clone());
        }
        found
    });
    if !found {
        return Err(Problem::no_such_profile());
    }
    let mut data = json!({
        "external_id": message.external_id,
        "message_id": message.message_id,
        "contact": message.contact,
        "sent_at": message.sent_at,
    });
    match message.content {
        Content::Text(text) => data["text"] = text.into(),
        Content::Ciphertext(ciphertext) => data["ciphertext"] = ciphertext.into(),
    }
    webhooks::tell(&sandbox, &platform, ("message.received", data), copies);
    Ok((StatusCode::CREATED, Json(Sent { message_id: message.message_id })))
}
