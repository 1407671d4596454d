//! What happens to links.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::graphql::{Experience, LinkStatus, LinkStatusReason};
use crate::store::StreamEvent;

/// A profile was linked, or its status changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LinkStatusChanged {
    pub profile: Uuid,
    /// Absent where the profile was just linked.
    pub previous: Option<LinkStatus>,
    pub status: LinkStatus,
    pub reason: LinkStatusReason,
}

impl StreamEvent for LinkStatusChanged {
    const KIND: &'static str = "link_status_changed";
    const CHANGES_GRAPH: bool = true;
    const RECORDED: bool = true;
}

/// An experience was turned on or off between two profiles, or paused or resumed because one of them was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectionChanged {
    pub connection: Uuid,
    pub source: Uuid,
    pub target: Uuid,
    pub experience: Experience,
    /// Whether its owner wants it; a paused one is enabled.
    pub enabled: bool,
}

impl StreamEvent for ConnectionChanged {
    const KIND: &'static str = "connection_changed";
    const CHANGES_GRAPH: bool = true;
    const RECORDED: bool = true;
}
