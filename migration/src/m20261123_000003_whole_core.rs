//! Links with holds and a way back, connections between profiles, what is kept of events, and a fair queue of jobs.

use sea_orm_migration::sea_orm::DbBackend;
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        links(manager).await?;
        connections(manager).await?;
        retention(manager).await?;
        jobs(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            db.execute_unprepared(
                "ALTER TABLE job RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, \
                 autovacuum_vacuum_cost_delay)",
            )
            .await?;
        }
        let tables = ["job_stream", "webhook_receipt", "activity", "event_purge", "experience_grant"];
        for table in tables.into_iter().chain(["profile_connection", "profile_refresh"]) {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        for column in ["attention_required", "suspended", "contained", "unlinks_at"] {
            let alter = Table::alter().table("linked_profile").drop_column(column).to_owned();
            manager.alter_table(alter).await?;
        }
        Ok(())
    }
}

/// The holds on a link, each of which can be set whatever the others are; `status` shows the first that counts.
async fn links(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    for hold in ["attention_required", "suspended", "contained"] {
        let alter =
            Table::alter().table("linked_profile").add_column(boolean(hold).default(false)).to_owned();
        manager.alter_table(alter).await?;
    }
    let alter = Table::alter()
        .table("linked_profile")
        .add_column(timestamp_with_time_zone_null("unlinks_at"))
        .to_owned();
    manager.alter_table(alter).await?;
    manager
        .create_table(
            Table::create()
                .table("profile_refresh")
                .col(uuid("profile_id").primary_key())
                .col(big_integer("number"))
                .foreign_key(
                    ForeignKey::create()
                        .from("profile_refresh", "profile_id")
                        .to("linked_profile", "id")
                        .on_delete(ForeignKeyAction::Cascade),
                )
                .to_owned(),
        )
        .await
}

async fn connections(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let belongs_to = |table: &'static str, column: &'static str, owner: &'static str| {
        ForeignKey::create()
            .from(table, column)
            .to(owner, "id")
            .on_delete(ForeignKeyAction::Cascade)
            .to_owned()
    };
    manager
        .create_table(
            Table::create()
                .table("profile_connection")
                .col(uuid("id").primary_key())
                .col(uuid("account_id"))
                .col(uuid("source_id"))
                .col(uuid("target_id"))
                .col(timestamp_with_time_zone("created_at"))
                .foreign_key(&mut belongs_to("profile_connection", "account_id", "account"))
                .foreign_key(&mut belongs_to("profile_connection", "source_id", "linked_profile"))
                .foreign_key(&mut belongs_to("profile_connection", "target_id", "linked_profile"))
                .to_owned(),
        )
        .await?;
    // A pair has one connection, and whoever reads a graph comes from the source.
    let pair = Index::create()
        .name("profile_connection_pair")
        .table("profile_connection")
        .col("source_id")
        .col("target_id")
        .unique()
        .to_owned();
    manager.create_index(pair).await?;
    for column in ["account_id", "target_id"] {
        let index = Index::create()
            .name(format!("profile_connection_{column}"))
            .table("profile_connection")
            .col(column)
            .to_owned();
        manager.create_index(index).await?;
    }
    manager
        .create_table(
            Table::create()
                .table("experience_grant")
                .col(uuid("connection_id"))
                .col(text("experience"))
                .col(timestamp_with_time_zone("granted_at"))
                .primary_key(Index::create().col("connection_id").col("experience"))
                .foreign_key(&mut belongs_to("experience_grant", "connection_id", "profile_connection"))
                .to_owned(),
        )
        .await
}

async fn retention(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let of_stream = |table: &'static str| {
        ForeignKey::create()
            .from(table, "stream_id")
            .to("stream", "id")
            .on_delete(ForeignKeyAction::Cascade)
            .to_owned()
    };
    manager
        .create_table(
            Table::create()
                .table("event_purge")
                .col(uuid("stream_id"))
                .col(text("kind"))
                .col(big_integer("up_to"))
                .primary_key(Index::create().col("stream_id").col("kind"))
                .foreign_key(&mut of_stream("event_purge"))
                .to_owned(),
        )
        .await?;
    manager
        .create_table(
            Table::create()
                .table("activity")
                .col(uuid("stream_id"))
                .col(big_integer("number"))
                .col(text("kind"))
                .col(json_binary("payload"))
                .col(timestamp_with_time_zone("occurred_at"))
                .primary_key(Index::create().col("stream_id").col("number"))
                .foreign_key(&mut of_stream("activity"))
                .to_owned(),
        )
        .await?;
    // What happened before there was a trail.
    manager
        .get_connection()
        .execute_unprepared(
            "INSERT INTO activity (stream_id, number, kind, payload, occurred_at) \
             SELECT stream_id, number, kind, payload, occurred_at FROM event WHERE kind = 'link_status_changed'",
        )
        .await?;
    manager
        .create_table(
            Table::create()
                .table("webhook_receipt")
                .col(text("platform"))
                .col(text("id"))
                .col(timestamp_with_time_zone("received_at"))
                .primary_key(Index::create().col("platform").col("id"))
                .to_owned(),
        )
        .await?;
    // What housekeeping looks for; the other tables are older, and get their indexes by the next migration.
    let age =
        Index::create().name("webhook_receipt_age").table("webhook_receipt").col("received_at").to_owned();
    manager.create_index(age).await
}

/// The streams that have jobs, in the order in which it is their turn: a claim goes from stream to stream, so that
/// one with a million jobs holds up nobody.
async fn jobs(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            Table::create()
                .table("job_stream")
                .col(uuid("stream_id").primary_key())
                .col(timestamp_with_time_zone("next_at"))
                .col(big_integer("turns").default(0))
                .to_owned(),
        )
        .await?;
    let db = manager.get_connection();
    let turn =
        Index::create().name("job_stream_turn").table("job_stream").col("next_at").col("turns").to_owned();
    manager.create_index(turn).await?;
    db.execute_unprepared(
        "INSERT INTO job_stream (stream_id, next_at) \
         SELECT stream_id, min(run_at) FROM job WHERE dead_at IS NULL GROUP BY stream_id",
    )
    .await?;
    if manager.get_database_backend() == DbBackend::Postgres {
        // These turn over all the time: vacuumed by what is dead, not by a share of what once was there.
        for table in ["job", "job_stream"] {
            db.execute_unprepared(&format!(
                "ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0, \
                 autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0)",
            ))
            .await?;
        }
    }
    Ok(())
}
