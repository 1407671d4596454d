//! Which profiles sign in, and that one of them always does.

use accounts_center_entity::linked_profile::{self, LinkStatus};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use crate::error::Error;
use crate::platform::Platforms;
use crate::store::Command;

/// Whether a proof of this profile signs in now: one that is held does not, nor one whose platform does not do that
/// here any more.
pub fn signs_in(platforms: &Platforms, profile: &linked_profile::Model) -> bool {
    profile.status == LinkStatus::Active
        && profile.sign_in_enabled
        && platforms.get(&profile.platform).is_some_and(|platform| platform.sign_in)
}

/// Whether another profile of the account that the command is on can sign in now.
pub(super) async fn can_sign_in_without(
    platforms: &Platforms,
    command: &Command,
    profile: &linked_profile::Model,
) -> Result<bool, Error> {
    let others = linked_profile::Entity::find()
        .filter(linked_profile::Column::AccountId.eq(command.stream()))
        .filter(linked_profile::Column::Id.ne(profile.id))
        .filter(linked_profile::Column::Status.eq(LinkStatus::Active))
        .all(command.tx())
        .await?;
    Ok(others.iter().any(|other| signs_in(platforms, other)))
}
