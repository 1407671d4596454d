//! Registering a passkey: what an authenticator is asked for, and what it has made.

use accounts_center_entity::{passkey, passkey_registration as registration};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, EntityTrait, ExprTrait, ModelTrait,
    QueryFilter, SqlErr,
};
use uuid::Uuid;
use webauthn_rs::prelude::{PasskeyRegistration, RegisterPublicKeyCredential};

use super::event::{PasskeyChange, PasskeyChanged};
use super::service::{MAX_PASSKEYS, checked_name, of_account, unsupported};
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::security::{self, AlertKind, NewAlert};
use crate::session::{self, Viewer};
use crate::store::{Command, Outcome, Store};

/// How long an authenticator gets.
const LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// What WebAuthn (Level 3, 7.1) has credential ids bounded by.
const MAX_CREDENTIAL_ID: usize = 1023;

/// A registration that has begun.
pub struct Begun {
    pub registration: Uuid,
    /// PublicKeyCredentialCreationOptions as JSON.
    pub options: String,
}

/// A passkey that was registered, and the account's version.
pub struct Registered {
    pub passkey: passkey::Model,
    pub version: i64,
}

/// Begins to register a passkey for the viewer; what this session has begun before is forgotten.
pub async fn start(app: &App, viewer: Viewer, name: &str) -> UserResult<Begun> {
    let Some(party) = &app.passkeys else { return Ok(Err(vec![unsupported(&[])])) };
    let name = match checked_name(name) {
        Ok(name) => name,
        Err(error) => return Ok(Err(vec![error])),
    };
    let person = app.graphs.get(viewer.account, 0).await?;
    let person = person.map_or_else(String::new, |graph| graph.account.display_name.clone());
    // What the device shows beside the passkey.
    let person = if person.is_empty() { "Account" } else { &person };
    app.store
        .command(viewer.account, async |command: &mut Command| {
            let session = session::check(command, viewer).await?;
            session::check_recent(command, &session, &app.config.sessions)?;
            let existing = of_account(command).await?;
            if existing.len() >= MAX_PASSKEYS {
                return Ok(Outcome::reject(too_many()));
            }
            let existing = existing.into_iter().map(|passkey| passkey.credential_id).collect();
            let (options, state) =
                party.begin_registration(viewer.account, person, existing).map_err(Error::internal)?;
            forget(command, viewer).await?;
            let id = command.new_id();
            let state = serde_json::to_vec(&state).map_err(Error::internal)?;
            let row = registration::ActiveModel {
                id: Set(id),
                account_id: Set(viewer.account),
                session_id: Set(viewer.session),
                name: Set(name.to_owned()),
                sealed_challenge: Set(app.keys.seal(&app.ids, id, &state).map_err(Error::internal)?),
                expires_at: Set(command.now() + LIFETIME),
            };
            row.insert(command.tx()).await?;
            let options = serde_json::to_string(&options).map_err(Error::internal)?;
            Ok(Outcome::Commit(Begun { registration: id, options }))
        })
        .await
}

/// Forgets what the viewer's session has begun, and what nobody of the account can finish any more.
async fn forget(command: &Command, viewer: Viewer) -> Result<(), Error> {
    use registration::Column;
    let over =
        Condition::any().add(Column::SessionId.eq(viewer.session)).add(Column::ExpiresAt.lte(command.now()));
    registration::Entity::delete_many()
        .filter(Column::AccountId.eq(viewer.account))
        .filter(over)
        .exec(command.tx())
        .await?;
    Ok(())
}

/// Takes the passkey that an authenticator has made for a registration of the viewer, which is used up by that, whatever
/// came.
pub async fn finish(
    app: &App,
    viewer: Viewer,
    registration: Option<Uuid>,
    attestation: &str,
) -> UserResult<Registered> {
    if app.passkeys.is_none() {
        return Ok(Err(vec![unsupported(&["registrationId"])]));
    }
    let Ok(made) = serde_json::from_str::<RegisterPublicKeyCredential>(attestation) else {
        let message = "This is no RegistrationResponseJSON: send what `toJSON()` of the credential gives.";
        let error = UserError::new(AccountsErrorCode::Invalid, message, &["attestation"]);
        return Ok(Err(vec![error]));
    };
    // Two accounts that register one credential at the same moment: the one that comes second is told by the index, and
    // its next try finds the credential.
    let settle = || {
        let by = (viewer, registration);
        let made = &made;
        app.store
            .command(viewer.account, async move |command: &mut Command| take(app, command, by, made).await)
    };
    match settle().await {
        Err(Error::Conflict) => settle().await,
        done => done,
    }
}

async fn take(
    app: &App,
    command: &mut Command,
    (viewer, registration): (Viewer, Option<Uuid>),
    made: &RegisterPublicKeyCredential,
) -> Result<Outcome<Registered>, Error> {
    session::check(command, viewer).await?;
    let Some(begun) = own(command, viewer, registration).await? else {
        let message = "This session has begun no such registration, or it is used up; start a new one.";
        return Ok(Outcome::reject(UserError::new(
            AccountsErrorCode::NotFound,
            message,
            &["registrationId"],
        )));
    };
    let (id, name, expires_at) = (begun.id, begun.name.clone(), begun.expires_at);
    let state = app.keys.open(id, &begun.sealed_challenge).map_err(Error::internal)?;
    let state: PasskeyRegistration = serde_json::from_slice(&state).map_err(Error::internal)?;
    begun.delete(command.tx()).await?;
    if expires_at <= command.now() {
        let message = "The time for this passkey has run out; start a new registration.";
        let code = AccountsErrorCode::VerificationExpired;
        return Ok(Outcome::reject(UserError::new(code, message, &["registrationId"])));
    }
    if of_account(command).await?.len() >= MAX_PASSKEYS {
        return Ok(Outcome::reject(too_many()));
    }
    let party = app.passkeys.as_ref();
    let made = party.and_then(|party| {
        let made = party.finish_registration(made, &state);
        made.inspect_err(|error| tracing::debug!(%error, "a passkey was not taken")).ok()
    });
    let made = made.filter(|made| made.cred_id().len() <= MAX_CREDENTIAL_ID);
    let Some(made) = made else { return Ok(Outcome::reject(refused())) };
    if is_known(command, made.cred_id()).await? {
        return Ok(Outcome::reject(refused()));
    }
    let row = passkey::ActiveModel {
        id: Set(command.new_id()),
        account_id: Set(viewer.account),
        name: Set(name),
        credential_id: Set(made.cred_id().clone()),
        credential: Set(serde_json::to_string(&made).map_err(Error::internal)?),
        created_at: Set(command.now()),
        last_used_at: Set(None),
    };
    let passkey = row.insert(command.tx()).await.map_err(|error| match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => Error::Conflict,
        _ => error.into(),
    })?;
    let added = PasskeyChanged { passkey: passkey.id, change: PasskeyChange::Added };
    command.emit(viewer.account, &added)?;
    let (account, session) = (viewer.account, Some(viewer.session));
    let alert = NewAlert { account, kind: AlertKind::PasskeyAdded, profile: None, session };
    security::raise(command, alert).await?;
    Ok(Outcome::Commit(Registered { passkey, version: command.version(viewer.account) }))
}

/// The registration of this id that the viewer's session has begun: step-up is what lets one begin, so only the session
/// that was stepped up may finish.
async fn own(
    command: &Command,
    viewer: Viewer,
    id: Option<Uuid>,
) -> Result<Option<registration::Model>, Error> {
    use registration::Column;
    let Some(id) = id else { return Ok(None) };
    let row = registration::Entity::find_by_id(id)
        .filter(Column::AccountId.eq(viewer.account))
        .filter(Column::SessionId.eq(viewer.session));
    Ok(row.one(command.tx()).await?)
}

/// Whether any account has this credential.
async fn is_known(command: &Command, credential: &[u8]) -> Result<bool, Error> {
    let known = passkey::Entity::find().filter(passkey::Column::CredentialId.eq(credential));
    Ok(known.one(command.tx()).await?.is_some())
}

fn too_many() -> UserError {
    let message = format!("An account has at most {MAX_PASSKEYS} passkeys; delete one first.");
    UserError::new(AccountsErrorCode::LimitReached, message, &[])
}

/// The same for what is not well made, and for what another account has.
fn refused() -> UserError {
    let message = "This passkey cannot be taken; start a new registration.";
    UserError::new(AccountsErrorCode::VerificationFailed, message, &["attestation"])
}

/// Purges some registrations whose time has run out. Gives how many it were.
pub async fn purge_registrations(store: &Store, now: DateTime<Utc>) -> Result<u64, Error> {
    use registration::{Column, Entity};
    store.purge_rows::<Entity>(Column::ExpiresAt, Expr::col(Column::ExpiresAt).lt(now)).await
}
