//! What becomes of a job after a try: it is tried again, waits, dies, or is nobody's business any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use accounts_center::store::{JobError, Runner};
use accounts_center_entity::job;
use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, EntityTrait};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::jobs::{TestJob, enqueue, gated, quiet};
use crate::support::{START, eventually, on_both_stacks};

/// Seconds before the second try, the third, and so on.
const PAUSES: [i64; 7] = [1, 4, 16, 64, 256, 1024, 1800];

on_both_stacks! {
    /// Eight tries over about an hour, each pause four times the one before, and up to half as long again.
    async fn a_job_that_fails_or_panics_is_tried_again_and_ends_up_dead(place: Place) {
        let app = quiet(place).await;
        let store = app.1.app().store.clone();
        enqueue(&store, Uuid::from_u128(1), 0..3, START).await;
        let mut runner = Runner::new(store, 4, Duration::from_secs(1));
        runner.handle(|job: TestJob| async move {
            match job.n {
                0 => panic!("a test's own panic"),
                1 => Err(JobError::Retry("not now".into())),
                _ => Err(JobError::GiveUp("never".into())),
            }
        });
        let stop = CancellationToken::new();
        let running = tokio::spawn(runner.run(stop.clone()));
        let db = app.0.database().await;
        for attempt in 1..=8 {
            let rows = eventually("each job has been tried", async || {
                let rows = job::Entity::find().all(&db).await.unwrap();
                let tried = |row: &job::Model| row.dead_at.is_some() || row.attempts == attempt && row.leased_until.is_none();
                rows.iter().all(tried).then_some(rows)
            }).await;
            let now = app.1.app().clock.now();
            let waiting: Vec<_> = rows.iter().filter(|row| row.dead_at.is_none()).collect();
            assert_eq!(waiting.len(), if attempt == 8 { 0 } else { 2 }, "after {attempt} tries");
            let Some(pause) = PAUSES.get(attempt as usize - 1).copied().map(TimeDelta::seconds) else { break };
            for row in waiting {
                let waits = row.run_at - now;
                assert!((pause..=pause * 3 / 2).contains(&waits), "{waits} after {attempt} tries");
            }
            app.1.advance(&app.0, (pause * 3 / 2).num_seconds() + 1).await;
        }
        let rows = job::Entity::find().all(&db).await.unwrap();
        let mut ends: Vec<_> = rows.iter().map(|row| {
            assert!(row.dead_at.is_some());
            (row.payload["n"].as_u64().unwrap(), row.attempts, row.last_error.clone().unwrap())
        }).collect();
        ends.sort();
        let expected = [(0, 8, "it panicked"), (1, 8, "not now"), (2, 1, "never")];
        assert_eq!(ends, expected.map(|(n, attempts, error)| (n, attempts, error.to_owned())));
        stop.cancel();
        running.await.unwrap();
    }

    /// What waits for something that is away does not die of it.
    async fn a_job_that_waits_is_tried_as_often_as_it_takes(place: Place) {
        let app = quiet(place).await;
        let store = app.1.app().store.clone();
        enqueue(&store, Uuid::from_u128(1), 0..1, START).await;
        let mut runner = Runner::new(store, 4, Duration::from_secs(1));
        let (tries, is_back) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, back) = (tries.clone(), is_back.clone());
        runner.handle(move |_: TestJob| {
            counted.fetch_add(1, Ordering::SeqCst);
            let is_back = back.load(Ordering::SeqCst);
            async move { if is_back { Ok(()) } else { Err(JobError::Wait("it is away".into())) } }
        });
        let stop = CancellationToken::new();
        let running = tokio::spawn(runner.run(stop.clone()));
        let db = app.0.database().await;
        for attempt in 1..=12 {
            let row = eventually("it has been tried", async || {
                let row = job::Entity::find().one(&db).await.unwrap().unwrap();
                (tries.load(Ordering::SeqCst) == attempt && row.leased_until.is_none()).then_some(row)
            }).await;
            assert_eq!((row.dead_at, row.last_error.as_deref()), (None, Some("it is away")));
            assert!(row.run_at - app.1.app().clock.now() <= TimeDelta::minutes(45));
            is_back.store(attempt == 12, Ordering::SeqCst);
            app.1.advance(&app.0, 2701).await;
        }
        eventually("it is done", async || job::Entity::find().one(&db).await.unwrap().is_none().then_some(())).await;
        stop.cancel();
        running.await.unwrap();
    }

    /// S41: what was done for one database is not done for the backup that has taken its place.
    async fn s41_nothing_is_settled_or_claimed_under_another_epoch(place: Place) {
        let app = quiet(place).await;
        let (store, db) = (app.1.app().store.clone(), app.0.database().await);
        enqueue(&store, Uuid::from_u128(1), 0..2, START).await;
        let (runner, begun, gate) = gated(&store, 2);
        let stop = CancellationToken::new();
        let running = tokio::spawn(runner.run(stop.clone()));
        eventually("both have begun", async || (begun.load(Ordering::SeqCst) == 2).then_some(())).await;
        let renew = "UPDATE deployment SET value = '00000000000000ff' WHERE name = 'epoch'";
        db.execute_unprepared(renew).await.unwrap();
        let before = job::Entity::find().all(&db).await.unwrap();
        gate.add_permits(1);
        stop.cancel();
        // One is done, the other one is given back; neither shows.
        running.await.unwrap();
        assert_eq!(job::Entity::find().all(&db).await.unwrap(), before);
        app.1.advance(&app.0, 120).await;
        let (runner, begun, _gate) = gated(&store, 2);
        let stop = CancellationToken::new();
        let running = tokio::spawn(runner.run(stop.clone()));
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(begun.load(Ordering::SeqCst), 0, "their leases are over, and they are not claimed");
        stop.cancel();
        running.await.unwrap();
    }
}
