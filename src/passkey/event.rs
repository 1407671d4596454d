//! What happens to passkeys.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::StreamEvent;

/// A passkey was added, has another name, or is gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PasskeyChanged {
    pub passkey: Uuid,
    pub change: PasskeyChange,
}

/// What happened to a passkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PasskeyChange {
    Added,
    Renamed,
    Deleted,
}

impl StreamEvent for PasskeyChanged {
    const KIND: &'static str = "passkey_changed";
    const CHANGES_GRAPH: bool = false;
    const RECORDED: bool = true;
}
