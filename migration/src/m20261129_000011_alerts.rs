//! Alerts: what the person should look at.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("security_alert")
                    .col(uuid("id").primary_key())
                    .col(uuid("account_id"))
                    .col(text("kind"))
                    .col(timestamp_with_time_zone("occurred_at"))
                    .col(uuid_null("profile_id"))
                    .col(uuid_null("session_id"))
                    .col(timestamp_with_time_zone_null("acknowledged_at"))
                    .foreign_key(
                        ForeignKey::create()
                            .from("security_alert", "account_id")
                            .to("account", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        let of_account = Index::create()
            .name("security_alert_account")
            .table("security_alert")
            .col("account_id")
            .col("id")
            .to_owned();
        manager.create_index(of_account).await?;
        let age =
            Index::create().name("security_alert_age").table("security_alert").col("occurred_at").to_owned();
        manager.create_index(age).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("security_alert").to_owned()).await
    }
}
