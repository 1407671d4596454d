//! Unlinking a profile, and what goes against it: keeping it, a proof by its owner, a claim by another.

use accounts_center_entity::linked_profile::{self, LinkStatus};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::claim::end_claims;
use super::refresh::{self, Reason};
use super::sign_in::is_last;
use super::state_machine::{Transition, Verdict};
use super::transition::{apply, find};
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::session::{self, Viewer};
use crate::store::{Command, Outcome, failpoint};

/// Begins to unlink a profile of the viewer. What it opened and shared ends at once; for 24 hours it can be kept.
/// Unlinking it again changes nothing. Gives the account's version.
pub async fn unlink(app: &App, viewer: Viewer, profile: Option<Uuid>) -> UserResult<i64> {
    app.store
        .command(viewer.account, async |command: &mut Command| {
            let session = session::check(command, viewer).await?;
            session::check_recent(command, &session, &app.config.sessions)?;
            let Some(profile) = own(command, profile).await? else {
                return Ok(Outcome::reject(not_found()));
            };
            let ends = !matches!(profile.status, LinkStatus::Unlinking | LinkStatus::Unlinked);
            let is_last = ends && is_last(app, command, &profile).await?;
            failpoint::pause("profile::unlink-checked").await;
            if is_last {
                let message = "This is the last way to sign in; link another profile or add a passkey first.";
                let code = AccountsErrorCode::LastSignInMethod;
                return Ok(Outcome::reject(UserError::new(code, message, &["profileId"])));
            }
            apply(command, &profile, Transition::Unlink).await?;
            Ok(Outcome::Commit(command.version(viewer.account)))
        })
        .await
}

/// A profile of `account` that is linked, however its link stands.
pub async fn find_linked(
    db: &impl ConnectionTrait,
    account: Uuid,
    id: Uuid,
) -> Result<Option<linked_profile::Model>, Error> {
    Ok(linked_profile::Entity::find()
        .filter(linked_profile::Column::AccountId.eq(account))
        .filter(linked_profile::Column::Id.eq(id))
        .filter(linked_profile::Column::Status.ne(LinkStatus::Unlinked))
        .one(db)
        .await?)
}

/// Keeps a profile of the viewer that is being unlinked. Keeping one that is not changes nothing. Gives the
/// account's version.
pub async fn keep(app: &App, viewer: Viewer, profile: Option<Uuid>) -> UserResult<i64> {
    app.store
        .command(viewer.account, async |command: &mut Command| {
            session::check(command, viewer).await?;
            let Some(profile) = own(command, profile).await? else {
                return Ok(Outcome::reject(not_found()));
            };
            if apply(command, &profile, Transition::Keep).await? == Verdict::Refused {
                let message = "The 24 hours to keep this profile are over; link it anew.";
                let code = AccountsErrorCode::ProfileNotActive;
                return Ok(Outcome::reject(UserError::new(code, message, &["profileId"])));
            }
            Ok(Outcome::Commit(command.version(viewer.account)))
        })
        .await
}

/// What any new proof by its owner does to a linked profile, of the account that the command is on: the platform's
/// wish for one is met. What is heard of that wish from looks that are under way is of before.
pub async fn reverify(
    command: &mut Command,
    profile: linked_profile::Model,
) -> Result<linked_profile::Model, Error> {
    refresh::enqueue_next(command, &profile, Reason::Proved).await?;
    end_claims(command, &profile.platform, &profile.external_id).await?;
    Ok(match apply(command, &profile, Transition::Reverified).await? {
        Verdict::Becomes(changed) => changed,
        Verdict::Unchanged | Verdict::Refused => profile,
    })
}

/// What linking a profile again does to it, of the account that the command is on: it is proved, and not unlinked.
/// `None` if it is too late to keep it: it is unlinked now, and can be linked anew.
pub async fn prove_again(
    command: &mut Command,
    profile: linked_profile::Model,
) -> Result<Option<linked_profile::Model>, Error> {
    let profile = reverify(command, profile).await?;
    match apply(command, &profile, Transition::Keep).await? {
        Verdict::Becomes(changed) => Ok(Some(changed)),
        Verdict::Unchanged => Ok(Some(profile)),
        Verdict::Refused => {
            apply(command, &profile, Transition::GraceEnded).await?;
            Ok(None)
        }
    }
}

/// Ends the unlinking of a profile that somebody else has just proved to own. One that is kept meanwhile, or gone
/// already, stays as it is.
pub async fn end_claimed(app: &App, account: Uuid, profile: Uuid) -> Result<(), Error> {
    let ended = app
        .store
        .command(account, async |command: &mut Command| {
            if let Some(profile) = find(command, profile).await? {
                apply(command, &profile, Transition::ClaimedByNewOwner).await?;
            }
            Ok(Outcome::Commit(()))
        })
        .await?;
    debug_assert!(ended.is_ok(), "nothing here is rejected");
    Ok(())
}

pub(super) async fn own(
    command: &Command,
    profile: Option<Uuid>,
) -> Result<Option<linked_profile::Model>, Error> {
    match profile {
        Some(id) => find(command, id).await,
        None => Ok(None),
    }
}

pub(super) fn not_found() -> UserError {
    let message = "This account has no such profile.";
    UserError::new(AccountsErrorCode::NotFound, message, &["profileId"])
}
