//! Passkeys in the graph.

use std::sync::Arc;

use accounts_center_entity::passkey;
use async_graphql::{Context, Description, ID, InputObject, Object, SimpleObject};
use uuid::Uuid;

use super::{registration, service};
use crate::account::graphql::Account;
use crate::error::{Error, UserError};
use crate::graph::context::{app, limited, require_viewer};
use crate::graph::loaders;
use crate::graph::scalars::{DateTime, Secret};
use crate::ids::{NodeId, NodeKind};
use crate::limits::Limit;
use crate::session;

/// A WebAuthn credential that signs in to the account.
#[derive(Clone, Description)]
pub struct Passkey(Arc<passkey::Model>);

impl Passkey {
    /// The passkey of this id, if it is of `account`.
    pub async fn find(ctx: &Context<'_>, account: Uuid, id: Uuid) -> Result<Option<Self>, Error> {
        let all = loaders::passkeys(ctx, account).await?;
        Ok(all.iter().find(|row| row.id == id).cloned().map(Self))
    }

    /// Those of `account`, oldest first.
    pub async fn all(ctx: &Context<'_>, account: Uuid) -> Result<Vec<Self>, Error> {
        Ok(loaders::passkeys(ctx, account).await?.iter().cloned().map(Self).collect())
    }

    /// Its UUID.
    pub fn uuid(&self) -> Uuid {
        self.0.id
    }
}

#[Object(use_type_description)]
impl Passkey {
    /// The global id.
    pub async fn id(&self) -> ID {
        NodeId::new(NodeKind::Passkey, self.0.id).into()
    }

    /// What the person calls it.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// When it was registered.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it proved somebody last; null as long as it has not.
    async fn last_used_at(&self) -> Option<DateTime> {
        self.0.last_used_at.map(DateTime::from)
    }
}

/// Which passkey to register.
#[derive(InputObject)]
pub struct StartPasskeyRegistrationInput {
    /// What the person is going to call it: at most 80 characters.
    name: String,
}

/// The registration, which waits for the authenticator for 10 minutes.
#[derive(SimpleObject, Default)]
pub struct StartPasskeyRegistrationPayload {
    /// PublicKeyCredentialCreationOptions as JSON, WebAuthn Level 3; null where there are errors.
    creation_options: Option<String>,
    /// What `finishPasskeyRegistration` takes; null where there are errors.
    registration_id: Option<ID>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// What the authenticator has made.
#[derive(InputObject)]
pub struct FinishPasskeyRegistrationInput {
    /// The registration that it is for; it is used up by this.
    registration_id: ID,
    /// RegistrationResponseJSON.
    attestation: Secret,
}

/// The passkey, registered.
#[derive(SimpleObject, Default)]
pub struct FinishPasskeyRegistrationPayload {
    /// The new passkey; null where there are errors.
    passkey: Option<Passkey>,
    /// The account as it is now; null where there are errors.
    account: Option<Account>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// What to call a passkey.
#[derive(InputObject)]
pub struct RenamePasskeyInput {
    /// Its global id.
    passkey_id: ID,
    /// Its new name: at most 80 characters.
    name: String,
}

/// The passkey, renamed.
#[derive(SimpleObject, Default)]
pub struct RenamePasskeyPayload {
    /// The passkey as it is now; null where there are errors.
    passkey: Option<Passkey>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// Which passkey to delete.
#[derive(InputObject)]
pub struct DeletePasskeyInput {
    /// Its global id.
    passkey_id: ID,
}

/// The passkey is gone.
#[derive(SimpleObject, Default)]
pub struct DeletePasskeyPayload {
    /// Its global id; null where there are errors.
    deleted_passkey_id: Option<ID>,
    /// The account as it is now; null where there are errors.
    account: Option<Account>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct PasskeyMutation;

#[Object]
impl PasskeyMutation {
    /// Step-up. Give `creationOptions` to `navigator.credentials.create()`. A session has one registration at a time.
    /// INVALID, TOO_LONG, LIMIT_REACHED, UNSUPPORTED_BY_PLATFORM where the operator has set up no passkeys.
    async fn start_passkey_registration(
        &self,
        ctx: &Context<'_>,
        input: StartPasskeyRegistrationInput,
    ) -> Result<StartPasskeyRegistrationPayload, Error> {
        limited(ctx, Limit::Start)?;
        let viewer = require_viewer(ctx)?;
        Ok(match registration::start(app(ctx), viewer, &input.name).await? {
            Ok(begun) => StartPasskeyRegistrationPayload {
                creation_options: Some(begun.options),
                registration_id: Some(NodeId::new(NodeKind::PasskeyRegistration, begun.registration).into()),
                user_errors: Vec::new(),
            },
            Err(user_errors) => StartPasskeyRegistrationPayload { user_errors, ..Default::default() },
        })
    }

    /// In the session that began the registration. NOT_FOUND, INVALID, VERIFICATION_EXPIRED, VERIFICATION_FAILED,
    /// LIMIT_REACHED.
    async fn finish_passkey_registration(
        &self,
        ctx: &Context<'_>,
        input: FinishPasskeyRegistrationInput,
    ) -> Result<FinishPasskeyRegistrationPayload, Error> {
        limited(ctx, Limit::Submit)?;
        let viewer = require_viewer(ctx)?;
        let id = NodeId::parse_as(NodeKind::PasskeyRegistration, &input.registration_id);
        let done = registration::finish(app(ctx), viewer, id, input.attestation.expose()).await?;
        let registered = match done {
            Ok(registered) => registered,
            Err(user_errors) => {
                return Ok(FinishPasskeyRegistrationPayload { user_errors, ..Default::default() });
            }
        };
        Ok(FinishPasskeyRegistrationPayload {
            passkey: Some(Passkey(Arc::new(registered.passkey))),
            account: Some(Account::at(ctx, viewer.account, registered.version).await?),
            user_errors: Vec::new(),
        })
    }

    /// NOT_FOUND, INVALID, TOO_LONG.
    async fn rename_passkey(
        &self,
        ctx: &Context<'_>,
        input: RenamePasskeyInput,
    ) -> Result<RenamePasskeyPayload, Error> {
        let viewer = require_viewer(ctx)?;
        let id = NodeId::parse_as(NodeKind::Passkey, &input.passkey_id);
        Ok(match service::rename(app(ctx), viewer, id, &input.name).await? {
            Ok(row) => {
                RenamePasskeyPayload { passkey: Some(Passkey(Arc::new(row))), user_errors: Vec::new() }
            }
            Err(user_errors) => RenamePasskeyPayload { user_errors, ..Default::default() },
        })
    }

    /// Step-up. Ends the sessions that it has opened, that which asks included. NOT_FOUND, LAST_SIGN_IN_METHOD.
    async fn delete_passkey(
        &self,
        ctx: &Context<'_>,
        input: DeletePasskeyInput,
    ) -> Result<DeletePasskeyPayload, Error> {
        let viewer = require_viewer(ctx)?;
        let id = NodeId::parse_as(NodeKind::Passkey, &input.passkey_id);
        let deleted = match service::delete(app(ctx), viewer, id).await? {
            Ok(deleted) => deleted,
            Err(user_errors) => return Ok(DeletePasskeyPayload { user_errors, ..Default::default() }),
        };
        if deleted.ended.contains(&viewer.session) {
            session::forget_cookie(ctx);
        }
        Ok(DeletePasskeyPayload {
            deleted_passkey_id: Some(input.passkey_id),
            account: Some(Account::at(ctx, viewer.account, deleted.version).await?),
            user_errors: Vec::new(),
        })
    }
}
