//! Cutting a stolen profile off, and taking it back.
//!
//! It is taken back only after a proof that was started for just that and succeeded since: whoever has a session of the
//! account may be the one who stole it.

use accounts_center_entity::{linked_profile, profile_containment};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel};
use uuid::Uuid;

use super::service::{not_found, own, reverify};
use super::state_machine::{LinkState, Transition, Verdict};
use super::transition::apply;
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::session::{self, Viewer};
use crate::store::{Command, Outcome};
use crate::verification;

/// Cuts a profile of the viewer off. What it opened and shared ends at once, the viewer's own session too if the profile
/// opened it. Containing it again asks for a new proof, and changes nothing else. Gives the account's version.
pub async fn contain(app: &App, viewer: Viewer, profile: Option<Uuid>) -> UserResult<i64> {
    app.store
        .command(viewer.account, async |command: &mut Command| {
            session::check(command, viewer).await?;
            let Some(profile) = own(command, profile).await? else {
                return Ok(Outcome::reject(not_found()));
            };
            if apply(command, &profile, Transition::Contain).await? == Verdict::Refused {
                return Ok(Outcome::reject(refusal("This profile is unlinked already.")));
            }
            note(command, profile.id).await?;
            // Somebody else may have started them.
            verification::close_about(command, profile.id).await?;
            Ok(Outcome::Commit(command.version(viewer.account)))
        })
        .await
}

/// Takes a profile of the viewer back that was cut off, if it was proved since. Releasing one that is not cut off changes
/// nothing. Gives the account's version.
pub async fn release(app: &App, viewer: Viewer, profile: Option<Uuid>) -> UserResult<i64> {
    app.store
        .command(viewer.account, async |command: &mut Command| {
            session::check(command, viewer).await?;
            let Some(profile) = own(command, profile).await? else {
                return Ok(Outcome::reject(not_found()));
            };
            if is_contained(&profile) && !is_proved(command, profile.id).await? {
                let message = "Prove this profile again first, by startProfileReverification.";
                return Ok(Outcome::reject(refusal(message)));
            }
            if apply(command, &profile, Transition::Release).await? == Verdict::Refused {
                return Ok(Outcome::reject(refusal("This profile is unlinked; link it anew.")));
            }
            forget(command, profile.id).await?;
            Ok(Outcome::Commit(command.version(viewer.account)))
        })
        .await
}

/// What a proof by its owner does that was started to prove a linked profile again: what any new proof does, and it may be
/// taken back from then on.
pub async fn prove_own(command: &mut Command, profile: linked_profile::Model) -> Result<(), Error> {
    if let Some(found) = find(command, profile.id).await? {
        let mut proved = found.into_active_model();
        proved.proved_at = Set(Some(command.now()));
        proved.update(command.tx()).await?;
    }
    reverify(command, profile).await?;
    Ok(())
}

/// Forgets that a profile was cut off.
pub(super) async fn forget(command: &Command, profile: Uuid) -> Result<(), Error> {
    profile_containment::Entity::delete_by_id(profile).exec(command.tx()).await?;
    Ok(())
}

fn is_contained(profile: &linked_profile::Model) -> bool {
    matches!(LinkState::of(profile), LinkState::Linked { holds, .. } if holds.contained)
}

async fn note(command: &Command, profile: Uuid) -> Result<(), Error> {
    forget(command, profile).await?;
    let containment = profile_containment::ActiveModel {
        profile_id: Set(profile),
        contained_at: Set(command.now()),
        proved_at: Set(None),
    };
    containment.insert(command.tx()).await?;
    Ok(())
}

async fn is_proved(command: &Command, profile: Uuid) -> Result<bool, Error> {
    Ok(find(command, profile).await?.is_some_and(|containment| containment.proved_at.is_some()))
}

async fn find(command: &Command, profile: Uuid) -> Result<Option<profile_containment::Model>, Error> {
    Ok(profile_containment::Entity::find_by_id(profile).one(command.tx()).await?)
}

fn refusal(message: &str) -> UserError {
    UserError::new(AccountsErrorCode::ProfileNotActive, message, &["profileId"])
}
