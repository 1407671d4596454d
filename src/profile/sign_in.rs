//! Which profiles sign in, and that one of them always does.

use accounts_center_entity::linked_profile::{self, LinkStatus};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use uuid::Uuid;

use super::event::ProfileChanged;
use super::service::{not_found, own};
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::passkey;
use crate::platform::Platforms;
use crate::session::{self, Viewer};
use crate::store::{Command, Outcome, failpoint};

/// Whether a proof of this profile signs in now: one that is held does not, nor one whose platform does not do that
/// here any more.
pub fn signs_in(platforms: &Platforms, profile: &linked_profile::Model) -> bool {
    profile.status == LinkStatus::Active
        && profile.sign_in_enabled
        && platforms.get(&profile.platform).is_some_and(|platform| platform.sign_in)
}

/// Whether no other profile could sign in any more without `profile`. `all` are those of its account.
pub(super) fn is_last_way(
    platforms: &Platforms,
    profile: &linked_profile::Model,
    all: &[linked_profile::Model],
) -> bool {
    let mut others = all.iter().filter(|other| other.id != profile.id);
    profile.sign_in_enabled && !others.any(|other| signs_in(platforms, other))
}

/// The same of the account that the command is on, as the database has it, with its passkeys.
pub(super) async fn is_last(
    app: &App,
    command: &Command,
    profile: &linked_profile::Model,
) -> Result<bool, Error> {
    let active = active_ones(command).await?;
    Ok(is_last_way(&app.platforms, profile, &active) && !passkey::has_any(app, command).await?)
}

/// Whether a profile of the account that the command is on signs in now.
pub async fn any_signs_in(platforms: &Platforms, command: &Command) -> Result<bool, Error> {
    Ok(active_ones(command).await?.iter().any(|profile| signs_in(platforms, profile)))
}

async fn active_ones(command: &Command) -> Result<Vec<linked_profile::Model>, Error> {
    Ok(linked_profile::Entity::find()
        .filter(linked_profile::Column::AccountId.eq(command.stream()))
        .filter(linked_profile::Column::Status.eq(LinkStatus::Active))
        .all(command.tx())
        .await?)
}

/// Lets a profile of the viewer sign in from now on, or not any more. Sessions that it has opened stay. What is so already
/// changes nothing. Gives the account's version.
pub async fn set_sign_in(app: &App, viewer: Viewer, profile: Option<Uuid>, enabled: bool) -> UserResult<i64> {
    app.store
        .command(viewer.account, async |command: &mut Command| {
            session::check(command, viewer).await?;
            let Some(profile) = own(command, profile).await? else {
                return Ok(Outcome::reject(not_found()));
            };
            if let Some((code, message)) = refusal(app, command, &profile, enabled).await? {
                return Ok(Outcome::reject(UserError::new(code, message, &["profileId"])));
            }
            failpoint::pause("profile::sign-in-checked").await;
            if profile.sign_in_enabled != enabled {
                let id = profile.id;
                let mut row = profile.into_active_model();
                row.sign_in_enabled = Set(enabled);
                row.update(command.tx()).await?;
                command.emit(viewer.account, &ProfileChanged { profile: id, sign_in: Some(enabled) })?;
            }
            Ok(Outcome::Commit(command.version(viewer.account)))
        })
        .await
}

async fn refusal(
    app: &App,
    command: &Command,
    profile: &linked_profile::Model,
    enabled: bool,
) -> Result<Option<(AccountsErrorCode, &'static str)>, Error> {
    if profile.status == LinkStatus::Unlinked {
        return Ok(Some((AccountsErrorCode::ProfileNotActive, "This profile is unlinked; link it anew.")));
    }
    if enabled {
        let can = app.platforms.get(&profile.platform).is_some_and(|platform| platform.sign_in);
        let message = "The platform of this profile cannot be used to sign in.";
        return Ok((!can).then_some((AccountsErrorCode::UnsupportedByPlatform, message)));
    }
    let is_last = is_last(app, command, profile).await?;
    let message = "This is the last way to sign in; enable or link another profile, or add a passkey first.";
    Ok(is_last.then_some((AccountsErrorCode::LastSignInMethod, message)))
}
