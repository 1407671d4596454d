//! The judgement of an account's history, when all is still: what was seen is what the events of the database say.

use std::collections::HashSet;

use accounts_center::account::event::AccountChanged;
use accounts_center::link_graph::event::{ConnectionChanged, LinkStatusChanged};
use accounts_center::link_graph::graphql::LinkStatus;
use accounts_center::security::event::AlertRaised;
use accounts_center::session::event::SessionChanged;
use accounts_center::store::StreamEvent;
use accounts_center_entity::{account, event, experience_grant, linked_profile, profile_connection, stream};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder};
use serde::Deserialize;
use uuid::Uuid;

use super::checks::{Account, Broken, Content, Edges, Rename, Sight, State, Statuses, broken};

const RULE: &str = "what was seen is what was committed";

/// The rows of an account.
#[derive(Debug)]
pub struct Truth {
    pub version: i64,
    pub graph_version: i64,
    pub name: String,
    pub statuses: Statuses,
    pub edges: Edges,
}

impl Truth {
    pub fn sight(&self) -> Sight<'_> {
        Sight {
            version: self.version,
            name: Some(&self.name),
            statuses: Some(self.statuses),
            edges: Some(self.edges),
            graph_version: Some(self.graph_version),
            profile: None,
        }
    }
}

/// What kind of event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Account,
    Link,
    Connection,
    Session,
    Alert,
    /// One that the checker does not know.
    Other,
}

impl Kind {
    fn changes_graph(self) -> bool {
        !matches!(self, Self::Session | Self::Alert)
    }
}

pub async fn read_truth(db: &DatabaseConnection, account: &Account) -> Truth {
    let row = stream::Entity::find_by_id(account.id).one(db).await.unwrap().expect("its stream");
    let of_account = account::Entity::find_by_id(account.id).one(db).await.unwrap().expect("its row");
    let index = |id: Uuid| account.profiles.iter().position(|(known, _)| *known == id).expect("its profile");
    let profiles = linked_profile::Entity::find().filter(linked_profile::Column::AccountId.eq(account.id));
    let mut statuses = Statuses::default();
    for profile in profiles.all(db).await.unwrap() {
        statuses[index(profile.id)] = Some(LinkStatus::from(profile.status));
    }
    let connections =
        profile_connection::Entity::find().filter(profile_connection::Column::AccountId.eq(account.id));
    let mut edges = Edges::default();
    for connection in connections.all(db).await.unwrap() {
        let grants =
            experience_grant::Entity::find().filter(experience_grant::Column::ConnectionId.eq(connection.id));
        for grant in grants.all(db).await.unwrap() {
            let (source, target) = (index(connection.source_id), index(connection.target_id));
            edges.set(source, target, grant.experience.into(), true);
        }
    }
    let (version, graph_version) = (row.version, row.graph_version);
    Truth { version, graph_version, name: of_account.display_name, statuses, edges }
}

/// The events of an account behind the base of its model.
pub async fn read_events(db: &DatabaseConnection, account: &Account) -> Vec<event::Model> {
    let base = account.state().base;
    event::Entity::find()
        .filter(event::Column::StreamId.eq(account.id))
        .filter(event::Column::Number.gt(base))
        .order_by_asc(event::Column::Number)
        .all(db)
        .await
        .unwrap()
}

pub fn kind(event: &event::Model) -> Kind {
    match event.kind.as_str() {
        AccountChanged::KIND => Kind::Account,
        LinkStatusChanged::KIND => Kind::Link,
        ConnectionChanged::KIND => Kind::Connection,
        SessionChanged::KIND => Kind::Session,
        AlertRaised::KIND => Kind::Alert,
        _ => Kind::Other,
    }
}

/// Compares all that was seen of an account with its events and its rows.
pub fn judge(account: &Account, events: &[event::Model], truth: &Truth) -> Result<(), Broken> {
    let state = account.state();
    let numbers = state.base + 1..=truth.version;
    if !events.iter().map(|event| event.number).eq(numbers.clone()) {
        return broken(RULE, format!("the numbers of the events are not those of {numbers:?}"));
    }
    judge_graph(account, &state, events, truth)?;
    judge_names(&state, events, truth)
}

fn judge_graph(
    account: &Account,
    state: &State,
    events: &[event::Model],
    truth: &Truth,
) -> Result<(), Broken> {
    let base = &state.contents[&state.base];
    let mut statuses = base.statuses.expect("the base is whole");
    let mut edges = base.edges.expect("the base is whole");
    let mut graph_version = base.graph_version.expect("the base is whole");
    let mut events = events.iter().peekable();
    for (version, content) in &state.contents {
        if *version > truth.version {
            let how = format!("version {version} was seen; the database ends at {}", truth.version);
            return broken(RULE, how);
        }
        while let Some(event) = events.next_if(|event| event.number <= *version) {
            apply(account, event, &mut statuses, &mut edges);
            if kind(event).changes_graph() {
                graph_version = event.number;
            }
        }
        compare(*version, content, &statuses, edges, graph_version)?;
    }
    Ok(())
}

fn apply(account: &Account, event: &event::Model, statuses: &mut Statuses, edges: &mut Edges) {
    let index = |id: Uuid| account.profiles.iter().position(|(known, _)| *known == id).expect("its profile");
    match kind(event) {
        Kind::Link => {
            let link = LinkStatusChanged::deserialize(&event.payload).expect("an event of ours");
            statuses[index(link.profile)] = Some(link.status);
        }
        Kind::Connection => {
            let change = ConnectionChanged::deserialize(&event.payload).expect("an event of ours");
            edges.set(index(change.source), index(change.target), change.experience, change.enabled);
        }
        Kind::Account | Kind::Session | Kind::Alert | Kind::Other => {}
    }
}

fn compare(
    version: i64,
    content: &Content,
    statuses: &Statuses,
    edges: Edges,
    graph: i64,
) -> Result<(), Broken> {
    if content.statuses.is_some_and(|seen| seen != *statuses) {
        let seen = content.statuses;
        return broken(RULE, format!("at version {version} {seen:?} was seen; its events say {statuses:?}"));
    }
    if let Some((index, seen)) =
        content.profiles.iter().find(|(index, status)| statuses[*index] != Some(*status))
    {
        let how = format!("at version {version} profile {index} was {seen:?}; its events say {statuses:?}");
        return broken(RULE, how);
    }
    if content.edges.is_some_and(|seen| seen != edges) {
        let seen = content.edges.unwrap_or_default();
        return broken(
            RULE,
            format!("at version {version} the edges were {seen:?}; its events say {edges:?}"),
        );
    }
    if content.graph_version.is_some_and(|seen| seen != graph) {
        let seen = content.graph_version;
        return broken(
            RULE,
            format!("at version {version} the graph's was {seen:?}; its events say {graph}"),
        );
    }
    Ok(())
}

/// The names between two changes of the account are one, and each one was given by somebody, once.
fn judge_names(state: &State, events: &[event::Model], truth: &Truth) -> Result<(), Broken> {
    let changes: Vec<i64> =
        events.iter().filter(|event| kind(event) == Kind::Account).map(|event| event.number).collect();
    // What the account was called behind each change; first, before any.
    let mut names: Vec<Option<&str>> = vec![None; changes.len() + 1];
    for (version, content) in &state.contents {
        let Some(name) = content.name.as_deref() else { continue };
        let place = changes.partition_point(|change| change <= version);
        match names[place] {
            Some(known) if known != name => {
                return broken(RULE, format!("{known:?} became {name:?} without an event before {version}"));
            }
            _ => names[place] = Some(name),
        }
    }
    if names.last().is_some_and(|last| last.is_some_and(|last| last != truth.name)) {
        return broken(RULE, format!("the row is called {:?}, and not {:?}", truth.name, names.last()));
    }
    let mut placed = HashSet::new();
    for (place, name) in names.iter().enumerate().skip(1) {
        let Some(name) = *name else { continue };
        if !placed.insert(name) {
            return broken(RULE, format!("the account was given the name {name:?} twice"));
        }
        judge_place(name, state.renames.get(name), changes[place - 1])?;
    }
    judge_counts(state, &placed, changes.len())
}

/// A name was given after what its giver had seen, and before he was answered.
fn judge_place(name: &str, rename: Option<&Rename>, at: i64) -> Result<(), Broken> {
    let (after, by) = match rename {
        Some(Rename::Unknown { after }) => (*after, i64::MAX),
        Some(Rename::Acknowledged { after, by }) => (*after, *by),
        Some(Rename::Rejected) | None => {
            return broken(RULE, format!("nobody gave the account the name {name:?}"));
        }
    };
    if at <= after || at > by {
        let how = format!("{name:?} was given behind {after} and answered at {by}; its event is {at}");
        return broken("writes happen between their request and their answer", how);
    }
    Ok(())
}

/// Each name that was acknowledged has its event, and no event is without somebody who may have caused it.
fn judge_counts(state: &State, placed: &HashSet<&str>, changes: usize) -> Result<(), Broken> {
    let (mut acknowledged, mut possible, mut hidden) = (0, 0, 0);
    for (name, rename) in &state.renames {
        match rename {
            Rename::Acknowledged { .. } => {
                acknowledged += 1;
                possible += 1;
                hidden += usize::from(!placed.contains(name.as_str()));
            }
            Rename::Unknown { .. } => possible += 1,
            Rename::Rejected => {}
        }
    }
    let free = changes - placed.len();
    if changes < acknowledged || changes > possible || hidden > free {
        let how = format!(
            "{changes} changes of the name; {acknowledged} were acknowledged, {possible} may have happened; \
             {hidden} acknowledged ones were never seen, and {free} events have no name"
        );
        return broken("an acknowledged write is there once", how);
    }
    Ok(())
}
