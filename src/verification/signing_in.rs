//! Signing in with a proved profile, and the account that the first time makes.

use accounts_center_entity::linked_profile::{self, LinkStatus};
use accounts_center_entity::verification;
use uuid::Uuid;

use super::Client;
use super::proof::{self, Checked, Proof};
use super::service::{Attempt, Proven, configured};
use crate::account::{self, NewProfile};
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::session::{self, NewSession};
use crate::store::{Command, Outcome};

/// Compares the code on the verification's own stream, so that strangers who guess never hold anybody's account.
/// The good one of a profile without an account brings that account into being; that of a profile with one goes
/// on with a command on its stream.
pub(super) async fn submit(
    app: &App,
    client: &Client,
    row: &verification::Model,
    code: &str,
) -> UserResult<Attempt> {
    let step = app
        .store
        .command(row.stream_id, async |command: &mut Command| {
            match proof::check(app, command, row.id, code).await? {
                Checked::Refused(error) => Ok(Outcome::reject(error)),
                Checked::Early => Ok(Outcome::Commit(Step::Ended(Attempt::Early))),
                Checked::Good(proof) => match owner_of(command, &proof).await? {
                    Some(owner) => Ok(Outcome::Commit(Step::OwnedBy(owner.account_id))),
                    None => {
                        let profile = make_account(app, command, &proof).await?;
                        Ok(open_session(app, command, client, *proof, profile).await?.map(Step::Ended))
                    }
                },
            }
        })
        .await?;
    match step {
        Ok(Step::OwnedBy(account)) => submit_to(app, client, row.id, account, code).await,
        Ok(Step::Ended(attempt)) => Ok(Ok(attempt)),
        Err(errors) => Ok(Err(errors)),
    }
}

/// How far the command on the verification's stream came.
enum Step {
    Ended(Attempt),
    /// The code is good, and this account has the profile.
    OwnedBy(Uuid),
}

/// Compares the code once more, now on the stream of the account that had the profile a moment ago.
async fn submit_to(
    app: &App,
    client: &Client,
    verification: Uuid,
    account: Uuid,
    code: &str,
) -> UserResult<Attempt> {
    app.store
        .command(account, async |command: &mut Command| {
            match proof::check(app, command, verification, code).await? {
                Checked::Refused(error) => Ok(Outcome::reject(error)),
                Checked::Early => Ok(Outcome::Commit(Attempt::Early)),
                Checked::Good(proof) => match owner_of(command, &proof).await? {
                    Some(profile) if profile.account_id == account => {
                        open_session(app, command, client, *proof, profile).await
                    }
                    // Unlinked or moved in between.
                    _ => Err(Error::Conflict),
                },
            }
        })
        .await
}

async fn owner_of(command: &Command, proof: &Proof) -> Result<Option<linked_profile::Model>, Error> {
    account::find_owner(command.tx(), &proof.row.platform, &proof.claim.external_id).await
}

async fn make_account(
    app: &App,
    command: &mut Command,
    proof: &Proof,
) -> Result<linked_profile::Model, Error> {
    let platform = configured(app, &proof.row.platform)?;
    let new = NewProfile { platform: &platform.key, claim: &proof.claim, sign_in_enabled: platform.sign_in };
    account::create(command, &new).await?.ok_or(Error::Conflict)
}

async fn open_session(
    app: &App,
    command: &mut Command,
    client: &Client,
    Proof { row, .. }: Proof,
    profile: linked_profile::Model,
) -> Result<Outcome<Attempt>, Error> {
    if profile.status != LinkStatus::Active || !profile.sign_in_enabled {
        let code = AccountsErrorCode::SignInDisabled;
        proof::close(command, row, Err(code)).await?;
        let message = "This profile may not sign in.";
        return Ok(Outcome::reject(UserError::new(code, message, &["verificationId"])));
    }
    let account = profile.account_id;
    let new = NewSession {
        account,
        opened_by_profile: profile.id,
        device: client.device.clone(),
        ip_address: client.ip_address.clone(),
    };
    let session = session::open(command, new, &app.config.sessions).await?;
    proof::close(command, row, Ok(profile.id)).await?;
    // A stream that this command brought into being has events; one that was there is as it was.
    let made = command.version(account);
    let created = command.stream() != account;
    Ok(Outcome::Commit(Attempt::Done(Proven::SignedIn { account, version: made, created, session })))
}
