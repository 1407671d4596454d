//! What happens to profiles beside their links.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::StreamEvent;

/// The handle, the name or the picture of a profile changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProfileChanged {
    pub profile: Uuid,
}

impl StreamEvent for ProfileChanged {
    const KIND: &'static str = "profile_changed";
    // They are in the graph that is cached.
    const CHANGES_GRAPH: bool = true;
    const RECORDED: bool = true;
}
