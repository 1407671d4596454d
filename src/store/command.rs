//! The one way in which things change.

use std::time::Duration;

use accounts_center_entity::{activity, deployment, event, job, stream};
use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QuerySelect,
};
use uuid::Uuid;

use super::failpoint::failpoint;
use super::job::call;
use super::{Job, News, Store, StreamEvent, bounded, migrate};
use crate::bus::Hint;
use crate::error::{Error, UserError};

/// How a command ends, beside failing: an `Err` rolls everything back.
pub enum Outcome<T> {
    /// What was done stays.
    Commit(T),
    /// A user error whose traces stay: a failed try is counted, an abused secret is revoked.
    CommitAndReject(Vec<UserError>),
}

impl<T> Outcome<T> {
    /// The same with what stays turned into something else.
    pub fn map<U>(self, turn: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Commit(value) => Outcome::Commit(turn(value)),
            Self::CommitAndReject(errors) => Outcome::CommitAndReject(errors),
        }
    }

    /// Rejects with one error.
    pub fn reject(error: UserError) -> Self {
        Self::CommitAndReject(vec![error])
    }
}

/// What a stream is the history of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    Account,
    /// A verification that a signed-out device started.
    Verification,
}

impl StreamKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Verification => "verification",
        }
    }
}

/// A transaction that holds the lock of one stream, and what it is going to leave behind.
pub struct Command {
    tx: DatabaseTransaction,
    now: DateTime<Utc>,
    store: Store,
    /// The stream that the command is on, then those that it brought into being.
    streams: Vec<Touched>,
    jobs: Vec<job::ActiveModel>,
    /// The earliest instant at which one of the jobs is due.
    first_job_at: Option<DateTime<Utc>>,
}

struct Touched {
    id: Uuid,
    version: i64,
    graph_version: i64,
    changed_graph: bool,
    events: Vec<event::ActiveModel>,
    /// Copies of those events that stay.
    recorded: Vec<activity::ActiveModel>,
}

enum Target {
    Existing(Uuid),
    New(Uuid, StreamKind),
}

impl Store {
    /// Changes `stream`: locks it, runs `body` on the database, and commits what it did together with the
    /// events and jobs that it left. `Ok(Err(_))` is what the body rejected.
    ///
    /// The lock is the stream's row (on SQLite the one writer), so commands on one stream run one by one.
    /// A body locks no other stream; rows of its own it locks after the stream.
    pub async fn command<T, F>(&self, stream: Uuid, body: F) -> Result<Result<T, Vec<UserError>>, Error>
    where
        F: AsyncFnOnce(&mut Command) -> Result<Outcome<T>, Error>,
    {
        bounded(self.run(Target::Existing(stream), body)).await
    }

    /// Brings `stream` into being by its first command. A rejection leaves nothing.
    pub async fn create<T, F>(
        &self,
        stream: Uuid,
        kind: StreamKind,
        body: F,
    ) -> Result<Result<T, Vec<UserError>>, Error>
    where
        F: AsyncFnOnce(&mut Command) -> Result<Outcome<T>, Error>,
    {
        bounded(self.run(Target::New(stream, kind), body)).await
    }

    async fn run<T, F>(&self, target: Target, body: F) -> Result<Result<T, Vec<UserError>>, Error>
    where
        F: AsyncFnOnce(&mut Command) -> Result<Outcome<T>, Error>,
    {
        let creates = matches!(target, Target::New(..));
        let mut command = self.begin(target).await?;
        failpoint("store::command-locked");
        // Dropping the transaction on an early return rolls it back.
        let result = match body(&mut command).await? {
            Outcome::Commit(value) => Ok(value),
            Outcome::CommitAndReject(errors) if creates => return Ok(Err(errors)),
            Outcome::CommitAndReject(errors) => Err(errors),
        };
        failpoint("store::command-applied");
        // In a task of its own: a client that goes away now must not take the hints with it.
        let store = self.clone();
        tokio::spawn(async move { store.finish(command).await }).await.map_err(Error::internal)??;
        Ok(result)
    }

    async fn finish(&self, command: Command) -> Result<(), Error> {
        let has_jobs = !command.jobs.is_empty();
        let hints = command.hints(self.0.epoch);
        if let Err(error) = bounded(command.write()).await {
            // Whether it was committed is not known if the answer was lost: what is cached is not believed.
            for (hint, _) in hints {
                self.tell(News::Doubted(hint.stream));
                tokio::spawn(self.clone().clear_up(hint.stream));
            }
            return Err(error);
        }
        failpoint("store::command-committed");
        for (hint, changed_graph) in hints {
            self.hear(hint);
            self.tell(News::Committed { hint, changed_graph });
        }
        if has_jobs {
            self.0.jobs.notify_one();
        }
        Ok(())
    }

    /// Finds out what has become of a commit whose answer was lost, and tells everybody.
    async fn clear_up(self, stream: Uuid) {
        const TRIES: u32 = 30;
        for _ in 0..TRIES {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let Ok(settled) = bounded(self.settled_version(stream)).await else { continue };
            if let Some((version, graph_version)) = settled {
                let hint = Hint { epoch: self.0.epoch, stream, version, graph_version };
                self.hear(hint);
                // It may have been.
                self.tell(News::Committed { hint, changed_graph: true });
            }
            return;
        }
    }

    /// The version of a stream, and that of its graph, once no transaction is under way on it: a commit whose answer was
    /// lost may still be.
    async fn settled_version(&self, stream: Uuid) -> Result<Option<(i64, i64)>, Error> {
        let tx = self.db().begin().await?;
        let query = stream::Entity::find_by_id(stream).select_only();
        let query = query.column(stream::Column::Version).column(stream::Column::GraphVersion);
        let settled = query.lock_shared().into_tuple().one(&tx).await?;
        tx.rollback().await?;
        Ok(settled)
    }

    async fn begin(&self, target: Target) -> Result<Command, Error> {
        let mut command = Command {
            tx: self.db().begin().await?,
            now: self.0.clock.now(),
            store: self.clone(),
            streams: Vec::new(),
            jobs: Vec::new(),
            first_job_at: None,
        };
        match target {
            Target::Existing(id) => command.lock(id).await?,
            Target::New(id, kind) => command.create_stream(id, kind).await?,
        }
        Ok(command)
    }
}

impl Command {
    /// The transaction: all that a body reads and writes goes through it.
    pub fn tx(&self) -> &DatabaseTransaction {
        &self.tx
    }

    /// The moment of this command, the same for all that it writes.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// A new id of this moment.
    pub fn new_id(&self) -> Uuid {
        self.store.0.ids.uuid(self.now)
    }

    /// The version of `stream`, with the events that this command has emitted so far.
    pub fn version(&self, stream: Uuid) -> i64 {
        self.streams.iter().find(|touched| touched.id == stream).map_or(0, |touched| touched.version)
    }

    /// The stream that this command is on.
    pub fn stream(&self) -> Uuid {
        self.streams[0].id
    }

    /// Brings another stream into being: an account, by the first sign-in with a profile.
    pub async fn create_stream(&mut self, id: Uuid, kind: StreamKind) -> Result<(), Error> {
        use stream::Column;
        let mut row = Query::select();
        row.exprs([Expr::val(id), Expr::val(kind.name()), Expr::val(0_i64), Expr::val(0_i64)]);
        row.expr(Expr::val(self.now)).and_where(migrate::is_of(self.store.0.epoch));
        let mut insert = Query::insert();
        insert.into_table(stream::Entity).columns([
            Column::Id,
            Column::Kind,
            Column::Version,
            Column::GraphVersion,
            Column::CreatedAt,
        ]);
        insert.select_from(row).map_err(Error::internal)?;
        if self.tx.execute(&insert).await?.rows_affected() == 0 {
            let present = deployment::Entity::find_by_id(migrate::EPOCH).one(&self.tx).await?;
            self.store.require_epoch(present.as_ref().map(|row| row.value.as_str()))?;
            return Err(Error::internal(anyhow::anyhow!("a stream was not made")));
        }
        self.streams.push(Touched {
            id,
            version: 0,
            graph_version: 0,
            changed_graph: false,
            events: Vec::new(),
            recorded: Vec::new(),
        });
        Ok(())
    }

    /// Appends an event to `stream`, which is this command's own or one that it brought into being.
    /// Returns the event's number.
    pub fn emit<E: StreamEvent>(&mut self, stream: Uuid, event: &E) -> Result<i64, Error> {
        let touched = self.streams.iter_mut().find(|touched| touched.id == stream).ok_or_else(|| {
            Error::internal(anyhow::anyhow!("a command emitted into a stream it does not hold"))
        })?;
        touched.version += 1;
        if E::CHANGES_GRAPH {
            touched.graph_version = touched.version;
            touched.changed_graph = true;
        }
        let payload = serde_json::to_value(event).map_err(Error::internal)?;
        if E::RECORDED {
            touched.recorded.push(activity::ActiveModel {
                stream_id: Set(stream),
                number: Set(touched.version),
                kind: Set(E::KIND.to_owned()),
                payload: Set(payload.clone()),
                occurred_at: Set(self.now),
            });
        }
        touched.events.push(event::ActiveModel {
            stream_id: Set(stream),
            number: Set(touched.version),
            kind: Set(E::KIND.to_owned()),
            payload: Set(payload),
            occurred_at: Set(self.now),
        });
        Ok(touched.version)
    }

    /// Leaves a job to be run as soon as this has committed.
    pub fn enqueue<J: Job>(&mut self, job: &J) -> Result<(), Error> {
        self.enqueue_at(job, self.now)
    }

    /// Leaves a job to be run at an instant.
    pub fn enqueue_at<J: Job>(&mut self, job: &J, run_at: DateTime<Utc>) -> Result<(), Error> {
        self.first_job_at = Some(self.first_job_at.map_or(run_at, |first| first.min(run_at)));
        self.jobs.push(job::ActiveModel {
            id: Set(self.new_id()),
            kind: Set(J::KIND.to_owned()),
            payload: Set(serde_json::to_value(job).map_err(Error::internal)?),
            stream_id: Set(self.stream()),
            run_at: Set(run_at),
            attempts: Set(0),
            leased_until: Set(None),
            dead_at: Set(None),
            last_error: Set(None),
            created_at: Set(self.now),
        });
        Ok(())
    }

    async fn lock(&mut self, id: Uuid) -> Result<(), Error> {
        // On SQLite the clause is left out, and the transaction is the only writer already.
        let locked: Option<(i64, i64, Option<String>)> = stream::Entity::find_by_id(id)
            .select_only()
            .column(stream::Column::Version)
            .column(stream::Column::GraphVersion)
            .expr_as(Expr::SubQuery(None, Box::new(migrate::epoch_as_stored().into())), "epoch")
            .lock_exclusive()
            .into_tuple()
            .one(&self.tx)
            .await?;
        let (version, graph_version, epoch) =
            locked.ok_or_else(|| Error::unauthenticated("This account does not exist any more."))?;
        self.store.require_epoch(epoch.as_deref())?;
        self.streams.push(Touched {
            id,
            version,
            graph_version,
            changed_graph: false,
            events: Vec::new(),
            recorded: Vec::new(),
        });
        Ok(())
    }

    /// What to tell the bus once this has committed.
    fn hints(&self, epoch: u64) -> Vec<(Hint, bool)> {
        let changed = self.streams.iter().filter(|touched| !touched.events.is_empty());
        changed
            .map(|touched| {
                let Touched { id: stream, version, graph_version, .. } = *touched;
                (Hint { epoch, stream, version, graph_version }, touched.changed_graph)
            })
            .collect()
    }

    /// Writes events, versions and jobs, and commits.
    async fn write(self) -> Result<(), Error> {
        let own = self.stream();
        for touched in self.streams {
            if touched.events.is_empty() {
                continue;
            }
            event::Entity::insert_many(touched.events).exec_without_returning(&self.tx).await?;
            if !touched.recorded.is_empty() {
                activity::Entity::insert_many(touched.recorded).exec_without_returning(&self.tx).await?;
            }
            stream::Entity::update_many()
                .col_expr(stream::Column::Version, Expr::val(touched.version))
                .col_expr(stream::Column::GraphVersion, Expr::val(touched.graph_version))
                .filter(stream::Column::Id.eq(touched.id))
                .exec(&self.tx)
                .await?;
        }
        if let Some(first_job_at) = self.first_job_at {
            job::Entity::insert_many(self.jobs).exec_without_returning(&self.tx).await?;
            // Last of all, so that whoever claims jobs is passed by for as short a time as possible.
            call(&self.tx, &[own], first_job_at).await?;
        }
        failpoint("store::command-written");
        self.tx.commit().await?;
        Ok(())
    }
}
