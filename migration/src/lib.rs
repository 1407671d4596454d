//! The database's history, one file a change.
//!
//! A change expands, and a later one contracts: each release runs on the schema of the release before it
//! and of the one after it, so that old and new replicas serve side by side. So
//!
//! - a release that needs something new brings an *expanding* migration: a nullable column, a table, an index. It
//!   is applied before the release is deployed, and the release before it does not notice. One that changes several
//!   tables which are in use does so outside of a transaction, so that it never waits for one while it holds another;
//! - an index on a table that is there already is built by [`index::build`], in a migration of its own: beside those who
//!   write, who must not wait for it;
//! - what no release needs any more goes by a *contracting* migration, in a release after the last one that used
//!   it. That is applied once all replicas are of this release, and it calls [`require`], so that no older one
//!   starts again.
//!
//! Statements name their columns: `*` means others once a migration has added some, and what is prepared then fails.

mod beside;
pub mod index;

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::sea_query::OnConflict;
use sea_orm_migration::sea_orm::{ConnectionTrait, EntityTrait, QueryOrder};
use sea_orm_migration::seaql_migrations;

pub use beside::Beside;
pub use sea_orm_migration::{MigratorTrait, MigratorTraitSelf, SchemaManager};

mod m20261123_000001_core;
mod m20261123_000002_accounts;
mod m20261123_000003_whole_core;
mod m20261123_000004_indexes;
mod m20261128_000005_proofs;
mod m20261129_000006_refresh_tokens;
mod m20261129_000007_ended_sessions;
mod m20261129_000008_oauth;
mod m20261129_000009_own_profiles;
mod m20261129_000010_claims;
mod m20261129_000011_alerts;
mod m20261129_000012_code_allowance;
mod m20261129_000013_passkeys;
mod m20261129_000014_erasing;
mod m20261129_000015_claim_sessions;
mod m20261129_000016_privacy_read;
mod m20261129_000018_claimants;

/// Every migration, oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_core::Migration),
            Box::new(m20261123_000002_accounts::Migration),
            Box::new(m20261123_000003_whole_core::Migration),
            Box::new(m20261123_000004_indexes::Migration),
            Box::new(m20261128_000005_proofs::Migration),
            Box::new(m20261129_000006_refresh_tokens::Migration),
            Box::new(m20261129_000007_ended_sessions::Migration),
            Box::new(m20261129_000008_oauth::Migration),
            Box::new(m20261129_000009_own_profiles::Migration),
            Box::new(m20261129_000010_claims::Migration),
            Box::new(m20261129_000011_alerts::Migration),
            Box::new(m20261129_000012_code_allowance::Migration),
            Box::new(m20261129_000013_passkeys::Migration),
            Box::new(m20261129_000014_erasing::Migration),
            Box::new(m20261129_000015_claim_sessions::Migration),
            Box::new(m20261129_000016_privacy_read::Migration),
            Box::new(m20261129_000018_claimants::Migration),
        ]
    }
}

impl Migrator {
    /// The names of all migrations.
    pub fn known() -> Vec<String> {
        <Self as MigratorTrait>::migrations().iter().map(|migration| migration.name().to_owned()).collect()
    }

    /// The same migrations for a database that has had `others` as well.
    pub fn beside(others: Vec<String>) -> Beside {
        Beside(others)
    }
}

/// The names of the migrations that the database has had. Only reads: an empty database stays empty.
pub async fn applied<C>(db: &C) -> Result<Vec<String>, DbErr>
where
    C: ConnectionTrait,
    for<'c> &'c C: IntoSchemaManagerConnection<'c>,
{
    if !SchemaManager::new(db).has_table("seaql_migrations").await? {
        return Ok(Vec::new());
    }
    let rows =
        seaql_migrations::Entity::find().order_by_asc(seaql_migrations::Column::Version).all(db).await?;
    Ok(rows.into_iter().map(|row| row.version).collect())
}

/// The fact in `deployment` that names the oldest migration which a program must know to be started.
pub const MINIMUM_SCHEMA: &str = "minimum_schema";

/// Lets only programs start that know `migration`: that of the first release which does without what is now taken
/// away. Its way back calls this with what held before, `None` if nothing did.
pub async fn require(manager: &SchemaManager<'_>, migration: Option<&str>) -> Result<(), DbErr> {
    let mut forget = Query::delete();
    forget.from_table("deployment").and_where(Expr::col("name").eq(MINIMUM_SCHEMA));
    manager.execute(forget).await?;
    let Some(migration) = migration else { return Ok(()) };
    let mut demand = Query::insert();
    demand
        .into_table("deployment")
        .columns(["name", "value"])
        .values_panic([MINIMUM_SCHEMA.into(), migration.into()])
        .on_conflict(OnConflict::column("name").update_column("value").to_owned());
    manager.execute(demand).await
}
