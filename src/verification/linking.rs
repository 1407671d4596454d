//! Linking a proved profile to the account that started the proof.

use accounts_center_entity::verification;
use uuid::Uuid;

use super::proof::{self, Checked, Proof};
use super::service::{Attempt, Proven, configured, lock};
use super::start::linked_profiles;
use crate::account::{self, NewProfile};
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::link_graph::MAX_PROFILES;
use crate::platform::Platform;
use crate::session::{self, Viewer};
use crate::store::{Command, Outcome};

/// Compares the code and links the profile, in one command on the account's stream.
pub(super) async fn submit(
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
                Checked::Good(proof) => link(command, viewer, &platform, *proof).await,
            }
        })
        .await
}

async fn link(
    command: &mut Command,
    viewer: Viewer,
    platform: &Platform,
    Proof { row, claim }: Proof,
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
            let new =
                NewProfile { platform: &platform.key, claim: &claim, sign_in_enabled: platform.sign_in };
            let Some(profile) = account::link(command, account, &new).await? else {
                return Err(Error::Conflict);
            };
            profile
        }
    };
    proof::close(command, row, Ok(profile.id)).await?;
    let version = command.version(account);
    Ok(Outcome::Commit(Attempt::Done(Proven::Linked { account, version, profile: profile.id })))
}

/// A proof that is finished in another session than its own may have been stolen on the way: it ends.
async fn close_foreign(command: &Command, id: Uuid) -> Result<Outcome<Attempt>, Error> {
    let row = lock(command, id).await?;
    if let Some(error) = proof::refusal(&row, command) {
        return Ok(Outcome::reject(error));
    }
    proof::close(command, row, Err(AccountsErrorCode::VerificationFailed)).await?;
    Ok(Outcome::reject(proof::failed(
        "Finish a verification in the session that started it; start a new one.",
    )))
}
