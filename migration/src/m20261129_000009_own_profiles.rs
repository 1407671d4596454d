//! What an owner has cut off and may take back, and what they do not want to be asked any more.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("profile_containment")
                    .col(uuid("profile_id").primary_key())
                    .col(timestamp_with_time_zone("contained_at"))
                    .col(timestamp_with_time_zone_null("proved_at"))
                    .foreign_key(
                        ForeignKey::create()
                            .from("profile_containment", "profile_id")
                            .to("linked_profile", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("dismissed_suggestion")
                    .col(uuid("account_id"))
                    .col(text("platform"))
                    .col(timestamp_with_time_zone("dismissed_at"))
                    .primary_key(Index::create().col("account_id").col("platform"))
                    .foreign_key(
                        ForeignKey::create()
                            .from("dismissed_suggestion", "account_id")
                            .to("account", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["dismissed_suggestion", "profile_containment"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}
