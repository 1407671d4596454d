//! Opening sessions, and checking them.

use accounts_center_entity::{account, session};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter,
    QuerySelect,
};
use uuid::Uuid;

use crate::config;
use crate::error::{Code, Error};
use crate::store::{Command, Store};

/// Who is asking: the account and session that an access token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    pub account: Uuid,
    pub session: Uuid,
}

/// A session about to be opened.
pub struct NewSession {
    pub account: Uuid,
    pub opened_by_profile: Uuid,
    pub device: Option<String>,
    pub ip_address: Option<String>,
}

/// Opens a session, which has just been authenticated.
pub async fn open(
    command: &Command,
    new: NewSession,
    config: &config::Sessions,
) -> Result<session::Model, Error> {
    let now = command.now();
    let row = session::ActiveModel {
        id: Set(command.new_id()),
        account_id: Set(new.account),
        opened_by_profile_id: Set(Some(new.opened_by_profile)),
        device: Set(new.device),
        ip_address: Set(new.ip_address),
        created_at: Set(now),
        authenticated_at: Set(now),
        expires_at: Set(now + TimeDelta::days(config.lifetime_days.into())),
        revoked_at: Set(None),
    };
    Ok(row.insert(command.tx()).await?)
}

/// The viewer's session, if it may still change anything.
///
/// # Errors
/// UNAUTHENTICATED if it was revoked, has expired or is gone.
pub async fn check(command: &Command, viewer: Viewer) -> Result<session::Model, Error> {
    let found = session::Entity::find_by_id(viewer.session)
        .filter(session::Column::AccountId.eq(viewer.account))
        .one(command.tx())
        .await?;
    found
        .filter(|session| session.revoked_at.is_none() && session.expires_at > command.now())
        .ok_or_else(|| Error::unauthenticated("This session has ended; sign in again."))
}

/// Checks for a "Step-up" mutation of linking: a recent proof, or an account so new that it has nothing to
/// lose yet.
///
/// # Errors
/// STEP_UP_REQUIRED, counted from the authentication and not from activity.
pub async fn check_fresh(
    command: &Command,
    session: &session::Model,
    config: &config::Sessions,
) -> Result<(), Error> {
    let Err(error) = check_recent(command, session, config) else { return Ok(()) };
    let account = account::Entity::find_by_id(session.account_id).one(command.tx()).await?;
    let new = TimeDelta::minutes(config.new_account_minutes.into());
    if account.is_some_and(|account| command.now() < account.created_at + new) {
        return Ok(());
    }
    Err(error)
}

/// Checks for any other "Step-up" mutation: a recent proof, however new the account is.
///
/// # Errors
/// STEP_UP_REQUIRED, counted from the authentication and not from activity.
pub fn check_recent(
    command: &Command,
    session: &session::Model,
    config: &config::Sessions,
) -> Result<(), Error> {
    let recent = TimeDelta::minutes(config.step_up_minutes.into());
    if command.now() < session.authenticated_at + recent {
        return Ok(());
    }
    Err(Error::client(
        Code::StepUpRequired,
        format!(
            "This needs a proof of at most {} minutes ago: step up, or sign in again.",
            config.step_up_minutes
        ),
    ))
}

/// Notes that the person has just been proved anew in a session: step-up counts from now.
pub async fn step_up(command: &Command, session: session::Model) -> Result<session::Model, Error> {
    let mut session = session.into_active_model();
    session.authenticated_at = Set(command.now());
    Ok(session.update(command.tx()).await?)
}

/// The sessions that a profile of `account` opened and that have not ended.
pub async fn opened_by(command: &Command, account: Uuid, profile: Uuid) -> Result<Vec<Uuid>, Error> {
    Ok(session::Entity::find()
        .select_only()
        .column(session::Column::Id)
        .filter(session::Column::AccountId.eq(account))
        .filter(session::Column::OpenedByProfileId.eq(profile))
        .filter(session::Column::RevokedAt.is_null())
        .into_tuple()
        .all(command.tx())
        .await?)
}

/// Ends the sessions that a profile of `account` opened.
pub async fn end_opened_by(command: &Command, account: Uuid, profile: Uuid) -> Result<(), Error> {
    session::Entity::update_many()
        .col_expr(session::Column::RevokedAt, Expr::val(command.now()))
        .filter(session::Column::AccountId.eq(account))
        .filter(session::Column::OpenedByProfileId.eq(profile))
        .filter(session::Column::RevokedAt.is_null())
        .exec(command.tx())
        .await?;
    Ok(())
}

/// Purges some sessions that expired `before`. Gives how many it were.
pub async fn purge(store: &Store, before: DateTime<Utc>) -> Result<u64, Error> {
    use session::{Column, Entity};
    store.purge_rows::<Entity>(Column::ExpiresAt, Expr::col(Column::ExpiresAt).lt(before)).await
}
