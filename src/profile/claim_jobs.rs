//! What becomes of a claim: the owner is told, and if they do nothing the profile goes to the claimant.
//!
//! None of these jobs dies of what it meets: what stands in the way is waited for, until the claim is too old.

use accounts_center_entity::linked_profile::{self, LinkStatus};
use accounts_center_entity::profile_claim::{self, Column, Entity};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::claim::{EndOffer, TellOwner, end_claims, end_locked_claims, lock_claims};
use super::event::ProfileClaimed;
use super::state_machine::Transition;
use super::transition::apply;
use crate::account::{self, NewProfile};
use crate::app::App;
use crate::error::Error;
use crate::platform::{ProfileClaim, ProfileState};
use crate::security::{self, AlertKind, NewAlert};
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

/// How far a command has come with a claim.
enum Step {
    Done,
    /// It cannot go on, because of this.
    Waits(&'static str),
}

/// A claim that is made, and what was found before the command that goes on with it.
struct Case {
    claim: profile_claim::Model,
    /// The account that has the profile now, if that is another one than the claimant's.
    owner: Option<Uuid>,
    /// What the platform says of the profile.
    said: ProfileClaim,
}

impl Case {
    /// Whether the platform lets the profile be proved.
    fn is_provable(&self) -> bool {
        verification::is_provable(self.said.state)
    }

    /// Whether its owner could prove it, in whose account it is `profile`. Who is locked out of their account cannot.
    async fn is_provable_by_owner(
        &self,
        command: &Command,
        profile: &linked_profile::Model,
    ) -> Result<bool, Error> {
        let is_open = self.is_provable() && profile.status != LinkStatus::Suspended;
        Ok(is_open && !account::is_locked(command.tx(), profile.account_id).await?)
    }
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
        Ok(Outcome::Commit(Step::Done))
    };
    run(app, claim.claimant_id, forget).await
}

/// Runs [`TellOwner`]: the owner's time begins, if they can prove the profile.
pub async fn tell_owner(app: &App, job: TellOwner) -> Result<(), JobError> {
    let Some(case) = look(app, job.verification).await? else { return Ok(()) };
    let Some(owner) = case.owner else { return hand_over_to(app, case).await };
    let tell = async |command: &mut Command| {
        let Some(Held { claim, profile, .. }) = still(command, &case).await? else {
            return Ok(Outcome::Commit(Step::Done));
        };
        if let Some(due_at) = claim.due_at {
            command.enqueue_at(&SettleClaim { verification: job.verification }, due_at)?;
            return Ok(Outcome::Commit(Step::Done));
        }
        if !case.is_provable_by_owner(command, &profile).await? {
            return Ok(Outcome::Commit(Step::Waits("its owner cannot prove the profile now")));
        }
        // What its owner is giving up need not wait.
        let is_given_up = profile.status == LinkStatus::Unlinking;
        let due_at = command.now() + if is_given_up { TimeDelta::zero() } else { GRACE };
        let mut claim = claim.into_active_model();
        claim.due_at = Set(Some(due_at));
        claim.update(command.tx()).await?;
        if !is_given_up {
            announce(command, &profile, due_at).await?;
        }
        command.enqueue_at(&SettleClaim { verification: job.verification }, due_at)?;
        Ok(Outcome::Commit(Step::Done))
    };
    run(app, owner, tell).await
}

/// Tells the owner of a profile that somebody else has proved it: the one place that does.
async fn announce(
    command: &mut Command,
    profile: &linked_profile::Model,
    due_at: DateTime<Utc>,
) -> Result<(), Error> {
    let (account, kind) = (profile.account_id, AlertKind::ProfileClaimed);
    command.emit(account, &ProfileClaimed { profile: profile.id, due_at })?;
    security::raise(command, NewAlert { account, kind, profile: Some(profile.id), session: None }).await
}

/// Runs [`SettleClaim`].
pub async fn settle_claim(app: &App, job: SettleClaim) -> Result<(), JobError> {
    let Some(case) = look(app, job.verification).await? else { return Ok(()) };
    let Some(owner) = case.owner else { return hand_over_to(app, case).await };
    let settle = async |command: &mut Command| {
        let Some(Held { claim, profile, is_first }) = still(command, &case).await? else {
            return Ok(Outcome::Commit(Step::Done));
        };
        if claim.due_at.is_none_or(|due_at| command.now() < due_at) {
            return Ok(Outcome::Commit(Step::Done));
        }
        if !is_first {
            return Ok(Outcome::Commit(NOT_FIRST));
        }
        if case.is_provable_by_owner(command, &profile).await? {
            apply(command, &profile, Transition::ClaimUpheld).await?;
            command.enqueue(&HandOver { verification: job.verification })?;
            return Ok(Outcome::Commit(Step::Done));
        }
        // Its owner could not have proved it, and has all of their time once they can.
        let mut claim = claim.into_active_model();
        claim.due_at = Set(None);
        claim.update(command.tx()).await?;
        command.enqueue(&TellOwner { verification: job.verification })?;
        Ok(Outcome::Commit(Step::Done))
    };
    run(app, owner, settle).await
}

/// Who was first is first served, or they have nothing of what their claim has ended.
const NOT_FIRST: Step = Step::Waits("somebody else has claimed it before");

/// Runs [`HandOver`].
pub async fn hand_over(app: &App, job: HandOver) -> Result<(), JobError> {
    match look(app, job.verification).await? {
        Some(case) => hand_over_to(app, case).await,
        None => Ok(()),
    }
}

/// Links a claimed profile to its claimant as far as that is still possible, by what the platform says of it now. It signs
/// in once they let it: the proof is some days old, and may have been made by somebody who was signed out since.
async fn hand_over_to(app: &App, case: Case) -> Result<(), JobError> {
    let link = async |command: &mut Command| {
        let (claim, said) = (&case.claim, &case.said);
        let claims = lock_claims(command, &claim.platform, &claim.external_id).await?;
        let Some(own) = claims.iter().position(|other| other.verification_id == claim.verification_id) else {
            return Ok(Outcome::Commit(Step::Done));
        };
        if first(&claims) != Some(claim.verification_id) {
            return Ok(Outcome::Commit(NOT_FIRST));
        }
        if account::find_owner(command.tx(), &claim.platform, &claim.external_id).await?.is_some() {
            // Somebody has linked it by a release that did not wait for these locks, or the claimant has it.
            end_locked_claims(command, &claims).await?;
            return Ok(Outcome::Commit(Step::Done));
        }
        if !case.is_provable() {
            return Ok(Outcome::Commit(Step::Waits("the profile is not active at its platform")));
        }
        if !verification::has_room(command, claim.claimant_id).await? {
            // Who comes next may have it.
            end_locked_claims(command, &claims[own..=own]).await?;
            return Ok(Outcome::Commit(Step::Done));
        }
        let Some(platform) = app.platforms.get(&claim.platform) else { return Err(Error::Conflict) };
        let new = NewProfile { platform: &platform.key, claim: said, sign_in_enabled: false };
        let linked = account::link(command, claim.claimant_id, &new).await?.ok_or(Error::Conflict)?;
        let (account, kind) = (claim.claimant_id, AlertKind::ProfileLinked);
        security::raise(command, NewAlert { account, kind, profile: Some(linked.id), session: None }).await?;
        Ok(Outcome::Commit(Step::Done))
    };
    run(app, case.claim.claimant_id, link).await
}

/// What there is to go on with; `None` once the claim has ended, which it does with the profile.
async fn look(app: &App, verification: Uuid) -> Result<Option<Case>, JobError> {
    let Some(claim) = find(app, verification).await? else { return Ok(None) };
    let Some(platform) = app.platforms.get(&claim.platform) else {
        return Err(JobError::Wait("its platform is not configured".into()));
    };
    // A 404 is none of its answers: what is deleted it says.
    let said = match platform.client.profile(&claim.external_id).await {
        Ok(said) if said.external_id == claim.external_id => said,
        Ok(_) => return Err(JobError::Wait("the platform answered with another profile".into())),
        Err(error) => return Err(error.waits()),
    };
    if said.state == ProfileState::Deleted {
        let end = async |command: &mut Command| {
            end_claims(command, &claim.platform, &claim.external_id).await?;
            Ok(Outcome::Commit(Step::Done))
        };
        run(app, claim.claimant_id, end).await?;
        return Ok(None);
    }
    let owner = account::find_owner(app.store.db().read(), &claim.platform, &claim.external_id);
    let owner = bounded(owner).await.map_err(wait)?.map(|profile| profile.account_id);
    let owner = owner.filter(|owner| *owner != claim.claimant_id);
    Ok(Some(Case { claim, owner, said }))
}

/// A claim and the profile, in a command on the stream of its owner.
struct Held {
    claim: profile_claim::Model,
    profile: linked_profile::Model,
    /// Whether nobody has claimed it before.
    is_first: bool,
}

/// The claim and the profile with their locks; `None` if the claim has ended.
async fn still(command: &Command, case: &Case) -> Result<Option<Held>, Error> {
    let (platform, external_id) = (&case.claim.platform, &case.claim.external_id);
    let claims = lock_claims(command, platform, external_id).await?;
    let first = first(&claims);
    let mut claims = claims.into_iter();
    let Some(claim) = claims.find(|claim| claim.verification_id == case.claim.verification_id) else {
        return Ok(None);
    };
    match account::find_owner(command.tx(), platform, external_id).await? {
        Some(profile) if profile.account_id == command.stream() => {
            let is_first = first == Some(claim.verification_id);
            Ok(Some(Held { claim, profile, is_first }))
        }
        // It has moved in between: look again.
        _ => Err(Error::Conflict),
    }
}

/// The claim that was made before all others.
fn first(claims: &[profile_claim::Model]) -> Option<Uuid> {
    let made = claims.iter().filter_map(|claim| Some((claim.claimed_at?, claim.verification_id)));
    made.min().map(|(_, verification)| verification)
}

async fn find(app: &App, verification: Uuid) -> Result<Option<profile_claim::Model>, JobError> {
    let found = Entity::find_by_id(verification).one(app.store.db().read());
    bounded(async { Ok(found.await?) }).await.map_err(wait)
}

async fn run(
    app: &App,
    account: Uuid,
    body: impl AsyncFnOnce(&mut Command) -> Result<Outcome<Step>, Error>,
) -> Result<(), JobError> {
    match app.store.command(account, body).await.map_err(wait)? {
        Ok(Step::Waits(reason)) => Err(JobError::Wait(reason.into())),
        Ok(Step::Done) | Err(_) => Ok(()),
    }
}

/// What went wrong here may go right later; a claim whose job died would stand in the way of those that come after it.
fn wait(error: Error) -> JobError {
    error.log();
    JobError::Wait(format!("{}: {error}", error.code().as_str()))
}
