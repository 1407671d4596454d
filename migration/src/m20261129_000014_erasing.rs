//! Accounts that are to be erased, or are; accounts that are locked; and what an operator has switched off.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["deletes_at", "erased_at"] {
            let column = timestamp_with_time_zone_null(column);
            manager.alter_table(Table::alter().table("account").add_column(column).to_owned()).await?;
        }
        manager
            .create_table(
                Table::create()
                    .table("account_lock")
                    .col(uuid("account_id").primary_key())
                    .col(timestamp_with_time_zone("locked_at"))
                    .foreign_key(
                        ForeignKey::create()
                            .from("account_lock", "account_id")
                            .to("account", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("kill_switch")
                    .col(text("kind"))
                    .col(text("key"))
                    .col(timestamp_with_time_zone("off_since"))
                    .col(text("operator"))
                    .primary_key(Index::create().col("kind").col("key"))
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["kill_switch", "account_lock"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        for column in ["erased_at", "deletes_at"] {
            manager.alter_table(Table::alter().table("account").drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
