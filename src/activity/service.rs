//! Reading what is recorded of an account.

use accounts_center_entity::activity;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::graphql::ActivityKind;
use crate::account::event::{AccountAdministered, AccountChanged, DeletionChanged};
use crate::error::Error;
use crate::graph::pagination::{Page, Slice};
use crate::link_graph::event::{ConnectionChanged, LinkStatusChanged};
use crate::passkey::event::PasskeyChanged;
use crate::profile::event::{ClaimStarted, ProfileChanged, ProfileClaimed};
use crate::session::event::SessionChanged;
use crate::store::{Database, StreamEvent};

/// The kinds of events that are shown, by the kind of activity that they are. What another release has recorded
/// beside them is left to that one.
const SHOWN: [(ActivityKind, &str); 10] = [
    (ActivityKind::Account, AccountChanged::KIND),
    (ActivityKind::Account, DeletionChanged::KIND),
    (ActivityKind::Security, AccountAdministered::KIND),
    (ActivityKind::Link, LinkStatusChanged::KIND),
    (ActivityKind::Link, ProfileChanged::KIND),
    (ActivityKind::Experience, ConnectionChanged::KIND),
    (ActivityKind::Security, SessionChanged::KIND),
    (ActivityKind::Security, ProfileClaimed::KIND),
    (ActivityKind::Security, PasskeyChanged::KIND),
    (ActivityKind::Security, ClaimStarted::KIND),
];

/// What kind of activity an event is.
pub fn kind_of(event: &str) -> Option<ActivityKind> {
    SHOWN.iter().find(|(_, shown)| *shown == event).map(|(kind, _)| *kind)
}

/// A page of an account's activity, by number, newest first; at most one statement.
pub async fn page(
    db: &Database,
    (account, version): (Uuid, i64),
    page: &Page<i64>,
    kinds: Option<&[ActivityKind]>,
) -> Result<Slice<activity::Model>, Error> {
    let wanted = |kind: &ActivityKind| kinds.is_none_or(|kinds| kinds.contains(kind));
    let events: Vec<&str> = SHOWN.iter().filter(|(kind, _)| wanted(kind)).map(|(_, event)| *event).collect();
    if events.is_empty() {
        return Ok(Slice::empty());
    }
    let query = activity::Entity::find()
        .filter(activity::Column::StreamId.eq(account))
        // Not what came after the rest of the answer was read.
        .filter(activity::Column::Number.lte(version))
        .filter(activity::Column::Kind.is_in(events));
    page.read(db, query, activity::Column::Number).await
}
