//! What is recorded of single events that one operation asks for, in one statement.

use std::collections::HashMap;
use std::sync::Arc;

use accounts_center_entity::activity::{self, Column};
use async_graphql::dataloader::Loader;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use crate::error::Error;
use crate::ids::ActivityId;
use crate::store::{Database, bounded};

pub struct Activities(Database);

impl Activities {
    pub fn new(db: Database) -> Self {
        Self(db)
    }
}

impl Loader<ActivityId> for Activities {
    type Value = Arc<activity::Model>;
    type Error = Error;

    async fn load(&self, ids: &[ActivityId]) -> Result<HashMap<ActivityId, Self::Value>, Error> {
        let found = activity::Entity::find()
            .filter(Column::StreamId.is_in(ids.iter().map(|id| id.account)))
            .filter(Column::Number.is_in(ids.iter().map(|id| id.number)))
            .all(self.0.read());
        let rows = bounded(async { Ok(found.await?) }).await?;
        let id = |row: &activity::Model| ActivityId { account: row.stream_id, number: row.number };
        Ok(rows.into_iter().map(|row| (id(&row), Arc::new(row))).collect())
    }
}
