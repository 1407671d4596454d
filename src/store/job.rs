//! Jobs: what a command wants done after its commit, and the runner that does it.
//!
//! A claim is a lease: one `UPDATE` raises `attempts` and sets `leased_until`, on PostgreSQL past rows that
//! others hold (`SKIP LOCKED`), on SQLite under its one writer. Whoever finishes does so only if `attempts`
//! is still its own, so a worker that was taken for dead changes nothing any more.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use accounts_center_entity::job;
use chrono::TimeDelta;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sea_orm::sea_query::{CommonTableExpression, Expr, LockBehavior, LockType, Query, WithClause};
use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, ExprTrait, QueryFilter, Statement, StatementBuilder,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Store;
use super::failpoint::failpoint;
use crate::error::Error;

/// Something to do after a commit; serialised without personal data and without secrets.
pub trait Job: Serialize + DeserializeOwned {
    /// What it is called in the database; never changes.
    const KIND: &'static str;
}

/// Why a try did not finish its job. Its text is stored, and names neither persons nor secrets.
#[derive(Debug)]
pub enum JobError {
    /// Try again later.
    Retry(String),
    /// No further try can help.
    GiveUp(String),
    /// This process stops; the job goes on elsewhere, at once.
    Interrupted,
}

impl From<Error> for JobError {
    fn from(error: Error) -> Self {
        error.log();
        Self::Retry(format!("{}: {error}", error.code().as_str()))
    }
}

/// Runs one kind of job.
type Handler = Arc<dyn Fn(serde_json::Value) -> BoxFuture<'static, Result<(), JobError>> + Send + Sync>;

/// A worker takes longer than this for one try only if it died.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// A try ends before its lease does.
const TRY: Duration = Duration::from_secs(30);
const MAX_ATTEMPTS: i32 = 8;
/// Without a commit of its own to wake it, a runner looks this often.
const IDLE: Duration = Duration::from_millis(500);

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
                Err(_) => Box::pin(async { Err(JobError::Retry("its payload does not parse here".into())) }),
            }
        };
        self.handlers.insert(J::KIND, Arc::new(parse_and_run));
    }

    /// Runs jobs until `stop`; then no further one begins, and those under way finish in time or return to the
    /// queue.
    pub async fn run(self, stop: CancellationToken) {
        let mut running = JoinSet::new();
        let give_back = CancellationToken::new();
        while !stop.is_cancelled() {
            while running.try_join_next().is_some() {}
            let room = self.concurrency.saturating_sub(running.len());
            // A statement that never comes back must not end all work.
            let claimed = match tokio::time::timeout(TRY, self.claim(room)).await {
                Ok(Ok(claimed)) => claimed,
                Ok(Err(error)) => {
                    error.log();
                    Vec::new()
                }
                Err(_) => {
                    tracing::warn!("claiming jobs took over {} s", TRY.as_secs());
                    Vec::new()
                }
            };
            let full = claimed.len() == room;
            for job in claimed {
                failpoint("store::job-claimed");
                let handler = self.handlers.get(job.kind.as_str()).cloned();
                running.spawn(run_one(self.store.clone(), handler, job, give_back.clone()));
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.store.0.jobs.notified() => {}
                _ = running.join_next(), if full && !running.is_empty() => {}
                () = tokio::time::sleep(IDLE) => {}
            }
        }
        let drained = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain, drained).await.is_err() {
            give_back.cancel();
            // Dropping what is left then ends it; its leases run out.
            let returned = async { while running.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(Duration::from_secs(3), returned).await;
        }
    }

    async fn claim(&self, room: usize) -> Result<Vec<job::Model>, Error> {
        if room == 0 {
            return Ok(Vec::new());
        }
        let now = self.store.0.clock.now();
        let mut due = Query::select();
        due.column(job::Column::Id)
            .from(job::Entity)
            .cond_where(
                Condition::all()
                    .add(job::Column::DeadAt.is_null())
                    .add(job::Column::RunAt.lte(now))
                    .add(job::Column::Kind.is_in(self.handlers.keys().copied()))
                    .add(
                        Condition::any()
                            .add(job::Column::LeasedUntil.is_null())
                            .add(job::Column::LeasedUntil.lte(now)),
                    ),
            )
            .order_by(job::Column::RunAt, sea_orm::Order::Asc)
            .limit(room as u64);
        let backend = self.store.db().backend();
        if backend == DbBackend::Postgres {
            due.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        }
        // Chosen once, before the update: left to itself PostgreSQL may choose anew for each row that it
        // updates, and then the limit limits nothing.
        let chosen = CommonTableExpression::new()
            .query(due)
            .table_name("due")
            .column("id")
            .materialized(true)
            .to_owned();
        let mut claim = Query::update();
        claim
            .table(job::Entity)
            .value(job::Column::LeasedUntil, now + LEASE)
            .value(job::Column::Attempts, Expr::col(job::Column::Attempts).add(1))
            .and_where(
                Expr::col(job::Column::Id).in_subquery(Query::select().column("id").from("due").to_owned()),
            )
            .returning_all();
        let claim = claim.with(WithClause::new().cte(chosen).to_owned());
        let statement: Statement = StatementBuilder::build(&claim, &backend);
        Ok(job::Entity::find().from_raw_sql(statement).all(self.store.db().write()).await?)
    }
}

async fn run_one(store: Store, handler: Option<Handler>, job: job::Model, give_back: CancellationToken) {
    let Some(handler) = handler else { return };
    let result = tokio::select! {
        result = attempt(handler, &job) => result,
        () = give_back.cancelled() => Err(JobError::Interrupted),
    };
    failpoint("store::job-ran");
    if let Err(error) = settle(&store, &job, result).await {
        // The lease runs out, and the job is tried again.
        error.log();
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

async fn settle(store: &Store, job: &job::Model, result: Result<(), JobError>) -> Result<(), Error> {
    let mine = Condition::all().add(job::Column::Id.eq(job.id)).add(job::Column::Attempts.eq(job.attempts));
    let (reason, gives_up) = match result {
        Ok(()) => {
            job::Entity::delete_many().filter(mine).exec(store.db().write()).await?;
            return Ok(());
        }
        Err(JobError::Interrupted) => {
            job::Entity::update_many()
                .col_expr(job::Column::LeasedUntil, Expr::val(None::<sea_orm::prelude::DateTimeUtc>))
                .filter(mine)
                .exec(store.db().write())
                .await?;
            return Ok(());
        }
        Err(JobError::Retry(reason)) => (reason, job.attempts >= MAX_ATTEMPTS),
        Err(JobError::GiveUp(reason)) => (reason, true),
    };
    tracing::warn!(kind = job.kind, attempts = job.attempts, reason, gives_up, "a job failed");
    let now = store.0.clock.now();
    job::Entity::update_many()
        .col_expr(job::Column::LastError, Expr::val(reason))
        .col_expr(job::Column::LeasedUntil, Expr::val(None::<sea_orm::prelude::DateTimeUtc>))
        .col_expr(job::Column::RunAt, Expr::val(now + pause(store, job.attempts)))
        .col_expr(job::Column::DeadAt, Expr::val(gives_up.then_some(now)))
        .filter(mine)
        .exec(store.db().write())
        .await?;
    Ok(())
}

/// 1 s, 2 s, 4 s, … up to 5 minutes, each up to half as long again, so that what failed together does not
/// come back together.
fn pause(store: &Store, attempts: i32) -> TimeDelta {
    let exponent = attempts.saturating_sub(1).clamp(0, 16);
    let millis = Ord::min(1000_i64 << exponent, 300_000);
    let [random] = store.0.ids.bytes::<1>();
    TimeDelta::milliseconds(millis + millis * i64::from(random) / 512)
}
