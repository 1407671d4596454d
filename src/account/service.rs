//! Making accounts, and linking profiles to them.

use accounts_center_entity::account;
use accounts_center_entity::linked_profile::{self, LinkStatus, LinkStatusReason};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, SqlErr,
};
use uuid::Uuid;

use super::update::MAX_NAME;
use crate::error::Error;
use crate::link_graph::event::LinkStatusChanged;
use crate::platform::{PlatformKey, ProfileClaim, mask_handle};
use crate::profile;
use crate::store::{Command, StreamKind};

/// A profile whose owner has just proved it.
pub struct NewProfile<'a> {
    pub platform: &'a PlatformKey,
    pub claim: &'a ProfileClaim,
    pub sign_in_enabled: bool,
}

/// The row that holds a profile's key: it is linked, to whomever. At most one, by a unique index.
pub async fn find_owner(
    db: &impl ConnectionTrait,
    platform: &str,
    external_id: &str,
) -> Result<Option<linked_profile::Model>, Error> {
    Ok(linked_profile::Entity::find()
        .filter(linked_profile::Column::Platform.eq(platform))
        .filter(linked_profile::Column::ExternalId.eq(external_id))
        .filter(linked_profile::Column::Status.ne(LinkStatus::Unlinked))
        .one(db)
        .await?)
}

/// Makes an account with its first profile, in a stream of its own that this command brings into being.
/// `None` as of [`link`].
pub async fn create(
    command: &mut Command,
    profile: &NewProfile<'_>,
) -> Result<Option<linked_profile::Model>, Error> {
    let id = command.new_id();
    command.create_stream(id, StreamKind::Account).await?;
    fill(command, id, profile).await
}

/// Makes an account with its first profile of the stream `id`, which the command holds. `None` as of [`link`].
pub async fn fill(
    command: &mut Command,
    id: Uuid,
    profile: &NewProfile<'_>,
) -> Result<Option<linked_profile::Model>, Error> {
    account::ActiveModel {
        id: Set(id),
        display_name: Set(first_name(profile.claim)),
        avatar_url: Set(profile.claim.avatar_url.clone()),
        created_at: Set(command.now()),
        deletes_at: Set(None),
        erased_at: Set(None),
    }
    .insert(command.tx())
    .await?;
    link(command, id, profile).await
}

/// What a new account is called: what its profile is called, in as many characters as a name may have.
fn first_name(claim: &ProfileClaim) -> String {
    let name: String = claim.display_name.trim().chars().take(MAX_NAME).collect();
    if name.is_empty() { mask_handle(&claim.handle) } else { name }
}

/// Links a profile to `account`, whose stream the command holds. `None` if somebody else's commit has taken
/// the profile meanwhile: then the transaction is spoilt and the command has to be run again.
pub async fn link(
    command: &mut Command,
    account: Uuid,
    profile: &NewProfile<'_>,
) -> Result<Option<linked_profile::Model>, Error> {
    let now = command.now();
    // Who links it waits here for who settles a claim to it, and not in the index.
    let claims = profile::lock_claims(command, profile.platform.as_str(), &profile.claim.external_id).await?;
    let inserted = linked_profile::ActiveModel {
        id: Set(command.new_id()),
        account_id: Set(account),
        platform: Set(profile.platform.to_string()),
        external_id: Set(profile.claim.external_id.clone()),
        handle: Set(mask_handle(&profile.claim.handle)),
        display_name: Set(profile.claim.display_name.clone()),
        avatar_url: Set(profile.claim.avatar_url.clone()),
        status: Set(LinkStatus::Active),
        status_reason: Set(LinkStatusReason::Verified),
        sign_in_enabled: Set(profile.sign_in_enabled),
        attention_required: Set(false),
        suspended: Set(false),
        contained: Set(false),
        unlinks_at: Set(None),
        linked_at: Set(now),
        status_changed_at: Set(now),
    }
    .insert(command.tx())
    .await;
    let row = match inserted {
        Ok(row) => row,
        Err(error) if is_taken(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    command.emit(
        account,
        &LinkStatusChanged {
            profile: row.id,
            previous: None,
            status: row.status.into(),
            reason: row.status_reason.into(),
        },
    )?;
    // Who claimed it before has to prove it anew.
    profile::end_locked_claims(command, &claims).await?;
    // A webhook that came since the claim was made found nobody who had linked it.
    profile::look_at_new_link(command, &row, profile.claim).await?;
    profile::read_privacy_later(command, &row)?;
    Ok(Some(row))
}

fn is_taken(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}
