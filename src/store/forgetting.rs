//! Forgetting what has happened in a stream whose subject is erased.

use accounts_center_entity::{activity, event, event_purge, idempotency_record, job};
use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, ExprTrait, QueryFilter};

use super::Command;
use crate::error::Error;

impl Command {
    /// Forgets the events of this command's stream so far, its activity, its idempotency keys and the jobs that wait in it.
    /// The numbers go on, and whoever reads on from before sees that something is gone. What this command itself emits and
    /// enqueues stays, and so do waiting jobs of the kinds `kept`, whose work is not about what is erased here.
    pub async fn forget_history(&self, kept: &[&str]) -> Result<(), Error> {
        self.mark_all_purged().await?;
        let (tx, stream) = (self.tx(), self.stream());
        event::Entity::delete_many().filter(event::Column::StreamId.eq(stream)).exec(tx).await?;
        activity::Entity::delete_many().filter(activity::Column::StreamId.eq(stream)).exec(tx).await?;
        idempotency_record::Entity::delete_many()
            .filter(idempotency_record::Column::Scope.eq(stream))
            .exec(tx)
            .await?;
        self.forget_jobs(kept).await
    }

    async fn mark_all_purged(&self) -> Result<(), Error> {
        use event_purge::{Column, Entity};
        let mut marks = Query::select();
        marks
            .columns([event::Column::StreamId, event::Column::Kind])
            .expr(Expr::col(event::Column::Number).max())
            .from(event::Entity)
            .and_where(event::Column::StreamId.eq(self.stream()))
            .group_by_columns([event::Column::StreamId, event::Column::Kind]);
        let mut insert = Query::insert();
        insert
            .into_table(Entity)
            .columns([Column::StreamId, Column::Kind, Column::UpTo])
            .select_from(marks)
            .map_err(Error::internal)?
            .on_conflict(
                OnConflict::columns([Column::StreamId, Column::Kind]).update_column(Column::UpTo).to_owned(),
            );
        self.tx().execute(&insert).await?;
        Ok(())
    }

    /// One that runs just now ends by itself, and finds nothing any more.
    async fn forget_jobs(&self, kept: &[&str]) -> Result<(), Error> {
        use job::{Column, Entity};
        let mut waiting = Query::select();
        waiting
            .column(Column::Id)
            .from(Entity)
            .and_where(Column::StreamId.eq(self.stream()))
            .and_where(Column::Kind.is_not_in(kept.iter().copied()))
            .and_where(Column::LeasedUntil.is_null());
        if self.tx().get_database_backend() == DbBackend::Postgres {
            waiting.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        }
        let mut forget = Query::delete();
        forget.from_table(Entity).and_where(Expr::col(Column::Id).in_subquery(waiting));
        self.tx().execute(&forget).await?;
        Ok(())
    }
}
