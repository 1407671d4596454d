//! What an operator does with an account. Each of it is recorded in the account's activity, with who did it.

use accounts_center_entity::{account, account_lock, linked_profile, session as session_row, stream};
use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder,
};
use uuid::Uuid;

use super::erasing::erase;
use super::event::{AccountAdministered, Administration};
use crate::app::App;
use crate::error::{Code, Error};
use crate::session;
use crate::store::{Command, Outcome};

/// What an operator may see of an account: nothing that its owner wrote.
pub struct Overview {
    pub account: account::Model,
    pub stream: stream::Model,
    pub locked_at: Option<DateTime<Utc>>,
    pub open_sessions: u64,
    /// Linked or gone, oldest first.
    pub profiles: Vec<linked_profile::Model>,
}

/// Whether an operator has locked an account, so that nobody signs in to it, by whatever proof.
pub async fn is_locked(db: &impl ConnectionTrait, account: Uuid) -> Result<bool, Error> {
    Ok(account_lock::Entity::find_by_id(account).one(db).await?.is_some())
}

/// Shows an account to an operator.
pub async fn show(app: &App, account: Uuid, operator: &str) -> Result<Overview, Error> {
    run(app, account, async |command: &mut Command| {
        let row = find(command).await?;
        record(command, Administration::Shown, operator)?;
        overview(command, row).await
    })
    .await
}

/// Locks an account: all its sessions end, and nobody signs in. False if it is locked already.
pub async fn lock(app: &App, account: Uuid, operator: &str) -> Result<bool, Error> {
    run(app, account, async |command: &mut Command| {
        find(command).await?;
        if is_locked(command.tx(), account).await? {
            return Ok(false);
        }
        let row = account_lock::ActiveModel { account_id: Set(account), locked_at: Set(command.now()) };
        row.insert(command.tx()).await?;
        record(command, Administration::Locked, operator)?;
        session::end_all(command, session::event::SessionEnd::AccountLocked).await?;
        Ok(true)
    })
    .await
}

/// Lets people sign in to a locked account again. False if it is not locked.
pub async fn unlock(app: &App, account: Uuid, operator: &str) -> Result<bool, Error> {
    run(app, account, async |command: &mut Command| {
        find(command).await?;
        if account_lock::Entity::delete_by_id(account).exec(command.tx()).await?.rows_affected == 0 {
            return Ok(false);
        }
        record(command, Administration::Unlocked, operator)?;
        Ok(true)
    })
    .await
}

/// Erases an account now, as if its owner had asked for that some days ago.
pub async fn erase_at_once(app: &App, account: Uuid, operator: &str) -> Result<(), Error> {
    run(app, account, async |command: &mut Command| {
        find(command).await?;
        erase(app, command, Some(operator.to_owned())).await.map(|_| ())
    })
    .await
}

fn record(command: &mut Command, action: Administration, operator: &str) -> Result<(), Error> {
    let account = command.stream();
    command.emit(account, &AccountAdministered { action, operator: operator.to_owned() })?;
    Ok(())
}

async fn overview(command: &Command, account: account::Model) -> Result<Overview, Error> {
    let id = account.id;
    let stream = stream::Entity::find_by_id(id).one(command.tx()).await?.ok_or_else(no_account)?;
    let lock = account_lock::Entity::find_by_id(id).one(command.tx()).await?;
    let open_sessions = session_row::Entity::find()
        .filter(session_row::Column::AccountId.eq(id))
        .filter(session_row::Column::RevokedAt.is_null())
        .filter(session_row::Column::ExpiresAt.gt(command.now()));
    let profiles = linked_profile::Entity::find()
        .filter(linked_profile::Column::AccountId.eq(id))
        .order_by_asc(linked_profile::Column::LinkedAt)
        .order_by_asc(linked_profile::Column::Id);
    Ok(Overview {
        stream,
        locked_at: lock.map(|lock| lock.locked_at),
        open_sessions: open_sessions.count(command.tx()).await?,
        profiles: profiles.all(command.tx()).await?,
        account,
    })
}

async fn find(command: &Command) -> Result<account::Model, Error> {
    let row = account::Entity::find_by_id(command.stream()).one(command.tx()).await?;
    row.filter(|row| row.erased_at.is_none()).ok_or_else(no_account)
}

fn no_account() -> Error {
    Error::client(Code::BadUserInput, "There is no such account.")
}

async fn run<T>(
    app: &App,
    account: Uuid,
    body: impl AsyncFnOnce(&mut Command) -> Result<T, Error>,
) -> Result<T, Error> {
    if app.store.version(account).await?.is_none() {
        return Err(no_account());
    }
    let done = app
        .store
        .command(account, async |command: &mut Command| body(command).await.map(Outcome::Commit))
        .await?;
    done.map_err(|_| Error::internal(anyhow::anyhow!("nothing here is rejected")))
}
