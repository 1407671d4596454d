//! The verifications that one operation asks for, in one statement.

use std::collections::HashMap;
use std::sync::Arc;

use accounts_center_entity::verification::{self, Column};
use async_graphql::dataloader::Loader;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::error::Error;
use crate::store::{Database, bounded};

/// One that an account has started, by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VerificationKey {
    pub account: Uuid,
    pub id: Uuid,
}

pub struct Verifications(Database);

impl Verifications {
    pub fn new(db: Database) -> Self {
        Self(db)
    }
}

impl Loader<VerificationKey> for Verifications {
    type Value = Arc<verification::Model>;
    type Error = Error;

    async fn load(&self, keys: &[VerificationKey]) -> Result<HashMap<VerificationKey, Self::Value>, Error> {
        let found = verification::Entity::find()
            .filter(Column::AccountId.is_in(keys.iter().map(|key| key.account)))
            .filter(Column::Id.is_in(keys.iter().map(|key| key.id)))
            .all(self.0.read());
        let rows = bounded(async { Ok(found.await?) }).await?;
        let by_key = rows.into_iter().filter_map(|row| {
            let key = VerificationKey { account: row.account_id?, id: row.id };
            Some((key, Arc::new(row)))
        });
        Ok(by_key.collect())
    }
}
