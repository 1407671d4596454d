//! The job runner: what it claims, and what becomes of jobs that do not end well.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use accounts_center::store::{Command, Job, JobError, Outcome, Runner, Store, StreamKind};
use accounts_center_entity::job;
use sea_orm::{ConnectionTrait, EntityTrait};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::support::{Place, Stack, eventually, on_both_stacks};

#[derive(Serialize, Deserialize)]
struct TestJob {
    n: usize,
}

impl Job for TestJob {
    const KIND: &'static str = "test";
}

on_both_stacks! {
    /// Left to itself PostgreSQL may choose the rows anew for each one that it updates, when it thinks that the
    /// table is nearly empty: then a limit limits nothing.
    async fn a_claim_takes_no_more_than_there_is_room_for(place: Place) {
        if place.stack == Stack::Production {
            // Leaves the planner the one plan that shows it, whatever it thinks of the table.
            let plan = "DO $$ DECLARE setting text; BEGIN
                FOREACH setting IN ARRAY ARRAY['hashjoin', 'mergejoin', 'hashagg', 'sort', 'material', 'memoize'] LOOP
                    EXECUTE format('ALTER DATABASE %I SET enable_%s = off', current_database(), setting);
                END LOOP; END $$";
            place.database().await.execute_unprepared(plan).await.unwrap();
        }
        let app = quiet(place).await;
        let store = app.1.app().store.clone();
        enqueue(&store, 0..500).await;
        let (begun, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let mut runner = Runner::new(store, 16, Duration::from_secs(5));
        let (counted, closed) = (begun.clone(), gate.clone());
        runner.handle(move |_: TestJob| {
            counted.fetch_add(1, Ordering::SeqCst);
            let closed = closed.clone();
            async move {
                closed.acquire().await.unwrap().forget();
                Ok(())
            }
        });
        let stop = CancellationToken::new();
        let running = tokio::spawn(runner.run(stop.clone()));
        eventually("16 jobs have begun", async || (begun.load(Ordering::SeqCst) >= 16).then_some(())).await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(begun.load(Ordering::SeqCst), 16);
        let rows = job::Entity::find().all(&app.0.database().await).await.unwrap();
        assert_eq!(rows.iter().filter(|row| row.leased_until.is_some()).count(), 16);
        // Each one once, and all of them.
        gate.add_permits(500);
        eventually("all jobs are done", async || {
            job::Entity::find().one(&app.0.database().await).await.unwrap().is_none().then_some(())
        }).await;
        assert_eq!(begun.load(Ordering::SeqCst), 500);
        stop.cancel();
        running.await.unwrap();
    }

    async fn a_stopping_runner_gives_back_what_does_not_end(place: Place) {
        let app = quiet(place).await;
        let store = app.1.app().store.clone();
        enqueue(&store, 0..2).await;
        let mut runner = Runner::new(store, 4, Duration::from_millis(300));
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = begun.clone();
        runner.handle(move |job: TestJob| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                let time = if job.n == 0 { Duration::from_millis(100) } else { Duration::from_secs(20) };
                tokio::time::sleep(time).await;
                Ok(())
            }
        });
        let stop = CancellationToken::new();
        let running = tokio::spawn(runner.run(stop.clone()));
        eventually("both have begun", async || (begun.load(Ordering::SeqCst) == 2).then_some(())).await;
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), running).await.expect("the drain has a limit").unwrap();
        let rows = job::Entity::find().all(&app.0.database().await).await.unwrap();
        assert_eq!(rows.len(), 1, "the short one has ended");
        assert_eq!((rows[0].leased_until, rows[0].dead_at), (None, None), "the long one is free for others");
    }

    async fn a_job_that_fails_or_panics_is_tried_again_and_ends_up_dead(place: Place) {
        let app = quiet(place).await;
        let store = app.1.app().store.clone();
        enqueue(&store, 0..3).await;
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
            eventually("each job has been tried", async || {
                let rows = job::Entity::find().all(&db).await.unwrap();
                let tried = |row: &job::Model| row.dead_at.is_some() || row.attempts == attempt && row.leased_until.is_none();
                rows.iter().all(tried).then_some(())
            }).await;
            app.1.advance(&app.0, 600).await;
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

    async fn a_job_of_an_unknown_kind_is_left_alone(place: Place) {
        let app = place.app().await;
        enqueue(&app.app().store, 0..1).await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let row = job::Entity::find().one(&place.database().await).await.unwrap().unwrap();
        assert_eq!((row.attempts, row.leased_until, row.dead_at), (0, None, None));
        app.client().query("{ platforms { key } }").await.field();
    }
}

/// An application that runs no jobs by itself.
async fn quiet(mut place: Place) -> (Place, crate::support::TestApp) {
    place.set("ACCOUNTS__JOBS__CONCURRENCY", 0);
    let app = place.app().await;
    (place, app)
}

async fn enqueue(store: &Store, range: std::ops::Range<usize>) {
    let stream = uuid::Uuid::from_u128(range.start as u128 + 1);
    store
        .create(stream, StreamKind::Verification, async |command: &mut Command| {
            for n in range {
                command.enqueue(&TestJob { n })?;
            }
            Ok(Outcome::Commit(()))
        })
        .await
        .unwrap()
        .unwrap();
}
