//! What profiles share at their platforms, as it was read there.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut of_profile = ForeignKey::create()
            .from("profile_privacy", "profile_id")
            .to("linked_profile", "id")
            .on_delete(ForeignKeyAction::Cascade)
            .to_owned();
        let table = Table::create()
            .table("profile_privacy")
            .col(uuid("profile_id").primary_key())
            .col(big_integer("revision"))
            .col(json_binary("settings"))
            .col(timestamp_with_time_zone("read_at"))
            .foreign_key(&mut of_profile)
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("profile_privacy").to_owned()).await
    }
}
