//! The runner: claims jobs, runs them, a bounded number at a time, and stops gracefully.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use accounts_center_entity::job;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::claim::{Claim, claim};
use super::settle::{self, Finished};
use super::{Job, JobError, MAX_ATTEMPTS, TRY};
use crate::store::Store;
use crate::store::bounded;
use crate::store::failpoint::failpoint;

/// Without a commit of its own to wake it, a runner looks this often.
const IDLE: Duration = Duration::from_millis(500);
/// How long what has to be written down at the end may take.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Runs one kind of job.
type Handler = Arc<dyn Fn(serde_json::Value) -> BoxFuture<'static, Result<(), JobError>> + Send + Sync>;

/// Takes due jobs and runs them, a bounded number at a time.
pub struct Runner {
    store: Store,
    handlers: HashMap<&'static str, Handler>,
    concurrency: usize,
    /// How long jobs under way get to end once the runner stops.
    drain: Duration,
}

impl Runner {
    pub fn new(store: Store, concurrency: usize, drain: Duration) -> Self {
        Self { store, handlers: HashMap::new(), concurrency, drain }
    }

    /// Lets `handler` run the jobs of kind `J`.
    pub fn handle<J, F>(&mut self, handler: impl Fn(J) -> F + Send + Sync + 'static)
    where
        J: Job,
        F: Future<Output = Result<(), JobError>> + Send + 'static,
    {
        let parse_and_run = move |payload| -> BoxFuture<'static, Result<(), JobError>> {
            match serde_json::from_value::<J>(payload) {
                Ok(job) => Box::pin(handler(job)),
                Err(_) => Box::pin(async { Err(JobError::Unreadable) }),
            }
        };
        self.handlers.insert(J::KIND, Arc::new(parse_and_run));
    }

    /// Runs jobs until `stop`; then no further one begins, and those under way finish in time or return to the
    /// queue.
    pub async fn run(self, stop: CancellationToken) {
        // Bounded, so that a database that is slow to forget what is done slows down those who do it.
        let (finished, settled) = mpsc::channel(self.concurrency.max(1) * 4);
        let settling = tokio::spawn(settle::delete_finished(self.store.clone(), settled));
        let kinds: Vec<&'static str> = self.handlers.keys().copied().collect();
        let mut running = JoinSet::new();
        let give_back = CancellationToken::new();
        while !stop.is_cancelled() {
            while running.try_join_next().is_some() {}
            let room = self.concurrency.saturating_sub(running.len());
            let claimed = tokio::select! {
                claimed = self.claim(&kinds, room) => claimed,
                // What it may still get is leased to nobody, for a while.
                () = stopped_for(&stop, LAST_WORDS) => break,
            };
            for job in claimed.jobs {
                failpoint("store::job-claimed");
                let Some(handler) = self.handlers.get(job.kind.as_str()).cloned() else { continue };
                let desk = Desk { store: self.store.clone(), finished: finished.clone() };
                running.spawn(desk.run(handler, job, give_back.clone()));
            }
            if !claimed.more {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.store.0.jobs.notified() => {}
                    () = tokio::time::sleep(IDLE) => {}
                }
            } else if running.len() >= self.concurrency {
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = running.join_next() => {}
                }
            }
        }
        self.drain(running, give_back).await;
        drop(finished);
        let _ = tokio::time::timeout(LAST_WORDS, settling).await;
    }

    async fn claim(&self, kinds: &[&'static str], room: usize) -> Claim {
        if room == 0 {
            return Claim { jobs: Vec::new(), more: true };
        }
        // A statement that never comes back must not end all work.
        match tokio::time::timeout(TRY, claim(&self.store, kinds, room)).await {
            Ok(Ok(claimed)) => return claimed,
            Ok(Err(error)) => error.log(),
            Err(_) => tracing::warn!("claiming jobs took over {} s", TRY.as_secs()),
        }
        Claim::default()
    }

    /// Lets what runs end in time, and gives the rest back.
    async fn drain(&self, mut running: JoinSet<()>, give_back: CancellationToken) {
        let drained = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain, drained).await.is_err() {
            give_back.cancel();
            let returned = async { while running.join_next().await.is_some() {} };
            if tokio::time::timeout(LAST_WORDS, returned).await.is_err() {
                // Its leases run out.
                running.shutdown().await;
            }
        }
    }
}

/// Returns so long after `stop`.
async fn stopped_for(stop: &CancellationToken, time: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(time).await;
}

/// Where a job is run and settled.
struct Desk {
    store: Store,
    finished: mpsc::Sender<Finished>,
}

impl Desk {
    async fn run(self, handler: Handler, job: job::Model, give_back: CancellationToken) {
        let result = tokio::select! {
            result = attempt(handler, &job) => result,
            () = give_back.cancelled() => Err(JobError::Interrupted),
        };
        failpoint("store::job-ran");
        let Err(error) = result else {
            // Only if the runner is gone is there nobody to hear it; then the lease runs out.
            let _ = self.finished.send(Finished { id: job.id, attempts: job.attempts }).await;
            return;
        };
        if let Err(error) = bounded(settle::put_back(&self.store, &job, error)).await {
            // The lease runs out, and the job is tried again.
            error.log();
        }
    }
}

async fn attempt(handler: Handler, job: &job::Model) -> Result<(), JobError> {
    if job.attempts > MAX_ATTEMPTS {
        // No try ever came to its end: each one took its worker with it.
        return Err(JobError::GiveUp(format!("its workers died, {MAX_ATTEMPTS} times")));
    }
    let work = AssertUnwindSafe(handler(job.payload.clone())).catch_unwind();
    match tokio::time::timeout(TRY, work).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(JobError::Retry("it panicked".into())),
        Err(_) => Err(JobError::Retry(format!("no end after {} s", TRY.as_secs()))),
    }
}
