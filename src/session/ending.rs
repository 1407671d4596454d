//! Ending sessions.

use accounts_center_entity::session;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::Viewer;
use super::event::{SessionChanged, SessionEnd};
use super::service::check;
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::profile;
use crate::store::{Command, Outcome};
use crate::verification;

/// What signing out came to.
pub struct SignedOut {
    /// The account's version.
    pub version: i64,
    /// The sessions that ended by it.
    pub ended: Vec<Uuid>,
}

/// Ends one session of the viewer's account. Ending it again changes nothing.
pub async fn revoke(app: &App, viewer: Viewer, session: Option<Uuid>) -> UserResult<SignedOut> {
    let done = app
        .store
        .command(viewer.account, async |command: &mut Command| {
            check(command, viewer).await?;
            let found = match session {
                Some(id) => {
                    of_account(viewer.account).filter(session::Column::Id.eq(id)).one(command.tx()).await?
                }
                None => None,
            };
            let Some(found) = found else {
                let message = "This account has no such session.";
                return Ok(Outcome::reject(UserError::new(
                    AccountsErrorCode::NotFound,
                    message,
                    &["sessionId"],
                )));
            };
            sign_out(command, viewer.account, vec![found]).await
        })
        .await?;
    Ok(done.inspect(|signed_out| app.ended.note(&signed_out.ended)))
}

/// Ends all sessions of the viewer's account; that of the viewer, too, unless `keep_current`.
pub async fn revoke_all(app: &App, viewer: Viewer, keep_current: bool) -> UserResult<SignedOut> {
    let done = app
        .store
        .command(viewer.account, async |command: &mut Command| {
            check(command, viewer).await?;
            let mut open = open_ones(command, viewer.account).await?;
            open.retain(|session| !keep_current || session.id != viewer.session);
            sign_out(command, viewer.account, open).await
        })
        .await?;
    Ok(done.inspect(|signed_out| app.ended.note(&signed_out.ended)))
}

async fn sign_out(
    command: &mut Command,
    account: Uuid,
    sessions: Vec<session::Model>,
) -> Result<Outcome<SignedOut>, Error> {
    let ended = end(command, sessions, SessionEnd::SignedOut).await?;
    Ok(Outcome::Commit(SignedOut { version: command.version(account), ended }))
}

/// Ends the sessions that a profile of `account` opened.
pub async fn end_opened_by(command: &mut Command, account: Uuid, profile: Uuid) -> Result<(), Error> {
    let mut open = open_ones(command, account).await?;
    open.retain(|session| session.opened_by_profile_id == Some(profile));
    end(command, open, SessionEnd::ProfileNotActive).await?;
    Ok(())
}

/// Ends the sessions that a passkey of `account` opened. Gives their ids.
pub async fn end_opened_by_passkey(
    command: &mut Command,
    account: Uuid,
    passkey: Uuid,
) -> Result<Vec<Uuid>, Error> {
    let mut open = open_ones(command, account).await?;
    open.retain(|session| session.opened_by_passkey_id == Some(passkey));
    end(command, open, SessionEnd::PasskeyDeleted).await
}

/// Ends the sessions of the account that the command is on. Gives their ids.
pub async fn end_all(command: &mut Command, why: SessionEnd) -> Result<Vec<Uuid>, Error> {
    let open = open_ones(command, command.stream()).await?;
    end(command, open, why).await
}

/// Ends the sessions of the account that the command is on, and leaves nothing personal in any: the account is erased.
/// Their rows stay, so that every replica sees that they have ended. Gives their ids.
pub async fn erase_all(command: &Command) -> Result<Vec<Uuid>, Error> {
    use session::{Column, Entity};
    let open = open_ones(command, command.stream()).await?;
    Entity::update_many()
        .col_expr(Column::Device, Expr::val(None::<String>))
        .col_expr(Column::IpAddress, Expr::val(None::<String>))
        .col_expr(Column::OpenedByProfileId, Expr::val(None::<Uuid>))
        .col_expr(Column::OpenedByPasskeyId, Expr::val(None::<Uuid>))
        .col_expr(Column::RefreshHash, Expr::val(None::<Vec<u8>>))
        .filter(Column::AccountId.eq(command.stream()))
        .exec(command.tx())
        .await?;
    Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::val(command.now()))
        .filter(Column::AccountId.eq(command.stream()))
        .filter(Column::RevokedAt.is_null())
        .exec(command.tx())
        .await?;
    Ok(open.into_iter().map(|session| session.id).collect())
}

/// Ends those of `sessions`, all of one account, that have not ended, and what they have claimed. Gives their ids.
pub(super) async fn end(
    command: &mut Command,
    sessions: Vec<session::Model>,
    why: SessionEnd,
) -> Result<Vec<Uuid>, Error> {
    let open = sessions.into_iter().filter(|session| session.revoked_at.is_none());
    let ended: Vec<(Uuid, Uuid)> = open.map(|session| (session.account_id, session.id)).collect();
    let ids: Vec<Uuid> = ended.iter().map(|(_, id)| *id).collect();
    // So many as one statement takes in parameters.
    for chunk in ids.chunks(10_000) {
        session::Entity::update_many()
            .col_expr(session::Column::RevokedAt, Expr::val(command.now()))
            .filter(session::Column::Id.is_in(chunk.iter().copied()))
            .exec(command.tx())
            .await?;
        profile::end_claims_of(command, chunk).await?;
    }
    // What they have begun to prove, nobody can finish.
    verification::close_of_sessions(command, &ids).await?;
    for (account, session) in ended {
        command.emit(account, &SessionChanged { session, ended: Some(why) })?;
    }
    Ok(ids)
}

/// Ends the sessions of `account` that were used longest ago, so that it has fewer than `most`: whoever signs in must not
/// be kept out by what others have left open.
pub(super) async fn make_room(command: &mut Command, account: Uuid, most: u64) -> Result<(), Error> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut open = open_ones(command, account).await?;
    if open.len() < most {
        return Ok(());
    }
    open.sort_by_key(|session| session.refreshed_at.unwrap_or(session.created_at));
    open.truncate(open.len() + 1 - most);
    end(command, open, SessionEnd::TooMany).await?;
    Ok(())
}

fn of_account(account: Uuid) -> sea_orm::Select<session::Entity> {
    session::Entity::find().filter(session::Column::AccountId.eq(account))
}

async fn open_ones(command: &Command, account: Uuid) -> Result<Vec<session::Model>, Error> {
    let open = of_account(account)
        .filter(session::Column::RevokedAt.is_null())
        .filter(session::Column::ExpiresAt.gt(command.now()))
        // In the order in which they were opened, so that their events are, too.
        .order_by_asc(session::Column::Id);
    Ok(open.all(command.tx()).await?)
}
