//! Webhooks about a profile, and the job that looks at its platform because of one.
//!
//! A webhook is only a hint: it comes late, twice, or in another order. So it is stored and answered, and a job
//! reads what the platform says now. Two looks at once could end in the wrong order; so each webhook raises a
//! number, and only the look of the newest one counts: it began after all of them had come.

use accounts_center_entity::linked_profile::{self, LinkStatus};
use accounts_center_entity::{profile_refresh, webhook_receipt};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter,
    TryInsertResult,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::state_machine::Transition;
use super::transition;
use crate::account;
use crate::app::App;
use crate::error::Error;
use crate::platform::{PlatformError, ProfileState};
use crate::store::{Command, Job, JobError, Outcome};

/// How often a webhook looks for the account of its profile, if that moves meanwhile.
const OVERTAKEN_TRIES: u32 = 5;

/// A webhook that says that something about a profile changed.
pub struct ProfileWebhook<'a> {
    pub platform: &'a str,
    /// The platform's id of the message.
    pub id: &'a str,
    pub external_id: &'a str,
}

/// Look at what the platform says of a profile.
#[derive(Debug, Serialize, Deserialize)]
pub struct RefreshProfile {
    pub account: Uuid,
    pub profile: Uuid,
    /// Which look it is.
    pub number: i64,
}

impl Job for RefreshProfile {
    const KIND: &'static str = "refresh_profile";
}

/// Stores a webhook and has its profile looked at. One that came before is ignored, and so is one about a profile
/// that nobody has linked.
pub async fn look_again(app: &App, webhook: ProfileWebhook<'_>) -> Result<(), Error> {
    let ProfileWebhook { platform, external_id, .. } = webhook;
    for _ in 0..OVERTAKEN_TRIES {
        let owner = account::find_owner(app.store.db().read(), platform, external_id).await?;
        let Some(owner) = owner else { return Ok(()) };
        let stored = app
            .store
            .command(owner.account_id, async |command: &mut Command| {
                let now = account::find_owner(command.tx(), platform, external_id).await?;
                // Unlinked or moved in between.
                if now.is_none_or(|now| now.id != owner.id) {
                    return Err(Error::Conflict);
                }
                if take(command, &webhook).await? {
                    let number = next_number(command, owner.id).await?;
                    let job = RefreshProfile { account: owner.account_id, profile: owner.id, number };
                    command.enqueue(&job)?;
                }
                Ok(Outcome::Commit(()))
            })
            .await;
        match stored {
            Err(Error::Conflict) => {}
            other => return other.map(drop),
        }
    }
    Err(Error::Conflict)
}

/// Remembers a webhook's id; false if it came before.
async fn take(command: &Command, webhook: &ProfileWebhook<'_>) -> Result<bool, Error> {
    let receipt = webhook_receipt::ActiveModel {
        platform: Set(webhook.platform.to_owned()),
        id: Set(webhook.id.to_owned()),
        received_at: Set(command.now()),
    };
    let inserted = webhook_receipt::Entity::insert(receipt)
        .on_conflict_do_nothing()
        .exec_without_returning(command.tx())
        .await?;
    // The number of rows: 0 where the id is taken.
    Ok(matches!(inserted, TryInsertResult::Inserted(1..)))
}

async fn next_number(command: &Command, profile: Uuid) -> Result<i64, Error> {
    let Some(found) = profile_refresh::Entity::find_by_id(profile).one(command.tx()).await? else {
        let first = profile_refresh::ActiveModel { profile_id: Set(profile), number: Set(1) };
        return Ok(first.insert(command.tx()).await?.number);
    };
    let number = found.number + 1;
    let mut next = found.into_active_model();
    next.number = Set(number);
    Ok(next.update(command.tx()).await?.number)
}

/// Runs [`RefreshProfile`].
pub async fn refresh(app: &App, job: RefreshProfile) -> Result<(), JobError> {
    let Some(profile) = linked(app, &job).await? else { return Ok(()) };
    let platform = app
        .platforms
        .get(&profile.platform)
        .ok_or_else(|| JobError::GiveUp(format!("platforms.{} is not configured", profile.platform)))?;
    let claim = match platform.client.profile(&profile.external_id).await {
        Ok(claim) if claim.external_id == profile.external_id => claim,
        Ok(_) => return Err(JobError::Retry("the platform answered with another profile".into())),
        // By the contract a failure to be tried again, and never taken for deleted.
        Err(error @ PlatformError::NotFound) => return Err(JobError::Retry(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let said = match claim.state {
        ProfileState::Active => Transition::PlatformReactivated,
        ProfileState::Deactivated => Transition::PlatformDeactivated,
        ProfileState::CredentialsExpired => Transition::CredentialsExpired,
        ProfileState::Deleted => Transition::PlatformDeleted,
    };
    let applied = app
        .store
        .command(job.account, async |command: &mut Command| {
            let newest = profile_refresh::Entity::find_by_id(job.profile).one(command.tx()).await?;
            if newest.is_some_and(|newest| newest.number == job.number)
                && let Some(profile) = transition::find(command, job.profile).await?
            {
                transition::apply(command, &profile, said).await?;
            }
            Ok(Outcome::Commit(()))
        })
        .await?;
    debug_assert!(applied.is_ok(), "nothing here is rejected");
    Ok(())
}

/// The profile to look at, if it is linked still.
async fn linked(app: &App, job: &RefreshProfile) -> Result<Option<linked_profile::Model>, Error> {
    Ok(linked_profile::Entity::find()
        .filter(linked_profile::Column::AccountId.eq(job.account))
        .filter(linked_profile::Column::Id.eq(job.profile))
        .filter(linked_profile::Column::Status.ne(LinkStatus::Unlinked))
        .one(app.store.db().read())
        .await?)
}
