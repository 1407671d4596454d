//! What happens to links.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::graphql::{LinkStatus, LinkStatusReason};
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
}
