//! What happens to accounts.

use serde::{Deserialize, Serialize};

use crate::store::StreamEvent;

/// The name or the picture of the account changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountChanged {}

impl StreamEvent for AccountChanged {
    const KIND: &'static str = "account_changed";
    // The graph is cached together with the account's own row.
    const CHANGES_GRAPH: bool = true;
    const RECORDED: bool = true;
}
