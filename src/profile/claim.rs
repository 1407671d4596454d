//! Claims to a profile that is linked to another account, as when a number has changed hands.
//!
//! Who has proved such a profile may claim it. Its present owner is told and has 72 hours to prove it as well; any proof by
//! them ends all claims to it. Else the link ends, and the profile comes to the claimant. Neither learns anything of the
//! other. A claim goes from the claimant's stream to the owner's and back by jobs; each looks again at what has become of
//! it, under the lock of its row.

use accounts_center_entity::profile_claim::{self, Column, Entity};
use chrono::TimeDelta;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QuerySelect,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Error;
use crate::store::{Command, Job};

/// How long after its proof a profile can be claimed.
const OFFERED: TimeDelta = TimeDelta::hours(1);

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

/// Lets the command's account claim a profile of another one by a verification that has just proved it.
pub async fn offer(
    command: &mut Command,
    verification: Uuid,
    platform: &str,
    external_id: &str,
) -> Result<(), Error> {
    let claim = profile_claim::ActiveModel {
        verification_id: Set(verification),
        claimant_id: Set(command.stream()),
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
    // The first one counts, and its time runs.
    let claimed = Entity::find()
        .filter(Column::ClaimantId.eq(command.stream()))
        .filter(Column::Platform.eq(&claim.platform))
        .filter(Column::ExternalId.eq(&claim.external_id))
        .filter(Column::ClaimedAt.is_not_null());
    if claimed.count(command.tx()).await? > 0 {
        return Ok(true);
    }
    let mut claim = claim.into_active_model();
    claim.claimed_at = Set(Some(command.now()));
    claim.update(command.tx()).await?;
    command.enqueue(&TellOwner { verification })?;
    Ok(true)
}

/// Ends all claims to a profile: its owner has just proved it, or it has got a new one.
pub async fn end_claims(command: &Command, platform: &str, external_id: &str) -> Result<(), Error> {
    Entity::delete_many()
        .filter(Column::Platform.eq(platform))
        .filter(Column::ExternalId.eq(external_id))
        .exec(command.tx())
        .await?;
    Ok(())
}

/// A claim, locked until the command ends; absent once it has ended.
pub(super) async fn lock(
    command: &Command,
    verification: Uuid,
) -> Result<Option<profile_claim::Model>, Error> {
    Ok(Entity::find_by_id(verification).lock_exclusive().one(command.tx()).await?)
}
