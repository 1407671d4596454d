//! Verifications that ended long ago.

use accounts_center_entity::verification::{Column, Entity};
use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{ExprTrait, Order};

use crate::error::Error;
use crate::profile;
use crate::store::{Store, StreamKind, has_live_job};

/// Purges some verifications that expired `before`; none can end later than it expires. Those of signed-out devices
/// go with their streams. Gives how many it were.
pub async fn purge(store: &Store, before: DateTime<Utc>) -> Result<u64, Error> {
    let expired = || Expr::col(Column::ExpiresAt).lt(before);
    let of_accounts = expired()
        .and(Expr::col(Column::AccountId).is_not_null())
        // It goes with its verification, and may have to wait for longer than that is kept.
        .and(profile::has_claim((Entity, Column::Id)).not());
    let purged = store.purge_rows::<Entity>(Column::ExpiresAt, of_accounts).await?;
    let mut streams = Query::select();
    streams
        .column(Column::StreamId)
        .from(Entity)
        .and_where(expired())
        .and_where(Expr::col(Column::AccountId).is_null())
        // Passed over here already, or those that wait would in time be all that is ever looked at.
        .and_where(has_live_job((Entity, Column::StreamId)).not())
        .order_by(Column::ExpiresAt, Order::Asc);
    Ok(purged + store.purge_streams(StreamKind::Verification, streams).await?)
}
