//! Proofs by a passkey: to sign in, and to step up.
//!
//! The challenge is random, sealed in the verification's row and gone at its end. An answer to it that is not good ends the
//! verification: nobody types an assertion wrong, and a challenge is used once.

use accounts_center_entity::verification::{self, Method, Purpose, Status};
use accounts_center_entity::{passkey as passkey_row, session as session_row};
use chrono::TimeDelta;
use sea_orm::{ActiveModelTrait, ActiveValue::Set};
use uuid::Uuid;

use super::proof::{self, End};
use super::service::{Proven, lock, not_found};
use super::start::too_many_pending;
use super::{CLIENT_SECRET, Caller, Client, EraseExpired, linking, own_profile};
use crate::account;
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::keys::new_secret;
use crate::passkey::{self, Assertion, Expected, RelyingParty};
use crate::profile;
use crate::security::{self, AlertKind, NewAlert};
use crate::session::{self, NewSession, OpenedWith, Viewer};
use crate::store::{Command, Outcome, StreamKind};

/// Starts a sign-in of a signed-out device by whatever passkey it has. Gives the verification and the secret that it is
/// watched and finished with.
pub async fn start_sign_in(app: &App) -> UserResult<(verification::Model, String)> {
    let Some(party) = &app.passkeys else { return Ok(Err(vec![passkey::unsupported(&[])])) };
    let client_secret = new_secret(&app.ids);
    let id = app.ids.uuid(app.clock.now());
    let new = NewProof { id, stream: id, of: Of::Device(&client_secret) };
    let started = app
        .store
        .create(id, StreamKind::Verification, async |command: &mut Command| {
            insert((app, party), command, new).await
        })
        .await?;
    Ok(started.map(|row| (row, client_secret)))
}

/// Starts to prove the person of the viewer's session again, by one of the account's ways to sign in.
pub async fn start_step_up(
    app: &App,
    viewer: Viewer,
    method: Option<Uuid>,
    redirect_uri: Option<&str>,
) -> UserResult<verification::Model> {
    if !passkey::is_of(app, viewer.account, method).await? {
        return own_profile::start_step_up(app, viewer, method, redirect_uri).await;
    }
    let Some(party) = &app.passkeys else { return Ok(Err(vec![passkey::unsupported(&["methodId"])])) };
    app.store
        .command(viewer.account, async |command: &mut Command| {
            session::check(command, viewer).await?;
            let Some(passkey) = passkey::find_own(command, method).await? else {
                return Ok(Outcome::reject(passkey::not_found("methodId")));
            };
            let id = command.new_id();
            let new = NewProof { id, stream: viewer.account, of: Of::Session(viewer, &passkey) };
            insert((app, party), command, new).await
        })
        .await
}

/// A proof about to be started.
struct NewProof<'a> {
    id: Uuid,
    stream: Uuid,
    of: Of<'a>,
}

/// Who has to prove what.
#[derive(Clone, Copy)]
enum Of<'a> {
    /// A signed-out device with this secret: any passkey.
    Device(&'a str),
    Session(Viewer, &'a passkey_row::Model),
}

async fn insert(
    (app, party): (&App, &RelyingParty),
    command: &mut Command,
    NewProof { id, stream, of }: NewProof<'_>,
) -> Result<Outcome<verification::Model>, Error> {
    let (secret, viewer, passkey) = match of {
        Of::Device(secret) => (Some(secret), None, None),
        Of::Session(viewer, passkey) => (None, Some(viewer), Some(passkey)),
    };
    if let Some(error) = too_many_pending(app, command, viewer).await? {
        return Ok(Outcome::reject(error));
    }
    let challenge = passkey::begin(party, passkey)?;
    let row = verification::ActiveModel {
        id: Set(id),
        stream_id: Set(stream),
        purpose: Set(if viewer.is_some() { Purpose::StepUp } else { Purpose::SignIn }),
        method: Set(Method::Passkey),
        platform: Set(String::new()),
        account_id: Set(viewer.map(|viewer| viewer.account)),
        session_id: Set(viewer.map(|viewer| viewer.session)),
        client_secret_hash: Set(secret.map(|secret| app.keys.hash(CLIENT_SECRET, secret.as_bytes()).to_vec())),
        status: Set(Status::Pending),
        failure: Set(None),
        profile_id: Set(None),
        destination: Set(String::new()),
        sealed_handle: Set(None),
        external_id: Set(None),
        sealed_claim: Set(None),
        code_number: Set(0),
        code_hash: Set(None),
        attempts_left: Set(1),
        resend_available_at: Set(None),
        authorization_endpoint: Set(None),
        redirect_uri: Set(None),
        redeemed_at: Set(None),
        sealed_challenge: Set(Some(app.keys.seal(&app.ids, id, &challenge).map_err(Error::internal)?)),
        passkey_id: Set(passkey.map(|passkey| passkey.id)),
        created_at: Set(command.now()),
        expires_at: Set(command.now() + TimeDelta::minutes(app.config.verification.code_minutes.into())),
    };
    let row = row.insert(command.tx()).await?;
    command.enqueue_at(&EraseExpired { verification: id }, row.expires_at)?;
    Ok(Outcome::Commit(row))
}

/// What a browser is asked with, PublicKeyCredentialRequestOptions as JSON; `None` once the verification has ended.
pub fn request_options(app: &App, row: &verification::Model) -> Result<Option<String>, Error> {
    let Some(challenge) = challenge_of(app, row)? else { return Ok(None) };
    passkey::options(&challenge).map(Some)
}

fn challenge_of(app: &App, row: &verification::Model) -> Result<Option<Vec<u8>>, Error> {
    let sealed = row.sealed_challenge.as_deref();
    sealed.map(|sealed| app.keys.open(row.id, sealed)).transpose().map_err(Error::internal)
}

/// Checks what a passkey has signed, and does what the verification was started for.
pub(super) async fn submit(
    app: &App,
    caller: Caller<'_>,
    (client, row): (&Client, &verification::Model),
    assertion: &str,
) -> UserResult<Proven> {
    if row.method != Method::Passkey {
        return Ok(Err(vec![proof::of_another_way()]));
    }
    let assertion = match Assertion::parse(assertion) {
        Ok(assertion) => assertion,
        Err(error) => return Ok(Err(vec![error])),
    };
    let proven = match (row.purpose, caller.viewer) {
        (Purpose::SignIn, _) => sign_in(app, client, row.id, &assertion).await,
        (Purpose::StepUp, Some(viewer)) => step_up(app, viewer, row, &assertion).await,
        _ => Ok(Err(vec![not_found()])),
    };
    app.verifications.wake();
    proven
}

/// First on the verification's own stream, so that strangers never hold anybody's account; then on that of the account
/// whose passkey it is.
async fn sign_in(app: &App, client: &Client, id: Uuid, assertion: &Assertion) -> UserResult<Proven> {
    let looked = app
        .store
        .command(id, async |command: &mut Command| {
            let checked = check((app, command), id, assertion, Expected::Anyone).await?;
            Ok(checked.map(|(_, proved)| proved.row.account_id))
        })
        .await?;
    let account = match looked {
        Ok(account) => account,
        Err(errors) => return Ok(Err(errors)),
    };
    app.store
        .command(account, async |command: &mut Command| {
            // A credential never goes from one account to another.
            let (row, proved) = match check((app, command), id, assertion, Expected::Anyone).await? {
                Outcome::Commit(good) => good,
                Outcome::CommitAndReject(errors) => return Ok(Outcome::CommitAndReject(errors)),
            };
            if account::is_locked(command.tx(), account).await? {
                let code = AccountsErrorCode::SignInDisabled;
                proof::close(command, row, End::Failed(code)).await?;
                let error = UserError::new(code, "This passkey may not sign in.", &["verificationId"]);
                return Ok(Outcome::reject(error));
            }
            let opened_with = OpenedWith::Passkey(proved.row.id);
            passkey::note_use(command, proved).await?;
            let new = NewSession {
                account,
                opened_with,
                device: client.device.as_deref().map(str::to_owned),
                ip_address: client.ip_address.map(|address| address.to_string()),
            };
            let opened = session::open(app, command, new).await?;
            proof::close(command, row, End::ByPasskey).await?;
            let session = Some(opened.session.id);
            let alert = NewAlert { account, kind: AlertKind::NewSignIn, profile: None, session };
            security::raise(command, alert).await?;
            profile::tell_of_sign_in(app, command, account, None).await?;
            let version = command.version(account);
            Ok(Outcome::Commit(Proven::SignedIn { account, version, created: false, opened }))
        })
        .await
}

async fn step_up(
    app: &App,
    viewer: Viewer,
    row: &verification::Model,
    assertion: &Assertion,
) -> UserResult<Proven> {
    app.store
        .command(viewer.account, async |command: &mut Command| {
            let session: session_row::Model = session::check(command, viewer).await?;
            if row.session_id != Some(viewer.session) {
                return linking::close_foreign(command, row.id).await;
            }
            let passkey = row.passkey_id.unwrap_or_default();
            let expected = Expected::Own { account: viewer.account, passkey };
            let (row, proved) = match check((app, command), row.id, assertion, expected).await? {
                Outcome::Commit(good) => good,
                Outcome::CommitAndReject(errors) => return Ok(Outcome::CommitAndReject(errors)),
            };
            passkey::note_use(command, proved).await?;
            let session = session::step_up(command, session).await?;
            proof::close(command, row, End::ByPasskey).await?;
            let (account, version) = (viewer.account, command.version(viewer.account));
            Ok(Outcome::Commit(Proven::SteppedUp { account, version, session }))
        })
        .await
}

/// The verification, locked, and the passkey that has met its challenge. One that has not ends it.
async fn check(
    (app, command): (&App, &Command),
    id: Uuid,
    assertion: &Assertion,
    expected: Expected,
) -> Result<Outcome<(verification::Model, passkey::Proved)>, Error> {
    let row = lock(command, id).await?;
    if let Some(error) = proof::refusal(&row, command) {
        return Ok(Outcome::reject(error));
    }
    let challenge = challenge_of(app, &row)?.unwrap_or_default();
    match passkey::check((app, command), &challenge, assertion, expected).await? {
        Some(proved) => Ok(Outcome::Commit((row, proved))),
        None => {
            let error: UserError = proof::failed("This passkey has not proved anything; start anew.");
            proof::close(command, row, End::Failed(error.code)).await?;
            Ok(Outcome::reject(error))
        }
    }
}
