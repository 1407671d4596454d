//! Streams, their events, jobs, idempotency records, and the facts of the deployment.

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
                    .table("deployment")
                    .col(text("name").primary_key())
                    .col(text("value"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("stream")
                    .col(uuid("id").primary_key())
                    .col(text("kind"))
                    .col(big_integer("version"))
                    .col(big_integer("graph_version"))
                    .col(timestamp_with_time_zone("created_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("event")
                    .col(uuid("stream_id"))
                    .col(big_integer("number"))
                    .col(text("kind"))
                    .col(json_binary("payload"))
                    .col(timestamp_with_time_zone("occurred_at"))
                    .primary_key(Index::create().col("stream_id").col("number"))
                    .foreign_key(
                        ForeignKey::create()
                            .from("event", "stream_id")
                            .to("stream", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("job")
                    .col(uuid("id").primary_key())
                    .col(text("kind"))
                    .col(json_binary("payload"))
                    .col(uuid("stream_id"))
                    .col(timestamp_with_time_zone("run_at"))
                    .col(integer("attempts"))
                    .col(timestamp_with_time_zone_null("leased_until"))
                    .col(timestamp_with_time_zone_null("dead_at"))
                    .col(text_null("last_error"))
                    .col(timestamp_with_time_zone("created_at"))
                    .to_owned(),
            )
            .await?;
        // What a claim looks for. Dead jobs are kept, and must not slow it down.
        manager
            .get_connection()
            .execute_unprepared("CREATE INDEX job_due ON job (run_at) WHERE dead_at IS NULL")
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("idempotency_record")
                    .col(uuid("scope"))
                    .col(text("operation"))
                    .col(binary("key_hash"))
                    .col(binary("input_hash"))
                    .col(uuid("result_id"))
                    .col(timestamp_with_time_zone("created_at"))
                    .primary_key(Index::create().col("scope").col("operation").col("key_hash"))
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["idempotency_record", "job", "event", "stream", "deployment"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}
