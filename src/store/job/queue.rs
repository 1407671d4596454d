//! The queue of streams that have jobs.

use accounts_center_entity::job_stream;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter,
    QueryOrder, QuerySelect, Statement,
};
use uuid::Uuid;

use crate::error::Error;
use crate::store::{Store, migrate};

/// Brings forward the turns of streams that have none, or whose turn comes after $2 while a job has been due since $1 and
/// is nobody's.
const FORGOTTEN: &str = "
INSERT INTO job_stream (stream_id, next_at, turns)
SELECT job.stream_id, min(job.run_at), 0
FROM job LEFT JOIN job_stream AS turn ON turn.stream_id = job.stream_id
WHERE job.dead_at IS NULL AND (turn.stream_id IS NULL OR (turn.next_at > $2 AND job.run_at <= $1
    AND (job.leased_until IS NULL OR job.leased_until <= $1)))
GROUP BY job.stream_id
ON CONFLICT (stream_id) DO UPDATE SET next_at = excluded.next_at, turns = 0
WHERE job_stream.next_at > excluded.next_at";

/// A turn that comes so soon is not called: its stream may have jobs of unknown kinds alone.
const FORGOTTEN_FOR: TimeDelta = TimeDelta::seconds(60);

/// Makes it the turn of `streams` at `at`, where it is not sooner. Each of them stands there once.
pub(in crate::store) async fn call(
    db: &impl ConnectionTrait,
    streams: &[Uuid],
    at: DateTime<Utc>,
) -> Result<(), Error> {
    let row =
        |stream: &Uuid| job_stream::ActiveModel { stream_id: Set(*stream), next_at: Set(at), turns: Set(0) };
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

impl Store {
    /// Gives a turn to streams whose jobs nobody has called: a release that knew no turns left them, or somebody by
    /// hand. Gives how many it were.
    pub async fn call_forgotten_streams(&self) -> Result<u64, Error> {
        let now = self.0.clock.now();
        let values = [now.into(), (now + FORGOTTEN_FOR).into()];
        let call = Statement::from_sql_and_values(self.db().backend(), FORGOTTEN, values);
        Ok(self.db().write().execute_raw(call).await?.rows_affected())
    }
}

/// Locks the streams whose turn has come, at most `limit`, the first ones first; past those that others hold. None if the
/// database has another epoch.
pub(super) async fn lock_due(
    tx: &DatabaseTransaction,
    (now, epoch): (DateTime<Utc>, u64),
    limit: usize,
) -> Result<Vec<Uuid>, Error> {
    Ok(job_stream::Entity::find()
        .select_only()
        .column(job_stream::Column::StreamId)
        .filter(job_stream::Column::NextAt.lte(now))
        .filter(migrate::is_of(epoch))
        .order_by_asc(job_stream::Column::NextAt)
        .order_by_asc(job_stream::Column::Turns)
        .limit(limit as u64)
        // On SQLite the clause is left out, and the transaction is the only writer already.
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .into_tuple()
        .all(tx)
        .await?)
}
