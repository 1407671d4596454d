//! Proofs by passkeys: what a passkey has to sign, and whether it did.

use accounts_center_entity::passkey::{self, Column, Entity};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use uuid::Uuid;
use webauthn_rs::prelude::{AuthenticationResult, Passkey, PublicKeyCredential, WebauthnError};

use super::RelyingParty;
use super::relying_party::Challenge;
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError};
use crate::store::Command;

/// What an authenticator has signed, as a browser gives it.
pub struct Assertion(PublicKeyCredential);

impl Assertion {
    /// Of AuthenticationResponseJSON.
    pub fn parse(json: &str) -> Result<Self, UserError> {
        serde_json::from_str(json).map(Self).map_err(|_| {
            let message =
                "This is no AuthenticationResponseJSON: send what `toJSON()` of the credential gives.";
            UserError::new(AccountsErrorCode::Invalid, message, &["proof", "passkeyAssertion"])
        })
    }
}

/// Whose passkey it has to be.
#[derive(Clone, Copy)]
pub enum Expected {
    /// Anybody's: the authenticator says who comes.
    Anyone,
    /// This one of this account.
    Own { account: Uuid, passkey: Uuid },
}

/// A passkey that has signed what it had to.
pub struct Proved {
    pub row: passkey::Model,
    credential: Passkey,
    result: AuthenticationResult,
}

/// Makes a challenge that any passkey can meet, or `only` this one. Gives what is to be kept of it, which
/// [`crate::keys::Keys::seal`] has to seal.
pub fn begin(party: &RelyingParty, only: Option<&passkey::Model>) -> Result<Vec<u8>, Error> {
    let only = only.map(credential_of).transpose()?;
    let challenge = party.challenge(only.as_ref()).map_err(Error::internal)?;
    serde_json::to_vec(&challenge).map_err(Error::internal)
}

/// What a browser is asked with: PublicKeyCredentialRequestOptions as JSON.
pub fn options(challenge: &[u8]) -> Result<String, Error> {
    let challenge: Challenge = serde_json::from_slice(challenge).map_err(Error::internal)?;
    serde_json::to_string(&challenge.options).map_err(Error::internal)
}

/// Whether a passkey has signed `challenge`. Decides on the credential as the command's transaction has it. `None` if it has
/// not, whatever the reason: nobody learns whether a credential is known here.
pub async fn check(
    (app, command): (&App, &Command),
    challenge: &[u8],
    assertion: &Assertion,
    expected: Expected,
) -> Result<Option<Proved>, Error> {
    let Some(party) = &app.passkeys else { return Ok(None) };
    let signed = &assertion.0;
    let row =
        Entity::find().filter(Column::CredentialId.eq(signed.get_credential_id())).one(command.tx()).await?;
    let Some(row) = row.filter(|row| is_expected(row, signed, expected)) else { return Ok(None) };
    let credential = credential_of(&row)?;
    let challenge = serde_json::from_slice(challenge).map_err(Error::internal)?;
    match party.check(signed, challenge, &credential) {
        Ok(result) => Ok(Some(Proved { row, credential, result })),
        Err(WebauthnError::CredentialPossibleCompromise) => {
            tracing::warn!(passkey = %row.id, "the counter of a passkey has not risen: it may have been copied");
            Ok(None)
        }
        Err(error) => {
            tracing::debug!(%error, "a passkey has not proved anything");
            Ok(None)
        }
    }
}

/// The user handle is the account, and the authenticator has signed for whom it keeps the credential. It may be left out
/// where we have named the credential (WebAuthn Level 3, 7.2, step 6).
fn is_expected(row: &passkey::Model, signed: &PublicKeyCredential, expected: Expected) -> bool {
    let user = signed.get_user_unique_id();
    let is_owner = user.map(|user| user == row.account_id.as_bytes());
    match expected {
        Expected::Anyone => is_owner == Some(true),
        Expected::Own { account, passkey } => {
            row.id == passkey && row.account_id == account && is_owner != Some(false)
        }
    }
}

/// Stores that a passkey was used, and the counter of its signatures. The command holds its account.
pub async fn note_use(command: &Command, proved: Proved) -> Result<(), Error> {
    let Proved { row, mut credential, result } = proved;
    let changed = credential.update_credential(&result) == Some(true);
    let mut row = row.into_active_model();
    row.last_used_at = Set(Some(command.now()));
    if changed {
        row.credential = Set(serde_json::to_string(&credential).map_err(Error::internal)?);
    }
    row.update(command.tx()).await?;
    Ok(())
}

pub(super) fn credential_of(row: &passkey::Model) -> Result<Passkey, Error> {
    serde_json::from_str(&row.credential).map_err(Error::internal)
}
