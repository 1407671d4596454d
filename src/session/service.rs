//! Opening sessions, and checking them.

use accounts_center_entity::{account, session};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter,
    Select,
};
use uuid::Uuid;

use super::ending::make_room;
use super::event::SessionChanged;
use super::refresh_token::RefreshToken;
use crate::app::App;
use crate::config;
use crate::error::{Code, Error};
use crate::graph::pagination::{Page, Slice};
use crate::store::{Command, Store};

/// Who is asking: the account and session that an access token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    pub account: Uuid,
    pub session: Uuid,
}

/// What a person has shown to open a session.
#[derive(Clone, Copy, Debug)]
pub enum OpenedWith {
    Profile(Uuid),
    Passkey(Uuid),
}

/// A session about to be opened.
pub struct NewSession {
    pub account: Uuid,
    pub opened_with: OpenedWith,
    pub device: Option<String>,
    pub ip_address: Option<String>,
}

/// A session that was opened just now, and its first refresh token.
pub struct Opened {
    pub session: session::Model,
    pub refresh_token: String,
}

/// Opens a session, which has just been authenticated.
pub async fn open(app: &App, command: &mut Command, new: NewSession) -> Result<Opened, Error> {
    make_room(command, new.account, app.config.limits.sessions_per_account).await?;
    let (now, id) = (command.now(), command.new_id());
    let token = RefreshToken::first(&app.ids, id);
    let (profile, passkey) = match new.opened_with {
        OpenedWith::Profile(id) => (Some(id), None),
        OpenedWith::Passkey(id) => (None, Some(id)),
    };
    let row = session::ActiveModel {
        id: Set(id),
        account_id: Set(new.account),
        opened_by_profile_id: Set(profile),
        opened_by_passkey_id: Set(passkey),
        device: Set(new.device),
        ip_address: Set(new.ip_address),
        created_at: Set(now),
        authenticated_at: Set(now),
        expires_at: Set(now + TimeDelta::days(app.config.sessions.lifetime_days.into())),
        revoked_at: Set(None),
        refresh_number: Set(token.stored_number()),
        refresh_hash: Set(Some(token.stored_hash(&app.keys).to_vec())),
        refreshed_at: Set(None),
    };
    let session = row.insert(command.tx()).await?;
    command.emit(new.account, &SessionChanged { session: id, ended: None })?;
    Ok(Opened { session, refresh_token: token.write(&app.keys) })
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

/// A page of the sessions of `account` that have not ended, the one that was opened last first.
pub async fn page(app: &App, account: Uuid, page: &Page<Uuid>) -> Result<Slice<session::Model>, Error> {
    // Ids are in the order of time.
    page.read(app.store.db(), open_ones(app, account), session::Column::Id).await
}

fn open_ones(app: &App, account: Uuid) -> Select<session::Entity> {
    session::Entity::find()
        .filter(session::Column::AccountId.eq(account))
        .filter(session::Column::RevokedAt.is_null())
        .filter(session::Column::ExpiresAt.gt(app.clock.now()))
}

/// Purges some sessions that expired `before`. Gives how many it were.
pub async fn purge(store: &Store, before: DateTime<Utc>) -> Result<u64, Error> {
    use session::{Column, Entity};
    store.purge_rows::<Entity>(Column::ExpiresAt, Expr::col(Column::ExpiresAt).lt(before)).await
}
