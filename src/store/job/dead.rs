//! The jobs that have failed for good, for an operator to look at and to try anew.

use std::collections::BTreeSet;

use accounts_center_entity::job;
use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::queue;
use crate::error::Error;
use crate::store::Database;

/// How many are read or replayed at once.
const PAGE: u64 = 500;

/// A page of dead jobs in the order of their deaths, behind `after`; empty once there are no more.
pub async fn dead_jobs(
    db: &Database,
    kind: Option<&str>,
    after: Option<&job::Model>,
) -> Result<Vec<job::Model>, Error> {
    let mut dead = job::Entity::find().filter(job::Column::DeadAt.is_not_null());
    if let Some(kind) = kind {
        dead = dead.filter(job::Column::Kind.eq(kind));
    }
    if let Some(after) = after {
        let same_moment =
            Condition::all().add(job::Column::DeadAt.eq(after.dead_at)).add(job::Column::Id.gt(after.id));
        dead = dead.filter(Condition::any().add(job::Column::DeadAt.gt(after.dead_at)).add(same_moment));
    }
    let in_order = dead.order_by_asc(job::Column::DeadAt).order_by_asc(job::Column::Id);
    Ok(in_order.limit(PAGE).all(db.read()).await?)
}

/// Brings these dead jobs back to life, due `now`, and returns how many they are. `Ok(Err(_))` has those of `ids`
/// that no dead job has; then nothing is done.
pub async fn replay(
    db: &Database,
    ids: &BTreeSet<Uuid>,
    now: DateTime<Utc>,
) -> Result<Result<usize, Vec<Uuid>>, Error> {
    let tx = db.begin().await?;
    let mut found = BTreeSet::new();
    let mut streams = BTreeSet::new();
    let in_pages: Vec<Uuid> = ids.iter().copied().collect();
    for ids in in_pages.chunks(PAGE as usize) {
        let those = Condition::all()
            .add(job::Column::Id.is_in(ids.iter().copied()))
            .add(job::Column::DeadAt.is_not_null());
        let rows = job::Entity::find().filter(those.clone()).order_by_asc(job::Column::Id);
        for row in rows.lock_exclusive().all(&tx).await? {
            found.insert(row.id);
            streams.insert(row.stream_id);
        }
        job::Entity::update_many()
            .col_expr(job::Column::DeadAt, Expr::val(None::<DateTime<Utc>>))
            .col_expr(job::Column::Attempts, Expr::val(0))
            .col_expr(job::Column::RunAt, Expr::val(now))
            .filter(those)
            .exec(&tx)
            .await?;
    }
    let unknown: Vec<Uuid> = ids.difference(&found).copied().collect();
    if !unknown.is_empty() {
        tx.rollback().await?;
        return Ok(Err(unknown));
    }
    // In the order of their ids, so that two who replay at the same time do not wait for each other.
    let streams: Vec<Uuid> = streams.into_iter().collect();
    for streams in streams.chunks(PAGE as usize) {
        queue::call(&tx, streams, now).await?;
    }
    tx.commit().await?;
    Ok(Ok(found.len()))
}

/// Brings all dead jobs of `kind` back to life, due `now`, and returns how many they are.
pub async fn replay_all(db: &Database, kind: Option<&str>, now: DateTime<Utc>) -> Result<usize, Error> {
    // All of them are looked up before the first one lives again: one that dies anew meanwhile stays dead.
    let mut ids: Vec<Uuid> = Vec::new();
    let mut last = None;
    loop {
        let mut page = dead_jobs(db, kind, last.as_ref()).await?;
        ids.extend(page.iter().map(|job| job.id));
        last = page.pop();
        if last.is_none() {
            break;
        }
    }
    let mut replayed = 0;
    for page in ids.chunks(PAGE as usize) {
        let mut ids: BTreeSet<Uuid> = page.iter().copied().collect();
        replayed += match replay(db, &ids, now).await? {
            Ok(count) => count,
            Err(gone) => {
                // Somebody else was faster with these.
                ids.retain(|id| !gone.contains(id));
                replay(db, &ids, now).await?.unwrap_or(0)
            }
        };
    }
    Ok(replayed)
}
