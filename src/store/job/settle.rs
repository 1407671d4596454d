//! What becomes of a job after a try. Each statement asks for the try's own `attempts`, so that a worker that was
//! taken for dead settles nothing.

use accounts_center_entity::job;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, Statement};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{JobError, MAX_ATTEMPTS, queue};
use crate::error::Error;
use crate::store::{Store, bounded, migrate};

/// How many finished jobs are deleted together.
const BATCH: usize = 64;
/// How long a job waits whose payload could not be read, before it is looked at again: half as long as it has been due,
/// within these bounds.
const UNREADABLE: (TimeDelta, TimeDelta) = (TimeDelta::seconds(5), TimeDelta::seconds(300));
/// How long a job is put off whose time has not come, within these bounds: half as long as it is old.
const PUT_OFF: (TimeDelta, TimeDelta) = (TimeDelta::seconds(1), TimeDelta::seconds(30));
/// And with what chance adds to that, no longer than this.
pub(super) const LOOKED_AT: TimeDelta = TimeDelta::seconds(450);

/// Deletes the tries `$2` of the jobs `$1`, unless the database has another epoch than `$3`: what was done for one of its
/// other copies is not done here.
const DELETE: &str = "
DELETE FROM job USING unnest($1::uuid[], $2::integer[]) AS finished (id, attempts)
WHERE job.id = finished.id AND job.attempts = finished.attempts
    AND EXISTS (SELECT 1 FROM deployment WHERE name = 'epoch' AND value = $3)";

/// A try that has done its job.
pub(super) struct Finished {
    pub id: Uuid,
    pub attempts: i32,
}

/// Deletes what finished, all that is there in one statement, for as long as anybody may finish something.
pub(super) async fn delete_finished(store: Store, mut finished: mpsc::Receiver<Finished>) {
    let mut batch = Vec::with_capacity(BATCH);
    while finished.recv_many(&mut batch, BATCH).await > 0 {
        if let Err(error) = bounded(delete(&store, &batch)).await {
            // The leases run out, and the jobs are tried again.
            error.log();
        }
        batch.clear();
    }
}

async fn delete(store: &Store, finished: &[Finished]) -> Result<(), Error> {
    let db = store.db();
    if db.backend() == DbBackend::Postgres {
        let ids: Vec<Uuid> = finished.iter().map(|finished| finished.id).collect();
        let attempts: Vec<i32> = finished.iter().map(|finished| finished.attempts).collect();
        let values = [ids.into(), attempts.into(), migrate::write_epoch(store.0.epoch).into()];
        db.write().execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, DELETE, values)).await?;
        return Ok(());
    }
    let each = finished.iter().map(|finished| try_of(finished.id, finished.attempts));
    let any = each.fold(Condition::any(), Condition::add);
    job::Entity::delete_many().filter(any).filter(migrate::is_of(store.0.epoch)).exec(db.write()).await?;
    Ok(())
}

/// Lets a job whose try did not finish be tried again, at once or later, or lets it die.
pub(super) async fn put_back(store: &Store, job: &job::Model, error: JobError) -> Result<(), Error> {
    let now = store.0.clock.now();
    let is_last = job.attempts >= MAX_ATTEMPTS;
    let (reason, gives_up) = match error {
        // A try that was not made to its end is none.
        JobError::Interrupted => {
            return return_to_queue(store, job, now, vec![untried(job)]).await;
        }
        JobError::Unreadable => return leave_alone(store, job, now).await,
        JobError::Later(reason, pause) => return put_off(store, job, reason, pause).await,
        JobError::Wait(reason) => (reason, false),
        JobError::Retry(reason) => (reason, is_last),
        JobError::GiveUp(reason) => (reason, true),
    };
    tracing::warn!(kind = job.kind, attempts = job.attempts, reason, gives_up, "a job failed");
    let reason = (job::Column::LastError, Expr::val(reason));
    if gives_up {
        let died = vec![reason, (job::Column::DeadAt, Expr::val(now))];
        update(store, job, died).exec(store.db().write()).await?;
        return Ok(());
    }
    let run_at = now + pause(store, job.attempts);
    let mut values = vec![reason, (job::Column::RunAt, Expr::val(run_at))];
    if is_last {
        // It goes on with its last try, again and again.
        values.push(untried(job));
    }
    return_to_queue(store, job, run_at, values).await
}

/// Lets a job come back whose time has not come, with the tries that it had. What there is a lot of comes back less often
/// as it gets older, so that it does not keep the runner busy with itself.
async fn put_off(store: &Store, job: &job::Model, reason: String, pause: TimeDelta) -> Result<(), Error> {
    let now = store.0.clock.now();
    tracing::debug!(kind = job.kind, reason, "a job is put off");
    let (least, most) = PUT_OFF;
    let pause = ((now - job.created_at) / 2).clamp(least, most).max(pause);
    let run_at = now + pause + jitter(store, pause);
    let values = vec![
        untried(job),
        (job::Column::LastError, Expr::val(reason)),
        (job::Column::RunAt, Expr::val(run_at)),
    ];
    return_to_queue(store, job, run_at, values).await
}

/// Leaves a job that cannot be read here to a worker of another release, as one of an unknown kind is left. It keeps
/// its place and its tries. Nobody has its lease, which only says when it is looked at again.
async fn leave_alone(store: &Store, job: &job::Model, now: DateTime<Utc>) -> Result<(), Error> {
    let (least, most) = UNREADABLE;
    let pause = ((now - job.run_at) / 2).clamp(least, most);
    let until = now + pause + jitter(store, pause);
    tracing::info!(
        kind = job.kind,
        "the payload of a job does not parse here; it is left to another release"
    );
    let reason = (job::Column::LastError, Expr::val("its payload does not parse; it waits for its release"));
    let waits = (job::Column::LeasedUntil, Expr::val(until));
    let tx = store.db().begin().await?;
    if set(store, job, vec![untried(job), reason, waits]).exec(&tx).await?.rows_affected > 0 {
        queue::call(&tx, &[job.stream_id], until).await?;
    }
    Ok(tx.commit().await?)
}

/// A try that was none.
fn untried(job: &job::Model) -> (job::Column, Expr) {
    (job::Column::Attempts, Expr::val(job.attempts - 1))
}

async fn return_to_queue(
    store: &Store,
    job: &job::Model,
    due_at: DateTime<Utc>,
    values: Vec<(job::Column, Expr)>,
) -> Result<(), Error> {
    let tx = store.db().begin().await?;
    if update(store, job, values).exec(&tx).await?.rows_affected > 0 {
        queue::call(&tx, &[job.stream_id], due_at).await?;
    }
    Ok(tx.commit().await?)
}

/// Ends the lease of this try and sets `values`.
fn update(
    store: &Store,
    job: &job::Model,
    values: Vec<(job::Column, Expr)>,
) -> sea_orm::UpdateMany<job::Entity> {
    let free = (job::Column::LeasedUntil, Expr::val(None::<DateTime<Utc>>));
    set(store, job, values.into_iter().chain([free]))
}

/// Sets `values` for this try, if the database is still of this process's epoch.
fn set(
    store: &Store,
    job: &job::Model,
    values: impl IntoIterator<Item = (job::Column, Expr)>,
) -> sea_orm::UpdateMany<job::Entity> {
    let update = job::Entity::update_many().filter(try_of(job.id, job.attempts));
    let update = update.filter(migrate::is_of(store.0.epoch));
    values.into_iter().fold(update, |update, (column, value)| update.col_expr(column, value))
}

fn try_of(id: Uuid, attempts: i32) -> Condition {
    Condition::all().add(job::Column::Id.eq(id)).add(job::Column::Attempts.eq(attempts))
}

/// 1 s, 4 s, 16 s, … up to half an hour, each up to half as long again, so that what failed together does not
/// come back together: eight tries take about an hour.
fn pause(store: &Store, attempts: i32) -> TimeDelta {
    let exponent = attempts.saturating_sub(1).clamp(0, 8);
    let pause = TimeDelta::seconds((1 << (2 * exponent)).min(1800));
    pause + jitter(store, pause)
}

/// At random up to half of `time`.
fn jitter(store: &Store, time: TimeDelta) -> TimeDelta {
    let [random] = store.0.ids.bytes::<1>();
    time * i32::from(random) / 512
}
