//! The job that looks at what a platform says of a profile, and does it.
//!
//! Two looks at once could end in the wrong order; so whatever asks for one raises a number, and only the look of
//! the newest one counts: it began after all that asked. Number 0 is the look behind a new link: what the platform
//! said between the proof and the link's commit met no profile yet.

use accounts_center_entity::linked_profile;
use accounts_center_entity::profile_refresh;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel,
    QueryFilter,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::state_machine::{Transition, Verdict};
use super::{details, find_linked, transition};
use crate::app::App;
use crate::error::Error;
use crate::platform::{ProfileClaim, ProfileState};
use crate::store::{Command, Job, JobError, Outcome, bounded};

/// Look at what the platform says of a profile.
#[derive(Debug, Serialize, Deserialize)]
pub struct RefreshProfile {
    pub account: Uuid,
    pub profile: Uuid,
    /// Which look it is.
    pub number: i64,
    /// Whether its owner has just proved it, as a platform asks for whose credentials have expired: that it still
    /// says so is nothing new.
    #[serde(default)]
    pub proved: bool,
}

impl Job for RefreshProfile {
    const KIND: &'static str = "refresh_profile";
}

/// Has a profile looked at that the command has just linked, by what its platform said of it before.
pub async fn enqueue_first(
    command: &mut Command,
    profile: &linked_profile::Model,
    claim: &ProfileClaim,
) -> Result<(), Error> {
    let proved = claim.state == ProfileState::CredentialsExpired;
    if proved {
        let first =
            profile_refresh::ActiveModel { profile_id: Set(profile.id), number: Set(0), proved: Set(true) };
        first.insert(command.tx()).await?;
    }
    command.enqueue(&RefreshProfile { account: profile.account_id, profile: profile.id, number: 0, proved })
}

/// Why a profile is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Its owner has proved it.
    Proved,
    /// The platform says that it asks for a proof.
    Expired,
    /// Something else has happened to it.
    Changed,
}

/// Has a profile looked at, of the account that the command is on; no earlier look counts any more.
pub(super) async fn enqueue_next(
    command: &mut Command,
    profile: &linked_profile::Model,
    reason: Reason,
) -> Result<(), Error> {
    let profile_refresh::Model { number, proved, .. } = next(command, profile.id, reason).await?;
    command.enqueue(&RefreshProfile { account: profile.account_id, profile: profile.id, number, proved })
}

async fn next(command: &Command, profile: Uuid, reason: Reason) -> Result<profile_refresh::Model, Error> {
    let found = profile_refresh::Entity::find_by_id(profile).one(command.tx()).await?;
    // A proof holds through whatever else happens, in whichever order it is told.
    let proved = match reason {
        Reason::Proved => true,
        Reason::Expired => false,
        Reason::Changed => found.as_ref().is_some_and(|found| found.proved),
    };
    let Some(found) = found else {
        let first =
            profile_refresh::ActiveModel { profile_id: Set(profile), number: Set(1), proved: Set(proved) };
        return Ok(first.insert(command.tx()).await?);
    };
    let number = found.number + 1;
    let mut next = found.into_active_model();
    (next.number, next.proved) = (Set(number), Set(proved));
    Ok(next.update(command.tx()).await?)
}

/// The platform does not ask for a proof any more: from now on it is new if it does.
async fn forget_proof(command: &Command, profile: Uuid) -> Result<(), Error> {
    profile_refresh::Entity::update_many()
        .col_expr(profile_refresh::Column::Proved, Expr::val(false))
        .filter(profile_refresh::Column::ProfileId.eq(profile))
        .filter(profile_refresh::Column::Proved.eq(true))
        .exec(command.tx())
        .await?;
    Ok(())
}

/// Forgets the number of a profile that is unlinked.
pub(super) async fn forget(command: &Command, profile: Uuid) -> Result<(), Error> {
    profile_refresh::Entity::delete_by_id(profile).exec(command.tx()).await?;
    Ok(())
}

/// Runs [`RefreshProfile`].
pub async fn refresh(app: &App, job: RefreshProfile) -> Result<(), JobError> {
    // Asked before the platform is: many webhooks at once cost one call.
    let db = app.store.db().read();
    let due = bounded(async {
        if is_newest(db, &job).await? { find_linked(db, job.account, job.profile).await } else { Ok(None) }
    });
    let Some(profile) = due.await? else { return Ok(()) };
    // A webhook was answered: what it told of must not be lost because its platform is away for a day, or because the
    // operator has taken it out of the configuration, or given it a credential that it does not know.
    let Some(platform) = app.platforms.get(&profile.platform) else {
        return Err(JobError::Wait("its platform is not configured".into()));
    };
    let claim = match platform.client.profile(&profile.external_id).await {
        Ok(claim) if claim.external_id == profile.external_id => claim,
        Ok(_) => return Err(JobError::Wait("the platform answered with another profile".into())),
        // A 404, too: by the contract that is a failure to be tried again, and never taken for deleted.
        Err(error) => return Err(error.waits()),
    };
    let applied = app
        .store
        .command(job.account, async |command: &mut Command| {
            // Again, now that nobody else can ask for one.
            if is_newest(command.tx(), &job).await?
                && let Some(profile) = transition::find(command, job.profile).await?
            {
                apply(command, profile, &claim, job.proved).await?;
            }
            Ok(Outcome::Commit(()))
        })
        .await?;
    debug_assert!(applied.is_ok(), "nothing here is rejected");
    Ok(())
}

/// Does what the platform says of a profile.
async fn apply(
    command: &mut Command,
    profile: linked_profile::Model,
    claim: &ProfileClaim,
    proved: bool,
) -> Result<(), Error> {
    if claim.state != ProfileState::CredentialsExpired {
        forget_proof(command, profile.id).await?;
    }
    let said = match claim.state {
        ProfileState::CredentialsExpired if !proved => Transition::CredentialsExpired,
        ProfileState::Active | ProfileState::CredentialsExpired => Transition::PlatformReactivated,
        ProfileState::Deactivated => Transition::PlatformDeactivated,
        ProfileState::Deleted => Transition::PlatformDeleted,
    };
    let profile = match transition::apply(command, &profile, said).await? {
        Verdict::Becomes(changed) => changed,
        Verdict::Unchanged | Verdict::Refused => profile,
    };
    details::take_over(command, profile, claim).await
}

/// Whether nobody has asked for another look since.
async fn is_newest(db: &impl ConnectionTrait, job: &RefreshProfile) -> Result<bool, Error> {
    let newest = profile_refresh::Entity::find_by_id(job.profile).one(db).await?;
    Ok(newest.map_or(0, |newest| newest.number) == job.number)
}
