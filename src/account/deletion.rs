//! Deleting one's account: it is asked for twice, and waits for some days, in which it works as before and can be kept.

use accounts_center_entity::account;
use chrono::TimeDelta;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::administration::is_locked;
use super::erasing::erase;
use super::event::DeletionChanged;
use crate::app::App;
use crate::error::Error;
use crate::profile;
use crate::security::{self, AlertKind, NewAlert};
use crate::session::{self, Confirmation, Viewer};
use crate::store::{Command, Job, JobError, Outcome};

/// Erase an account whose time is over.
#[derive(Debug, Serialize, Deserialize)]
pub struct EraseAccount {
    pub account: Uuid,
}

impl Job for EraseAccount {
    const KIND: &'static str = "erase_account";
}

/// What a request to delete an account came to.
pub enum Requested {
    /// It is going to be deleted; the account's version.
    Waits(i64),
    /// Nothing yet: the same again with this confirmation, and it is.
    Unconfirmed(String),
}

/// Lets the viewer's account be deleted in some days. One that is going to be is left as it is: the first date counts.
pub async fn request_deletion(
    app: &App,
    viewer: Viewer,
    confirmation: Option<&str>,
) -> Result<Requested, Error> {
    let wanted = Confirmation { keys: &app.keys, viewer, act: "requestAccountDeletion" };
    let done = app
        .store
        .command(viewer.account, async |command: &mut Command| {
            let session = session::check(command, viewer).await?;
            session::check_recent(command, &session, &app.config.sessions)?;
            let row = own(command).await?;
            if row.deletes_at.is_some() {
                return Ok(Outcome::Commit(Requested::Waits(command.version(viewer.account))));
            }
            if !confirmation.is_some_and(|token| wanted.is_given_by(token, command.now())) {
                return Ok(Outcome::Commit(Requested::Unconfirmed(wanted.write(command.now()))));
            }
            let deletes_at = command.now() + TimeDelta::days(app.config.accounts.deletion_days.into());
            let mut waiting = row.into_active_model();
            waiting.deletes_at = Set(Some(deletes_at));
            waiting.update(command.tx()).await?;
            command.emit(viewer.account, &DeletionChanged { deletes_at: Some(deletes_at) })?;
            let (account, session) = (viewer.account, Some(viewer.session));
            let kind = AlertKind::AccountDeletionRequested;
            security::raise(command, NewAlert { account, kind, profile: None, session }).await?;
            profile::tell_of_deletion(app, command, account).await?;
            command.enqueue_at(&EraseAccount { account }, deletes_at)?;
            Ok(Outcome::Commit(Requested::Waits(command.version(account))))
        })
        .await?;
    done.map_err(|_| Error::internal(anyhow::anyhow!("nothing here is rejected")))
}

/// Keeps the viewer's account. One that is not going to be deleted stays as it is. Gives its version.
pub async fn cancel_deletion(app: &App, viewer: Viewer) -> Result<i64, Error> {
    let done = app
        .store
        .command(viewer.account, async |command: &mut Command| {
            session::check(command, viewer).await?;
            let row = own(command).await?;
            if row.deletes_at.is_some() {
                let mut kept = row.into_active_model();
                kept.deletes_at = Set(None);
                kept.update(command.tx()).await?;
                command.emit(viewer.account, &DeletionChanged { deletes_at: None })?;
            }
            Ok(Outcome::Commit(command.version(viewer.account)))
        })
        .await?;
    done.map_err(|_| Error::internal(anyhow::anyhow!("nothing here is rejected")))
}

/// Runs [`EraseAccount`]. One that was kept meanwhile, or is to be deleted later by a new request, stays. So does one that an
/// operator has locked: its owner cannot sign in to keep it, and the request may be a thief's.
pub async fn end_deletion(app: &App, job: EraseAccount) -> Result<(), JobError> {
    let done = app
        .store
        .command(job.account, async |command: &mut Command| {
            let row = account::Entity::find_by_id(job.account).one(command.tx()).await?;
            let deletes_at = row.filter(|row| row.erased_at.is_none()).and_then(|row| row.deletes_at);
            if deletes_at.is_none_or(|at| at > command.now()) {
                return Ok(Outcome::Commit(Some(Vec::new())));
            }
            if is_locked(command.tx(), job.account).await? {
                return Ok(Outcome::Commit(None));
            }
            Ok(Outcome::Commit(Some(erase(app, command, None).await?)))
        })
        .await?;
    match done {
        Ok(Some(ended)) => app.ended.note(&ended),
        Ok(None) => return Err(JobError::Wait("an operator has locked the account".into())),
        Err(_) => {}
    }
    Ok(())
}

async fn own(command: &Command) -> Result<account::Model, Error> {
    account::Entity::find_by_id(command.stream())
        .one(command.tx())
        .await?
        .ok_or_else(|| Error::internal(anyhow::anyhow!("a session without its account")))
}
