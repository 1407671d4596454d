//! The queue of streams that have jobs.

use accounts_center_entity::job_stream;
use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use uuid::Uuid;

use crate::error::Error;

/// Makes it the turn of `streams` at `at`, where it is not sooner. Each of them stands there once.
pub(in crate::store) async fn call(
    db: &impl ConnectionTrait,
    streams: &[Uuid],
    at: DateTime<Utc>,
) -> Result<(), Error> {
    let row =
        |stream: &Uuid| job_stream::ActiveModel { stream_id: Set(*stream), next_at: Set(at), turns: Set(0) };
    let there: Vec<Uuid> = job_stream::Entity::find()
        .select_only()
        .column(job_stream::Column::StreamId)
        .filter(job_stream::Column::StreamId.is_in(streams.iter().copied()))
        .filter(job_stream::Column::NextAt.lte(at))
        .into_tuple()
        .all(db)
        .await?;
    let streams: Vec<Uuid> = streams.iter().copied().filter(|s| !there.contains(s)).collect();
    if streams.is_empty() {
        return Ok(());
    }
    // Where the condition does not hold the row is not written, and locked all the same: a claim must not pass over
    // this transaction's jobs before they are there to be seen.
    let bring_forward = OnConflict::column(job_stream::Column::StreamId)
        .update_columns([job_stream::Column::NextAt, job_stream::Column::Turns])
        .action_and_where(
            Expr::col((job_stream::Entity, job_stream::Column::NextAt))
                .gt(Expr::col(("excluded", job_stream::Column::NextAt))),
        )
        .to_owned();
    job_stream::Entity::insert_many(streams.iter().map(row))
        .on_conflict(bring_forward)
        .exec_without_returning(db)
        .await?;
    Ok(())
}

/// Locks the streams whose turn has come, at most `limit`, the first ones first; past those that others hold.
pub(super) async fn lock_due(
    tx: &DatabaseTransaction,
    now: DateTime<Utc>,
    limit: usize,
) -> Result<Vec<Uuid>, Error> {
    Ok(job_stream::Entity::find()
        .select_only()
        .column(job_stream::Column::StreamId)
        .filter(job_stream::Column::NextAt.lte(now))
        .order_by_asc(job_stream::Column::NextAt)
        .order_by_asc(job_stream::Column::Turns)
        .limit(limit as u64)
        // On SQLite the clause is left out, and the transaction is the only writer already.
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .into_tuple()
        .all(tx)
        .await?)
}
