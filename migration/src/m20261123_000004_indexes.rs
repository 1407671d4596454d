//! Indexes on tables that were there before the whole core: for housekeeping, for claims and for operators.

use sea_orm_migration::prelude::*;

use crate::index;

#[derive(DeriveMigrationName)]
pub struct Migration;

const INDEXES: [(&str, &str); 7] = [
    ("event_age", "event (occurred_at)"),
    ("idempotency_record_age", "idempotency_record (created_at)"),
    ("verification_age", "verification (expires_at)"),
    ("verification_stream", "verification (stream_id)"),
    ("session_age", "session (expires_at)"),
    ("job_of_stream", "job (stream_id, run_at) WHERE dead_at IS NULL"),
    ("job_dead", "job (dead_at, id) WHERE dead_at IS NOT NULL"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, target) in INDEXES {
            index::build(manager, name, target).await?;
        }
        // A claim goes by streams now.
        index::drop(manager, "job_due").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        index::build(manager, "job_due", "job (run_at) WHERE dead_at IS NULL").await?;
        for (name, _) in INDEXES {
            index::drop(manager, name).await?;
        }
        Ok(())
    }
}
