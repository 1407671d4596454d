//! The passkeys of an account: finding, renaming and deleting them.

use accounts_center_entity::passkey::{self, Column, Entity};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, ModelTrait, QueryFilter,
};
use uuid::Uuid;

use super::event::{PasskeyChange, PasskeyChanged};
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::profile;
use crate::session::{self, Viewer};
use crate::store::{Command, Outcome, bounded, failpoint};

/// How many an account may have.
pub(super) const MAX_PASSKEYS: usize = 20;
/// Characters of a name.
const MAX_NAME: usize = 80;

/// Deleting a passkey, done.
pub struct Deleted {
    /// The account's version.
    pub version: i64,
    /// The sessions that ended by it.
    pub ended: Vec<Uuid>,
}

/// Those of the account that the command is on.
pub(super) async fn of_account(command: &Command) -> Result<Vec<passkey::Model>, Error> {
    Ok(Entity::find().filter(Column::AccountId.eq(command.stream())).all(command.tx()).await?)
}

/// The passkey of this id, if it is of the account that the command is on.
pub async fn find_own(command: &Command, id: Option<Uuid>) -> Result<Option<passkey::Model>, Error> {
    let Some(id) = id else { return Ok(None) };
    let row = Entity::find_by_id(id).filter(Column::AccountId.eq(command.stream()));
    Ok(row.one(command.tx()).await?)
}

/// Whether this id is of a passkey of `account`.
pub async fn is_of(app: &App, account: Uuid, id: Option<Uuid>) -> Result<bool, Error> {
    let Some(id) = id else { return Ok(false) };
    let row = Entity::find_by_id(id).filter(Column::AccountId.eq(account));
    bounded(async { Ok(row.one(app.store.db().read()).await?.is_some()) }).await
}

/// Whether the account that the command is on can be signed in to by a passkey.
pub async fn has_any(app: &App, command: &Command) -> Result<bool, Error> {
    Ok(app.passkeys.is_some() && !of_account(command).await?.is_empty())
}

/// Gives a passkey of the viewer another name.
pub async fn rename(
    app: &App,
    viewer: Viewer,
    passkey: Option<Uuid>,
    name: &str,
) -> UserResult<passkey::Model> {
    let name = match checked_name(name) {
        Ok(name) => name,
        Err(error) => return Ok(Err(vec![error])),
    };
    app.store
        .command(viewer.account, async |command: &mut Command| {
            session::check(command, viewer).await?;
            let Some(passkey) = find_own(command, passkey).await? else {
                return Ok(Outcome::reject(not_found("passkeyId")));
            };
            if passkey.name == name {
                return Ok(Outcome::Commit(passkey));
            }
            let renamed = PasskeyChanged { passkey: passkey.id, change: PasskeyChange::Renamed };
            let mut row = passkey.into_active_model();
            row.name = Set(name.to_owned());
            let row = row.update(command.tx()).await?;
            command.emit(viewer.account, &renamed)?;
            Ok(Outcome::Commit(row))
        })
        .await
}

/// Deletes a passkey of the viewer, and ends the sessions that it has opened.
pub async fn delete(app: &App, viewer: Viewer, passkey: Option<Uuid>) -> UserResult<Deleted> {
    let done = app
        .store
        .command(viewer.account, async |command: &mut Command| {
            let session = session::check(command, viewer).await?;
            session::check_recent(command, &session, &app.config.sessions)?;
            let all = of_account(command).await?;
            let (found, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|row| Some(row.id) == passkey);
            let Some(found) = found.into_iter().next() else {
                return Ok(Outcome::reject(not_found("passkeyId")));
            };
            let is_last = (others.is_empty() || app.passkeys.is_none())
                && !profile::any_signs_in(&app.platforms, command).await?;
            failpoint::pause("passkey::delete-checked").await;
            if is_last {
                let message = "This is the last way to sign in; link a profile or add another passkey first.";
                let code = AccountsErrorCode::LastSignInMethod;
                return Ok(Outcome::reject(UserError::new(code, message, &["passkeyId"])));
            }
            let id = found.id;
            found.delete(command.tx()).await?;
            command.emit(viewer.account, &PasskeyChanged { passkey: id, change: PasskeyChange::Deleted })?;
            let ended = session::end_opened_by_passkey(command, viewer.account, id).await?;
            Ok(Outcome::Commit(Deleted { version: command.version(viewer.account), ended }))
        })
        .await?;
    Ok(done.inspect(|deleted| app.ended.note(&deleted.ended)))
}

pub(super) fn checked_name(name: &str) -> Result<&str, UserError> {
    let name = name.trim();
    let error = |code, message: String| Err(UserError::new(code, message, &["name"]));
    if name.is_empty() || name.contains(char::is_control) {
        let message = "A name is one line of text with at least one character.";
        return error(AccountsErrorCode::Invalid, message.to_owned());
    }
    if name.chars().count() > MAX_NAME {
        let message = format!("A name has at most {MAX_NAME} characters.");
        return error(AccountsErrorCode::TooLong, message);
    }
    Ok(name)
}

/// The account has no such passkey; `field` is the one that names it.
pub fn not_found(field: &str) -> UserError {
    UserError::new(AccountsErrorCode::NotFound, "This account has no such passkey.", &[field])
}

/// This deployment takes no passkeys.
pub fn unsupported(path: &[&str]) -> UserError {
    let message = "There are no passkeys here: the operator has to set passkeys.rp_id and passkeys.origins.";
    UserError::new(AccountsErrorCode::UnsupportedByPlatform, message, path)
}

/// Forgets the passkeys of the account that the command is on, and those that were going to be: it is erased.
pub async fn erase_all(command: &Command) -> Result<(), Error> {
    use accounts_center_entity::{passkey, passkey_registration};
    passkey::Entity::delete_many()
        .filter(passkey::Column::AccountId.eq(command.stream()))
        .exec(command.tx())
        .await?;
    passkey_registration::Entity::delete_many()
        .filter(passkey_registration::Column::AccountId.eq(command.stream()))
        .exec(command.tx())
        .await?;
    Ok(())
}
