//! What happens to accounts.

use chrono::{DateTime, Utc};
use sea_orm::prelude::Json;
use serde::{Deserialize, Serialize};

use crate::link_graph::event::{ConnectionChanged, LinkStatusChanged};
use crate::passkey::event::PasskeyChanged;
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

/// The account is going to be deleted, or is kept after all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeletionChanged {
    /// When it is deleted; absent where it is kept.
    pub deletes_at: Option<DateTime<Utc>>,
}

impl StreamEvent for DeletionChanged {
    const KIND: &'static str = "account_deletion_changed";
    // The date is in the account's own row.
    const CHANGES_GRAPH: bool = true;
    const RECORDED: bool = true;
}

/// An operator did something with the account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountAdministered {
    pub action: Administration,
    /// Who it was, as they called themselves.
    pub operator: String,
}

/// What an operator does with an account that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Administration {
    Shown,
    Locked,
    Unlocked,
}

impl StreamEvent for AccountAdministered {
    const KIND: &'static str = "account_administered";
    const CHANGES_GRAPH: bool = false;
    const RECORDED: bool = true;
}

/// The account is erased; the last event of its stream, and all that is left of its history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountErased {
    /// The operator who did it; absent where its owner had asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
}

impl StreamEvent for AccountErased {
    const KIND: &'static str = "account_erased";
    // There is none any more.
    const CHANGES_GRAPH: bool = true;
    const RECORDED: bool = true;
}

/// Everything that can happen to an account, by its kind.
#[derive(Clone, Debug)]
pub enum Happened {
    Account(AccountChanged),
    Suggestion(SuggestionDismissed),
    Deletion(DeletionChanged),
    Administered(AccountAdministered),
    Erased(AccountErased),
    LinkStatus(LinkStatusChanged),
    Connection(ConnectionChanged),
    Profile(ProfileChanged),
    Session(SessionChanged),
    Alert(AlertRaised),
    Claimed(ProfileClaimed),
    Passkey(PasskeyChanged),
    ClaimStarted(ClaimStarted),
}

impl Happened {
    /// What a row of the account's stream says; `None` if its kind is of another release.
    pub fn parse(kind: &str, payload: Json) -> Option<serde_json::Result<Self>> {
        match kind {
            AccountChanged::KIND => Some(serde_json::from_value(payload).map(Self::Account)),
            SuggestionDismissed::KIND => Some(serde_json::from_value(payload).map(Self::Suggestion)),
            DeletionChanged::KIND => Some(serde_json::from_value(payload).map(Self::Deletion)),
            AccountAdministered::KIND => Some(serde_json::from_value(payload).map(Self::Administered)),
            AccountErased::KIND => Some(serde_json::from_value(payload).map(Self::Erased)),
            LinkStatusChanged::KIND => Some(serde_json::from_value(payload).map(Self::LinkStatus)),
            ConnectionChanged::KIND => Some(serde_json::from_value(payload).map(Self::Connection)),
            ProfileChanged::KIND => Some(serde_json::from_value(payload).map(Self::Profile)),
            SessionChanged::KIND => Some(serde_json::from_value(payload).map(Self::Session)),
            AlertRaised::KIND => Some(serde_json::from_value(payload).map(Self::Alert)),
            ProfileClaimed::KIND => Some(serde_json::from_value(payload).map(Self::Claimed)),
            PasskeyChanged::KIND => Some(serde_json::from_value(payload).map(Self::Passkey)),
            ClaimStarted::KIND => Some(serde_json::from_value(payload).map(Self::ClaimStarted)),
            _ => None,
        }
    }
}
