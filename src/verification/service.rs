//! Finishing a verification, and looking at one.

use std::time::Duration;

use accounts_center_entity::{linked_profile, session as session_row, verification};
use accounts_center_entity::linked_profile::LinkStatus;
use accounts_center_entity::verification::Purpose;
use chrono::TimeDelta;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel, QuerySelect};
use uuid::Uuid;

use super::proof::{self, Checked};
use super::start::linked_profiles;
use super::{Caller, DeliverCode};
use crate::account::{self, NewProfile};
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::link_graph::MAX_PROFILES;
use crate::platform::{Platform, ProfileClaim};
use crate::session::{self, NewSession, Viewer};
use crate::store::{Command, Outcome};

/// What a device tells of itself when it signs in.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub device: Option<String>,
    pub ip_address: Option<String>,
}

/// What a proof brought about.
pub enum Proven {
    Linked { account: Uuid, profile: Uuid },
    SignedIn { account: Uuid, created: bool, session: session_row::Model },
}

/// A command's view of a submission.
enum Attempt {
    Done(Proven),
    /// The platform has not yet said whose code it is.
    Early,
}

/// How long a submission waits for the platform to say whose code it delivered.
const EARLY_TRIES: u32 = 30;
const EARLY_PAUSE: Duration = Duration::from_millis(100);
const OVERTAKEN_TRIES: u32 = 5;

/// A verification that `caller` started; absent also where it is somebody else's.
pub async fn find(app: &App, caller: Caller<'_>, id: Uuid) -> Result<Option<verification::Model>, Error> {
    let row = verification::Entity::find_by_id(id).one(app.store.db().read()).await?;
    Ok(row.filter(|row| caller.started(&app.keys, row)))
}

/// Proves control by a one-time code, and does what the verification was started for.
pub async fn submit(
    app: &App,
    caller: Caller<'_>,
    client: &Client,
    id: Uuid,
    code: &str,
) -> UserResult<Proven> {
    let (mut early, mut overtaken) = (0, 0);
    loop {
        let Some(row) = find(app, caller, id).await? else { return Ok(Err(vec![not_found()])) };
        let attempt = match (row.purpose, caller.viewer) {
            (Purpose::Link, Some(viewer)) => submit_link(app, viewer, &row, code).await,
            (Purpose::Link, None) => return Ok(Err(vec![not_found()])),
            (Purpose::SignIn, _) => submit_sign_in(app, client, &row, code).await,
        };
        match attempt {
            Err(Error::Conflict) if overtaken < OVERTAKEN_TRIES => overtaken += 1,
            Err(error) => return Err(error),
            Ok(Err(errors)) => return Ok(Err(errors)),
            Ok(Ok(Attempt::Done(proven))) => return Ok(Ok(proven)),
            Ok(Ok(Attempt::Early)) if early < EARLY_TRIES => {
                early += 1;
                tokio::time::sleep(EARLY_PAUSE).await;
            }
            Ok(Ok(Attempt::Early)) => {
                let message = "The platform is slow to confirm this code; submit it again in a moment.";
                let error = UserError::new(AccountsErrorCode::PlatformUnavailable, message, &["verificationId"]);
                return Ok(Err(vec![error]));
            }
        }
    }
}

async fn submit_link(
    app: &App,
    viewer: Viewer,
    row: &verification::Model,
    code: &str,
) -> UserResult<Attempt> {
    let platform = configured(app, &row.platform)?;
    app.store
        .command(viewer.account, async |command: &mut Command| {
            session::check(command, viewer).await?;
            if row.session_id != Some(viewer.session) {
                return close_foreign(command, row.id).await;
            }
            match proof::check(app, command, row.id, code).await? {
                Checked::Refused(error) => Ok(Outcome::reject(error)),
                Checked::Early => Ok(Outcome::Commit(Attempt::Early)),
                Checked::Good { row, claim } => link(command, viewer, &platform, row, &claim).await,
            }
        })
        .await
}

async fn link(
    command: &mut Command,
    viewer: Viewer,
    platform: &Platform,
    row: verification::Model,
    claim: &ProfileClaim,
) -> Result<Outcome<Attempt>, Error> {
    let account = viewer.account;
    let owner = account::find_owner(command.tx(), &row.platform, &claim.external_id).await?;
    if owner.as_ref().is_some_and(|owner| owner.account_id != account) {
        let code = AccountsErrorCode::ProfileLinkedElsewhere;
        proof::close(command, row, Err(code)).await?;
        let message = "This profile is linked to another account.";
        return Ok(Outcome::reject(UserError::new(code, message, &["verificationId"])));
    }
    let profile = match owner {
        // The same account doing it twice gets its profile back.
        Some(owner) => owner,
        None if linked_profiles(command, account).await? >= MAX_PROFILES => {
            let code = AccountsErrorCode::LimitReached;
            proof::close(command, row, Err(code)).await?;
            let message = format!("An account links at most {MAX_PROFILES} profiles; unlink one first.");
            return Ok(Outcome::reject(UserError::new(code, message, &[])));
        }
        None => {
            let new = NewProfile { platform: &platform.key, claim, sign_in_enabled: platform.sign_in };
            let Some(profile) = account::link(command, account, &new).await? else {
                return Err(Error::Conflict);
            };
            profile
        }
    };
    proof::close(command, row, Ok(profile.id)).await?;
    Ok(Outcome::Commit(Attempt::Done(Proven::Linked { account, profile: profile.id })))
}

/// Runs on the stream of the account that has the profile, or, where there is none yet, on that of the
/// verification, which then brings the account into being.
async fn submit_sign_in(
    app: &App,
    client: &Client,
    row: &verification::Model,
    code: &str,
) -> UserResult<Attempt> {
    let platform = configured(app, &row.platform)?;
    let owner = match &row.external_id {
        Some(external_id) => account::find_owner(app.store.db().read(), &row.platform, external_id).await?,
        None => None,
    };
    let stream = owner.as_ref().map_or(row.stream_id, |owner| owner.account_id);
    app.store
        .command(stream, async |command: &mut Command| {
            match proof::check(app, command, row.id, code).await? {
                Checked::Refused(error) => Ok(Outcome::reject(error)),
                Checked::Early => Ok(Outcome::Commit(Attempt::Early)),
                Checked::Good { row, claim } => {
                    let now_owner = account::find_owner(command.tx(), &row.platform, &claim.external_id).await?;
                    // Linked, unlinked or moved since we chose the stream to lock.
                    let same = now_owner.as_ref().map(|p| p.account_id) == owner.as_ref().map(|p| p.account_id);
                    if !same {
                        return Err(Error::Conflict);
                    }
                    sign_in(app, command, client, &platform, row, &claim, now_owner).await
                }
            }
        })
        .await
}

async fn sign_in(
    app: &App,
    command: &mut Command,
    client: &Client,
    platform: &Platform,
    row: verification::Model,
    claim: &ProfileClaim,
    owner: Option<linked_profile::Model>,
) -> Result<Outcome<Attempt>, Error> {
    let created = owner.is_none();
    let profile = match owner {
        Some(owner) => owner,
        None => {
            let new = NewProfile { platform: &platform.key, claim, sign_in_enabled: platform.sign_in };
            let Some(profile) = account::create(command, &new).await? else { return Err(Error::Conflict) };
            profile
        }
    };
    if profile.status != LinkStatus::Active || !profile.sign_in_enabled {
        let code = AccountsErrorCode::SignInDisabled;
        proof::close(command, row, Err(code)).await?;
        let message = "This profile may not sign in.";
        return Ok(Outcome::reject(UserError::new(code, message, &["verificationId"])));
    }
    let new = NewSession {
        account: profile.account_id,
        opened_by_profile: profile.id,
        device: client.device.clone(),
        ip_address: client.ip_address.clone(),
    };
    let session = session::open(command, new, &app.config.sessions).await?;
    proof::close(command, row, Ok(profile.id)).await?;
    Ok(Outcome::Commit(Attempt::Done(Proven::SignedIn { account: profile.account_id, created, session })))
}

/// Sends a further code, which voids the one before.
pub async fn resend(app: &App, caller: Caller<'_>, id: Uuid) -> UserResult<verification::Model> {
    let Some(row) = find(app, caller, id).await? else { return Ok(Err(vec![not_found()])) };
    app.store
        .command(row.stream_id, async |command: &mut Command| {
            if let Some(viewer) = caller.viewer
                && row.account_id.is_some()
            {
                session::check(command, viewer).await?;
            }
            let locked = lock(command, row.id).await?;
            if proof::refusal(&locked, command).is_some() {
                let message = "This verification has ended already; start a new one.";
                let code = AccountsErrorCode::VerificationClosed;
                return Ok(Outcome::reject(UserError::new(code, message, &["verificationId"])));
            }
            let settings = &app.config.verification;
            let error = match locked.resend_available_at {
                Some(at) if at <= command.now() => None,
                Some(at) => {
                    let seconds = (at - command.now()).num_seconds() + 1;
                    Some((AccountsErrorCode::ResendTooEarly, format!("A further code can be sent in {seconds} s.")))
                }
                None => Some((AccountsErrorCode::TooManyAttempts, "No further code is sent; start anew later.".into())),
            };
            if let Some((code, message)) = error {
                return Ok(Outcome::reject(UserError::new(code, message, &["verificationId"])));
            }
            let number = locked.code_number + 1;
            let mut next = locked.into_active_model();
            next.code_number = Set(number);
            next.code_hash = Set(None);
            next.resend_available_at = Set((number < i32::from(settings.codes))
                .then(|| command.now() + TimeDelta::seconds(settings.resend_seconds.into())));
            let updated = next.update(command.tx()).await?;
            command.enqueue(&DeliverCode { verification: row.id, number })?;
            Ok(Outcome::Commit(updated))
        })
        .await
}

/// A proof that is finished in another session than its own may have been stolen on the way: it ends.
async fn close_foreign(command: &Command, id: Uuid) -> Result<Outcome<Attempt>, Error> {
    let row = lock(command, id).await?;
    if let Some(error) = proof::refusal(&row, command) {
        return Ok(Outcome::reject(error));
    }
    proof::close(command, row, Err(AccountsErrorCode::VerificationFailed)).await?;
    Ok(Outcome::reject(proof::failed("Finish a verification in the session that started it; start a new one.")))
}

async fn lock(command: &Command, id: Uuid) -> Result<verification::Model, Error> {
    verification::Entity::find_by_id(id)
        .lock_exclusive()
        .one(command.tx())
        .await?
        .ok_or_else(|| Error::internal(anyhow::anyhow!("a verification is gone")))
}

fn configured(app: &App, platform: &str) -> Result<std::sync::Arc<Platform>, Error> {
    app.platforms.get(platform).cloned().ok_or_else(|| {
        Error::internal(anyhow::anyhow!("platforms.{platform} is not configured, but a verification names it"))
    })
}

fn not_found() -> UserError {
    let message = "There is no such verification that this caller started.";
    UserError::new(AccountsErrorCode::NotFound, message, &["verificationId"])
}
