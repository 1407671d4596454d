//! Claims to a profile that is linked to another account, as when a number has changed hands.
//!
//! Who has proved such a profile may claim it. Its present owner is told and has 72 hours to prove it as well; any proof by
//! them ends all claims to it, and so does the end of the session that claims. Else the link ends, and the profile comes to
//! the claimant; of several to the one who was first. Neither learns anything of the other. A claim goes from the claimant's
//! stream to the owner's and back by jobs; each looks again at what has become of it, under the locks of [`lock_claims`].

use accounts_center_entity::linked_profile;
use accounts_center_entity::profile_claim::{self, Column, Entity, Model};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, IntoColumnRef, Query};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::ClaimStarted;
use crate::app::App;
use crate::error::Error;
use crate::security::{self, AlertKind, NewAlert};
use crate::store::{Command, Job, Store, bounded, failpoint};

/// How long after its proof a profile can be claimed.
const OFFERED: TimeDelta = TimeDelta::hours(1);
/// How old a proof may be that a profile is handed over by: who had it once need not have it any more.
const KEPT: TimeDelta = TimeDelta::days(30);

/// Forget a proof that nobody has claimed the profile by.
#[derive(Debug, Serialize, Deserialize)]
pub struct EndOffer {
    pub verification: Uuid,
}

impl Job for EndOffer {
    const KIND: &'static str = "end_claim_offer";
}

/// Tell the owner of a profile that it is claimed.
#[derive(Debug, Serialize, Deserialize)]
pub struct TellOwner {
    pub verification: Uuid,
}

impl Job for TellOwner {
    const KIND: &'static str = "tell_claimed_owner";
}

/// What has proved a profile of another account.
#[derive(Clone, Copy)]
pub struct ClaimProof {
    pub verification: Uuid,
    /// The session that started it, and finished it.
    pub session: Uuid,
}

/// Lets the command's account claim a profile of another one, a platform and an id there, by what has just proved it.
pub async fn offer(
    command: &mut Command,
    ClaimProof { verification, session }: ClaimProof,
    (platform, external_id): (&str, &str),
) -> Result<(), Error> {
    let claim = profile_claim::ActiveModel {
        verification_id: Set(verification),
        claimant_id: Set(command.stream()),
        session_id: Set(Some(session)),
        platform: Set(platform.to_owned()),
        external_id: Set(external_id.to_owned()),
        proved_at: Set(command.now()),
        claimed_at: Set(None),
        due_at: Set(None),
    };
    claim.insert(command.tx()).await?;
    command.enqueue_at(&EndOffer { verification }, command.now() + OFFERED)
}

/// Claims the profile that a verification of the command's account has proved. Claiming it again changes nothing. False if
/// that proof is of no use any more.
pub async fn claim(command: &mut Command, verification: Uuid) -> Result<bool, Error> {
    let Some(claim) = lock(command, verification).await? else { return Ok(false) };
    if claim.claimed_at.is_some() {
        return Ok(true);
    }
    if claim.proved_at + OFFERED <= command.now() {
        return Ok(false);
    }
    let claimed = Entity::find()
        .filter(Column::ClaimantId.eq(command.stream()))
        .filter(Column::Platform.eq(&claim.platform))
        .filter(Column::ExternalId.eq(&claim.external_id))
        .filter(Column::ClaimedAt.is_not_null());
    if let Some(first) = claimed.one(command.tx()).await? {
        // That one counts, and its time runs. Should its jobs have died, it goes on from here.
        command.enqueue(&TellOwner { verification: first.verification_id })?;
        return Ok(true);
    }
    command.emit(command.stream(), &ClaimStarted { platform: claim.platform.clone() })?;
    let alert = NewAlert {
        account: command.stream(),
        kind: AlertKind::ProfileClaimStarted,
        profile: None,
        session: claim.session_id,
    };
    security::raise(command, alert).await?;
    let mut claim = claim.into_active_model();
    claim.claimed_at = Set(Some(command.now()));
    claim.update(command.tx()).await?;
    command.enqueue(&TellOwner { verification })?;
    Ok(true)
}

/// Ends all claims to a profile: its owner has just proved it, or it has got a new one.
pub async fn end_claims(command: &Command, platform: &str, external_id: &str) -> Result<(), Error> {
    let claims = lock_claims(command, platform, external_id).await?;
    end_locked_claims(command, &claims).await
}

/// Ends what these sessions of the command's account have claimed: who ends a session undoes what it has begun.
pub async fn end_claims_of(command: &Command, sessions: &[Uuid]) -> Result<(), Error> {
    let claims = Entity::find().filter(Column::SessionId.is_in(sessions.iter().copied()));
    end_locked_claims(command, &in_order(command, claims).await?).await
}

/// Ends all claims of the command's account: it is erased.
pub(super) async fn end_own_claims(command: &Command) -> Result<(), Error> {
    let claims = Entity::find().filter(Column::ClaimantId.eq(command.stream()));
    end_locked_claims(command, &in_order(command, claims).await?).await
}

/// All claims to a profile, and proofs that may still become one, locked until the command ends. Who links a profile or ends
/// its link locks them here first, so that nobody waits for somebody who waits for them. Those of the command's own account are
/// locked with them: they end later on, with its sessions, when two accounts that claim each other's profiles would wait for
/// each other.
pub async fn lock_claims(command: &Command, platform: &str, external_id: &str) -> Result<Vec<Model>, Error> {
    let to_it = Column::Platform.eq(platform).and(Column::ExternalId.eq(external_id));
    let claims = Entity::find().filter(to_it.or(Column::ClaimantId.eq(command.stream())));
    let mut claims = in_order(command, claims).await?;
    claims.retain(|claim| claim.platform == platform && claim.external_id == external_id);
    Ok(claims)
}

async fn in_order(command: &Command, claims: sea_orm::Select<Entity>) -> Result<Vec<Model>, Error> {
    let claims = claims.order_by_asc(Column::VerificationId).lock_exclusive().all(command.tx()).await?;
    failpoint::pause("profile::claims-locked").await;
    Ok(claims)
}

/// Ends claims that the command has locked.
pub async fn end_locked_claims(command: &Command, claims: &[Model]) -> Result<(), Error> {
    if !claims.is_empty() {
        let ids = claims.iter().map(|claim| claim.verification_id);
        Entity::delete_many().filter(Column::VerificationId.is_in(ids)).exec(command.tx()).await?;
    }
    Ok(())
}

/// Whether somebody else claims one of these profiles of one account, and its owner has been told.
pub async fn is_any_claimed(app: &App, profiles: &[linked_profile::Model]) -> Result<bool, Error> {
    let one_of_them = profiles.iter().fold(Condition::any(), |any, profile| {
        let key = Column::Platform.eq(&profile.platform).and(Column::ExternalId.eq(&profile.external_id));
        any.add(key)
    });
    if one_of_them.is_empty() {
        return Ok(false);
    }
    let claim = Entity::find().filter(one_of_them).filter(Column::DueAt.is_not_null());
    bounded(async { Ok(claim.one(app.store.db().read()).await?.is_some()) }).await
}

/// Whether a verification, by its id, has proved a profile that is claimed, or may be.
pub fn has_claim(verification: impl IntoColumnRef) -> Expr {
    let mut claims = Query::select();
    claims
        .expr(Expr::val(1))
        .from(Entity)
        .and_where(Expr::col((Entity, Column::VerificationId)).equals(verification));
    Expr::exists(claims)
}

/// Purges some claims that could not be settled for so long that their proofs say nothing any more. Gives how many it were.
pub async fn purge_claims(store: &Store, now: DateTime<Utc>) -> Result<u64, Error> {
    store.purge_rows::<Entity>(Column::ProvedAt, Expr::col(Column::ProvedAt).lt(now - KEPT)).await
}

/// A claim, locked until the command ends; absent once it has ended.
async fn lock(command: &Command, verification: Uuid) -> Result<Option<Model>, Error> {
    Ok(Entity::find_by_id(verification).lock_exclusive().one(command.tx()).await?)
}
