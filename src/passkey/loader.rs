//! The passkeys that one operation asks for, in one statement.

use std::collections::HashMap;
use std::sync::Arc;

use accounts_center_entity::passkey::{self, Column};
use async_graphql::dataloader::Loader;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use crate::error::Error;
use crate::store::{Database, bounded};

pub struct Passkeys(Database);

impl Passkeys {
    pub fn new(db: Database) -> Self {
        Self(db)
    }
}

impl Loader<Uuid> for Passkeys {
    /// All of an account, oldest first: they are few.
    type Value = Arc<[Arc<passkey::Model>]>;
    type Error = Error;

    async fn load(&self, accounts: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Error> {
        let found = passkey::Entity::find()
            .filter(Column::AccountId.is_in(accounts.iter().copied()))
            .order_by_asc(Column::Id)
            .all(self.0.read());
        let rows = bounded(async { Ok(found.await?) }).await?;
        let mut by_account: HashMap<Uuid, Vec<_>> = HashMap::new();
        for row in rows {
            by_account.entry(row.account_id).or_default().push(Arc::new(row));
        }
        Ok(by_account.into_iter().map(|(account, rows)| (account, rows.into())).collect())
    }
}
