//! Claiming jobs: streams take turns, and each one visited gives some of its jobs.

use std::time::Instant;

use accounts_center_entity::job;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DatabaseTransaction, DbBackend};
use uuid::Uuid;

use super::{LEASE, postgres, queue, sqlite};
use crate::error::Error;
use crate::store::Store;

/// How long a stream waits in which nothing but jobs of unknown kinds is due, at least. Up to half as long again, so
/// that a worker that knows them does not come too late each time.
const UNKNOWN: TimeDelta = TimeDelta::seconds(1);

/// What a claim got.
#[derive(Default)]
pub(super) struct Claim {
    pub jobs: Vec<job::Model>,
    /// Whether another claim would get something at once.
    pub more: bool,
}

/// What a claim goes by.
pub(super) struct Terms<'a> {
    pub now: DateTime<Utc>,
    /// The kinds that the claimant can run.
    pub kinds: &'a [&'static str],
    pub leased_until: DateTime<Utc>,
    /// The next turn of a stream in which only jobs of other kinds are due.
    pub unknown_until: DateTime<Utc>,
}

/// A stream whose turn it is, and how many jobs it may give.
pub(super) struct Visit {
    pub stream: Uuid,
    pub share: i64,
}

/// Claims at most `room` due jobs of `kinds`.
pub(super) async fn claim(store: &Store, kinds: &[&'static str], room: usize) -> Result<Claim, Error> {
    let begun = Instant::now();
    let now = store.0.clock.now();
    let tx = store.db().begin().await?;
    let streams = queue::lock_due(&tx, (now, store.0.epoch), room).await?;
    if streams.is_empty() {
        tx.rollback().await?;
        return Ok(Claim::default());
    }
    let visits = share(&streams, room);
    let [random] = store.0.ids.bytes::<1>();
    let unknown_until = now + UNKNOWN + UNKNOWN * i32::from(random) / 512;
    let terms = Terms { now, kinds, leased_until: now + LEASE, unknown_until };
    let jobs = take(&tx, store.db().backend(), &visits, &terms).await?;
    // In a statement of its own, which sees what was committed while we held the locks.
    let waiting = set_next_turns(&tx, store.db().backend(), &streams, &terms).await?;
    tx.commit().await?;

    let moved = !jobs.is_empty() || waiting < streams.len();
    let more = moved && (waiting > 0 || streams.len() == room);
    let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    tracing::debug!(visited = streams.len(), claimed = jobs.len(), micros, "claimed jobs");
    Ok(Claim { jobs, more })
}

/// Divides `room` evenly among `streams`, of which there are at most as many; the first ones get what is left over.
fn share(streams: &[Uuid], room: usize) -> Vec<Visit> {
    let (each, left_over) = (room / streams.len(), room % streams.len());
    let visit = |(nth, stream): (usize, &Uuid)| {
        let share = each + usize::from(nth < left_over);
        Visit { stream: *stream, share: i64::try_from(share).unwrap_or(i64::MAX) }
    };
    streams.iter().enumerate().map(visit).collect()
}

async fn take(
    tx: &DatabaseTransaction,
    backend: DbBackend,
    visits: &[Visit],
    terms: &Terms<'_>,
) -> Result<Vec<job::Model>, Error> {
    let mut jobs = match backend {
        DbBackend::Postgres => postgres::take(tx, visits, terms).await?,
        _ => sqlite::take(tx, visits, terms).await?,
    };
    jobs.sort_unstable_by_key(|job| (job.run_at, job.id));
    Ok(jobs)
}

/// Gives each of `streams` its next turn, or takes it out of the queue. Returns for how many that is at once.
async fn set_next_turns(
    tx: &DatabaseTransaction,
    backend: DbBackend,
    streams: &[Uuid],
    terms: &Terms<'_>,
) -> Result<usize, Error> {
    match backend {
        DbBackend::Postgres => postgres::set_next_turns(tx, streams, terms).await,
        _ => sqlite::set_next_turns(tx, streams, terms).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_divided_evenly_and_none_is_lost() {
        let shares = |streams: u128, room| -> Vec<i64> {
            let streams: Vec<_> = (0..streams).map(Uuid::from_u128).collect();
            share(&streams, room).iter().map(|visit| visit.share).collect()
        };
        assert_eq!(shares(1, 16), [16]);
        assert_eq!(shares(3, 16), [6, 5, 5]);
        assert_eq!(shares(4, 4), [1, 1, 1, 1]);
    }
}
