//! What happens to accounts.

use sea_orm::prelude::Json;
use serde::{Deserialize, Serialize};

use crate::link_graph::event::{ConnectionChanged, LinkStatusChanged};
use crate::profile::event::{ClaimStarted, ProfileChanged, ProfileClaimed};
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

/// The person does not want to be asked to link a profile of this platform any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SuggestionDismissed {
    pub platform: String,
}

impl StreamEvent for SuggestionDismissed {
    const KIND: &'static str = "suggestion_dismissed";
    const CHANGES_GRAPH: bool = false;
    // Nothing that an audit asks for.
    const RECORDED: bool = false;
}

/// Everything that can happen to an account, by its kind.
#[derive(Clone, Debug)]
pub enum Happened {
    Account(AccountChanged),
    Suggestion(SuggestionDismissed),
    LinkStatus(LinkStatusChanged),
    Connection(ConnectionChanged),
    Profile(ProfileChanged),
    Session(SessionChanged),
    Alert(AlertRaised),
    Claimed(ProfileClaimed),
    ClaimStarted(ClaimStarted),
}

impl Happened {
    /// What a row of the account's stream says; `None` if its kind is of another release.
    pub fn parse(kind: &str, payload: Json) -> Option<serde_json::Result<Self>> {
        match kind {
            AccountChanged::KIND => Some(serde_json::from_value(payload).map(Self::Account)),
            SuggestionDismissed::KIND => Some(serde_json::from_value(payload).map(Self::Suggestion)),
            LinkStatusChanged::KIND => Some(serde_json::from_value(payload).map(Self::LinkStatus)),
            ConnectionChanged::KIND => Some(serde_json::from_value(payload).map(Self::Connection)),
            ProfileChanged::KIND => Some(serde_json::from_value(payload).map(Self::Profile)),
            SessionChanged::KIND => Some(serde_json::from_value(payload).map(Self::Session)),
            AlertRaised::KIND => Some(serde_json::from_value(payload).map(Self::Alert)),
            ProfileClaimed::KIND => Some(serde_json::from_value(payload).map(Self::Claimed)),
            ClaimStarted::KIND => Some(serde_json::from_value(payload).map(Self::ClaimStarted)),
            _ => None,
        }
    }
}
