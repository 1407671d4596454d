//! The refresh token of a session: the number and the hash of the one that is good, and when it was given out.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{binary_null, integer, timestamp_with_time_zone_null};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [
            integer("refresh_number").default(0).take(),
            binary_null("refresh_hash"),
            timestamp_with_time_zone_null("refreshed_at"),
        ] {
            manager.alter_table(Table::alter().table("session").add_column(column).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["refreshed_at", "refresh_hash", "refresh_number"] {
            manager.alter_table(Table::alter().table("session").drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
