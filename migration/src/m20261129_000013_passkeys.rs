//! Passkeys, registrations of new ones, and the challenges that passkeys sign.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// Tables in use are changed one by one: none is waited for while another is held.
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let passkeys = Table::create()
            .table("passkey")
            .if_not_exists()
            .col(uuid("id").primary_key())
            .col(uuid("account_id"))
            .col(text("name"))
            .col(binary("credential_id"))
            .col(text("credential"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone_null("last_used_at"))
            .foreign_key(&mut of_account("passkey"))
            .to_owned();
        manager.create_table(passkeys).await?;
        let credential = Index::create()
            .name("passkey_credential")
            .if_not_exists()
            .unique()
            .table("passkey")
            .col("credential_id")
            .to_owned();
        manager.create_index(credential).await?;
        manager.create_index(index("passkey_account", "passkey", "account_id")).await?;
        let registrations = Table::create()
            .table("passkey_registration")
            .if_not_exists()
            .col(uuid("id").primary_key())
            .col(uuid("account_id"))
            .col(uuid("session_id"))
            .col(text("name"))
            .col(binary("sealed_challenge"))
            .col(timestamp_with_time_zone("expires_at"))
            .foreign_key(&mut of_account("passkey_registration"))
            .to_owned();
        manager.create_table(registrations).await?;
        for (name, column) in
            [("passkey_registration_account", "account_id"), ("passkey_registration_age", "expires_at")]
        {
            manager.create_index(index(name, "passkey_registration", column)).await?;
        }
        for (table, column) in [
            ("verification", binary_null("sealed_challenge")),
            ("verification", uuid_null("passkey_id")),
            ("session", uuid_null("opened_by_passkey_id")),
        ] {
            let name = column.get_column_name();
            if !manager.has_column(table, &name).await? {
                manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in [
            ("session", "opened_by_passkey_id"),
            ("verification", "passkey_id"),
            ("verification", "sealed_challenge"),
        ] {
            if manager.has_column(table, column).await? {
                manager.alter_table(Table::alter().table(table).drop_column(column).to_owned()).await?;
            }
        }
        for table in ["passkey_registration", "passkey"] {
            manager.drop_table(Table::drop().table(table).if_exists().to_owned()).await?;
        }
        Ok(())
    }
}

fn of_account(table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .from(table, "account_id")
        .to("account", "id")
        .on_delete(ForeignKeyAction::Cascade)
        .to_owned()
}

fn index(name: &'static str, table: &'static str, column: &'static str) -> IndexCreateStatement {
    Index::create().name(name).if_not_exists().table(table).col(column).to_owned()
}
