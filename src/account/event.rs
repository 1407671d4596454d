//! What happens to accounts.

use sea_orm::prelude::Json;
use serde::{Deserialize, Serialize};

use crate::link_graph::event::{ConnectionChanged, LinkStatusChanged};
use crate::profile::event::ProfileChanged;
use crate::security::event::AlertRaised;
use crate::session::event::SessionChanged;
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

/// Everything that can happen to an account, by its kind.
#[derive(Clone, Debug)]
pub enum Happened {
    Account(AccountChanged),
    LinkStatus(LinkStatusChanged),
    Connection(ConnectionChanged),
    Profile(ProfileChanged),
    Session(SessionChanged),
    Alert(AlertRaised),
}

impl Happened {
    /// What a row of the account's stream says; `None` if its kind is of another release.
    pub fn parse(kind: &str, payload: Json) -> Option<serde_json::Result<Self>> {
        match kind {
            AccountChanged::KIND => Some(serde_json::from_value(payload).map(Self::Account)),
            LinkStatusChanged::KIND => Some(serde_json::from_value(payload).map(Self::LinkStatus)),
            ConnectionChanged::KIND => Some(serde_json::from_value(payload).map(Self::Connection)),
            ProfileChanged::KIND => Some(serde_json::from_value(payload).map(Self::Profile)),
            SessionChanged::KIND => Some(serde_json::from_value(payload).map(Self::Session)),
            AlertRaised::KIND => Some(serde_json::from_value(payload).map(Self::Alert)),
            _ => None,
        }
    }
}
