//! Refreshing a session: a new access token, and the refresh token that takes the place of the one that was shown.

use accounts_center_entity::session;
use chrono::TimeDelta;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel};

use super::ending::end;
use super::event::SessionEnd;
use super::refresh_token::{RefreshToken, Verdict};
use super::{AccessToken, Viewer};
use crate::app::App;
use crate::error::Error;
use crate::security::{self, AlertKind, NewAlert};
use crate::store::{Command, Outcome, bounded};

/// A session with what its device shows from now on.
pub struct Refreshed {
    pub session: session::Model,
    pub access: AccessToken,
    pub refresh_token: String,
}

/// Refreshes the session of a refresh token. One that was used before ends its session: whoever has stolen it, both are
/// signed out (RFC 9700, section 4.14.2).
///
/// # Errors
/// UNAUTHENTICATED for a token that is not good, whatever the reason.
pub async fn refresh(app: &App, token: &str) -> Result<Refreshed, Error> {
    let token = RefreshToken::parse(&app.keys, token).ok_or_else(refused)?;
    let row = session::Entity::find_by_id(token.session()).one(app.store.db().read());
    let row = bounded(async { Ok(row.await?) }).await?.ok_or_else(refused)?;
    let done = app
        .store
        .command(row.account_id, async |command: &mut Command| {
            let row = session::Entity::find_by_id(row.id).one(command.tx()).await?.ok_or_else(refused)?;
            let retry = TimeDelta::seconds(app.config.sessions.refresh_retry_seconds.into());
            match token.judge(&app.keys, &row, (command.now(), retry)) {
                Verdict::Good(next) => {
                    let row = rotate(app, command, row, &next).await?;
                    Ok(Outcome::Commit(Ok((row, next))))
                }
                Verdict::Retried(next) => Ok(Outcome::Commit(Ok((row, next)))),
                Verdict::Reused => Ok(Outcome::Commit(Err(end_stolen(command, row).await?))),
                Verdict::Ended => Err(refused()),
            }
        })
        .await?;
    match done {
        Ok(Ok((session, next))) => {
            let viewer = Viewer { account: session.account_id, session: session.id };
            let access = app.tokens.sign(viewer, &app.ids).map_err(Error::internal)?;
            Ok(Refreshed { session, access, refresh_token: next.write(&app.keys) })
        }
        Ok(Err(ended)) => {
            app.ended.note(&ended);
            Err(refused())
        }
        Err(_) => Err(Error::internal(anyhow::anyhow!("nothing here is rejected"))),
    }
}

async fn rotate(
    app: &App,
    command: &Command,
    row: session::Model,
    next: &RefreshToken,
) -> Result<session::Model, Error> {
    let mut row = row.into_active_model();
    row.refresh_number = Set(next.stored_number());
    row.refresh_hash = Set(Some(next.stored_hash(&app.keys).to_vec()));
    row.refreshed_at = Set(Some(command.now()));
    row.expires_at = Set(command.now() + TimeDelta::days(app.config.sessions.lifetime_days.into()));
    Ok(row.update(command.tx()).await?)
}

async fn end_stolen(command: &mut Command, row: session::Model) -> Result<Vec<uuid::Uuid>, Error> {
    let alert = NewAlert {
        account: row.account_id,
        kind: AlertKind::RefreshTokenReused,
        profile: row.opened_by_profile_id,
        session: Some(row.id),
    };
    let ended = end(command, vec![row], SessionEnd::RefreshTokenReused).await?;
    security::raise(command, alert).await?;
    Ok(ended)
}

fn refused() -> Error {
    Error::unauthenticated("This refresh token is not good, or not any more; sign in again.")
}
