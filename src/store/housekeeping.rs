//! Purging: what is old goes, a batch at a time.
//!
//! **Invariants.** A batch is one short transaction that waits for nobody while it holds anything: what others hold
//! is left to a later batch. So any number of replicas may purge at once. What was purged of a stream's events is
//! marked in the transaction that purges it.
//!
//! Ages go by the clocks of the replicas that wrote, and within a command by its beginning: an event may be younger
//! than one of its kind with a higher number. It then stays while that one goes, behind the mark, where no cursor
//! reaches it any more, until it is old itself. The other way, to wait for it, would let one wrong clock hold up the
//! purging of a stream for good.

use std::collections::BTreeMap;

use accounts_center_entity::{
    event, event_purge, idempotency_record, job, job_stream, stream, webhook_receipt,
};
use chrono::{DateTime, Utc};
use sea_orm::sea_query::{
    CommonTableExpression, Expr, LockBehavior, LockType, OnConflict, Query, SelectStatement, WithClause,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, ExprTrait,
    FromQueryResult, Iterable, Order, PrimaryKeyToColumn, QueryFilter,
};
use uuid::Uuid;

use super::{Store, StreamKind};
use crate::error::Error;

/// Rows of one batch.
const BATCH: u64 = 500;

#[derive(FromQueryResult)]
struct PurgedEvent {
    stream_id: Uuid,
    kind: String,
    number: i64,
}

impl Store {
    /// Purges some events from `before`, and raises their streams' marks. Gives how many it were; 0 if nothing
    /// is left to do, or others are at it.
    pub async fn purge_events(&self, before: DateTime<Utc>) -> Result<u64, Error> {
        let tx = self.db().begin().await?;
        let backend = tx.get_database_backend();
        // The streams' rows are taken before their events: two that purge never meet, and a command on one of
        // them waits for no longer than this takes.
        let mut free = Query::select();
        free.column(stream::Column::Id).from(stream::Entity).and_where(
            Expr::col(stream::Column::Id).in_subquery(old_events(before, event::Column::StreamId)),
        );
        skip_locked(&mut free, backend, LockType::NoKeyUpdate);
        let mut old = old_events(before, event::Column::StreamId);
        old.column(event::Column::Number).and_where(
            Expr::col(event::Column::StreamId)
                .in_subquery(Query::select().column("id").from("free").to_owned()),
        );
        let columns = [event::Column::StreamId, event::Column::Number];
        let mut purge = Query::delete();
        purge
            .from_table(event::Entity)
            .and_where(among("old", columns))
            .returning(Query::returning().columns(columns.into_iter().chain([event::Column::Kind])));
        let chosen = WithClause::new().cte(chosen("free", free)).cte(chosen("old", old)).to_owned();
        let purged = PurgedEvent::find_by_statement(backend.build(&purge.with(chosen))).all(&tx).await?;
        mark(&tx, &purged).await?;
        tx.commit().await?;
        Ok(purged.len() as u64)
    }

    /// Purges some idempotency records from `before`.
    pub async fn purge_idempotency_records(&self, before: DateTime<Utc>) -> Result<u64, Error> {
        use idempotency_record::{Column, Entity};
        self.purge_rows::<Entity>(Column::CreatedAt, Expr::col(Column::CreatedAt).lt(before)).await
    }

    /// Purges some receipts of webhooks from `before`.
    pub async fn purge_webhook_receipts(&self, before: DateTime<Utc>) -> Result<u64, Error> {
        use webhook_receipt::{Column, Entity};
        self.purge_rows::<Entity>(Column::ReceivedAt, Expr::col(Column::ReceivedAt).lt(before)).await
    }

    /// Purges some jobs that died `before`. Nobody can let them run again then.
    pub async fn purge_dead_jobs(&self, before: DateTime<Utc>) -> Result<u64, Error> {
        use job::{Column, Entity};
        self.purge_rows::<Entity>(Column::DeadAt, Expr::col(Column::DeadAt).lt(before)).await
    }

    /// Purges some rows of `E` that are `useless`, those of the lowest `age` first.
    pub async fn purge_rows<E: EntityTrait>(&self, age: E::Column, useless: Expr) -> Result<u64, Error> {
        let keys = || E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column);
        let backend = self.db().backend();
        let mut old = Query::select();
        old.columns(keys()).from(E::default()).and_where(useless).order_by(age, Order::Asc).limit(BATCH);
        skip_locked(&mut old, backend, LockType::Update);
        let mut purge = Query::delete();
        purge.from_table(E::default()).and_where(among("old", keys()));
        let purge = purge.with(WithClause::new().cte(chosen("old", old)).to_owned());
        Ok(self.db().write().execute(&purge).await?.rows_affected())
    }

    /// Purges some streams of `kind`, with all that is theirs. `useless` chooses them by a column of ids, the oldest
    /// first, and a live job keeps its stream: a newer release may know its kind.
    pub async fn purge_streams(&self, kind: StreamKind, useless: SelectStatement) -> Result<u64, Error> {
        let tx = self.db().begin().await?;
        let backend = tx.get_database_backend();
        let mut useless = useless;
        useless.limit(BATCH);
        let mut free = Query::select();
        free.column(stream::Column::Id)
            .from(stream::Entity)
            .and_where(stream::Column::Kind.eq(kind.name()))
            .and_where(Expr::col(stream::Column::Id).in_subquery(useless));
        skip_locked(&mut free, backend, LockType::Update);
        let free = ids(&tx, &free).await?;
        if free.is_empty() {
            return Ok(0);
        }
        // Asked once they are locked: no command enqueues any more.
        let mut purge = Query::delete();
        purge
            .from_table(stream::Entity)
            .and_where(stream::Column::Id.is_in(free))
            .and_where(has_live_job((stream::Entity, stream::Column::Id)).not())
            .returning_col(stream::Column::Id);
        let gone = ids(&tx, &purge).await?;
        job_stream::Entity::delete_many()
            .filter(job_stream::Column::StreamId.is_in(gone.iter().copied()))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(gone.len() as u64)
    }
}

/// Whether a job of this stream is still to be run.
pub fn has_live_job(stream: impl sea_orm::sea_query::IntoColumnRef) -> Expr {
    let mut jobs = Query::select();
    jobs.expr(Expr::val(1))
        .from(job::Entity)
        .and_where(Expr::col((job::Entity, job::Column::StreamId)).equals(stream))
        .and_where(Expr::col((job::Entity, job::Column::DeadAt)).is_null());
    Expr::exists(jobs)
}

/// Raises the marks of what was purged. In one order, so that two who raise the same ones take turns.
async fn mark(tx: &DatabaseTransaction, purged: &[PurgedEvent]) -> Result<(), Error> {
    let mut marks: BTreeMap<(Uuid, &str), i64> = BTreeMap::new();
    for event in purged {
        let up_to = marks.entry((event.stream_id, &event.kind)).or_default();
        *up_to = Ord::max(event.number, *up_to);
    }
    if marks.is_empty() {
        return Ok(());
    }
    let rows = marks.into_iter().map(|((stream, kind), up_to)| event_purge::ActiveModel {
        stream_id: Set(stream),
        kind: Set(kind.to_owned()),
        up_to: Set(up_to),
    });
    let column = event_purge::Column::UpTo;
    let raised = OnConflict::columns([event_purge::Column::StreamId, event_purge::Column::Kind])
        .update_column(column)
        .action_and_where(Expr::col((event_purge::Entity, column)).lt(Expr::col(("excluded", column))))
        .to_owned();
    event_purge::Entity::insert_many(rows).on_conflict(raised).exec_without_returning(tx).await?;
    Ok(())
}

fn old_events(before: DateTime<Utc>, column: event::Column) -> SelectStatement {
    let age = event::Column::OccurredAt;
    let mut old = Query::select();
    old.column(column)
        .from(event::Entity)
        .and_where(Expr::col(age).lt(before))
        .order_by(age, Order::Asc)
        .limit(BATCH);
    old
}

/// A part of a statement that is evaluated once, before the rest: left to itself PostgreSQL may choose anew for each
/// row, and then a limit limits nothing.
fn chosen(name: &'static str, query: SelectStatement) -> CommonTableExpression {
    CommonTableExpression::new().query(query).table_name(name).materialized(true).to_owned()
}

/// Whether a row is one of those `chosen` by its key.
fn among<C: ColumnTrait>(chosen: &'static str, keys: impl IntoIterator<Item = C>) -> Expr {
    let keys: Vec<C> = keys.into_iter().collect();
    let rows = Query::select().columns(keys.iter().copied()).from(chosen).to_owned();
    Expr::tuple(keys.into_iter().map(Expr::col)).in_subquery(rows)
}

/// SQLite has one writer, and nothing to skip.
fn skip_locked(query: &mut SelectStatement, backend: DbBackend, lock: LockType) {
    if backend == DbBackend::Postgres {
        query.lock_with_behavior(lock, LockBehavior::SkipLocked);
    }
}

async fn ids(tx: &DatabaseTransaction, query: &impl sea_orm::StatementBuilder) -> Result<Vec<Uuid>, Error> {
    let rows = tx.query_all(query).await?;
    Ok(rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?)
}
