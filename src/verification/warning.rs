//! The job that warns the owner of a profile by which somebody tries to sign in with wrong codes.
//!
//! It is left for every sign-in that was used up, whether or not the handle is known: the answer and the statements
//! before it are the same.

use accounts_center_entity::verification;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel, QuerySelect};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::account;
use crate::app::App;
use crate::error::Error;
use crate::security::{self, AlertKind, NewAlert};
use crate::store::{Command, Job, JobError, Outcome, bounded};

/// Warn the owner of the profile that a used-up sign-in was for, if there is one.
#[derive(Debug, Serialize, Deserialize)]
pub struct WarnOwner {
    pub verification: Uuid,
}

impl Job for WarnOwner {
    const KIND: &'static str = "warn_of_attempts";
}

/// Runs [`WarnOwner`]. The alert and the end of what the verification knows are one commit, so it is raised once.
pub async fn warn_owner(app: &App, job: WarnOwner) -> Result<(), JobError> {
    let db = app.store.db().read();
    let found = bounded(async {
        let row = verification::Entity::find_by_id(job.verification).one(db).await?;
        let Some((row, id)) = row.and_then(|row| row.external_id.clone().map(|id| (row, id))) else {
            return Ok(None);
        };
        let owner = account::find_owner(db, &row.platform, &id).await?;
        Ok(Some(owner.map_or(row.stream_id, |profile| profile.account_id)))
    });
    let Some(stream) = found.await? else { return Ok(()) };
    let warned = app
        .store
        .command(stream, async |command: &mut Command| {
            let row = verification::Entity::find_by_id(job.verification).lock_exclusive();
            if let Some(row) = row.one(command.tx()).await? {
                warn(command, row).await?;
            }
            Ok(Outcome::Commit(()))
        })
        .await?;
    debug_assert!(warned.is_ok(), "nothing here is rejected");
    Ok(())
}

async fn warn(command: &mut Command, row: verification::Model) -> Result<(), Error> {
    let Some(external_id) = &row.external_id else { return Ok(()) };
    let owner = account::find_owner(command.tx(), &row.platform, external_id).await?;
    let stream = owner.as_ref().map_or(row.stream_id, |profile| profile.account_id);
    if stream != command.stream() {
        // It has moved in between: look again.
        return Err(Error::Conflict);
    }
    if let Some(profile) = owner {
        let (account, profile) = (profile.account_id, Some(profile.id));
        let kind = AlertKind::TooManyAttempts;
        security::raise(command, NewAlert { account, kind, profile, session: None }).await?;
    }
    let mut row = row.into_active_model();
    row.external_id = Set(None);
    row.update(command.tx()).await?;
    Ok(())
}
