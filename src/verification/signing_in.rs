//! Signing in with a proved profile, and the account that the first time makes.

use accounts_center_entity::linked_profile::{self, LinkStatus};
use accounts_center_entity::verification;
use uuid::Uuid;

use super::Client;
use super::proof::{self, Checked, End, Evidence, Proof};
use super::service::{Attempt, Proven, configured};
use crate::account::{self, NewProfile};
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::platform::{Platform, ProfileState};
use crate::profile;
use crate::security::{self, AlertKind, NewAlert};
use crate::session::{self, NewSession, OpenedWith};
use crate::store::{Command, Outcome};

/// Checks the proof on the verification's own stream, so that strangers who guess never hold anybody's account.
/// The good one of a profile without an account brings that account into being; that of a profile with one goes
/// on with a command on its stream.
pub(super) async fn submit(
    app: &App,
    client: &Client,
    row: &verification::Model,
    evidence: Evidence<'_>,
) -> UserResult<Attempt> {
    let platform = match configured(app, &row.platform) {
        Ok(platform) => platform,
        Err(error) => return Ok(Err(vec![error])),
    };
    let by = SigningIn { app, client, platform: &platform };
    let step = app
        .store
        .command(row.stream_id, async |command: &mut Command| {
            match proof::check(app, command, row.id, evidence).await? {
                Checked::Refused(error) => Ok(Outcome::reject(error)),
                Checked::Early => Ok(Outcome::Commit(Step::Ended(Attempt::Early))),
                Checked::Good(proof) => match owner_of(command, &proof).await? {
                    Some(owner) => Ok(Outcome::Commit(Step::OwnedBy(owner.account_id))),
                    None => {
                        let profile = by.make_account(command, &proof).await?;
                        Ok(by.open_session(command, *proof, profile).await?.map(Step::Ended))
                    }
                },
            }
        })
        .await?;
    match step {
        Ok(Step::OwnedBy(account)) => by.submit_to(row.id, account, evidence).await,
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

async fn owner_of(command: &Command, proof: &Proof) -> Result<Option<linked_profile::Model>, Error> {
    account::find_owner(command.tx(), &proof.row.platform, &proof.claim.external_id).await
}

/// A device that signs in with a profile of this platform.
struct SigningIn<'a> {
    app: &'a App,
    client: &'a Client,
    platform: &'a Platform,
}

impl SigningIn<'_> {
    /// Checks the proof once more, now on the stream of the account that had the profile a moment ago.
    async fn submit_to(
        &self,
        verification: Uuid,
        account: Uuid,
        evidence: Evidence<'_>,
    ) -> UserResult<Attempt> {
        let compare =
            async |command: &mut Command| match proof::check(self.app, command, verification, evidence)
                .await?
            {
                Checked::Refused(error) => Ok(Outcome::reject(error)),
                Checked::Early => Ok(Outcome::Commit(Attempt::Early)),
                Checked::Good(proof) => match owner_of(command, &proof).await? {
                    Some(profile) if profile.account_id == account => {
                        let profile = self.meet_wish(command, &proof, profile).await?;
                        self.open_session(command, *proof, profile).await
                    }
                    // Unlinked or moved in between.
                    _ => Err(Error::Conflict),
                },
            };
        self.app.store.command(account, compare).await
    }

    async fn make_account(
        &self,
        command: &mut Command,
        proof: &Proof,
    ) -> Result<linked_profile::Model, Error> {
        let Platform { key, sign_in, .. } = self.platform;
        let new = NewProfile { platform: key, claim: &proof.claim, sign_in_enabled: *sign_in };
        account::create(command, &new).await?.ok_or(Error::Conflict)
    }

    /// The proof that signs in is also the one that a platform asks for whose credentials have expired: with one
    /// profile there would be no other way to give it. It lifts no other hold, and keeps nothing that is unlinked.
    async fn meet_wish(
        &self,
        command: &mut Command,
        proof: &Proof,
        profile: linked_profile::Model,
    ) -> Result<linked_profile::Model, Error> {
        let is_asked = match profile.status {
            LinkStatus::AttentionRequired => true,
            // Asked, and not heard of yet.
            LinkStatus::Active => proof.claim.state == ProfileState::CredentialsExpired,
            _ => false,
        };
        if is_asked && self.may_sign_in(&profile) {
            return profile::reverify(command, profile).await;
        }
        Ok(profile)
    }

    /// Whether its owner and the operator let it, however its link stands.
    fn may_sign_in(&self, profile: &linked_profile::Model) -> bool {
        profile.sign_in_enabled && self.platform.sign_in
    }

    async fn open_session(
        &self,
        command: &mut Command,
        Proof { row, .. }: Proof,
        profile: linked_profile::Model,
    ) -> Result<Outcome<Attempt>, Error> {
        let account = profile.account_id;
        let is_able = profile.status == LinkStatus::Active && self.may_sign_in(&profile);
        if !is_able || account::is_locked(command.tx(), account).await? {
            let code = AccountsErrorCode::SignInDisabled;
            proof::close(command, row, End::Failed(code)).await?;
            let message = "This profile may not sign in.";
            return Ok(Outcome::reject(UserError::new(code, message, &["verificationId"])));
        }
        let new = NewSession {
            account,
            opened_with: OpenedWith::Profile(profile.id),
            device: self.client.device.as_deref().map(str::to_owned),
            ip_address: self.client.ip_address.map(|address| address.to_string()),
        };
        // Before the session: to make room for it may end others, with their claims.
        profile::end_claims(command, &profile.platform, &profile.external_id).await?;
        let opened = session::open(self.app, command, new).await?;
        proof::close(command, row, End::Proved(profile.id)).await?;
        let created = command.stream() != account;
        if !created {
            let (by, session) = (Some(profile.id), Some(opened.session.id));
            security::raise(command, NewAlert { account, kind: AlertKind::NewSignIn, profile: by, session })
                .await?;
            profile::tell_of_sign_in(self.app, command, account, by).await?;
        }
        let version = command.version(account);
        let proven = Proven::SignedIn { account, version, created, opened };
        Ok(Outcome::Commit(Attempt::Done(Box::new(proven))))
    }
}
