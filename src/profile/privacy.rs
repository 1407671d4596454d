//! What a profile shares at its platform, as it was read there: after it was linked, and whenever the platform says that
//! it has changed.

use accounts_center_entity::linked_profile::{self, LinkStatus};
use accounts_center_entity::profile_privacy::{ActiveModel, Entity};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{find_linked, transition};
use crate::app::App;
use crate::config::Offer;
use crate::error::Error;
use crate::platform::{PlatformError, PrivacyRead};
use crate::store::{Command, Job, JobError, Outcome, bounded};

/// Read what a profile shares at its platform.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReadPrivacy {
    pub account: Uuid,
    pub profile: Uuid,
}

impl Job for ReadPrivacy {
    const KIND: &'static str = "read_privacy";
}

/// Has a profile's settings read, of the account that the command is on.
pub fn enqueue(command: &mut Command, profile: &linked_profile::Model) -> Result<(), Error> {
    command.enqueue(&ReadPrivacy { account: profile.account_id, profile: profile.id })
}

/// Forgets what a profile shared that is unlinked.
pub(super) async fn forget(command: &Command, profile: Uuid) -> Result<(), Error> {
    Entity::delete_by_id(profile).exec(command.tx()).await?;
    Ok(())
}

/// Runs [`ReadPrivacy`].
pub async fn read_privacy(app: &App, job: ReadPrivacy) -> Result<(), JobError> {
    let found = bounded(find_linked(app.store.db().read(), job.account, job.profile)).await?;
    let Some(profile) = found else { return Ok(()) };
    let Some(platform) = app.platforms.get(&profile.platform) else {
        return Err(JobError::Wait("its platform is not configured".into()));
    };
    if !platform.offers(Offer::Privacy) {
        return Ok(());
    }
    let read = match platform.client.privacy(&profile.external_id).await {
        Ok(read) => read,
        Err(error @ PlatformError::Refused(_)) => return Err(error.into()),
        Err(error) => return Err(error.waits()),
    };
    let kept = app
        .store
        .command(job.account, async |command: &mut Command| {
            let profile = transition::find(command, job.profile).await?;
            if profile.is_some_and(|profile| profile.status != LinkStatus::Unlinked) {
                keep(command, job.profile, &read).await?;
            }
            Ok(Outcome::Commit(()))
        })
        .await?;
    debug_assert!(kept.is_ok(), "nothing here is rejected");
    Ok(())
}

/// Keeps what was read, unless what is kept is newer: of two that read at once the slower one may have read first.
async fn keep(command: &Command, profile: Uuid, read: &PrivacyRead) -> Result<(), Error> {
    let settings = serde_json::Value::Object(read.settings.clone());
    let Some(kept) = Entity::find_by_id(profile).one(command.tx()).await? else {
        let first = ActiveModel {
            profile_id: Set(profile),
            revision: Set(read.revision),
            settings: Set(settings),
            read_at: Set(command.now()),
        };
        first.insert(command.tx()).await?;
        return Ok(());
    };
    if read.revision < kept.revision {
        return Ok(());
    }
    let mut newer = kept.into_active_model();
    newer.revision = Set(read.revision);
    newer.settings = Set(settings);
    newer.read_at = Set(command.now());
    newer.update(command.tx()).await?;
    Ok(())
}
