//! What a sandbox platform holds.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::business::BusinessInfo;
use super::faults::Faults;
use super::messages::Message;
use super::notices::Notice;
use super::openid;
use super::privacy::Privacy;
use super::publications::Publication;
use super::sessions::Revocation;
use crate::platform::{PlatformKey, ProfileClaim, ProfileState};

/// Codes, notices and the like that are kept for each platform.
const KEPT: usize = 10_000;

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PlatformState {
    pub profiles: Vec<Profile>,
    /// Oldest first.
    pub codes: Vec<Code>,
    /// The following are oldest first, too.
    pub notices: Vec<Notice>,
    pub publications: Vec<Publication>,
    pub messages: Vec<Message>,
    pub sessions_revoked: Vec<Revocation>,
    /// The following by external id.
    pub privacy: BTreeMap<String, Privacy>,
    pub business_info: BTreeMap<String, BusinessInfo>,
    /// By endpoint: how often it was called, and how often that had an effect.
    pub requests: BTreeMap<String, Requests>,
    /// The first result of each effect, by endpoint, profile and idempotency key.
    pub results: BTreeMap<String, Value>,
    /// Never saved: a restarted sandbox behaves.
    #[serde(skip)]
    pub faults: Faults,
    /// Never saved: a restarted sandbox has new keys, and knows no code any more.
    #[serde(skip)]
    pub openid: openid::State,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Profile {
    pub external_id: String,
    pub handle: String,
    pub display_name: String,
    pub avatar_url: Option<String>,
    pub state: ProfileState,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Code {
    pub external_id: String,
    pub code: String,
    pub purpose: String,
    pub sent_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub struct Requests {
    pub calls: u64,
    pub effects: u64,
}

/// A profile that every new sandbox has.
pub struct DemoProfile {
    pub external_id: &'static str,
    handle: &'static str,
    display_name: &'static str,
}

/// The first profile of the demo account. The numbers are ones that Germany keeps for films.
pub const DEMO_PROFILE: DemoProfile =
    DemoProfile { external_id: "wa_demo", handle: "+4917139200001", display_name: "Demo" };

const FREE_PROFILES: [DemoProfile; 2] = [
    DemoProfile { external_id: "wa_ada", handle: "+4917139200042", display_name: "Ada" },
    DemoProfile { external_id: "wa_grace", handle: "+4917139200043", display_name: "Grace" },
];

const FACEBOOK_PROFILES: [DemoProfile; 2] = [
    DemoProfile { external_id: "fb_ada", handle: "ada.lovelace", display_name: "Ada Lovelace" },
    DemoProfile { external_id: "fb_grace", handle: "grace.hopper", display_name: "Grace Hopper" },
];

const INSTAGRAM_PROFILES: [DemoProfile; 2] = [
    DemoProfile { external_id: "ig_ada", handle: "ada_draws", display_name: "Ada" },
    DemoProfile { external_id: "ig_grace", handle: "grace_sails", display_name: "Grace" },
];

impl From<DemoProfile> for ProfileClaim {
    fn from(demo: DemoProfile) -> Self {
        Self {
            external_id: demo.external_id.to_owned(),
            handle: demo.handle.to_owned(),
            display_name: demo.display_name.to_owned(),
            avatar_url: None,
            state: ProfileState::Active,
        }
    }
}

impl From<DemoProfile> for Profile {
    fn from(demo: DemoProfile) -> Self {
        let ProfileClaim { external_id, handle, display_name, avatar_url, state } = demo.into();
        Self { external_id, handle, display_name, avatar_url, state }
    }
}

impl PlatformState {
    pub fn with_demo_profiles(key: &PlatformKey) -> Self {
        let profiles = match key.as_str() {
            "whatsapp" => [DEMO_PROFILE].into_iter().chain(FREE_PROFILES).map(Profile::from).collect(),
            "facebook" => FACEBOOK_PROFILES.map(Profile::from).into(),
            "instagram" => INSTAGRAM_PROFILES.map(Profile::from).into(),
            _ => Vec::new(),
        };
        Self { profiles, ..Self::default() }
    }

    pub fn profile(&self, external_id: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.external_id == external_id)
    }

    pub fn profile_of_handle(&self, handle: &str) -> Option<&Profile> {
        self.profiles
            .iter()
            .find(|profile| profile.handle == handle && profile.state != ProfileState::Deleted)
    }

    pub fn count_call(&mut self, endpoint: &str) {
        self.requests.entry(endpoint.to_owned()).or_default().calls += 1;
    }

    pub fn count_effect(&mut self, endpoint: &str) {
        self.requests.entry(endpoint.to_owned()).or_default().effects += 1;
    }

    pub fn keep_code(&mut self, code: Code) {
        keep(&mut self.codes, code);
    }
}

/// Keeps what is new, and forgets what is old.
pub fn keep<T>(kept: &mut Vec<T>, new: T) {
    kept.push(new);
    let surplus = kept.len().saturating_sub(KEPT);
    kept.drain(..surplus);
}
