//! What the sockets run commits, and by what its events are known again.

use std::time::Instant;

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::json;

use crate::beside::Tell;
use crate::client::{Answer, Api, UserError, refuse};
use crate::proof::Proof;

const RENAME: &str = "mutation Rename($name: String!) {
  updateAccount(input: { displayName: $name }) { account { eventCursor } userErrors { code message } }
}";

/// The events that the sockets follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// `accountEvents`, which tell of every new display name
    Account,
    /// `linkStatusChanged`, which tell of every new profile
    Link,
    /// `accountEvents` with a field of a subgraph beside the accounts graph
    Completed,
    /// `loadTold`, whose root is in that subgraph
    Told,
}

/// A change that takes one more request.
pub enum Change {
    Link(Proof),
    Rename(String),
    Tell(String),
}

/// A change that was committed.
#[derive(Debug)]
pub struct Commit {
    pub account: usize,
    /// What its event bears and no other one: the event's cursor, or the id of the profile that was linked.
    pub mark: String,
    /// Just before the request that committed it was written.
    pub sent: Instant,
    /// When the answer to that request was here.
    pub answered: Instant,
}

/// An event as a socket heard it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    link_status_changed: Option<LinkStatusChange>,
    account_events: Option<AccountEvent>,
    load_told: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LinkStatusChange {
    cursor: String,
    link_status: String,
    graph_version: i64,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountEvent {
    #[serde(rename = "__typename")]
    kind: String,
    cursor: String,
    account: Option<Named>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    display_name: String,
    profiles: Option<Vec<Followed>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Followed {
    load_followers: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Renamed {
    update_account: RenamedPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RenamedPayload {
    account: Option<Position>,
    user_errors: Vec<UserError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Position {
    event_cursor: String,
}

impl Event {
    /// The subscription that a socket of `account` opens.
    pub fn subscription(self, account: usize) -> String {
        let of_account = |fields| {
            format!(
                "subscription {{ accountEvents {{ __typename cursor ... on AccountChange {{ account {{ {fields} }} }} }} }}"
            )
        };
        match self {
            Self::Link => {
                "subscription { linkStatusChanged { cursor linkStatus graphVersion profile { id } } }"
                    .to_owned()
            }
            Self::Account => of_account("displayName"),
            Self::Completed => of_account("displayName profiles { loadFollowers }"),
            Self::Told => format!("subscription {{ loadTold(account: {account}) }}"),
        }
    }

    /// Whether it takes a subgraph beside the accounts graph.
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Completed | Self::Told)
    }

    /// Does all of a change but its last request. `number` tells it from any other one of the run.
    pub async fn prepare(self, api: &Api, token: &str, number: usize) -> anyhow::Result<Change> {
        Ok(match self {
            Self::Link => Change::Link(Proof::of_link(api, token).await.context("starting a link")?),
            Self::Account | Self::Completed => Change::Rename(format!("Load {number}")),
            Self::Told => Change::Tell(format!("mark {number}")),
        })
    }
}

impl Change {
    /// Commits it on `account`. Nothing else may change the account meanwhile: its newest cursor has to be that
    /// of the one event.
    pub async fn commit(self, api: &Api, account: usize, token: &str) -> anyhow::Result<Commit> {
        let Answer { data: mark, sent, received: answered } = match self {
            Self::Link(proof) => proof.link(api, token).await.context("linking a profile")?,
            Self::Rename(name) => rename(api, token, &name).await.context("changing a display name")?,
            Self::Tell(mark) => {
                let tell = Tell { account, mark };
                let (sent, received) = api.tell(&tell).await.context("having the subgraph tell something")?;
                Answer { data: tell.mark, sent, received }
            }
        };
        Ok(Commit { account, mark, sent, answered })
    }
}

/// Changes the display name; gives the cursor of the account's newest event.
async fn rename(api: &Api, token: &str, name: &str) -> anyhow::Result<Answer<String>> {
    let answer: Answer<Renamed> = api.execute(RENAME, json!({ "name": name }), Some(token)).await?;
    let RenamedPayload { account, user_errors } = answer.data.update_account;
    refuse(&user_errors)?;
    let data = account.context("neither an account nor errors")?.event_cursor;
    Ok(Answer { data, sent: answer.sent, received: answer.received })
}

impl Told {
    /// The mark of the commit that it tells of, if it tells of one as this run makes them.
    pub fn mark(self) -> anyhow::Result<String> {
        match (self.link_status_changed, self.account_events, self.load_told) {
            (Some(change), None, None) => change.mark(),
            (None, Some(event), None) => event.mark(),
            (None, None, Some(mark)) => Ok(mark),
            _ => anyhow::bail!("an event without a field"),
        }
    }
}

impl LinkStatusChange {
    fn mark(self) -> anyhow::Result<String> {
        let Self { cursor, link_status, graph_version, profile } = self;
        ensure!(
            link_status == "ACTIVE" && graph_version > 0 && !cursor.is_empty(),
            "an event with status {link_status}, graph version {graph_version}, cursor `{cursor}`"
        );
        Ok(profile.context("an event without its profile")?.id)
    }
}

impl AccountEvent {
    fn mark(self) -> anyhow::Result<String> {
        let Self { kind, cursor, account } = self;
        let Named { display_name: name, profiles } = account.context("an event without its account")?;
        // A number of three digits, if it was asked for.
        let followed = |profiles: Vec<Followed>| {
            !profiles.is_empty() && profiles.iter().all(|it| it.load_followers > 99)
        };
        ensure!(profiles.is_none_or(followed), "an event without what the subgraph knows");
        ensure!(
            kind == "AccountChange" && name.starts_with("Load ") && !cursor.is_empty(),
            "an event {kind} with the display name `{name}` and the cursor `{cursor}`"
        );
        Ok(cursor)
    }
}
