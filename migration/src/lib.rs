//! The database's history, one file a change.
//!
//! A change expands, and a later one contracts: each release runs on the schema of the release before it
//! and of the one after it, so that old and new replicas serve side by side.

use sea_orm_migration::prelude::*;

pub use sea_orm_migration::{MigrationStatus, MigratorTrait};

mod m20261123_000001_core;
mod m20261123_000002_accounts;
mod m20261123_000003_whole_core;

/// Every migration, oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_core::Migration),
            Box::new(m20261123_000002_accounts::Migration),
            Box::new(m20261123_000003_whole_core::Migration),
        ]
    }
}
