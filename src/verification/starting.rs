//! Starting verifications in the graph.

use async_graphql::{Context, ID, InputObject, Object, OneofObject, SimpleObject};

use super::ProofStart;
use super::graphql::Verification;
use crate::error::{Error, UserError};
use crate::graph::context::{address, app, limited, require_viewer};
use crate::graph::scalars::{Secret, Url};
use crate::ids::{NodeId, NodeKind};
use crate::limits::Limit;
use crate::platform::PlatformKey;

/// How to begin a proof: exactly one, among the platform's `verificationMethods`.
#[derive(OneofObject)]
pub enum ProofStartInput {
    /// By the platform's own sign-in, in the person's browser.
    Oauth(OAuthStartInput),
    /// By a code that the platform delivers.
    OneTimeCode(OneTimeCodeStartInput),
}

impl ProofStartInput {
    fn start(&self, ctx: &Context<'_>) -> ProofStart<'_> {
        match self {
            Self::Oauth(start) => ProofStart::OAuth { redirect_uri: start.redirect_uri.as_given() },
            Self::OneTimeCode(start) => {
                ProofStart::OneTimeCode { handle: &start.handle, address: address(ctx) }
            }
        }
    }
}

/// The way back from the platform.
#[derive(InputObject)]
pub struct OAuthStartInput {
    /// Where the platform sends the browser back to; exactly one of the operator's registered URLs.
    pub redirect_uri: Url,
}

/// Where a code shall go.
#[derive(InputObject)]
pub struct OneTimeCodeStartInput {
    /// The phone number (E.164) or handle that the code goes to.
    pub handle: String,
}

/// What to link.
#[derive(InputObject)]
pub struct StartProfileLinkInput {
    /// Where the profile is.
    platform: PlatformKey,
    /// How its owner will prove it.
    proof: ProofStartInput,
    /// New for each request; the same one again gives the same verification.
    idempotency_key: String,
}

/// The verification that links the profile once it succeeds.
#[derive(SimpleObject, Default)]
pub struct StartProfileLinkPayload {
    /// Null where there are errors.
    verification: Option<Verification>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// Which profile to prove again.
#[derive(InputObject)]
pub struct StartProfileReverificationInput {
    /// Its global id.
    profile_id: ID,
    /// Where the platform sends the browser back to, if it proves by OAUTH: exactly one of the operator's registered URLs.
    redirect_uri: Option<Url>,
}

/// The verification that proves the profile once it succeeds.
#[derive(SimpleObject, Default)]
pub struct StartProfileReverificationPayload {
    /// Null where there are errors.
    verification: Option<Verification>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// By what to step up.
#[derive(InputObject)]
pub struct StartStepUpInput {
    /// The id of a way to sign in.
    method_id: ID,
    /// Where the platform sends the browser back to, if it proves by OAUTH: exactly one of the operator's registered URLs.
    redirect_uri: Option<Url>,
}

/// The verification that steps the session up once it succeeds.
#[derive(SimpleObject, Default)]
pub struct StartStepUpPayload {
    /// Null where there are errors.
    verification: Option<Verification>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// With what to sign in.
#[derive(InputObject)]
pub struct StartSignInInput {
    /// Where the profile is.
    platform: PlatformKey,
    /// How its owner will prove it.
    proof: ProofStartInput,
}

/// The verification that signs in once it succeeds.
#[derive(SimpleObject, Default)]
pub struct StartSignInPayload {
    /// Null where there are errors.
    verification: Option<Verification>,
    /// Given once.
    client_secret: Option<Secret>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// How to sign in by a passkey: the device finds one by itself.
#[derive(InputObject)]
pub struct StartPasskeySignInInput {
    /// For caches of the client; not used here.
    client_mutation_id: Option<String>,
}

/// The verification that signs in once a passkey has signed its challenge.
#[derive(SimpleObject, Default)]
pub struct StartPasskeySignInPayload {
    /// Null where there are errors.
    verification: Option<Verification>,
    /// Given once.
    client_secret: Option<Secret>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct StartMutation;

#[Object]
impl StartMutation {
    /// Step-up, but for the first hour of a new account. UNKNOWN_PLATFORM, UNSUPPORTED_BY_PLATFORM,
    /// REDIRECT_URI_NOT_REGISTERED, PLATFORM_UNAVAILABLE, LIMIT_REACHED, TOO_MANY_ATTEMPTS.
    async fn start_profile_link(
        &self,
        ctx: &Context<'_>,
        input: StartProfileLinkInput,
    ) -> Result<StartProfileLinkPayload, Error> {
        limited(ctx, Limit::Start)?;
        let viewer = require_viewer(ctx)?;
        let (proof, key) = (input.proof.start(ctx), &input.idempotency_key);
        let started = super::start_link(app(ctx), viewer, input.platform.as_str(), proof, key).await?;
        Ok(match started {
            Ok(row) => {
                StartProfileLinkPayload { verification: Some(Verification(row)), ..Default::default() }
            }
            Err(user_errors) => StartProfileLinkPayload { user_errors, ..Default::default() },
        })
    }

    /// For ATTENTION_REQUIRED and CONTAINED profiles, and for ACTIVE ones whose owner wants to be sure. The proof goes to the
    /// stored profile. NOT_FOUND, PROFILE_NOT_ACTIVE, REDIRECT_URI_NOT_REGISTERED, PLATFORM_UNAVAILABLE, LIMIT_REACHED,
    /// TOO_MANY_ATTEMPTS.
    async fn start_profile_reverification(
        &self,
        ctx: &Context<'_>,
        input: StartProfileReverificationInput,
    ) -> Result<StartProfileReverificationPayload, Error> {
        limited(ctx, Limit::Start)?;
        let viewer = require_viewer(ctx)?;
        let profile = NodeId::parse_as(NodeKind::LinkedProfile, &input.profile_id);
        let redirect_uri = input.redirect_uri.as_ref().map(Url::as_given);
        Ok(match super::start_reverification(app(ctx), viewer, profile, redirect_uri).await? {
            Ok(row) => StartProfileReverificationPayload {
                verification: Some(Verification(row)),
                user_errors: Vec::new(),
            },
            Err(user_errors) => StartProfileReverificationPayload { user_errors, ..Default::default() },
        })
    }

    /// With one of `stepUpOptions`: a profile that signs in, to which the proof goes as it is stored, or a passkey. It counts for
    /// this session. NOT_FOUND, PROFILE_NOT_ACTIVE, SIGN_IN_DISABLED, UNSUPPORTED_BY_PLATFORM, REDIRECT_URI_NOT_REGISTERED,
    /// PLATFORM_UNAVAILABLE, LIMIT_REACHED, TOO_MANY_ATTEMPTS.
    async fn start_step_up(
        &self,
        ctx: &Context<'_>,
        input: StartStepUpInput,
    ) -> Result<StartStepUpPayload, Error> {
        limited(ctx, Limit::Start)?;
        let viewer = require_viewer(ctx)?;
        let method = NodeId::parse_as(NodeKind::SignInMethod, &input.method_id);
        let redirect_uri = input.redirect_uri.as_ref().map(Url::as_given);
        Ok(match super::start_step_up(app(ctx), viewer, method, redirect_uri).await? {
            Ok(row) => StartStepUpPayload { verification: Some(Verification(row)), user_errors: Vec::new() },
            Err(user_errors) => StartStepUpPayload { user_errors, ..Default::default() },
        })
    }

    /// The answer is the same for a known and an unknown handle.
    async fn start_sign_in(
        &self,
        ctx: &Context<'_>,
        input: StartSignInInput,
    ) -> Result<StartSignInPayload, Error> {
        limited(ctx, Limit::Start)?;
        let started = super::start_sign_in(app(ctx), input.platform.as_str(), input.proof.start(ctx)).await?;
        Ok(match started {
            Ok((row, client_secret)) => StartSignInPayload {
                verification: Some(Verification(row)),
                client_secret: Some(Secret::new(client_secret)),
                user_errors: Vec::new(),
            },
            Err(user_errors) => StartSignInPayload { user_errors, ..Default::default() },
        })
    }

    /// For a signed-out device, by whatever passkey it has: no handle is needed. UNSUPPORTED_BY_PLATFORM where the operator has set
    /// up no passkeys.
    async fn start_passkey_sign_in(
        &self,
        ctx: &Context<'_>,
        input: StartPasskeySignInInput,
    ) -> Result<StartPasskeySignInPayload, Error> {
        limited(ctx, Limit::Start)?;
        let StartPasskeySignInInput { client_mutation_id: _ } = input;
        Ok(match super::start_passkey_sign_in(app(ctx)).await? {
            Ok((row, client_secret)) => StartPasskeySignInPayload {
                verification: Some(Verification(row)),
                client_secret: Some(Secret::new(client_secret)),
                user_errors: Vec::new(),
            },
            Err(user_errors) => StartPasskeySignInPayload { user_errors, ..Default::default() },
        })
    }
}
