//! Linking a proved profile to the account that started the proof.

use accounts_center_entity::linked_profile::LinkStatus;
use accounts_center_entity::verification;
use uuid::Uuid;

use super::proof::{self, Checked, End, Evidence, Proof};
use super::service::{Attempt, Proven, configured, lock};
use super::start::has_room;
use crate::account::{self, NewProfile};
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::link_graph::MAX_PROFILES;
use crate::platform::Platform;
use crate::profile::{self, ClaimProof};
use crate::security::{self, AlertKind, NewAlert};
use crate::session::{self, Viewer};
use crate::store::{Command, Outcome};

/// Checks the proof and links the profile, in one command on the account's stream.
pub(super) async fn submit(
    app: &App,
    viewer: Viewer,
    row: &verification::Model,
    evidence: Evidence<'_>,
) -> UserResult<Attempt> {
    let platform = match configured(app, &row.platform) {
        Ok(platform) => platform,
        Err(error) => return Ok(Err(vec![error])),
    };
    app.store
        .command(viewer.account, async |command: &mut Command| {
            session::check(command, viewer).await?;
            if row.session_id != Some(viewer.session) {
                return close_foreign(command, row.id).await;
            }
            match proof::check(app, command, row.id, evidence).await? {
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
    let (own, other) = match account::find_owner(command.tx(), &row.platform, &claim.external_id).await? {
        Some(owner) if owner.account_id == account => (Some(owner), None),
        other => (None, other),
    };
    if other.as_ref().is_some_and(|other| other.status != LinkStatus::Unlinking) {
        let proof = ClaimProof { verification: row.id, session: viewer.session };
        profile::offer(command, proof, (&row.platform, &claim.external_id)).await?;
        let message = "This profile is linked to another account.";
        let code = AccountsErrorCode::ProfileLinkedElsewhere;
        return refuse(command, row, UserError::new(code, message, &["verificationId"])).await;
    }
    // The same account doing it twice gets its profile back.
    let kept = match own {
        Some(own) => profile::prove_again(command, own).await?,
        None => None,
    };
    if kept.is_none() && !has_room(command, account).await? {
        let message = format!("An account links at most {MAX_PROFILES} profiles; unlink one first.");
        return refuse(command, row, UserError::new(AccountsErrorCode::LimitReached, message, &[])).await;
    }
    // A new proof by somebody else ends the unlinking, but on a stream that this command does not hold.
    if let Some(other) = other {
        return Ok(Outcome::Commit(Attempt::Claimed { account: other.account_id, profile: other.id }));
    }
    let profile = match kept {
        Some(kept) => kept,
        None => {
            let new =
                NewProfile { platform: &platform.key, claim: &claim, sign_in_enabled: platform.sign_in };
            let linked = account::link(command, account, &new).await?.ok_or(Error::Conflict)?;
            let (profile, session) = (Some(linked.id), Some(viewer.session));
            security::raise(command, NewAlert { account, kind: AlertKind::ProfileLinked, profile, session })
                .await?;
            linked
        }
    };
    proof::close(command, row, End::Proved(profile.id)).await?;
    let version = command.version(account);
    let proven = Proven::Linked { account, version, profile: profile.id };
    Ok(Outcome::Commit(Attempt::Done(Box::new(proven))))
}

/// Ends a verification that was proved, and does nothing else.
pub(super) async fn refuse(
    command: &Command,
    row: verification::Model,
    error: UserError,
) -> Result<Outcome<Attempt>, Error> {
    proof::close(command, row, End::Failed(error.code)).await?;
    Ok(Outcome::reject(error))
}

/// A proof that is finished in another session than its own may have been stolen on the way: it ends.
pub(super) async fn close_foreign<T>(command: &Command, id: Uuid) -> Result<Outcome<T>, Error> {
    let row = lock(command, id).await?;
    if let Some(error) = proof::refusal(&row, command) {
        return Ok(Outcome::reject(error));
    }
    proof::close(command, row, End::Failed(AccountsErrorCode::VerificationFailed)).await?;
    Ok(Outcome::reject(proof::failed(
        "Finish a verification in the session that started it; start a new one.",
    )))
}
