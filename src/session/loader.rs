//! The sessions that one operation asks for, each kind in one statement.

use std::collections::HashMap;
use std::sync::Arc;

use accounts_center_entity::session::{self, Column};
use async_graphql::dataloader::Loader;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::error::Error;
use crate::store::{Database, bounded};

/// One of an account, by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey {
    pub account: Uuid,
    pub id: Uuid,
}

/// Those that a profile of an account opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpenedBy {
    pub account: Uuid,
    pub profile: Uuid,
}

/// How many are read for each profile, on average over those that are asked for.
const READ: u64 = 200;

pub struct Sessions(Database);

impl Sessions {
    pub fn new(db: Database) -> Self {
        Self(db)
    }
}

impl Loader<SessionKey> for Sessions {
    type Value = Arc<session::Model>;
    type Error = Error;

    async fn load(&self, keys: &[SessionKey]) -> Result<HashMap<SessionKey, Self::Value>, Error> {
        let found = session::Entity::find()
            .filter(Column::AccountId.is_in(keys.iter().map(|key| key.account)))
            .filter(Column::Id.is_in(keys.iter().map(|key| key.id)))
            .all(self.0.read());
        let rows = bounded(async { Ok(found.await?) }).await?;
        let key = |row: &session::Model| SessionKey { account: row.account_id, id: row.id };
        Ok(rows.into_iter().map(|row| (key(&row), Arc::new(row))).collect())
    }
}

impl Loader<OpenedBy> for Sessions {
    /// That were not ended, newest first.
    type Value = Arc<[Arc<session::Model>]>;
    type Error = Error;

    async fn load(&self, keys: &[OpenedBy]) -> Result<HashMap<OpenedBy, Self::Value>, Error> {
        let found = session::Entity::find()
            .filter(Column::AccountId.is_in(keys.iter().map(|key| key.account)))
            .filter(Column::OpenedByProfileId.is_in(keys.iter().map(|key| key.profile)))
            .filter(Column::RevokedAt.is_null())
            .order_by_desc(Column::CreatedAt)
            .order_by_desc(Column::Id)
            .limit(READ * keys.len() as u64)
            .all(self.0.read());
        let rows = bounded(async { Ok(found.await?) }).await?;
        let mut opened: HashMap<OpenedBy, Vec<_>> = HashMap::new();
        for row in rows {
            let Some(profile) = row.opened_by_profile_id else { continue };
            opened.entry(OpenedBy { account: row.account_id, profile }).or_default().push(Arc::new(row));
        }
        Ok(opened.into_iter().map(|(key, rows)| (key, rows.into())).collect())
    }
}
