//! Accounts, their linked profiles, verifications and sessions.

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
                    .table("account")
                    .col(uuid("id").primary_key())
                    .col(text("display_name"))
                    .col(text_null("avatar_url"))
                    .col(timestamp_with_time_zone("created_at"))
                    .foreign_key(
                        ForeignKey::create()
                            .from("account", "id")
                            .to("stream", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("linked_profile")
                    .col(uuid("id").primary_key())
                    .col(uuid("account_id"))
                    .col(text("platform"))
                    .col(text("external_id"))
                    .col(text("handle"))
                    .col(text("display_name"))
                    .col(text_null("avatar_url"))
                    .col(text("status"))
                    .col(text("status_reason"))
                    .col(boolean("sign_in_enabled"))
                    .col(timestamp_with_time_zone("linked_at"))
                    .col(timestamp_with_time_zone("status_changed_at"))
                    .foreign_key(
                        ForeignKey::create()
                            .from("linked_profile", "account_id")
                            .to("account", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        // Settles two accounts that race for one profile.
        manager
            .get_connection()
            .execute_unprepared(
                "CREATE UNIQUE INDEX linked_profile_key ON linked_profile (platform, external_id) \
                 WHERE status <> 'UNLINKED'",
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("linked_profile_account")
                    .table("linked_profile")
                    .col("account_id")
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("verification")
                    .col(uuid("id").primary_key())
                    .col(uuid("stream_id"))
                    .col(text("purpose"))
                    .col(text("method"))
                    .col(text("platform"))
                    .col(uuid_null("account_id"))
                    .col(uuid_null("session_id"))
                    .col(binary_null("client_secret_hash"))
                    .col(text("status"))
                    .col(text_null("failure"))
                    .col(uuid_null("profile_id"))
                    .col(text("destination"))
                    .col(binary_null("sealed_handle"))
                    .col(text_null("external_id"))
                    .col(binary_null("sealed_claim"))
                    .col(integer("code_number"))
                    .col(binary_null("code_hash"))
                    .col(integer("attempts_left"))
                    .col(timestamp_with_time_zone_null("resend_available_at"))
                    .col(timestamp_with_time_zone("created_at"))
                    .col(timestamp_with_time_zone("expires_at"))
                    .foreign_key(
                        ForeignKey::create()
                            .from("verification", "stream_id")
                            .to("stream", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("session")
                    .col(uuid("id").primary_key())
                    .col(uuid("account_id"))
                    .col(uuid_null("opened_by_profile_id"))
                    .col(text_null("device"))
                    .col(text_null("ip_address"))
                    .col(timestamp_with_time_zone("created_at"))
                    .col(timestamp_with_time_zone("authenticated_at"))
                    .col(timestamp_with_time_zone("expires_at"))
                    .col(timestamp_with_time_zone_null("revoked_at"))
                    .foreign_key(
                        ForeignKey::create()
                            .from("session", "account_id")
                            .to("account", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create().name("session_account").table("session").col("account_id").to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["session", "verification", "linked_profile", "account"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}
