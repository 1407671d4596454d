//! Rows on their way to the database, and the history that a stream would have.

use accounts_center_entity::{
    account, activity, event, experience_grant, linked_profile, profile_connection, stream,
};
use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, Iterable,
};
use uuid::Uuid;

use crate::store::{StreamEvent, StreamKind};

/// What one statement takes in parameters: SQLite the least, 32,766.
const PARAMETERS: usize = 30_000;

/// Rows of whole accounts.
#[derive(Default)]
pub struct Rows {
    pub streams: Vec<stream::Model>,
    pub accounts: Vec<account::Model>,
    pub profiles: Vec<linked_profile::Model>,
    pub connections: Vec<profile_connection::Model>,
    pub grants: Vec<experience_grant::Model>,
    pub events: Vec<event::Model>,
    pub activities: Vec<activity::Model>,
}

/// A stream with its events, as commands would have left them.
pub struct History {
    stream: stream::Model,
    events: Vec<event::Model>,
    activities: Vec<activity::Model>,
}

impl History {
    pub fn new(account: Uuid, since: DateTime<Utc>) -> Self {
        let stream = stream::Model {
            id: account,
            kind: StreamKind::Account.name().to_owned(),
            version: 0,
            graph_version: 0,
            created_at: since,
        };
        Self { stream, events: Vec::new(), activities: Vec::new() }
    }

    /// Appends an event, which was not before those that are there.
    pub fn add<E: StreamEvent>(&mut self, event: &E, at: DateTime<Utc>) -> Result<(), serde_json::Error> {
        self.stream.version += 1;
        if E::CHANGES_GRAPH {
            self.stream.graph_version = self.stream.version;
        }
        let row = event::Model {
            stream_id: self.stream.id,
            number: self.stream.version,
            kind: E::KIND.to_owned(),
            payload: serde_json::to_value(event)?,
            occurred_at: at,
        };
        if E::RECORDED {
            let event::Model { stream_id, number, kind, payload, occurred_at } = row.clone();
            self.activities.push(activity::Model { stream_id, number, kind, payload, occurred_at });
        }
        self.events.push(row);
        Ok(())
    }

    pub fn finish(self, rows: &mut Rows) {
        rows.streams.push(self.stream);
        rows.events.extend(self.events);
        rows.activities.extend(self.activities);
    }
}

impl Rows {
    /// Writes all of them, what others point at first.
    pub async fn insert(self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        insert::<stream::ActiveModel>(tx, self.streams).await?;
        insert::<account::ActiveModel>(tx, self.accounts).await?;
        insert::<linked_profile::ActiveModel>(tx, self.profiles).await?;
        insert::<profile_connection::ActiveModel>(tx, self.connections).await?;
        insert::<experience_grant::ActiveModel>(tx, self.grants).await?;
        insert::<event::ActiveModel>(tx, self.events).await?;
        insert::<activity::ActiveModel>(tx, self.activities).await
    }
}

async fn insert<A>(
    tx: &DatabaseTransaction,
    rows: Vec<<A::Entity as EntityTrait>::Model>,
) -> Result<(), DbErr>
where
    A: ActiveModelTrait + ActiveModelBehavior,
    <A::Entity as EntityTrait>::Model: IntoActiveModel<A>,
{
    let at_once = PARAMETERS / <A::Entity as EntityTrait>::Column::iter().count();
    let mut rows = rows.into_iter().map(|row| row.into_active_model().reset_all()).peekable();
    while rows.peek().is_some() {
        A::Entity::insert_many(rows.by_ref().take(at_once)).exec_without_returning(tx).await?;
    }
    Ok(())
}
