//! What waits in the queue, for whoever watches over it.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, Statement};
use tokio::sync::Mutex;

use super::{LEASE, settle};
use crate::error::Error;
use crate::store::Store;

/// No more are counted: a million rows must not be read for a number.
pub const COUNTED: i64 = 10_000;
/// Whoever asks again so soon is told the same.
const FRESH: Duration = Duration::from_secs(5);
/// The turn of a stream with due jobs comes no later than this: when a lease ends, or what cannot be read here is looked
/// at again.
const SHOWN: TimeDelta =
    if LEASE.num_seconds() > settle::LOOKED_AT.num_seconds() { LEASE } else { settle::LOOKED_AT };
/// Who asks is not kept waiting for a database that does not answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Due jobs, the instant since which the first one is, and dead jobs: $1 now, $2 the last turn that is looked at, $3 how
/// many are counted.
///
/// It goes by the streams whose turn it is, like a claim, and thus by the first rows of indexes.
const LOOK: &str = "
WITH turn AS (
    SELECT stream_id FROM job_stream WHERE next_at <= $2 ORDER BY next_at LIMIT $3
), due AS (
    SELECT 1 AS one FROM turn JOIN job ON job.stream_id = turn.stream_id
    WHERE job.dead_at IS NULL AND job.run_at <= $1 LIMIT $3
), first AS (
    SELECT (SELECT job.run_at FROM job WHERE job.stream_id = turn.stream_id AND job.dead_at IS NULL
        ORDER BY job.run_at LIMIT 1) AS run_at FROM turn
), dead AS (
    SELECT 1 AS one FROM job WHERE dead_at IS NOT NULL LIMIT $3
)
SELECT (SELECT count(*) FROM due) AS due, (SELECT min(run_at) FROM first WHERE run_at <= $1) AS since,
    (SELECT count(*) FROM dead) AS dead";

/// What waits. Counts end at [`COUNTED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Jobs whose time has come, those under way included.
    pub due: i64,
    pub dead: i64,
    /// How long the first of the due ones has been so.
    pub oldest: TimeDelta,
}

/// Asks for the backlog, and not more often than is useful.
#[derive(Default)]
pub struct BacklogWatch(Mutex<Option<(Instant, Backlog)>>);

impl BacklogWatch {
    /// The backlog as it was some seconds ago; absent while the database does not tell.
    pub async fn look(&self, store: &Store) -> Option<Backlog> {
        // Whoever comes meanwhile waits for the one answer.
        let mut last = self.0.lock().await;
        if let Some((_, backlog)) = last.filter(|(asked, _)| asked.elapsed() < FRESH) {
            return Some(backlog);
        }
        let looked = tokio::time::timeout(PATIENCE, backlog(store)).await;
        *last = match looked {
            Ok(Ok(backlog)) => Some((Instant::now(), backlog)),
            Ok(Err(error)) => {
                error.log();
                None
            }
            Err(_) => None,
        };
        last.map(|(_, backlog)| backlog)
    }
}

async fn backlog(store: &Store) -> Result<Backlog, Error> {
    let (db, now) = (store.db(), store.0.clock.now());
    let values = [now.into(), (now + SHOWN).into(), COUNTED.into()];
    let look = Statement::from_sql_and_values(db.backend(), LOOK, values);
    let row = db.read().query_one_raw(look).await?;
    let row = row.ok_or_else(|| Error::internal(anyhow::anyhow!("a count has no row")))?;
    let since: Option<DateTime<Utc>> = row.try_get("", "since")?;
    Ok(Backlog {
        due: row.try_get("", "due")?,
        dead: row.try_get("", "dead")?,
        oldest: since.map_or(TimeDelta::zero(), |since| now - since),
    })
}
