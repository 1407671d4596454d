//! Proving a profile again that is linked already: to lift what holds it, or for what needs a recent proof.
//!
//! The code goes to the stored profile, and only a proof of exactly that one counts.

use std::sync::Arc;

use accounts_center_entity::linked_profile::{self, LinkStatus};
use accounts_center_entity::session as session_row;
use accounts_center_entity::verification::{self, Method, Purpose};
use uuid::Uuid;

use super::linking::{close_foreign, refuse};
use super::proof::{self, Checked, End, Evidence, Proof};
use super::redirect::{Redirect, switched_off};
use super::service::{Attempt, Proven};
use super::start::{Aim, NewVerification, Way, insert};
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::platform::Platform;
use crate::profile;
use crate::session::{self, Viewer};
use crate::store::{Command, Outcome};

/// Starts to prove a linked profile of the viewer again.
pub async fn start_reverification(
    app: &App,
    viewer: Viewer,
    profile: Option<Uuid>,
    redirect_uri: Option<&str>,
) -> UserResult<verification::Model> {
    start(app, viewer, Use::Reverify, (profile, redirect_uri)).await
}

/// Starts to prove the person of the viewer's session again, by a profile that signs in.
pub(super) async fn start_step_up(
    app: &App,
    viewer: Viewer,
    profile: Option<Uuid>,
    redirect_uri: Option<&str>,
) -> UserResult<verification::Model> {
    start(app, viewer, Use::StepUp, (profile, redirect_uri)).await
}

/// What the new proof is good for.
#[derive(Clone, Copy)]
enum Use {
    Reverify,
    StepUp,
}

impl Use {
    fn aim(self, profile: &linked_profile::Model) -> Aim<'_> {
        match self {
            Self::Reverify => Aim::Reverify(profile),
            Self::StepUp => Aim::StepUp(profile),
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Reverify => "profileId",
            Self::StepUp => "methodId",
        }
    }

    fn not_found(self) -> UserError {
        let message = match self {
            Self::Reverify => "This account has no such profile.",
            Self::StepUp => "This account has no such way to sign in.",
        };
        UserError::new(AccountsErrorCode::NotFound, message, &[self.path()])
    }

    /// Why a proof of this profile is of no use for it now.
    fn refusal(
        self,
        app: &App,
        profile: &linked_profile::Model,
    ) -> Option<(AccountsErrorCode, &'static str)> {
        match self {
            Self::Reverify => not_reverifiable(profile),
            Self::StepUp => no_step_up(app, profile),
        }
    }
}

/// An ACTIVE one can be proved again as well: nothing speaks against it, and whoever doubts a link may ask for it.
fn not_reverifiable(profile: &linked_profile::Model) -> Option<(AccountsErrorCode, &'static str)> {
    let message = match profile.status {
        LinkStatus::Active | LinkStatus::AttentionRequired | LinkStatus::Contained => return None,
        LinkStatus::Suspended => "The platform has deactivated this profile; reactivate it there first.",
        LinkStatus::Unlinking => "This profile is being unlinked; keep it first.",
        LinkStatus::Unlinked => "This profile is unlinked; link it anew.",
    };
    Some((AccountsErrorCode::ProfileNotActive, message))
}

fn no_step_up(app: &App, profile: &linked_profile::Model) -> Option<(AccountsErrorCode, &'static str)> {
    if profile::signs_in(&app.platforms, profile) {
        return None;
    }
    Some(match profile.status {
        LinkStatus::Active if !profile.sign_in_enabled => {
            (AccountsErrorCode::SignInDisabled, "This profile may not sign in.")
        }
        LinkStatus::Active => (
            AccountsErrorCode::UnsupportedByPlatform,
            "The platform of this profile is no way to sign in now.",
        ),
        _ => (AccountsErrorCode::ProfileNotActive, "This profile is not active; use another way to sign in."),
    })
}

async fn start(
    app: &App,
    viewer: Viewer,
    r#use: Use,
    (profile, redirect_uri): (Option<Uuid>, Option<&str>),
) -> UserResult<verification::Model> {
    let way = match prepare(app, viewer, r#use, (profile, redirect_uri)).await? {
        Ok(way) => way,
        Err(error) => return Ok(Err(vec![error])),
    };
    app.store
        .command(viewer.account, async |command: &mut Command| {
            session::check(command, viewer).await?;
            let Some(profile) = find(command, profile).await? else {
                return Ok(Outcome::reject(r#use.not_found()));
            };
            if let Some((code, message)) = r#use.refusal(app, &profile) {
                return Ok(Outcome::reject(UserError::new(code, message, &[r#use.path()])));
            }
            let platform = match provable(app, &profile.platform, &way) {
                Ok(platform) => platform,
                Err((code, message)) => {
                    return Ok(Outcome::reject(UserError::new(code, message, &[r#use.path()])));
                }
            };
            let new = NewVerification {
                id: command.new_id(),
                aim: r#use.aim(&profile),
                platform: &platform,
                way: &way,
                stream: viewer.account,
                viewer: Some(viewer),
                client_secret_hash: None,
            };
            insert(app, command, new).await
        })
        .await
}

/// How the profile can be proved again. Its platform may have to be asked, which no command waits for: that checks again.
async fn prepare(
    app: &App,
    viewer: Viewer,
    r#use: Use,
    (profile, redirect_uri): (Option<Uuid>, Option<&str>),
) -> Result<Result<Way, UserError>, Error> {
    let profile = match profile {
        Some(id) => profile::find_linked(app.store.db().read(), viewer.account, id).await?,
        None => None,
    };
    let platform = profile.and_then(|profile| app.platforms.get(&profile.platform));
    if let Some(platform) = platform.filter(|platform| platform.is_off()) {
        return Ok(Err(switched_off(platform, &[r#use.path()])));
    }
    let Some(platform) = platform.filter(|platform| platform.method() == Method::Oauth) else {
        return Ok(Ok(Way::Code(None)));
    };
    let path = ["redirectUri"];
    let Some(redirect_uri) = redirect_uri else {
        let message = format!("{} proves by OAUTH, which needs a redirectUri.", platform.display_name);
        return Ok(Err(UserError::new(AccountsErrorCode::Invalid, message, &path)));
    };
    Ok(Redirect::prepare(app, platform, redirect_uri, &path).await.map(Way::OAuth))
}

async fn find(command: &Command, profile: Option<Uuid>) -> Result<Option<linked_profile::Model>, Error> {
    match profile {
        Some(id) => profile::find_own(command, id).await,
        None => Ok(None),
    }
}

/// The platform of a stored profile, if that can be proved again in this way.
fn provable(app: &App, key: &str, way: &Way) -> Result<Arc<Platform>, (AccountsErrorCode, &'static str)> {
    let platform = app.platforms.get(key).filter(|platform| platform.method() == way.method());
    platform.cloned().ok_or_else(|| {
        let message = "This platform is not available now; try again later, or use another one.";
        (AccountsErrorCode::PlatformUnavailable, message)
    })
}

/// Checks the proof and does what it was started for, in one command on the account's stream.
pub(super) async fn submit(
    app: &App,
    viewer: Viewer,
    row: &verification::Model,
    evidence: Evidence<'_>,
) -> UserResult<Attempt> {
    app.store
        .command(viewer.account, async |command: &mut Command| {
            let session = session::check(command, viewer).await?;
            if row.session_id != Some(viewer.session) {
                return close_foreign(command, row.id).await;
            }
            match proof::check(app, command, row.id, evidence).await? {
                Checked::Refused(error) => Ok(Outcome::reject(error)),
                Checked::Early => Ok(Outcome::Commit(Attempt::Early)),
                Checked::Good(proof) => finish(app, command, session, *proof).await,
            }
        })
        .await
}

async fn finish(
    app: &App,
    command: &mut Command,
    session: session_row::Model,
    Proof { row, claim }: Proof,
) -> Result<Outcome<Attempt>, Error> {
    let account = command.stream();
    let profile = find(command, row.profile_id).await?;
    let is_it = |profile: &linked_profile::Model| {
        profile.platform == row.platform && profile.external_id == claim.external_id
    };
    let Some(profile) = profile.filter(is_it) else {
        let error = proof::failed("This is not the profile that was to be proved; start a new verification.");
        return refuse(command, row, error).await;
    };
    let r#use = if row.purpose == Purpose::StepUp { Use::StepUp } else { Use::Reverify };
    // It may have been started before the profile came to stand as it does.
    if let Some((code, message)) = r#use.refusal(app, &profile) {
        return refuse(command, row, UserError::new(code, message, &["verificationId"])).await;
    }
    let id = profile.id;
    let session = match r#use {
        Use::Reverify => {
            profile::prove_own(command, profile).await?;
            None
        }
        Use::StepUp => {
            // As any proof by its owner does.
            profile::end_claims(command, &profile.platform, &profile.external_id).await?;
            Some(session::step_up(command, session).await?)
        }
    };
    proof::close(command, row, End::Proved(id)).await?;
    let version = command.version(account);
    let proven = match session {
        Some(session) => Proven::SteppedUp { account, version, session },
        None => Proven::Reverified { account, version, profile: id },
    };
    Ok(Outcome::Commit(Attempt::Done(Box::new(proven))))
}
