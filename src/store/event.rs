//! Events: written by commands, read behind a cursor.

use std::collections::HashMap;

use accounts_center_entity::{event, stream};
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

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
        let rows: Vec<(Uuid, i64, i64)> = stream::Entity::find()
            .select_only()
            .column(stream::Column::Id)
            .column(stream::Column::Version)
            .column(stream::Column::GraphVersion)
            .filter(stream::Column::Id.is_in(chunk.iter().copied()))
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

    /// The first events of kind `E` behind number `after`, in order. What does not parse was written by a newer
    /// release, and is passed over.
    pub async fn events_after<E: StreamEvent>(&self, stream: Uuid, after: i64) -> Result<Batch<E>, Error> {
        let rows = event::Entity::find()
            .filter(event::Column::StreamId.eq(stream))
            .filter(event::Column::Number.gt(after))
            .filter(event::Column::Kind.eq(E::KIND))
            .order_by_asc(event::Column::Number)
            .limit(BATCH)
            .all(self.db().read())
            .await?;
        let last = rows.last().map(|row| row.number);
        let parsed = rows.into_iter().filter_map(|row| match serde_json::from_value(row.payload) {
            Ok(payload) => Some(Event { number: row.number, occurred_at: row.occurred_at, payload }),
            Err(error) => {
                tracing::warn!(kind = E::KIND, number = row.number, %error, "an event is passed over");
                None
            }
        });
        Ok(Batch { events: parsed.collect(), last })
    }
}
