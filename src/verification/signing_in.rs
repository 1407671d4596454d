//! Signing in with a proved profile, and the account that the first time makes.

use accounts_center_entity::linked_profile::{self, LinkStatus};
use accounts_center_entity::verification;

use super::Client;
use super::proof::{self, Checked, Proof};
use super::service::{Attempt, Proven, configured};
use crate::account::{self, NewProfile};
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::session::{self, NewSession};
use crate::store::{Command, Outcome};

/// Runs on the stream of the account that has the profile, or, where there is none yet, on that of the
/// verification, which then brings the account into being.
pub(super) async fn submit(
    app: &App,
    client: &Client,
    row: &verification::Model,
    code: &str,
) -> UserResult<Attempt> {
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
                Checked::Good(proof) => {
                    let now_owner =
                        account::find_owner(command.tx(), &row.platform, &proof.claim.external_id).await?;
                    // Linked, unlinked or moved since we chose the stream to lock.
                    let same =
                        now_owner.as_ref().map(|p| p.account_id) == owner.as_ref().map(|p| p.account_id);
                    if !same {
                        return Err(Error::Conflict);
                    }
                    sign_in(app, command, client, *proof, now_owner).await
                }
            }
        })
        .await
}

async fn sign_in(
    app: &App,
    command: &mut Command,
    client: &Client,
    Proof { row, claim }: Proof,
    owner: Option<linked_profile::Model>,
) -> Result<Outcome<Attempt>, Error> {
    let created = owner.is_none();
    let platform = configured(app, &row.platform)?;
    let profile = match owner {
        Some(owner) => owner,
        None => {
            let new =
                NewProfile { platform: &platform.key, claim: &claim, sign_in_enabled: platform.sign_in };
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
