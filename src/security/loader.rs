//! The alerts that one operation asks for, in one statement.

use std::collections::HashMap;
use std::sync::Arc;

use accounts_center_entity::security_alert::{self, Column};
use async_graphql::dataloader::Loader;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::error::Error;
use crate::store::{Database, bounded};

/// One of an account, by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AlertKey {
    pub account: Uuid,
    pub id: Uuid,
}

pub struct Alerts(Database);

impl Alerts {
    pub fn new(db: Database) -> Self {
        Self(db)
    }
}

impl Loader<AlertKey> for Alerts {
    type Value = Arc<security_alert::Model>;
    type Error = Error;

    async fn load(&self, keys: &[AlertKey]) -> Result<HashMap<AlertKey, Self::Value>, Error> {
        let found = security_alert::Entity::find()
            .filter(Column::AccountId.is_in(keys.iter().map(|key| key.account)))
            .filter(Column::Id.is_in(keys.iter().map(|key| key.id)))
            .all(self.0.read());
        let rows = bounded(async { Ok(found.await?) }).await?;
        let key = |row: &security_alert::Model| AlertKey { account: row.account_id, id: row.id };
        Ok(rows.into_iter().map(|row| (key(&row), Arc::new(row))).collect())
    }
}
