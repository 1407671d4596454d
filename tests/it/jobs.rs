//! The job runner: what it claims, and what becomes of jobs that do not end well.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use accounts_center::store::{Command, Job, JobError, Outcome, Runner, Store, StreamKind};
use accounts_center_entity::{job, job_stream};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, Statement};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{Place, START, Stack, eventually, on_both_stacks};

#[derive(Serialize, Deserialize)]
pub struct TestJob {
    pub n: usize,
}

impl Job for TestJob {
    const KIND: &'static str = "test";
}

/// A kind that this release does not know.
#[derive(Serialize, Deserialize)]
struct NewerJob {
    n: usize,
}

impl Job for NewerJob {
    const KIND: &'static str = "test_of_a_newer_release";
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
        enqueue(&store, Uuid::from_u128(1), 0..500, START).await;
        let (runner, begun, gate) = gated(&store, 16);
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
        enqueue(&store, Uuid::from_u128(1), 0..2, START).await;
        let mut runner = Runner::new(store, 4, Duration::from_millis(300));
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = begun.clone();
        runner.handle(move |job: TestJob| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                let time = if job.n == 0 { Duration::from_millis(100) } else { Duration::from_secs(120) };
                tokio::time::sleep(time).await;
                Ok(())
            }
        });
        let stop = CancellationToken::new();
        let running = tokio::spawn(runner.run(stop.clone()));
        eventually("both have begun", async || (begun.load(Ordering::SeqCst) == 2).then_some(())).await;
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(30), running).await.expect("the drain has a limit").unwrap();
        let rows = job::Entity::find().all(&app.0.database().await).await.unwrap();
        assert_eq!(rows.len(), 1, "the short one has ended");
        assert_eq!((rows[0].leased_until, rows[0].dead_at), (None, None), "the long one is free for others");
    }

    async fn a_stream_with_many_jobs_holds_nobody_up(place: Place) {
        let app = quiet(place).await;
        let store = app.1.app().store.clone();
        for room in [1, 3, 16, 64] {
            enqueue_all(&store, app.1.app().clock.now()).await;
            let order = order_until_others_have_run(&store, room).await;
            assert_fair(&order, room);
            clear(&app.0).await;
        }
    }

    async fn jobs_that_fall_due_together_are_run_as_fairly(place: Place) {
        let app = quiet(place).await;
        let store = app.1.app().store.clone();
        for room in [2, 16] {
            enqueue_all(&store, app.1.app().clock.now() + TimeDelta::seconds(60)).await;
            let ((), order) = tokio::join!(app.1.advance(&app.0, 60), order_until_others_have_run(&store, room));
            assert_fair(&order, room);
            clear(&app.0).await;
        }
    }

    /// Commands, two runners and time itself race: leases run out, streams leave the queue and come back.
    async fn no_job_is_forgotten(place: Place) {
        let app = quiet(place).await;
        let replica = match app.0.stack {
            Stack::Production => Some(app.0.replica().await),
            Stack::Embedded => None,
        };
        let stores = [&app.1, replica.as_ref().unwrap_or(&app.1)].map(|app| app.app().store.clone());
        let streams: Vec<Uuid> = (1..=5).map(Uuid::from_u128).collect();
        for stream in &streams {
            enqueue(&stores[0], *stream, 0..0, START).await;
        }
        let stop = CancellationToken::new();
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let runners = stores.clone().map(|store| {
            let seen = seen.clone();
            let mut runner = Runner::new(store, 3, Duration::from_secs(5));
            runner.handle(move |job: TestJob| {
                seen.lock().unwrap().insert(job.n);
                async { Ok(()) }
            });
            tokio::spawn(runner.run(stop.clone()))
        });
        let writers: Vec<_> = (0..4_usize).map(|writer| {
            let (store, streams) = (stores[writer % 2].clone(), streams.clone());
            tokio::spawn(async move {
                for nth in 0..100 {
                    let n = writer * 100 + nth;
                    leave(&store, streams[n % streams.len()], n).await;
                }
            })
        }).collect();
        for _ in 0..6 {
            app.1.advance(&app.0, 61).await;
        }
        for writer in writers {
            writer.await.unwrap();
        }
        let db = app.0.database().await;
        eventually("all jobs are done", async || {
            job::Entity::find().one(&db).await.unwrap().is_none().then_some(())
        }).await;
        assert_eq!(*seen.lock().unwrap(), (0..400).collect());
        app.1.advance(&app.0, 61).await;
        eventually("no stream is in the queue", async || {
            job_stream::Entity::find().one(&db).await.unwrap().is_none().then_some(())
        }).await;
        stop.cancel();
        for runner in runners {
            runner.await.unwrap();
        }
    }

    async fn the_job_of_a_worker_that_died_is_taken_over_when_its_lease_ends(place: Place) {
        let app = quiet(place).await;
        let store = app.1.app().store.clone();
        enqueue(&store, Uuid::from_u128(1), 0..1, START).await;
        let (dying, begun, _gate) = gated(&store, 1);
        let dying = tokio::spawn(dying.run(CancellationToken::new()));
        eventually("it has begun", async || (begun.load(Ordering::SeqCst) == 1).then_some(())).await;
        dying.abort();
        let (heir, inherited, gate) = gated(&store, 1);
        gate.add_permits(1);
        let stop = CancellationToken::new();
        let running = tokio::spawn(heir.run(stop.clone()));
        app.1.advance(&app.0, 59).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(inherited.load(Ordering::SeqCst), 0, "its worker could be alive");
        app.1.advance(&app.0, 2).await;
        let db = app.0.database().await;
        eventually("it is done", async || {
            job::Entity::find().one(&db).await.unwrap().is_none().then_some(())
        }).await;
        assert_eq!((begun.load(Ordering::SeqCst), inherited.load(Ordering::SeqCst)), (1, 1));
        stop.cancel();
        running.await.unwrap();
    }

    async fn a_worker_that_was_taken_for_dead_settles_nothing(place: Place) {
        let app = quiet(place).await;
        let store = app.1.app().store.clone();
        let db = app.0.database().await;
        enqueue(&store, Uuid::from_u128(1), 0..1, START).await;
        let (slow, begun, slow_gate) = gated(&store, 1);
        let slow_stop = CancellationToken::new();
        let slow = tokio::spawn(slow.run(slow_stop.clone()));
        eventually("it has begun", async || (begun.load(Ordering::SeqCst) == 1).then_some(())).await;
        app.1.advance(&app.0, 61).await;
        let (heir, inherited, gate) = gated(&store, 1);
        let stop = CancellationToken::new();
        let running = tokio::spawn(heir.run(stop.clone()));
        eventually("it is taken over", async || (inherited.load(Ordering::SeqCst) == 1).then_some(())).await;
        // The slow one finishes, and has said so once its runner has ended.
        slow_gate.add_permits(1);
        slow_stop.cancel();
        slow.await.unwrap();
        let row = job::Entity::find().one(&db).await.unwrap().expect("the heir is still at it");
        assert_eq!((row.attempts, row.leased_until.is_some()), (2, true));
        gate.add_permits(1);
        eventually("it is done", async || {
            job::Entity::find().one(&db).await.unwrap().is_none().then_some(())
        }).await;
        stop.cancel();
        running.await.unwrap();
    }

    async fn jobs_of_unknown_kinds_hold_nobody_up_and_cost_nothing(place: Place) {
        let app = quiet(place).await;
        let store = app.1.app().store.clone();
        let db = app.0.database().await;
        for stream in 1..=30 {
            enqueue_kind(&store, Uuid::from_u128(stream), START, (0..10).map(|n| NewerJob { n })).await;
        }
        let seen = Arc::new(AtomicUsize::new(0));
        let stop = CancellationToken::new();
        let running = tokio::spawn(counting(&store, &seen).run(stop.clone()));
        for n in 0..3 {
            leave(&store, Uuid::from_u128(7), n).await;
        }
        eventually("the known ones have run", async || (seen.load(Ordering::SeqCst) == 3).then_some(())).await;
        for seconds in [0, 2] {
            app.1.advance(&app.0, seconds).await;
            let now = app.1.app().clock.now();
            eventually("each stream waits", async || {
                let queue = job_stream::Entity::find().all(&db).await.unwrap();
                (queue.len() == 30 && queue.iter().all(|turn| turn.next_at > now)).then_some(())
            }).await;
        }
        let (begin, statements) = (Instant::now(), store.db().statements());
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let (took, during) = (begin.elapsed(), store.db().statements() - statements);
        let looks = took.as_millis() as u64 / 500 + 2;
        assert!(during <= looks, "{during} statements in {took:?} without anything to do");
        let rows = job::Entity::find().all(&db).await.unwrap();
        assert_eq!(rows.len(), 300);
        assert!(rows.iter().all(|row| (row.attempts, row.leased_until) == (0, None)));
        stop.cancel();
        running.await.unwrap();
        // A newer release runs them.
        let mut newer = Runner::new(store, 16, Duration::from_secs(1));
        newer.handle(|job: NewerJob| async move { if job.n < 10 { Ok(()) } else { Err(JobError::GiveUp(String::new())) } });
        let stop = CancellationToken::new();
        let running = tokio::spawn(newer.run(stop.clone()));
        app.1.advance(&app.0, 2).await;
        eventually("all are done", async || {
            job::Entity::find().one(&db).await.unwrap().is_none().then_some(())
        }).await;
        stop.cancel();
        running.await.unwrap();
    }

    /// Somebody by hand has put a job where a later turn stands.
    async fn a_turn_that_comes_too_late_is_brought_forward(place: Place) {
        let app = quiet(place).await;
        let (store, db) = (app.1.app().store.clone(), app.0.database().await);
        let (seen, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        enqueue(&store, Uuid::from_u128(1), 0..1, START + TimeDelta::hours(1)).await;
        enqueue(&store, Uuid::from_u128(2), 1..2, START + TimeDelta::hours(1)).await;
        let by_hand = job::Entity::update_many().col_expr(job::Column::RunAt, Expr::val(START));
        by_hand.filter(job::Column::StreamId.eq(Uuid::from_u128(1))).exec(&db).await.unwrap();
        assert_eq!(store.call_forgotten_streams().await.unwrap(), 1);
        assert_eq!(store.call_forgotten_streams().await.unwrap(), 0, "it is called");
        let running = tokio::spawn(counting(&store, &seen).run(stop.clone()));
        eventually("it has run", async || (seen.load(Ordering::SeqCst) == 1).then_some(())).await;
        stop.cancel();
        running.await.unwrap();
    }

    async fn a_job_of_an_unknown_kind_is_left_alone(place: Place) {
        let app = place.app().await;
        enqueue(&app.app().store, Uuid::from_u128(1), 0..1, START).await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let row = job::Entity::find().one(&place.database().await).await.unwrap().unwrap();
        assert_eq!((row.attempts, row.leased_until, row.dead_at), (0, None, None));
        app.client().query("{ platforms { key } }").await.field();
    }
}

/// The two ways in which a command and a claim of the same stream can overlap, each held open for a second. Time stands
/// still, so nothing but the queue itself brings a stream back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_and_a_claim_that_overlap_forget_nothing() {
    let app = quiet(Place::new(Stack::Production).await).await;
    let (store, stream) = (app.1.app().store.clone(), Uuid::from_u128(1));
    let db = app.0.database().await;
    let run = async |sql: &str| db.execute_unprepared(sql).await.unwrap();
    let sleeps = async || {
        let sql =
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        let asked = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
        asked.unwrap().map(|_| ())
    };
    run("CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$")
    .await;
    enqueue(&store, stream, 0..1, START).await;

    // A commit has called the stream, whose turn it is anyway, and is not there to be seen yet.
    run("CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON job DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION wait()")
    .await;
    let late = store.clone();
    let late = tokio::spawn(async move { leave(&late, stream, 1).await });
    eventually("the commit waits", sleeps).await;
    let seen = Arc::new(AtomicUsize::new(0));
    let stop = CancellationToken::new();
    let running = tokio::spawn(counting(&store, &seen).run(stop.clone()));
    late.await.unwrap();
    eventually("both have run", async || (seen.load(Ordering::SeqCst) == 2).then_some(())).await;

    // A claim has taken what it found, and a commit comes before it has decided on the next turn.
    run("DROP TRIGGER slow_commit ON job").await;
    run("CREATE TRIGGER slow_claim BEFORE UPDATE ON job FOR EACH ROW WHEN (NEW.attempts > OLD.attempts) \
         EXECUTE FUNCTION wait()")
    .await;
    leave(&store, stream, 2).await;
    eventually("the claim waits", sleeps).await;
    leave(&store, stream, 3).await;
    eventually("all have run", async || (seen.load(Ordering::SeqCst) == 4).then_some(())).await;
    stop.cancel();
    running.await.unwrap();
}

/// An application that runs no jobs by itself.
pub async fn quiet(mut place: Place) -> (Place, crate::support::TestApp) {
    place.set("ACCOUNTS__JOBS__CONCURRENCY", 0);
    let app = place.app().await;
    (place, app)
}

/// Makes `stream` with jobs that are due at `at`.
pub async fn enqueue(store: &Store, stream: Uuid, range: Range<usize>, at: DateTime<Utc>) {
    enqueue_kind(store, stream, at, range.map(|n| TestJob { n })).await;
}

async fn enqueue_kind<J: Job>(store: &Store, stream: Uuid, at: DateTime<Utc>, jobs: impl Iterator<Item = J>) {
    store
        .create(stream, StreamKind::Verification, async |command: &mut Command| {
            for job in jobs {
                command.enqueue_at(&job, at)?;
            }
            Ok(Outcome::Commit(()))
        })
        .await
        .unwrap()
        .unwrap();
}

/// Leaves one job in a stream that is there.
pub async fn leave(store: &Store, stream: Uuid, n: usize) {
    store
        .command(stream, async |command: &mut Command| {
            command.enqueue(&TestJob { n })?;
            Ok(Outcome::Commit(()))
        })
        .await
        .unwrap()
        .unwrap();
}

/// 500 jobs of one stream, 0 to 499, and then one job of each of 20 others.
async fn enqueue_all(store: &Store, at: DateTime<Utc>) {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let stream = || Uuid::from_u128(NEXT.fetch_add(1, Ordering::Relaxed) as u128);
    enqueue(store, stream(), 0..500, at).await;
    for n in 500..520 {
        enqueue(store, stream(), n..n + 1, at).await;
    }
}

/// In which order jobs began, once all of the 20 others have.
async fn order_until_others_have_run(store: &Store, room: usize) -> Vec<usize> {
    let order = Arc::new(Mutex::new(Vec::new()));
    let told = order.clone();
    let mut runner = Runner::new(store.clone(), room, Duration::from_secs(5));
    runner.handle(move |job: TestJob| {
        told.lock().unwrap().push(job.n);
        async { Ok(()) }
    });
    let stop = CancellationToken::new();
    let running = tokio::spawn(runner.run(stop.clone()));
    eventually("the others have run", async || {
        let others = order.lock().unwrap().iter().filter(|&&n| n >= 500).count();
        (others == 20).then_some(())
    })
    .await;
    stop.cancel();
    running.await.unwrap();
    order.lock().unwrap().clone()
}

fn assert_fair(order: &[usize], room: usize) {
    let last = order.iter().rposition(|&n| n >= 500).unwrap();
    let before = order[..last].iter().filter(|&&n| n < 500).count();
    assert!(
        before < 60,
        "with room for {room}, {before} jobs of the big stream came before the last other one"
    );
}

async fn clear(place: &Place) {
    let db = place.database().await;
    job::Entity::delete_many().exec(&db).await.unwrap();
    job_stream::Entity::delete_many().exec(&db).await.unwrap();
}

/// A runner whose jobs each wait for a permit, and how many of them have begun.
pub fn gated(store: &Store, room: usize) -> (Runner, Arc<AtomicUsize>, Arc<Semaphore>) {
    let (begun, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let mut runner = Runner::new(store.clone(), room, Duration::from_secs(5));
    let (counted, closed) = (begun.clone(), gate.clone());
    runner.handle(move |_: TestJob| {
        counted.fetch_add(1, Ordering::SeqCst);
        let closed = closed.clone();
        async move {
            closed.acquire().await.unwrap().forget();
            Ok(())
        }
    });
    (runner, begun, gate)
}

/// A runner that counts what it runs.
pub fn counting(store: &Store, seen: &Arc<AtomicUsize>) -> Runner {
    let (mut runner, seen) = (Runner::new(store.clone(), 16, Duration::from_secs(1)), seen.clone());
    runner.handle(move |_: TestJob| {
        seen.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    });
    runner
}
