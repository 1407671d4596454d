//! Verifications in the graph.

use accounts_center_entity::verification::{self, Method, Purpose, Status};
use async_graphql::{Context, Description, Enum, ID, Object, SimpleObject, Union};

use super::Caller;
use crate::error::{AccountsErrorCode, Error};
use crate::graph::context::{app, viewer};
use crate::graph::scalars::{DateTime, Secret, Url};
use crate::ids::{NodeId, NodeKind};
use crate::keys::CODE_LENGTH;
use crate::platform::graphql::Platform;
use crate::profile::graphql::LinkedProfile;

/// One proof of control; linking, signing in and step-up rest on it.
#[derive(Description)]
pub struct Verification(pub verification::Model);

#[Object(use_type_description)]
impl Verification {
    /// The global id.
    pub async fn id(&self) -> ID {
        NodeId::new(NodeKind::Verification, self.0.id).into()
    }

    /// What it proves control for.
    async fn purpose(&self) -> VerificationPurpose {
        self.0.purpose.into()
    }

    /// How.
    async fn method(&self) -> VerificationMethod {
        self.0.method.into()
    }

    /// Null for a passkey.
    async fn platform(&self, ctx: &Context<'_>) -> Option<Result<Platform, Error>> {
        (self.0.method != Method::Passkey).then(|| Platform::stored(app(ctx), &self.0.platform))
    }

    /// The profile that was proved, or is proved again; null while it is not known who it is.
    async fn profile(&self, ctx: &Context<'_>) -> Option<Result<LinkedProfile, Error>> {
        let (profile, viewer) = (self.0.profile_id?, viewer(ctx)?);
        LinkedProfile::of_account(ctx, viewer.account, 0, profile).await.transpose()
    }

    /// How far it is.
    async fn status(&self, ctx: &Context<'_>) -> VerificationStatus {
        self.status_at(app(ctx).clock.now())
    }

    /// Null unless PENDING.
    async fn challenge(&self, ctx: &Context<'_>) -> Option<Result<Challenge, Error>> {
        if self.status_at(app(ctx).clock.now()) != VerificationStatus::Pending {
            return None;
        }
        if self.0.method == Method::Oauth {
            let (url, state) = super::authorization(app(ctx), &self.0)?;
            let authorization_url = Url::parse(&url)?;
            return Some(Ok(Challenge::OAuth(OAuthChallenge { authorization_url, state })));
        }
        if self.0.method == Method::Passkey {
            let options = super::request_options(app(ctx), &self.0).transpose()?;
            let challenge = |request_options| Challenge::Passkey(PasskeyChallenge { request_options });
            return Some(options.map(challenge));
        }
        Some(Ok(Challenge::OneTimeCode(OneTimeCodeChallenge {
            destination: self.0.destination.clone(),
            code_length: i32::try_from(CODE_LENGTH).unwrap_or(i32::MAX),
            attempts_left: self.0.attempts_left,
            resend_available_at: self.0.resend_available_at.map(DateTime::from),
        })))
    }

    /// Why it failed.
    async fn failure(&self) -> Option<AccountsErrorCode> {
        self.0.failure.as_deref().and_then(AccountsErrorCode::of_name)
    }

    /// When it was started.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Until when it can be finished.
    async fn expires_at(&self) -> DateTime {
        self.0.expires_at.into()
    }
}

impl Verification {
    fn status_at(&self, now: chrono::DateTime<chrono::Utc>) -> VerificationStatus {
        match self.0.status {
            Status::Pending if self.0.expires_at <= now => VerificationStatus::Expired,
            Status::Pending => VerificationStatus::Pending,
            Status::Succeeded => VerificationStatus::Succeeded,
            Status::Failed => VerificationStatus::Failed,
            Status::Cancelled => VerificationStatus::Cancelled,
        }
    }
}

/// What a proof is for; it proves nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "Purpose")]
pub enum VerificationPurpose {
    /// To link a profile to the signed-in account.
    Link,
    /// To prove a linked profile again.
    Reverify,
    /// To sign in to the account of a profile, or to make one.
    SignIn,
    /// To prove the person of a session again, for what needs a recent proof.
    StepUp,
}

/// How control is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "Method")]
pub enum VerificationMethod {
    /// OAuth 2.0 authorization code with PKCE at the platform.
    Oauth,
    /// A six-digit code that the platform delivers to the profile.
    OneTimeCode,
    /// A WebAuthn credential of the account; has no platform.
    Passkey,
}

/// How far a proof is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum VerificationStatus {
    /// It waits for the person.
    Pending,
    /// It proved what it was for.
    Succeeded,
    /// It did not; `failure` says why.
    Failed,
    /// Its time ran out.
    Expired,
    /// Whoever started it has called it off.
    Cancelled,
}

/// What the person has to do.
#[derive(Union)]
pub enum Challenge {
    OAuth(OAuthChallenge),
    OneTimeCode(OneTimeCodeChallenge),
    Passkey(PasskeyChallenge),
}

/// Allow it at the platform.
#[derive(SimpleObject)]
pub struct OAuthChallenge {
    /// Where to send the person's browser. It bears the state and the PKCE challenge.
    authorization_url: Url,
    /// To match a redirect to its verification.
    state: String,
}

/// Type the code that the platform delivered.
#[derive(SimpleObject)]
pub struct OneTimeCodeChallenge {
    /// Where the code went, masked.
    destination: String,
    /// Digits of the code.
    code_length: i32,
    /// Wrong codes that are still allowed.
    attempts_left: i32,
    /// Null when no further code is sent.
    resend_available_at: Option<DateTime>,
}

/// Let the device sign with a passkey.
#[derive(SimpleObject)]
pub struct PasskeyChallenge {
    /// PublicKeyCredentialRequestOptions as JSON, WebAuthn Level 3: for `navigator.credentials.get()`.
    request_options: String,
}
#[derive(Default)]
pub struct VerificationQuery;

#[Object]
impl VerificationQuery {
    /// A verification that this caller started; an anonymous one proves that with `clientSecret`.
    async fn verification(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
        #[graphql(desc = "For a signed-out device: the secret that its start gave.")] client_secret: Option<
            Secret,
        >,
    ) -> Option<Result<Verification, Error>> {
        found(ctx, &id, client_secret.as_ref()).await.transpose()
    }
}

pub(super) fn caller<'a>(ctx: &Context<'_>, client_secret: Option<&'a Secret>) -> Caller<'a> {
    Caller { viewer: viewer(ctx), client_secret: client_secret.map(Secret::expose) }
}

pub(super) async fn found(
    ctx: &Context<'_>,
    id: &ID,
    client_secret: Option<&Secret>,
) -> Result<Option<Verification>, Error> {
    let Some(id) = NodeId::parse_as(NodeKind::Verification, id) else { return Ok(None) };
    let row = super::find(app(ctx), caller(ctx, client_secret), id).await?;
    Ok(row.map(Verification))
}
