//! Claims to profiles that are linked to somebody else.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let belongs_to = |column: &'static str, owner: &'static str| {
            ForeignKey::create()
                .from("profile_claim", column)
                .to(owner, "id")
                .on_delete(ForeignKeyAction::Cascade)
                .to_owned()
        };
        manager
            .create_table(
                Table::create()
                    .table("profile_claim")
                    .col(uuid("verification_id").primary_key())
                    .col(uuid("claimant_id"))
                    .col(text("platform"))
                    .col(text("external_id"))
                    .col(timestamp_with_time_zone("proved_at"))
                    .col(timestamp_with_time_zone_null("claimed_at"))
                    .col(timestamp_with_time_zone_null("due_at"))
                    .foreign_key(&mut belongs_to("verification_id", "verification"))
                    .foreign_key(&mut belongs_to("claimant_id", "account"))
                    .to_owned(),
            )
            .await?;
        let of_profile = Index::create()
            .name("profile_claim_key")
            .table("profile_claim")
            .col("platform")
            .col("external_id")
            .to_owned();
        manager.create_index(of_profile).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("profile_claim").to_owned()).await
    }
}
