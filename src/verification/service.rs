//! Finishing a verification, and looking at one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use accounts_center_entity::verification::{self, Method, Purpose, Status};
use chrono::TimeDelta;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel, QuerySelect};
use uuid::Uuid;

use super::proof::{End, Evidence};
use super::redirect::switched_off;
use super::{
    Caller, DeliverCode, OAuthResponse, allowance, by_passkey, linking, own_profile, proof, redeeming,
    signing_in,
};
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::platform::Platform;
use crate::profile;
use crate::session;
use crate::store::{Command, Outcome, bounded};

/// What a device tells of itself when it signs in. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub device: Option<Arc<str>>,
    pub ip_address: Option<IpAddr>,
}

/// What a proof brought about.
pub enum Proven {
    /// The account's version is at least that.
    Linked {
        account: Uuid,
        version: i64,
        profile: Uuid,
    },
    SignedIn {
        account: Uuid,
        version: i64,
        created: bool,
        opened: session::Opened,
    },
    /// A profile that was linked already.
    Reverified {
        account: Uuid,
        version: i64,
        profile: Uuid,
    },
    /// The session is as fresh as a new one.
    SteppedUp {
        account: Uuid,
        version: i64,
        session: accounts_center_entity::session::Model,
    },
}

/// A command's view of a submission.
pub(super) enum Attempt {
    Done(Box<Proven>),
    /// The platform has not yet said whose code it is.
    Early,
    /// The code is good, but this other account is still unlinking the profile. Nothing was changed: its stream is
    /// another one.
    Claimed {
        account: Uuid,
        profile: Uuid,
    },
}

/// How long a submission waits for the platform to say whose code it delivered.
const EARLY_TRIES: u32 = 30;
const EARLY_PAUSE: Duration = Duration::from_millis(100);
const OVERTAKEN_TRIES: u32 = 5;

/// A verification that `caller` started; absent also where it is somebody else's.
pub async fn find(app: &App, caller: Caller<'_>, id: Uuid) -> Result<Option<verification::Model>, Error> {
    let row = verification::Entity::find_by_id(id).one(app.store.db().read());
    let row = bounded(async { Ok(row.await?) }).await?;
    Ok(row.filter(|row| caller.started(&app.keys, row)))
}

/// What a caller proves control with.
#[derive(Clone, Copy)]
pub enum Submitted<'a> {
    Code(&'a str),
    OAuth(OAuthResponse<'a>),
    /// AuthenticationResponseJSON.
    Passkey(&'a str),
}

/// Proves control, and does what the verification was started for.
pub async fn submit(
    app: &App,
    caller: Caller<'_>,
    client: &Client,
    id: Uuid,
    submitted: Submitted<'_>,
) -> UserResult<Proven> {
    let response = match submitted {
        Submitted::Code(code) => return settle(app, caller, client, id, Evidence::Code(code)).await,
        Submitted::Passkey(assertion) => {
            let Some(row) = find(app, caller, id).await? else { return Ok(Err(vec![not_found()])) };
            return by_passkey::submit(app, caller, (client, &row), assertion).await;
        }
        Submitted::OAuth(response) => response,
    };
    let Some(row) = find(app, caller, id).await? else { return Ok(Err(vec![not_found()])) };
    if let Some(error) = switched_off_of(app, &row) {
        return Ok(Err(vec![error]));
    }
    match redeeming::redeem(app, caller, &row, response).await? {
        Ok(claim) => settle(app, caller, client, id, Evidence::Redeemed(&claim)).await,
        Err(errors) => Ok(Err(errors)),
    }
}

/// Does what the verification was started for, if the evidence is good.
async fn settle(
    app: &App,
    caller: Caller<'_>,
    client: &Client,
    id: Uuid,
    evidence: Evidence<'_>,
) -> UserResult<Proven> {
    let (mut early, mut overtaken) = (0, 0);
    loop {
        let Some(row) = find(app, caller, id).await? else { return Ok(Err(vec![not_found()])) };
        if row.method == Method::Passkey {
            return Ok(Err(vec![proof::of_another_way()]));
        }
        // What has been redeemed cannot be shown again once the platform is on.
        let is_redeemed = matches!(evidence, Evidence::Redeemed(_));
        if let Some(error) = switched_off_of(app, &row).filter(|_| !is_redeemed) {
            return Ok(Err(vec![error]));
        }
        let attempt = match (row.purpose, caller.viewer) {
            (Purpose::Link, Some(viewer)) => linking::submit(app, viewer, &row, evidence).await,
            (Purpose::Reverify | Purpose::StepUp, Some(viewer)) => {
                own_profile::submit(app, viewer, &row, evidence).await
            }
            (Purpose::Link | Purpose::Reverify | Purpose::StepUp, None) => {
                return Ok(Err(vec![not_found()]));
            }
            (Purpose::SignIn, _) => signing_in::submit(app, client, &row, evidence).await,
        };
        app.verifications.wake();
        match attempt {
            Err(Error::Conflict) if overtaken < OVERTAKEN_TRIES => overtaken += 1,
            Err(error) => return Err(error),
            Ok(Err(errors)) => return Ok(Err(errors)),
            Ok(Ok(Attempt::Done(proven))) => return Ok(Ok(*proven)),
            Ok(Ok(Attempt::Claimed { account, profile })) if overtaken < OVERTAKEN_TRIES => {
                overtaken += 1;
                profile::end_claimed(app, account, profile).await?;
            }
            Ok(Ok(Attempt::Claimed { .. })) => return Err(Error::Conflict),
            Ok(Ok(Attempt::Early)) if early < EARLY_TRIES => {
                early += 1;
                tokio::time::sleep(EARLY_PAUSE).await;
            }
            Ok(Ok(Attempt::Early)) => {
                let message = "The platform is slow to confirm this code; submit it again in a moment.";
                let error =
                    UserError::new(AccountsErrorCode::PlatformUnavailable, message, &["verificationId"]);
                return Ok(Err(vec![error]));
            }
        }
    }
}

/// Sends a further code, which voids the one before, for a caller at this address.
pub async fn resend(
    app: &App,
    caller: Caller<'_>,
    (id, address): (Uuid, Option<IpAddr>),
) -> UserResult<verification::Model> {
    let Some(row) = find(app, caller, id).await? else { return Ok(Err(vec![not_found()])) };
    if let Some(error) = switched_off_of(app, &row) {
        return Ok(Err(vec![error]));
    }
    let sent = app
        .store
        .command(row.stream_id, async |command: &mut Command| {
            let locked = lock_for(command, caller, &row).await?;
            if proof::refusal(&locked, command).is_some() {
                let message = "This verification has ended already; start a new one.";
                let code = AccountsErrorCode::VerificationClosed;
                return Ok(Outcome::reject(UserError::new(code, message, &["verificationId"])));
            }
            if locked.method != Method::OneTimeCode {
                let message = "This verification has no codes; see its challenge.";
                let code = AccountsErrorCode::Invalid;
                return Ok(Outcome::reject(UserError::new(code, message, &["verificationId"])));
            }
            let settings = &app.config.verification;
            let error = match locked.resend_available_at {
                Some(at) if at <= command.now() => None,
                Some(at) => {
                    let seconds = (at - command.now()).num_seconds() + 1;
                    Some((
                        AccountsErrorCode::ResendTooEarly,
                        format!("A further code can be sent in {seconds} s."),
                    ))
                }
                None => Some((
                    AccountsErrorCode::TooManyAttempts,
                    "No further code is sent; start anew later.".into(),
                )),
            };
            if let Some((code, message)) = error {
                return Ok(Outcome::reject(UserError::new(code, message, &["verificationId"])));
            }
            if let Some(error) = allowance::take_again(app, command, (&locked, address)).await? {
                return Ok(Outcome::reject(error));
            }
            let number = locked.code_number + 1;
            let mut next = locked.into_active_model();
            next.code_number = Set(number);
            next.code_hash = Set(None);
            // The handle may have a new owner by now: who it is, the new code's delivery says.
            next.external_id = Set(None);
            next.sealed_claim = Set(None);
            next.resend_available_at = Set((number < i32::from(settings.codes))
                .then(|| command.now() + TimeDelta::seconds(settings.resend_seconds.into())));
            let updated = next.update(command.tx()).await?;
            command.enqueue(&DeliverCode { verification: row.id, number })?;
            Ok(Outcome::Commit(updated))
        })
        .await;
    app.verifications.wake();
    sent
}

/// Ends a verification before it has proved anything, for whoever started it.
pub async fn cancel(app: &App, caller: Caller<'_>, id: Uuid) -> UserResult<verification::Model> {
    let Some(row) = find(app, caller, id).await? else { return Ok(Err(vec![not_found()])) };
    let cancelled = app
        .store
        .command(row.stream_id, async |command: &mut Command| {
            let locked = lock_for(command, caller, &row).await?;
            // A second click, or an answer that was lost.
            if locked.status == Status::Cancelled {
                return Ok(Outcome::Commit(locked));
            }
            if let Some(error) = proof::refusal(&locked, command) {
                return Ok(Outcome::reject(error));
            }
            Ok(Outcome::Commit(proof::close(command, locked, End::Cancelled).await?))
        })
        .await;
    app.verifications.wake();
    cancelled
}

/// The row of a verification that `caller` started, locked for a change; a session must not have ended.
pub(super) async fn lock_for(
    command: &Command,
    caller: Caller<'_>,
    row: &verification::Model,
) -> Result<verification::Model, Error> {
    if let Some(viewer) = caller.viewer
        && row.account_id.is_some()
    {
        session::check(command, viewer).await?;
    }
    lock(command, row.id).await
}

/// The row of a verification, locked until the command ends.
pub(super) async fn lock(command: &Command, id: Uuid) -> Result<verification::Model, Error> {
    verification::Entity::find_by_id(id)
        .lock_exclusive()
        .one(command.tx())
        .await?
        .ok_or_else(|| Error::internal(anyhow::anyhow!("a verification is gone")))
}

/// The platform of a verification, unless the operator has taken it out of the configuration meanwhile.
pub(super) fn configured(app: &App, platform: &str) -> Result<Arc<Platform>, UserError> {
    app.platforms.get(platform).cloned().ok_or_else(|| {
        let message = "This platform is not available now; try again later, or use another one.";
        UserError::new(AccountsErrorCode::PlatformUnavailable, message, &["verificationId"])
    })
}

/// Why nothing is proved at the platform of a verification now, if an operator has switched it off. The verification stays as it is.
fn switched_off_of(app: &App, row: &verification::Model) -> Option<UserError> {
    let platform = app.platforms.get(&row.platform).filter(|platform| platform.is_off())?;
    Some(switched_off(platform, &["verificationId"]))
}

pub(super) fn not_found() -> UserError {
    let message = "There is no such verification that this caller started.";
    UserError::new(AccountsErrorCode::NotFound, message, &["verificationId"])
}
