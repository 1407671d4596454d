//! What becomes of a claim: the owner is told, and if they do nothing the profile goes to the claimant.

use accounts_center_entity::linked_profile::{self, LinkStatus};
use accounts_center_entity::profile_claim::{self, Column, Entity};
use chrono::TimeDelta;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::claim::{EndOffer, TellOwner, end_claims, lock};
use super::event::ProfileClaimed;
use super::state_machine::Transition;
use super::transition::apply;
use crate::account::{self, NewProfile};
use crate::app::App;
use crate::error::Error;
use crate::platform::{PlatformError, ProfileState};
use crate::store::{Command, Job, JobError, Outcome, bounded};
use crate::verification;

/// How long the present owner has.
const GRACE: TimeDelta = TimeDelta::hours(72);

/// End the link of a claimed profile whose owner has not proved it.
#[derive(Debug, Serialize, Deserialize)]
pub struct SettleClaim {
    pub verification: Uuid,
}

impl Job for SettleClaim {
    const KIND: &'static str = "settle_claim";
}

/// Link a claimed profile, which nobody has any more, to its claimant.
#[derive(Debug, Serialize, Deserialize)]
pub struct HandOver {
    pub verification: Uuid,
}

impl Job for HandOver {
    const KIND: &'static str = "hand_over_claimed";
}

/// Runs [`EndOffer`].
pub async fn end_offer(app: &App, job: EndOffer) -> Result<(), JobError> {
    let Some(claim) = find(app, job.verification).await? else { return Ok(()) };
    let forget = async |command: &mut Command| {
        Entity::delete_many()
            .filter(Column::VerificationId.eq(job.verification))
            .filter(Column::ClaimedAt.is_null())
            .exec(command.tx())
            .await?;
        Ok(Outcome::Commit(()))
    };
    run(app, claim.claimant_id, forget).await
}

/// Runs [`TellOwner`].
pub async fn tell_owner(app: &App, job: TellOwner) -> Result<(), JobError> {
    let Some((claim, owner)) = claim_and_owner(app, job.verification).await? else { return Ok(()) };
    let Some(owner) = owner else { return hand_over_to(app, claim).await };
    let tell = async |command: &mut Command| {
        let Some((claim, profile)) = still(command, job.verification).await? else {
            return Ok(Outcome::Commit(()));
        };
        if claim.due_at.is_some() {
            return Ok(Outcome::Commit(()));
        }
        // What its owner is giving up need not wait.
        let is_given_up = profile.status == LinkStatus::Unlinking;
        let due_at = command.now() + if is_given_up { TimeDelta::zero() } else { GRACE };
        let mut claim = claim.into_active_model();
        claim.due_at = Set(Some(due_at));
        claim.update(command.tx()).await?;
        if !is_given_up {
            announce(command, &profile, due_at)?;
        }
        command.enqueue_at(&SettleClaim { verification: job.verification }, due_at)?;
        Ok(Outcome::Commit(()))
    };
    run(app, owner, tell).await
}

/// Tells the owner of a profile that somebody else has proved it: the one place that does.
fn announce(
    command: &mut Command,
    profile: &linked_profile::Model,
    due_at: chrono::DateTime<chrono::Utc>,
) -> Result<(), Error> {
    command.emit(profile.account_id, &ProfileClaimed { profile: profile.id, due_at })?;
    Ok(())
}

/// Runs [`SettleClaim`].
pub async fn settle_claim(app: &App, job: SettleClaim) -> Result<(), JobError> {
    let Some((claim, owner)) = claim_and_owner(app, job.verification).await? else { return Ok(()) };
    let Some(owner) = owner else { return hand_over_to(app, claim).await };
    let settle = async |command: &mut Command| {
        if let Some((claim, profile)) = still(command, job.verification).await?
            && claim.due_at.is_some_and(|due_at| due_at <= command.now())
        {
            apply(command, &profile, Transition::ClaimUpheld).await?;
            command.enqueue(&HandOver { verification: job.verification })?;
        }
        Ok(Outcome::Commit(()))
    };
    run(app, owner, settle).await
}

/// Runs [`HandOver`].
pub async fn hand_over(app: &App, job: HandOver) -> Result<(), JobError> {
    match find(app, job.verification).await? {
        Some(claim) => hand_over_to(app, claim).await,
        None => Ok(()),
    }
}

/// Links a claimed profile to its claimant as far as that is still possible, by what the platform says of it now.
async fn hand_over_to(app: &App, claim: profile_claim::Model) -> Result<(), JobError> {
    let Some(platform) = app.platforms.get(&claim.platform) else {
        return Err(JobError::Wait("its platform is not configured".into()));
    };
    let said = match platform.client.profile(&claim.external_id).await {
        Ok(said) if said.external_id == claim.external_id => said,
        Ok(_) => return Err(JobError::Retry("the platform answered with another profile".into())),
        Err(error @ PlatformError::NotFound) => return Err(JobError::Retry(error.to_string())),
        Err(error) => return Err(JobError::Wait(error.to_string())),
    };
    let link = async |command: &mut Command| {
        if lock(command, claim.verification_id).await?.is_none() {
            return Ok(Outcome::Commit(()));
        }
        let owner = account::find_owner(command.tx(), &claim.platform, &claim.external_id).await?;
        let is_possible = owner.is_none()
            && matches!(said.state, ProfileState::Active | ProfileState::CredentialsExpired)
            && verification::has_room(command, claim.claimant_id).await?;
        if is_possible {
            let new = NewProfile { platform: &platform.key, claim: &said, sign_in_enabled: platform.sign_in };
            account::link(command, claim.claimant_id, &new).await?.ok_or(Error::Conflict)?;
        }
        end_claims(command, &claim.platform, &claim.external_id).await?;
        Ok(Outcome::Commit(()))
    };
    run(app, claim.claimant_id, link).await
}

/// A claim that is made, and the account that has the profile now, if that is another one than the claimant's.
async fn claim_and_owner(
    app: &App,
    verification: Uuid,
) -> Result<Option<(profile_claim::Model, Option<Uuid>)>, JobError> {
    let Some(claim) = find(app, verification).await? else { return Ok(None) };
    let owner = account::find_owner(app.store.db().read(), &claim.platform, &claim.external_id);
    let owner = bounded(owner).await?.map(|profile| profile.account_id);
    let owner = owner.filter(|owner| *owner != claim.claimant_id);
    Ok(Some((claim, owner)))
}

/// The claim, locked, and the profile, if there still is one and the command is on the stream of its owner.
async fn still(
    command: &Command,
    verification: Uuid,
) -> Result<Option<(profile_claim::Model, linked_profile::Model)>, Error> {
    let Some(claim) = lock(command, verification).await? else { return Ok(None) };
    let owner = account::find_owner(command.tx(), &claim.platform, &claim.external_id).await?;
    match owner {
        Some(profile) if profile.account_id == command.stream() => Ok(Some((claim, profile))),
        // It has moved in between: look again.
        _ => Err(Error::Conflict),
    }
}

async fn find(app: &App, verification: Uuid) -> Result<Option<profile_claim::Model>, Error> {
    bounded(async { Ok(Entity::find_by_id(verification).one(app.store.db().read()).await?) }).await
}

async fn run(
    app: &App,
    account: Uuid,
    body: impl AsyncFnOnce(&mut Command) -> Result<Outcome<()>, Error>,
) -> Result<(), JobError> {
    let done = app.store.command(account, body).await?;
    debug_assert!(done.is_ok(), "nothing here is rejected");
    Ok(())
}
