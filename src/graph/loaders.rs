//! What one operation loads in batches. Made anew for each: a batch of several callers would mix what is theirs.

use std::sync::{Arc, OnceLock};

use accounts_center_entity::linked_profile;
use async_graphql::Context;
use async_graphql::dataloader::DataLoader;
use async_graphql::runtime::{TokioSpawner, TokioTimer};
use uuid::Uuid;

use super::context::app;
use crate::error::Error;
use crate::profile::{TombstoneKey, Tombstones};
use crate::store::Database;

/// The loaders of one operation; each is made when it is first needed.
pub struct Loaders {
    db: Database,
    tombstones: OnceLock<DataLoader<Tombstones>>,
}

impl Loaders {
    pub fn new(db: Database) -> Self {
        Self { db, tombstones: OnceLock::new() }
    }

    fn tombstones(&self) -> &DataLoader<Tombstones> {
        self.tombstones.get_or_init(|| {
            DataLoader::new(Tombstones::new(self.db.clone()), TokioSpawner::current(), TokioTimer::default())
        })
    }
}

/// The tombstone of a profile of `account`.
pub async fn tombstone(
    ctx: &Context<'_>,
    account: Uuid,
    id: Uuid,
) -> Result<Option<Arc<linked_profile::Model>>, Error> {
    let key = TombstoneKey { account, id };
    match ctx.data_opt::<Loaders>() {
        Some(loaders) => loaders.tombstones().load_one(key).await,
        None => Loaders::new(app(ctx).store.db().clone()).tombstones().load_one(key).await,
    }
}

/// The newest tombstones of `account`, newest first, at most 20 of each platform.
pub async fn newest_tombstones(
    ctx: &Context<'_>,
    account: Uuid,
) -> Result<Vec<Arc<linked_profile::Model>>, Error> {
    let found = match ctx.data_opt::<Loaders>() {
        Some(loaders) => loaders.tombstones().load_one(account).await?,
        None => Loaders::new(app(ctx).store.db().clone()).tombstones().load_one(account).await?,
    };
    Ok(found.map(|found| found.to_vec()).unwrap_or_default())
}
