//! What happens to sessions.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::StreamEvent;

/// A session was opened, or it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionChanged {
    pub session: Uuid,
    /// Why it ended; absent where it was opened.
    pub ended: Option<SessionEnd>,
}

/// Why a session ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SessionEnd {
    /// The person signed it out.
    SignedOut,
    /// The profile that opened it is not active any more.
    ProfileNotActive,
    /// One of its refresh tokens was used twice.
    RefreshTokenReused,
    /// An operator has locked the account.
    AccountLocked,
    /// There were too many of them, and it was used longest ago.
    TooMany,
    /// The passkey that opened it was deleted.
    PasskeyDeleted,
}

impl StreamEvent for SessionChanged {
    const KIND: &'static str = "session_changed";
    const CHANGES_GRAPH: bool = false;
    const RECORDED: bool = true;
}
