//! Events: written by commands, read behind a cursor.

use std::collections::HashMap;

use accounts_center_entity::{event, event_purge, stream};
use chrono::{DateTime, Utc};
use sea_orm::prelude::Json;
use sea_orm::{ColumnTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::cursor::expired;
use super::{Database, Store};
use crate::error::Error;

/// Something that can happen in a stream. Its fields are the scalars of that moment, never personal data.
pub trait StreamEvent: Serialize + DeserializeOwned {
    /// What it is called in the database; never changes.
    const KIND: &'static str;
    /// Whether the link graph is another one after it.
    const CHANGES_GRAPH: bool;
    /// Whether it stays in the account's activity, its audit trail, when the event itself is purged.
    const RECORDED: bool;
}

/// An event as it stands in its stream.
#[derive(Clone, Debug)]
pub struct Event<E> {
    pub number: i64,
    pub occurred_at: DateTime<Utc>,
    pub payload: E,
}

impl<E> Event<E> {
    /// The same event with a part of its payload; `None` if that is not what happened.
    pub fn narrow<T>(self, part: impl FnOnce(E) -> Option<T>) -> Option<Event<T>> {
        let Self { number, occurred_at, payload } = self;
        part(payload).map(|payload| Event { number, occurred_at, payload })
    }
}

/// Which events of a stream a reader follows, by their kinds; absent: all.
pub type Kinds = Option<&'static [&'static str]>;

/// Reads the payload of an event of some kind; `None` if this release does not know the kind.
pub type Parse<E> = fn(kind: &str, payload: Json) -> Option<serde_json::Result<E>>;

/// Events that were read together.
#[derive(Debug)]
pub struct Batch<E> {
    pub events: Vec<Event<E>>,
    /// The number of the last one that was looked at; absent if there was none.
    pub last: Option<i64>,
}

/// At most this many events are read at once, so that a reader far behind costs no more than others.
const BATCH: u64 = 100;

/// The versions of `streams` with those of their graphs; more than one statement only beyond what one takes in parameters.
pub(super) async fn versions(db: &Database, streams: &[Uuid]) -> Result<HashMap<Uuid, (i64, i64)>, Error> {
    let mut versions = HashMap::with_capacity(streams.len());
    for chunk in streams.chunks(30_000) {
        // One text however many they are: each text is kept prepared by every connection.
        let wanted = match db.backend() {
            DbBackend::Postgres => stream::Column::Id.eq_any(chunk.iter().copied()),
            _ => stream::Column::Id.is_in(chunk.iter().copied()),
        };
        let rows: Vec<(Uuid, i64, i64)> = stream::Entity::find()
            .select_only()
            .column(stream::Column::Id)
            .column(stream::Column::Version)
            .column(stream::Column::GraphVersion)
            .filter(wanted)
            .into_tuple()
            .all(db.read())
            .await?;
        versions.extend(rows.into_iter().map(|(id, version, graph_version)| (id, (version, graph_version))));
    }
    Ok(versions)
}

impl Store {
    /// The present version of a stream; absent if there is no such stream.
    pub async fn version(&self, stream: Uuid) -> Result<Option<i64>, Error> {
        Ok(versions(self.db(), &[stream]).await?.remove(&stream).map(|(version, _)| version))
    }

    /// The first events of `kinds` behind number `after`, in order. What `parse` does not know or cannot read was
    /// written by another release, and is passed over.
    pub async fn events_after<E>(
        &self,
        stream: Uuid,
        after: i64,
        kinds: Kinds,
        parse: Parse<E>,
    ) -> Result<Batch<E>, Error> {
        let mut query = event::Entity::find()
            .filter(event::Column::StreamId.eq(stream))
            .filter(event::Column::Number.gt(after));
        if let Some(kinds) = kinds {
            query = query.filter(event::Column::Kind.is_in(kinds.iter().copied()));
        }
        let rows = query.order_by_asc(event::Column::Number).limit(BATCH).all(self.db().read()).await?;
        let last = rows.last().map(|row| row.number);
        Ok(Batch { events: rows.into_iter().filter_map(|row| read(row, parse)).collect(), last })
    }

    /// Checks that no event of `kinds` behind number `after` has been purged.
    ///
    /// # Errors
    /// CURSOR_EXPIRED if one has: whoever reads on from there would miss it.
    pub async fn require_unpurged(&self, stream: Uuid, after: i64, kinds: Kinds) -> Result<(), Error> {
        let mut marks = event_purge::Entity::find()
            .filter(event_purge::Column::StreamId.eq(stream))
            .filter(event_purge::Column::UpTo.gt(after));
        if let Some(kinds) = kinds {
            marks = marks.filter(event_purge::Column::Kind.is_in(kinds.iter().copied()));
        }
        match marks.one(self.db().read()).await? {
            Some(_) => Err(expired()),
            None => Ok(()),
        }
    }
}

fn read<E>(row: event::Model, parse: Parse<E>) -> Option<Event<E>> {
    let event::Model { number, occurred_at, kind, payload, .. } = row;
    match parse(&kind, payload) {
        Some(Ok(payload)) => Some(Event { number, occurred_at, payload }),
        Some(Err(error)) => {
            tracing::warn!(kind, number, %error, "an event is passed over");
            None
        }
        None => {
            tracing::warn!(kind, number, "an event of an unknown kind is passed over");
            None
        }
    }
}
