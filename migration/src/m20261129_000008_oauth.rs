//! Verifications by OAuth.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{text_null, timestamp_with_time_zone_null};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [
            text_null("authorization_endpoint"),
            text_null("redirect_uri"),
            timestamp_with_time_zone_null("redeemed_at"),
        ] {
            manager.alter_table(Table::alter().table("verification").add_column(column).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["authorization_endpoint", "redirect_uri", "redeemed_at"] {
            manager.alter_table(Table::alter().table("verification").drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
