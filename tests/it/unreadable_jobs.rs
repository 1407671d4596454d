//! Jobs of a kind that is known, with a payload that is not: those of a newer release.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use accounts_center::store::{Command, Job, JobError, Outcome, Runner, Store, StreamKind};
use accounts_center_entity::job;
use sea_orm::EntityTrait;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{START, TestApp, eventually, on_both_stacks};

const KIND: &str = "test";

#[derive(Serialize, Deserialize)]
struct Old {
    n: usize,
}

#[derive(Serialize, Deserialize)]
struct New {
    number: String,
}

impl Job for Old {
    const KIND: &'static str = KIND;
}

impl Job for New {
    const KIND: &'static str = KIND;
}

/// Counts the jobs that `J` can read.
fn counting<J: Job + Send + 'static>(store: &Store) -> (Runner, Arc<AtomicUsize>) {
    let (mut runner, seen) =
        (Runner::new(store.clone(), 4, Duration::from_secs(1)), Arc::new(AtomicUsize::new(0)));
    let counted = seen.clone();
    runner.handle(move |_: J| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok::<(), JobError>(()) }
    });
    (runner, seen)
}

on_both_stacks! {
    async fn a_payload_of_another_release_is_left_to_it(place: Place) {
        let app = TestApp::start_quiet(&place, 1).await;
        let (store, db) = (app.app().store.clone(), place.database().await);
        let left = store.create(Uuid::from_u128(1), StreamKind::Verification, async |command: &mut Command| {
            for n in 0..20 {
                command.enqueue(&New { number: n.to_string() })?;
                command.enqueue(&Old { n })?;
            }
            Ok(Outcome::Commit(()))
        });
        left.await.unwrap().unwrap();
        let (older, seen) = counting::<Old>(&store);
        let stop = CancellationToken::new();
        let running = tokio::spawn(older.run(stop.clone()));
        let all_wait = async |passed: i64| {
            let now = START + chrono::TimeDelta::seconds(passed);
            eventually("those that are known have run, and the others wait", async || {
                let rows = job::Entity::find().all(&db).await.unwrap();
                let waits = |row: &job::Model| row.leased_until.is_some_and(|until| until > now) && row.attempts == 0;
                (rows.len() == 20 && rows.iter().all(waits)).then_some(rows)
            }).await
        };
        let rows = all_wait(0).await;
        assert_eq!(seen.load(Ordering::SeqCst), 20);
        assert!(rows.iter().all(|row| row.last_error.as_deref().is_some_and(|error| error.contains("does not parse"))));
        // Nothing is done again and again meanwhile.
        let (begin, before) = (Instant::now(), store.db().statements());
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let (took, during) = (begin.elapsed(), store.db().statements() - before);
        assert!(during <= took.as_millis() as u64 / 500 + 2, "{during} statements in {took:?} without anything to do");
        // However long it goes on, no try is used up; and the longer, the less often it is looked at.
        let mut passed = 0;
        for _ in 0..12 {
            app.advance(&place, 600).await;
            passed += 600;
            all_wait(passed).await;
        }
        let rows = all_wait(passed).await;
        assert!(rows.iter().all(|row| (row.attempts, row.dead_at, row.run_at) == (0, None, START)), "{rows:?}");
        let wait = |row: &job::Model| (row.leased_until.unwrap() - START).num_seconds() - passed;
        assert!(rows.iter().all(|row| (300..=450).contains(&wait(row))), "{rows:?}");
        stop.cancel();
        running.await.unwrap();
        // The newer release runs them, once they are looked at again.
        let (newer, seen) = counting::<New>(&store);
        let stop = CancellationToken::new();
        let running = tokio::spawn(newer.run(stop.clone()));
        app.advance(&place, 451).await;
        eventually("all are done", async || {
            job::Entity::find().one(&db).await.unwrap().is_none().then_some(())
        }).await;
        assert_eq!(seen.load(Ordering::SeqCst), 20);
        stop.cancel();
        running.await.unwrap();
    }
}
