//! What happens to profiles beside their links.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::StreamEvent;

/// The handle, the name or the picture of a profile changed, or whether it signs in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProfileChanged {
    pub profile: Uuid,
    /// Whether it signs in from then on; absent where that is not what changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<bool>,
}

impl StreamEvent for ProfileChanged {
    const KIND: &'static str = "profile_changed";
    // They are in the graph that is cached.
    const CHANGES_GRAPH: bool = true;
    const RECORDED: bool = true;
}

/// Somebody else has proved a profile and claims it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProfileClaimed {
    pub profile: Uuid,
    /// Until then its owner can prove it as well.
    pub due_at: DateTime<Utc>,
}

impl StreamEvent for ProfileClaimed {
    const KIND: &'static str = "profile_claimed";
    const CHANGES_GRAPH: bool = false;
    const RECORDED: bool = true;
}

/// This account has claimed a profile of another one. Whose it is, it must not learn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClaimStarted {
    pub platform: String,
}

impl StreamEvent for ClaimStarted {
    const KIND: &'static str = "profile_claim_started";
    const CHANGES_GRAPH: bool = false;
    const RECORDED: bool = true;
}
