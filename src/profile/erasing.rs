//! Erasing all profiles of an account.

use accounts_center_entity::{linked_profile, profile_claim};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::claim::end_own_claims;
use super::{HandOver, notice, revoking};
use crate::error::Error;
use crate::store::Command;

/// Erases the profiles of the account that the command is on, with their connections and all that is kept of them, and its
/// claims to those of others. What somebody else has claimed of them comes to who claimed it first: nobody is left to
/// prove it.
pub async fn erase_all(command: &mut Command) -> Result<(), Error> {
    use linked_profile::{Column, Entity, LinkStatus};
    let linked = Entity::find()
        .filter(Column::AccountId.eq(command.stream()))
        .filter(Column::Status.ne(LinkStatus::Unlinked))
        .order_by_asc(Column::Id)
        .all(command.tx())
        .await?;
    for profile in linked {
        revoking::enqueue(command, &profile)?;
        // One that is UNLINKING was told when that began.
        if profile.status != LinkStatus::Unlinking {
            notice::tell_of_end(command, &profile)?;
        }
        if let Some(claim) = first_claim(command, &profile).await? {
            command.enqueue(&HandOver { verification: claim.verification_id })?;
        }
    }
    end_own_claims(command).await?;
    // What belongs to them goes with them.
    Entity::delete_many().filter(Column::AccountId.eq(command.stream())).exec(command.tx()).await?;
    Ok(())
}

/// The first claim of somebody else to a profile, if one is made.
async fn first_claim(
    command: &Command,
    profile: &linked_profile::Model,
) -> Result<Option<profile_claim::Model>, Error> {
    use profile_claim::{Column, Entity};
    Ok(Entity::find()
        .filter(Column::Platform.eq(&profile.platform))
        .filter(Column::ExternalId.eq(&profile.external_id))
        .filter(Column::ClaimantId.ne(command.stream()))
        .filter(Column::ClaimedAt.is_not_null())
        .order_by_asc(Column::ClaimedAt)
        .order_by_asc(Column::VerificationId)
        .limit(1)
        .one(command.tx())
        .await?)
}
