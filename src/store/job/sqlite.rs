//! The steps of a claim on SQLite, whose transaction is the only writer from its first moment on: nothing can come
//! between them.

use accounts_center_entity::{job, job_stream};
use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter, QueryOrder,
    QuerySelect, Select,
};
use uuid::Uuid;

use super::claim::{Terms, Visit};
use crate::error::Error;

pub(super) async fn take(
    tx: &DatabaseTransaction,
    visits: &[Visit],
    terms: &Terms<'_>,
) -> Result<Vec<job::Model>, Error> {
    let mut taken = Vec::new();
    for visit in visits {
        taken.extend(
            due(visit.stream, terms.now)
                .filter(job::Column::Kind.is_in(terms.kinds.iter().copied()))
                .limit(u64::try_from(visit.share).unwrap_or_default())
                .all(tx)
                .await?,
        );
    }
    if taken.is_empty() {
        return Ok(taken);
    }
    job::Entity::update_many()
        .col_expr(job::Column::LeasedUntil, Expr::val(terms.leased_until))
        .col_expr(job::Column::Attempts, Expr::col(job::Column::Attempts).add(1))
        .filter(job::Column::Id.is_in(taken.iter().map(|job| job.id)))
        .exec(tx)
        .await?;
    for job in &mut taken {
        job.attempts += 1;
        job.leased_until = Some(terms.leased_until);
    }
    Ok(taken)
}

pub(super) async fn set_next_turns(
    tx: &DatabaseTransaction,
    streams: &[Uuid],
    terms: &Terms<'_>,
) -> Result<usize, Error> {
    let mut waiting = 0;
    for stream in streams {
        let Some(next_at) = next_turn(tx, *stream, terms).await? else {
            job_stream::Entity::delete_by_id(*stream).exec(tx).await?;
            continue;
        };
        let waits = next_at <= terms.now;
        let turns = if waits { Expr::col(job_stream::Column::Turns).add(1) } else { Expr::val(0) };
        job_stream::Entity::update_many()
            .col_expr(job_stream::Column::NextAt, Expr::val(next_at))
            .col_expr(job_stream::Column::Turns, turns)
            .filter(job_stream::Column::StreamId.eq(*stream))
            .exec(tx)
            .await?;
        waiting += usize::from(waits);
    }
    Ok(waiting)
}

/// When it is the turn of `stream` again; `None` if it has no live job.
async fn next_turn(
    tx: &DatabaseTransaction,
    stream: Uuid,
    terms: &Terms<'_>,
) -> Result<Option<DateTime<Utc>>, Error> {
    let known = job::Column::Kind.is_in(terms.kinds.iter().copied());
    if due(stream, terms.now).filter(known).one(tx).await?.is_some() {
        return Ok(Some(terms.now));
    }
    let scheduled = live(stream)
        .filter(job::Column::RunAt.gt(terms.now))
        .order_by_asc(job::Column::RunAt)
        .one(tx)
        .await?
        .map(|job| job.run_at);
    let other = if due(stream, terms.now).one(tx).await?.is_some() {
        Some(terms.unknown_until)
    } else {
        // All that is due is leased, thus little.
        live(stream)
            .filter(job::Column::RunAt.lte(terms.now))
            .filter(job::Column::LeasedUntil.is_not_null())
            .order_by_asc(job::Column::LeasedUntil)
            .one(tx)
            .await?
            .and_then(|job| job.leased_until)
    };
    Ok(scheduled.into_iter().chain(other).min())
}

/// The jobs of `stream` that are not dead.
fn live(stream: Uuid) -> Select<job::Entity> {
    job::Entity::find().filter(job::Column::StreamId.eq(stream)).filter(job::Column::DeadAt.is_null())
}

/// Those that anybody could take now, the first ones first.
fn due(stream: Uuid, now: DateTime<Utc>) -> Select<job::Entity> {
    let free =
        Condition::any().add(job::Column::LeasedUntil.is_null()).add(job::Column::LeasedUntil.lte(now));
    live(stream).filter(job::Column::RunAt.lte(now)).filter(free).order_by_asc(job::Column::RunAt)
}
