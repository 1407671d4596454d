//! Checking what is to prove control, under the lock of its verification's row.

use accounts_center_entity::verification::{self, Method, Purpose, Status};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel, QuerySelect};
use uuid::Uuid;

use super::WarnOwner;
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError};
use crate::platform::{ProfileClaim, ProfileState};
use crate::store::Command;

/// A verification whose code was right, and whose profile it is.
pub struct Proof {
    pub row: verification::Model,
    pub claim: ProfileClaim,
}

/// What a submitted code turned out to be.
pub enum Checked {
    /// It is the good one; the verification is still PENDING, and this transaction holds it.
    Good(Box<Proof>),
    /// It is the good one, but the platform has not yet said whose it is.
    Early,
    /// It is not; what that changed is in this transaction and has to be committed.
    Refused(UserError),
}

/// By what control is to be proved.
#[derive(Clone, Copy)]
pub enum Evidence<'a> {
    /// What the person typed.
    Code(&'a str),
    /// What the platform said of the profile whose owner was there, when it redeemed the code of this verification.
    Redeemed(&'a ProfileClaim),
}

/// Whether `evidence` is the good one of a verification. Runs inside a command, so that two tries at once are
/// two tries, one after the other.
pub async fn check(
    app: &App,
    command: &mut Command,
    verification: Uuid,
    evidence: Evidence<'_>,
) -> Result<Checked, Error> {
    let row = verification::Entity::find_by_id(verification)
        .lock_exclusive()
        .one(command.tx())
        .await?
        .ok_or_else(|| Error::internal(anyhow::anyhow!("a verification is gone")))?;
    if let Some(error) = refusal(&row, command) {
        return Ok(Checked::Refused(error));
    }
    let code = match (evidence, row.method) {
        (Evidence::Code(code), Method::OneTimeCode) => code,
        (Evidence::Redeemed(claim), Method::Oauth) => return good(command, row, claim.clone()).await,
        (Evidence::Code(_), Method::Oauth | Method::Passkey)
        | (Evidence::Redeemed(_), Method::OneTimeCode | Method::Passkey) => {
            return Ok(Checked::Refused(of_another_way()));
        }
    };
    let matches = row.code_hash.as_deref().is_some_and(|stored| {
        use subtle::ConstantTimeEq;
        app.keys.code_hash(row.id, row.code_number, code).ct_eq(stored).into()
    });
    if !matches {
        return Ok(Checked::Refused(count_failure(command, row).await?));
    }
    let Some(sealed) = &row.sealed_claim else { return Ok(Checked::Early) };
    let claim = app.keys.open(row.id, sealed).map_err(Error::internal)?;
    let claim = serde_json::from_slice(&claim).map_err(Error::internal)?;
    good(command, row, claim).await
}

/// The profile is its owner's, if it can be proved as it stands at its platform.
async fn good(command: &Command, row: verification::Model, claim: ProfileClaim) -> Result<Checked, Error> {
    if !is_provable(claim.state) {
        let error = failed("This profile is not active at its platform.");
        close(command, row, End::Failed(AccountsErrorCode::ProfileNotActive)).await?;
        return Ok(Checked::Refused(error));
    }
    Ok(Checked::Good(Box::new(Proof { row, claim })))
}

/// Whether a profile in this state can be proved. A new proof is what a platform asks for whose credentials have
/// expired.
pub fn is_provable(state: ProfileState) -> bool {
    match state {
        ProfileState::Active | ProfileState::CredentialsExpired => true,
        ProfileState::Deactivated | ProfileState::Deleted => false,
    }
}

/// How a verification ends.
pub enum End {
    /// It has proved this profile.
    Proved(Uuid),
    /// A passkey has proved the person.
    ByPasskey,
    Failed(AccountsErrorCode),
    Cancelled,
}

/// Ends a verification for good, and erases what it knew.
pub async fn close(
    command: &Command,
    row: verification::Model,
    end: End,
) -> Result<verification::Model, Error> {
    let is_used_up = matches!(end, End::Failed(AccountsErrorCode::TooManyAttempts));
    // Its owner is still to be warned, and the job that does it erases it.
    let is_needed = is_used_up && row.purpose == Purpose::SignIn;
    let mut row = row.into_active_model();
    match end {
        End::Proved(profile) => {
            row.status = Set(Status::Succeeded);
            row.profile_id = Set(Some(profile));
        }
        End::ByPasskey => row.status = Set(Status::Succeeded),
        End::Cancelled => row.status = Set(Status::Cancelled),
        End::Failed(code) => {
            row.status = Set(Status::Failed);
            row.failure = Set(Some(code.name().to_owned()));
        }
    }
    row.destination = Set(String::new());
    row.sealed_handle = Set(None);
    if !is_needed {
        row.external_id = Set(None);
    }
    row.sealed_claim = Set(None);
    row.code_hash = Set(None);
    row.resend_available_at = Set(None);
    row.authorization_endpoint = Set(None);
    row.redirect_uri = Set(None);
    row.sealed_challenge = Set(None);
    Ok(row.update(command.tx()).await?)
}

/// Why nothing can be submitted to this verification any more.
pub fn refusal(row: &verification::Model, command: &Command) -> Option<UserError> {
    let error = |code, message: &str| Some(UserError::new(code, message, &["verificationId"]));
    match row.status {
        Status::Pending if row.expires_at <= command.now() => error(
            AccountsErrorCode::VerificationExpired,
            "The time for this code has run out; start a new one.",
        ),
        Status::Pending => None,
        Status::Failed if row.failure.as_deref() == Some("TOO_MANY_ATTEMPTS") => {
            error(AccountsErrorCode::TooManyAttempts, "Too many wrong codes; start a new one later.")
        }
        Status::Succeeded | Status::Failed | Status::Cancelled => error(
            AccountsErrorCode::VerificationClosed,
            "This verification has ended already; start a new one.",
        ),
    }
}

/// The proof is of another kind than the verification's; nothing has come of it.
pub fn of_another_way() -> UserError {
    let message = "This verification is proved in another way; see its challenge.";
    UserError::new(AccountsErrorCode::Invalid, message, &["proof"])
}

pub fn failed(message: &str) -> UserError {
    UserError::new(AccountsErrorCode::VerificationFailed, message, &["verificationId"])
}

async fn count_failure(command: &mut Command, row: verification::Model) -> Result<UserError, Error> {
    let left = row.attempts_left - 1;
    if left > 0 {
        let mut row = row.into_active_model();
        row.attempts_left = Set(left);
        row.update(command.tx()).await?;
        let message = format!("This is not the code that was sent last; {left} more tries.");
        return Ok(UserError::new(AccountsErrorCode::CodeIncorrect, message, &["proof", "oneTimeCode"]));
    }
    let mut row = row;
    row.attempts_left = 0;
    let mut exhausted = row.clone().into_active_model();
    exhausted.attempts_left = Set(0);
    exhausted.update(command.tx()).await?;
    let row = close(command, row, End::Failed(AccountsErrorCode::TooManyAttempts)).await?;
    if row.purpose == Purpose::SignIn {
        command.enqueue(&WarnOwner { verification: row.id })?;
    }
    Ok(UserError::new(
        AccountsErrorCode::TooManyAttempts,
        "Too many wrong codes; start a new one later.",
        &["proof", "oneTimeCode"],
    ))
}
