//! Our migrations on a database that has had others as well, those of a newer program.

use sea_orm_migration::MigratorTraitSelf;
use sea_orm_migration::prelude::*;

use crate::{Migrator, MigratorTrait};

/// The library wants to know every migration that a database has had. For each of the others stands one that does
/// nothing: it has been applied already, and whoever takes migrations back asks first whether they are ours.
pub struct Beside(pub(crate) Vec<String>);

struct Other(String);

impl MigrationName for Other {
    fn name(&self) -> &str {
        &self.0
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Other {
    async fn up(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Custom(format!("the migration {} is unknown to this program", self.0)))
    }
}

#[async_trait::async_trait]
impl MigratorTraitSelf for Beside {
    fn migrations(&self) -> Vec<Box<dyn MigrationTrait>> {
        let mut all = <Migrator as MigratorTrait>::migrations();
        all.extend(self.0.iter().map(|name| Box::new(Other(name.clone())) as Box<dyn MigrationTrait>));
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }
}
