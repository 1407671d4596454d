//! How many codes one handle has been sent lately.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("code_allowance")
                    .col(binary("handle_hash").primary_key())
                    .col(timestamp_with_time_zone("began_at"))
                    .col(integer("sent"))
                    .to_owned(),
            )
            .await?;
        let age =
            Index::create().name("code_allowance_age").table("code_allowance").col("began_at").to_owned();
        manager.create_index(age).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("code_allowance").to_owned()).await
    }
}
