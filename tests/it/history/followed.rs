//! What there is to follow of an account, and what its events show.

use serde_json::Value;

use super::checks::{Account, Broken, Sight, broken};
use super::replay::Kind;

const LINKS: &str = "subscription($after: String) { event: linkStatusChanged(after: $after) { __typename cursor \
    linkStatus graphVersion profile { id status account { version displayName } } } }";
const CONNECTIONS: &str = "subscription($after: String) { event: connectionChanged(after: $after) { __typename \
    cursor enabled graphVersion source { id status account { version displayName } } } }";
const EVERYTHING: &str = "subscription($after: String) { event: accountEvents(after: $after) { __typename cursor \
    ... on AccountChange { account { version displayName } } \
    ... on LinkStatusChange { graphVersion profile { id status account { version displayName } } } \
    ... on ConnectionChange { graphVersion source { id status account { version displayName } } } \
    ... on SessionChange { endedSessionId session { id } } \
    ... on SecurityAlertRaised { alert { kind profile { id status account { version displayName } } } } } }";
/// For those who want no objects and ask for the account then.
const BARE: [&str; 3] = [
    "subscription($after: String) { event: accountEvents(after: $after) { __typename cursor } }",
    "subscription($after: String) { event: linkStatusChanged(after: $after) { __typename cursor } }",
    "subscription($after: String) { event: connectionChanged(after: $after) { __typename cursor } }",
];

pub const ONCE: &str = "each event once and in order";

/// What a subscriber follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    Everything,
    Links,
    Connections,
}

impl Follows {
    pub fn query(self, refetches: bool) -> &'static str {
        match self {
            _ if refetches => BARE[self as usize],
            Self::Everything => EVERYTHING,
            Self::Links => LINKS,
            Self::Connections => CONNECTIONS,
        }
    }

    pub fn covers(self, kind: Kind) -> bool {
        match self {
            Self::Everything => kind != Kind::Other,
            Self::Links => kind == Kind::Link,
            Self::Connections => kind == Kind::Connection,
        }
    }
}

pub fn kind_of(event: &Value) -> Option<(Kind, &'static str)> {
    match event["__typename"].as_str()? {
        "AccountChange" => Some((Kind::Account, "AccountChange")),
        "LinkStatusChange" => Some((Kind::Link, "LinkStatusChange")),
        "ConnectionChange" => Some((Kind::Connection, "ConnectionChange")),
        "SessionChange" => Some((Kind::Session, "SessionChange")),
        "SecurityAlertRaised" => Some((Kind::Alert, "SecurityAlertRaised")),
        _ => None,
    }
}

/// What an event refers to is shown at its version or later, and as it is at that version.
pub fn look_at_objects(account: &Account, event: &Value, number: i64) -> Result<(), Broken> {
    if let Some(graph_version) = event["graphVersion"].as_i64()
        && graph_version != number
    {
        return broken(ONCE, format!("`graphVersion` {graph_version} of event {number}"));
    }
    let profile = match event["__typename"].as_str() {
        Some("ConnectionChange") => &event["source"],
        // Clients do nothing else that somebody is warned of, and neither open sessions nor end them.
        Some("SecurityAlertRaised") if event["alert"]["kind"] == "PROFILE_UNLINKED" => {
            &event["alert"]["profile"]
        }
        _ => &event["profile"],
    };
    let shown = if profile.is_object() { &profile["account"] } else { &event["account"] };
    let Some(version) = shown["version"].as_i64() else {
        return broken("an event shows its objects", format!("it shows none: {event}"));
    };
    if version < number {
        let how = format!("event {number} shows version {version}");
        return broken("an event's objects are of its version or later", how);
    }
    let mut sight = Sight { version, name: shown["displayName"].as_str(), ..Sight::default() };
    if let Some(id) = profile["id"].as_str() {
        let status = serde_json::from_value(profile["status"].clone());
        let Ok(status) = status else {
            return broken("answers are as the schema says", format!("a status: {event}"));
        };
        sight.profile = Some((account.profile(id)?, status));
    }
    account.see(&sight)
}
