//! What the person is warned of, as it happens.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::StreamEvent;

/// An alert was raised.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AlertRaised {
    pub alert: Uuid,
}

impl StreamEvent for AlertRaised {
    const KIND: &'static str = "security_alert_raised";
    const CHANGES_GRAPH: bool = false;
    // What it warns of is recorded itself, and the alert stays, too.
    const RECORDED: bool = false;
}
