//! What goes to a platform and what comes back, as far as it can be kept.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::mask_handle;

/// Bytes of an external id or handle, characters of a name, bytes of a URL that are kept.
const MAX_ID: usize = 255;
const MAX_NAME: usize = 200;
const MAX_URL: usize = 2000;
/// Bytes of a profile's privacy settings.
const MAX_SETTINGS: usize = 8 * 1024;

/// To whom a code goes. Both are for the platform alone.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// Whoever is behind this handle.
    Handle(String),
    /// This profile, whatever its handle is by now.
    ExternalId(String),
}

/// A code on its way to a profile.
#[derive(Serialize)]
pub struct CodeDelivery<'a> {
    #[serde(flatten)]
    pub to: &'a Recipient,
    pub code: &'a str,
    pub purpose: &'a str,
    pub expires_at: DateTime<Utc>,
    pub locale: &'a str,
}

/// What a platform says of one of its profiles. The handle is unmasked: mask it before it goes anywhere.
#[derive(Clone, Serialize, Deserialize)]
pub struct ProfileClaim {
    pub external_id: String,
    pub handle: String,
    pub display_name: String,
    pub avatar_url: Option<String>,
    pub state: ProfileState,
}

impl ProfileClaim {
    /// The claim if it can be kept: ids and handles as they are, names without what is no text.
    pub(super) fn checked(mut self) -> Option<Self> {
        let is_kept = |text: &str| (1..=MAX_ID).contains(&text.len()) && !text.contains(char::is_control);
        // A deleted profile has no handle any more: it may be somebody else's.
        let has_handle = self.state == ProfileState::Deleted || is_kept(&self.handle);
        if !is_kept(&self.external_id) || !has_handle {
            return None;
        }
        let name = self.display_name.chars().filter(|c| !c.is_control());
        // Who has no name is often called by the number.
        self.display_name = mask_handle(&name.take(MAX_NAME).collect::<String>());
        self.avatar_url =
            self.avatar_url.filter(|url| url.len() <= MAX_URL && !url.contains(char::is_control));
        Some(self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileState {
    Active,
    Deactivated,
    CredentialsExpired,
    Deleted,
}

/// To whom a code went.
#[derive(Deserialize)]
pub(super) struct Delivered {
    pub external_id: String,
}

/// What the owner of a profile is told. It goes to a platform: no secret, and nothing of anybody's other profiles.
#[derive(Serialize)]
pub struct Notice<'a> {
    pub kind: &'a str,
    pub locale: &'a str,
    pub text: &'a str,
    /// Where they can do something about it.
    pub action_url: Option<&'a str>,
}

/// A profile's privacy settings at the platform.
#[derive(Clone, Deserialize)]
pub struct PrivacyRead {
    /// Raised with each change.
    pub revision: i64,
    pub settings: Map<String, Value>,
}

impl PrivacyRead {
    /// The settings if they can be kept: no database keeps every character.
    pub(super) fn checked(self) -> Option<Self> {
        let text = serde_json::to_string(&self.settings).ok()?;
        let is_kept = self.revision >= 0 && text.len() <= MAX_SETTINGS && !text.contains("\\u0000");
        is_kept.then_some(self)
    }
}
