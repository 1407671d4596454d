//! Reading alerts, and acknowledging them.

use accounts_center_entity::security_alert::{Column, Entity, Model};
use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
};
use uuid::Uuid;

use super::AlertKind;
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::graph::pagination::{Page, Slice};
use crate::session::{self, Viewer};
use crate::store::{Command, Outcome, Store, bounded};

/// A page of the alerts of `account`, newest first.
pub async fn page(app: &App, account: Uuid, page: &Page<Uuid>) -> Result<Slice<Model>, Error> {
    // Ids are in the order of time.
    page.read(app.store.db(), Entity::find().filter(Column::AccountId.eq(account)), Column::Id).await
}

/// Whether the person has not acknowledged every alert about sessions.
pub async fn has_doubtful_sessions(app: &App, account: Uuid) -> Result<bool, Error> {
    let about = [AlertKind::NewSignIn, AlertKind::RefreshTokenReused].map(AlertKind::name);
    let alert = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::AccountId.eq(account))
        .filter(Column::Kind.is_in(about))
        .filter(Column::AcknowledgedAt.is_null())
        .into_tuple::<Uuid>();
    bounded(async { Ok(alert.one(app.store.db().read()).await?.is_some()) }).await
}

/// Marks an alert of the viewer as seen. Doing it again changes nothing.
pub async fn acknowledge(app: &App, viewer: Viewer, alert: Option<Uuid>) -> UserResult<Model> {
    app.store
        .command(viewer.account, async |command: &mut Command| {
            session::check(command, viewer).await?;
            let found = match alert {
                Some(id) => {
                    let row = Entity::find_by_id(id).filter(Column::AccountId.eq(viewer.account));
                    row.one(command.tx()).await?
                }
                None => None,
            };
            let Some(found) = found else {
                let message = "This account has no such alert.";
                let code = AccountsErrorCode::NotFound;
                return Ok(Outcome::reject(UserError::new(code, message, &["alertId"])));
            };
            if found.acknowledged_at.is_some() {
                return Ok(Outcome::Commit(found));
            }
            let mut seen = found.into_active_model();
            seen.acknowledged_at = Set(Some(command.now()));
            Ok(Outcome::Commit(seen.update(command.tx()).await?))
        })
        .await
}

/// Purges some alerts of `before`. Gives how many it were.
pub async fn purge(store: &Store, before: DateTime<Utc>) -> Result<u64, Error> {
    store.purge_rows::<Entity>(Column::OccurredAt, Expr::col(Column::OccurredAt).lt(before)).await
}
