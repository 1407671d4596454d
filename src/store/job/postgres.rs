//! The statements of a claim on PostgreSQL.

use accounts_center_entity::job;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, Statement, Value};
use uuid::Uuid;

use super::claim::{Terms, Visit};
use crate::error::Error;

/// Leases the first due jobs of each visited stream: $1 streams, $2 how many from each, $3 now, $4 kinds,
/// $5 the lease's end.
///
/// They are chosen once, before the update: left to itself PostgreSQL may choose anew for each row that it updates,
/// and then the limit limits nothing. A row that is locked belongs to somebody who finishes just now. The columns are
/// named because `*` means others as soon as the next release's migration adds one, and then what is prepared fails.
const TAKE: &str = "
WITH due AS MATERIALIZED (
    SELECT picked.id
    FROM unnest($1::uuid[], $2::bigint[]) AS visited (stream_id, share)
    CROSS JOIN LATERAL (
        SELECT job.id
        FROM job
        WHERE job.stream_id = visited.stream_id AND job.dead_at IS NULL AND job.run_at <= $3
            AND (job.leased_until IS NULL OR job.leased_until <= $3) AND job.kind = ANY ($4)
        ORDER BY job.run_at
        LIMIT visited.share
        FOR UPDATE SKIP LOCKED
    ) AS picked
)
UPDATE job SET leased_until = $5, attempts = job.attempts + 1
FROM due WHERE job.id = due.id
RETURNING job.id, job.kind, job.payload, job.stream_id, job.run_at, job.attempts, job.leased_until, job.dead_at,
    job.last_error, job.created_at";

/// Gives each stream its next turn, or deletes it where it has no live job: $1 streams, $2 now, $3 kinds, $4 the next
/// turn where only other kinds are due. Returns a row for each one that is left.
///
/// Each question is answered by the first rows of the index `job_of_stream`, and those of a CASE are asked only if
/// they are reached: the last one looks at all due rows, when all of them are leased, thus few. `ORDER BY … LIMIT 1`
/// rather than `EXISTS` or `min` keeps the planner to that index, whatever it thinks of the table.
const SET_NEXT_TURNS: &str = "
WITH upcoming AS MATERIALIZED (
    SELECT
        turn.stream_id,
        CASE
            WHEN (SELECT true FROM job
                WHERE job.stream_id = turn.stream_id AND job.dead_at IS NULL AND job.run_at <= $2
                    AND (job.leased_until IS NULL OR job.leased_until <= $2) AND job.kind = ANY ($3)
                ORDER BY job.run_at LIMIT 1)
            THEN $2
            WHEN (SELECT true FROM job
                WHERE job.stream_id = turn.stream_id AND job.dead_at IS NULL AND job.run_at <= $2
                    AND (job.leased_until IS NULL OR job.leased_until <= $2)
                ORDER BY job.run_at LIMIT 1)
            THEN LEAST($4, scheduled.run_at)
            ELSE LEAST(scheduled.run_at, (SELECT min(job.leased_until) FROM job
                WHERE job.stream_id = turn.stream_id AND job.dead_at IS NULL AND job.run_at <= $2))
        END AS next_at
    FROM unnest($1::uuid[]) AS turn (stream_id)
    LEFT JOIN LATERAL (
        SELECT job.run_at FROM job
        WHERE job.stream_id = turn.stream_id AND job.dead_at IS NULL AND job.run_at > $2
        ORDER BY job.run_at LIMIT 1
    ) AS scheduled ON true
), gone AS (
    DELETE FROM job_stream USING upcoming
    WHERE job_stream.stream_id = upcoming.stream_id AND upcoming.next_at IS NULL
)
UPDATE job_stream
SET next_at = upcoming.next_at, turns = CASE WHEN upcoming.next_at <= $2 THEN job_stream.turns + 1 ELSE 0 END
FROM upcoming
WHERE job_stream.stream_id = upcoming.stream_id AND upcoming.next_at IS NOT NULL
RETURNING upcoming.next_at <= $2 AS waits";

pub(super) async fn take(
    tx: &DatabaseTransaction,
    visits: &[Visit],
    terms: &Terms<'_>,
) -> Result<Vec<job::Model>, Error> {
    let streams: Vec<Uuid> = visits.iter().map(|visit| visit.stream).collect();
    let shares: Vec<i64> = visits.iter().map(|visit| visit.share).collect();
    let values = [streams.into(), shares.into(), terms.now.into(), kinds(terms), terms.leased_until.into()];
    let take = Statement::from_sql_and_values(DbBackend::Postgres, TAKE, values);
    Ok(job::Entity::find().from_raw_sql(take).all(tx).await?)
}

pub(super) async fn set_next_turns(
    tx: &DatabaseTransaction,
    streams: &[Uuid],
    terms: &Terms<'_>,
) -> Result<usize, Error> {
    let values = [streams.to_vec().into(), terms.now.into(), kinds(terms), terms.unknown_until.into()];
    let set = Statement::from_sql_and_values(DbBackend::Postgres, SET_NEXT_TURNS, values);
    let mut waiting = 0;
    for row in tx.query_all_raw(set).await? {
        waiting += usize::from(row.try_get::<bool>("", "waits")?);
    }
    Ok(waiting)
}

fn kinds(terms: &Terms<'_>) -> Value {
    terms.kinds.iter().copied().map(str::to_owned).collect::<Vec<_>>().into()
}
