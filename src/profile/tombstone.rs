//! Profiles that are gone, for those who still have their ids. The link graph does not have them.

use std::collections::HashMap;
use std::sync::Arc;

use accounts_center_entity::linked_profile::{self, Column, LinkStatus};
use async_graphql::dataloader::Loader;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, EntityTrait, Iterable, QueryFilter, StatementBuilder};
use uuid::Uuid;

use crate::error::Error;
use crate::store::{Database, bounded};

/// How many an account shows, and each of its platforms.
const SHOWN: i32 = 20;

/// One of an account, by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TombstoneKey {
    pub account: Uuid,
    pub id: Uuid,
}

/// Reads the tombstones that one operation asks for in one statement.
pub struct Tombstones(Database);

impl Tombstones {
    pub fn new(db: Database) -> Self {
        Self(db)
    }
}

impl Loader<TombstoneKey> for Tombstones {
    type Value = Arc<linked_profile::Model>;
    type Error = Error;

    async fn load(&self, keys: &[TombstoneKey]) -> Result<HashMap<TombstoneKey, Self::Value>, Error> {
        let found = linked_profile::Entity::find()
            .filter(Column::AccountId.is_in(keys.iter().map(|key| key.account)))
            .filter(Column::Id.is_in(keys.iter().map(|key| key.id)))
            .filter(Column::Status.eq(LinkStatus::Unlinked))
            .all(self.0.read());
        let rows = bounded(async { Ok(found.await?) }).await?;
        let by_key = rows.into_iter().map(|row| {
            let key = TombstoneKey { account: row.account_id, id: row.id };
            (key, Arc::new(row))
        });
        Ok(by_key.collect())
    }
}

impl Loader<Uuid> for Tombstones {
    /// Newest first, at most 20 of each platform.
    type Value = Arc<[Arc<linked_profile::Model>]>;
    type Error = Error;

    async fn load(&self, accounts: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Error> {
        let statement = StatementBuilder::build(&newest_of(accounts), &self.0.backend());
        let found = linked_profile::Entity::find().from_raw_sql(statement).all(self.0.read());
        let rows = bounded(async { Ok(found.await?) }).await?;
        let mut by_account: HashMap<Uuid, Vec<_>> = HashMap::new();
        for row in rows {
            by_account.entry(row.account_id).or_default().push(Arc::new(row));
        }
        Ok(by_account.into_iter().map(|(account, rows)| (account, rows.into())).collect())
    }
}

/// The newest tombstones of each platform of each account: enough to show those of one platform or of all.
fn newest_of(accounts: &[Uuid]) -> sea_orm::sea_query::SelectStatement {
    let (ranked, rank) = (Alias::new("ranked"), Alias::new("rank"));
    let mut inner = Query::select();
    inner.from(linked_profile::Entity);
    for column in Column::iter() {
        inner.column(column);
    }
    inner
        .expr_as(
            Expr::cust(
                "ROW_NUMBER() OVER (PARTITION BY account_id, platform ORDER BY status_changed_at DESC, id DESC)",
            ),
            rank.clone(),
        )
        .and_where(Column::AccountId.is_in(accounts.iter().copied()))
        .and_where(Column::Status.eq(LinkStatus::Unlinked));
    let mut newest = Query::select();
    for column in Column::iter() {
        newest.column((ranked.clone(), column));
    }
    newest
        .from_subquery(inner, ranked.clone())
        .and_where(Expr::col((ranked.clone(), rank)).lte(SHOWN))
        .order_by((ranked.clone(), Column::StatusChangedAt), sea_orm::Order::Desc)
        .order_by((ranked, Column::Id), sea_orm::Order::Desc);
    newest
}
