//! What a platform shows of a profile: its handle, name and picture.

use accounts_center_entity::linked_profile::{self, LinkStatus};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use super::event::ProfileChanged;
use crate::error::Error;
use crate::platform::{ProfileClaim, mask_handle};
use crate::store::Command;

/// Takes over what the platform shows of a profile of the account that the command is on. One that is unlinked stays
/// erased, and what is so already changes nothing.
pub(super) async fn take_over(
    command: &mut Command,
    profile: linked_profile::Model,
    claim: &ProfileClaim,
) -> Result<(), Error> {
    let handle = mask_handle(&claim.handle);
    let is_same = profile.handle == handle
        && profile.display_name == claim.display_name
        && profile.avatar_url == claim.avatar_url;
    if is_same || profile.status == LinkStatus::Unlinked {
        return Ok(());
    }
    let (account, id) = (profile.account_id, profile.id);
    let mut row = profile.into_active_model();
    row.handle = Set(handle);
    row.display_name = Set(claim.display_name.clone());
    row.avatar_url = Set(claim.avatar_url.clone());
    row.update(command.tx()).await?;
    command.emit(account, &ProfileChanged { profile: id, sign_in: None })?;
    Ok(())
}
