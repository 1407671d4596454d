//! Verifications in the graph: starting, finishing and looking at proofs.

use std::sync::Arc;

use accounts_center_entity::verification::{self, Method, Purpose, Status};
use async_graphql::{Context, Description, Enum, ID, InputObject, Object, OneofObject, SimpleObject, Union};

use super::{Caller, Client, OAuthResponse, ProofStart, Proven, Submitted};
use crate::account::graphql::Account;
use crate::app::App;
use crate::error::{AccountsErrorCode, Code, Error, UserError};
use crate::graph::consistency::graph_at;
use crate::graph::context::{address, app, limited, require_viewer, viewer};
use crate::graph::scalars::{DateTime, Secret, Url};
use crate::ids::{NodeId, NodeKind};
use crate::keys::CODE_LENGTH;
use crate::limits::Limit;
use crate::platform::PlatformKey;
use crate::platform::graphql::Platform;
use crate::profile::graphql::LinkedProfile;
use crate::session::Viewer;
use crate::session::graphql::{AccountSession, SessionTokens};

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

/// The proof itself: exactly one.
#[derive(OneofObject)]
pub enum ProofInput {
    /// The code that the platform delivered.
    OneTimeCode(Secret),
    /// What the platform's redirect brought back.
    OauthResponse(OAuthResponseInput),
    /// AuthenticationResponseJSON, WebAuthn Level 3.
    PasskeyAssertion(Secret),
}

impl ProofInput {
    fn submitted(&self) -> Submitted<'_> {
        match self {
            Self::OneTimeCode(code) => Submitted::Code(code.expose()),
            Self::PasskeyAssertion(assertion) => Submitted::Passkey(assertion.expose()),
            Self::OauthResponse(response) => Submitted::OAuth(OAuthResponse {
                state: response.state.expose(),
                code: response.code.as_ref().map(Secret::expose),
                error: response.error.as_deref(),
                iss: response.iss.as_deref(),
            }),
        }
    }
}

/// What the platform's redirect brought back, also when the person said no.
#[derive(InputObject)]
pub struct OAuthResponseInput {
    /// Its `state`.
    pub state: Secret,
    /// Its `code`; absent where there is an error.
    pub code: Option<Secret>,
    /// Its `error`, such as `access_denied`.
    pub error: Option<String>,
    /// Its `iss`, where it has one.
    pub iss: Option<String>,
}

/// What a proof brought about.
#[derive(Union)]
pub enum VerificationOutcome {
    ProfileLinked(ProfileLinked),
    ProfileReverified(ProfileReverified),
    SignedIn(SignedIn),
    SteppedUp(SteppedUp),
}

/// A profile is linked to the signed-in account.
#[derive(SimpleObject)]
pub struct ProfileLinked {
    /// The profile that was proved.
    profile: LinkedProfile,
}

/// A linked profile is proved again.
#[derive(SimpleObject)]
pub struct ProfileReverified {
    /// The profile that was proved.
    profile: LinkedProfile,
}

/// A device is signed in.
#[derive(SimpleObject)]
pub struct SignedIn {
    /// The account that it is signed in to.
    account: Account,
    /// True where this proof made the account.
    account_created: bool,
    /// The session of the device.
    session: AccountSession,
    /// What the device shows from now on.
    tokens: SessionTokens,
}

/// The person of a session is proved again.
#[derive(SimpleObject)]
pub struct SteppedUp {
    /// The session, which needs no step-up until `freshUntil`.
    session: AccountSession,
    /// Replaces the access token; the refresh token stays as it is.
    tokens: SessionTokens,
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

/// A proof for a verification.
#[derive(InputObject)]
pub struct SubmitVerificationInput {
    /// The verification that it is for.
    verification_id: ID,
    /// For a signed-out device: the secret that its start gave.
    client_secret: Option<Secret>,
    /// The proof.
    proof: ProofInput,
}

/// What the proof brought about.
#[derive(SimpleObject, Default)]
pub struct SubmitVerificationPayload {
    /// Given whenever it exists, also beside errors.
    verification: Option<Verification>,
    /// Null where there are errors.
    outcome: Option<VerificationOutcome>,
    /// The account as it is now; null where there are errors.
    account: Option<Account>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// Which code to send again.
#[derive(InputObject)]
pub struct ResendVerificationCodeInput {
    /// The verification that it is for.
    verification_id: ID,
    /// For a signed-out device: the secret that its start gave.
    client_secret: Option<Secret>,
}

/// The verification, which waits for the new code.
#[derive(SimpleObject, Default)]
pub struct ResendVerificationCodePayload {
    /// Null where there are errors.
    verification: Option<Verification>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// Which verification to call off.
#[derive(InputObject)]
pub struct CancelVerificationInput {
    /// The verification that it is for.
    verification_id: ID,
    /// For a signed-out device: the secret that its start gave.
    client_secret: Option<Secret>,
}

/// The verification, which proves nothing any more.
#[derive(SimpleObject, Default)]
pub struct CancelVerificationPayload {
    /// Given whenever it exists, also beside errors.
    verification: Option<Verification>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
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

#[derive(Default)]
pub struct VerificationMutation;

#[Object]
impl VerificationMutation {
    /// Step-up, but for the first hour of a new account. UNKNOWN_PLATFORM, UNSUPPORTED_BY_PLATFORM,
    /// REDIRECT_URI_NOT_REGISTERED, PLATFORM_UNAVAILABLE, LIMIT_REACHED.
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
    /// stored profile. NOT_FOUND, PROFILE_NOT_ACTIVE, UNSUPPORTED_BY_PLATFORM, PLATFORM_UNAVAILABLE.
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
    /// this session. NOT_FOUND, PROFILE_NOT_ACTIVE, SIGN_IN_DISABLED, UNSUPPORTED_BY_PLATFORM, PLATFORM_UNAVAILABLE.
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

    /// One of these per operation. CODE_INCORRECT (still PENDING), OAUTH_DENIED, VERIFICATION_EXPIRED, VERIFICATION_FAILED,
    /// VERIFICATION_CLOSED, TOO_MANY_ATTEMPTS, PROFILE_LINKED_ELSEWHERE, LIMIT_REACHED, SIGN_IN_DISABLED,
    /// PLATFORM_UNAVAILABLE.
    async fn submit_verification(
        &self,
        ctx: &Context<'_>,
        input: SubmitVerificationInput,
    ) -> Result<SubmitVerificationPayload, Error> {
        limited(ctx, Limit::Submit)?;
        if ctx.data_opt::<OneSubmission>().is_some_and(OneSubmission::is_used) {
            let message = "An operation may submit one verification; send one operation for each.";
            return Err(Error::client(Code::BadUserInput, message));
        }
        let Some(id) = NodeId::parse_as(NodeKind::Verification, &input.verification_id) else {
            let user_errors = vec![not_found()];
            return Ok(SubmitVerificationPayload { user_errors, ..Default::default() });
        };
        let client = ctx.data_opt::<Client>().cloned().unwrap_or_default();
        let (app, viewer) = (ctx.data_unchecked::<Arc<App>>().clone(), viewer(ctx));
        // In a task of its own: a client that goes away while the platform is asked must not leave a proof that is used and
        // has done nothing.
        let task = tokio::spawn(async move {
            let client_secret = input.client_secret.as_ref().map(Secret::expose);
            let caller = Caller { viewer, client_secret };
            let submit = super::submit(&app, caller, &client, id, input.proof.submitted());
            let submitted = Box::pin(submit).await;
            (submitted, input)
        });
        let (submitted, input) = task.await.map_err(Error::internal)?;
        let (submitted, secret) = (submitted?, input.client_secret.as_ref());
        // What has happened is told, also where it can be shown no more.
        let verification = found(ctx, &input.verification_id, secret).await.unwrap_or_else(|error| {
            error.log();
            None
        });
        match submitted {
            Ok(proven) => proven_payload(ctx, verification, proven).await,
            Err(user_errors) => {
                Ok(SubmitVerificationPayload { verification, user_errors, ..Default::default() })
            }
        }
    }

    /// RESEND_TOO_EARLY, VERIFICATION_CLOSED, TOO_MANY_ATTEMPTS.
    async fn resend_verification_code(
        &self,
        ctx: &Context<'_>,
        input: ResendVerificationCodeInput,
    ) -> Result<ResendVerificationCodePayload, Error> {
        limited(ctx, Limit::Start)?;
        let Some(id) = NodeId::parse_as(NodeKind::Verification, &input.verification_id) else {
            return Ok(ResendVerificationCodePayload { verification: None, user_errors: vec![not_found()] });
        };
        let sent =
            super::resend(app(ctx), caller(ctx, input.client_secret.as_ref()), (id, address(ctx))).await?;
        Ok(match sent {
            Ok(row) => ResendVerificationCodePayload {
                verification: Some(Verification(row)),
                user_errors: Vec::new(),
            },
            Err(user_errors) => ResendVerificationCodePayload { verification: None, user_errors },
        })
    }

    /// Its code is good for nothing from then on. One that is cancelled already stays so; VERIFICATION_CLOSED and
    /// VERIFICATION_EXPIRED where it has ended otherwise.
    async fn cancel_verification(
        &self,
        ctx: &Context<'_>,
        input: CancelVerificationInput,
    ) -> Result<CancelVerificationPayload, Error> {
        let Some(id) = NodeId::parse_as(NodeKind::Verification, &input.verification_id) else {
            return Ok(CancelVerificationPayload { verification: None, user_errors: vec![not_found()] });
        };
        let secret = input.client_secret.as_ref();
        let user_errors = match super::cancel(app(ctx), caller(ctx, secret), id).await? {
            Ok(row) => {
                let verification = Some(Verification(row));
                return Ok(CancelVerificationPayload { verification, user_errors: Vec::new() });
            }
            Err(user_errors) => user_errors,
        };
        let verification = found(ctx, &input.verification_id, secret).await?;
        Ok(CancelVerificationPayload { verification, user_errors })
    }
}

/// Lets one operation submit one verification, however many aliases it has: guesses shall cost requests.
#[derive(Default)]
pub struct OneSubmission(std::sync::atomic::AtomicBool);

impl OneSubmission {
    fn is_used(&self) -> bool {
        self.0.swap(true, std::sync::atomic::Ordering::Relaxed)
    }
}

fn caller<'a>(ctx: &Context<'_>, client_secret: Option<&'a Secret>) -> Caller<'a> {
    Caller { viewer: viewer(ctx), client_secret: client_secret.map(Secret::expose) }
}

async fn found(
    ctx: &Context<'_>,
    id: &ID,
    client_secret: Option<&Secret>,
) -> Result<Option<Verification>, Error> {
    let Some(id) = NodeId::parse_as(NodeKind::Verification, id) else { return Ok(None) };
    let row = super::find(app(ctx), caller(ctx, client_secret), id).await?;
    Ok(row.map(Verification))
}

fn not_found() -> UserError {
    let message = "There is no such verification that this caller started.";
    UserError::new(AccountsErrorCode::NotFound, message, &["verificationId"])
}

async fn proven_payload(
    ctx: &Context<'_>,
    verification: Option<Verification>,
    proven: Proven,
) -> Result<SubmitVerificationPayload, Error> {
    let app = app(ctx);
    let (Proven::Linked { account, version, .. }
    | Proven::Reverified { account, version, .. }
    | Proven::SignedIn { account, version, .. }
    | Proven::SteppedUp { account, version, .. }) = proven;
    let gone = || Error::internal(anyhow::anyhow!("an account is gone right after its proof"));
    let graph = graph_at(ctx, account, version).await?.ok_or_else(gone)?;
    let outcome = match proven {
        Proven::Linked { profile, .. } => VerificationOutcome::ProfileLinked(ProfileLinked {
            profile: LinkedProfile::find(ctx, &graph, profile).await?.ok_or_else(gone)?,
        }),
        Proven::Reverified { profile, .. } => VerificationOutcome::ProfileReverified(ProfileReverified {
            profile: LinkedProfile::find(ctx, &graph, profile).await?.ok_or_else(gone)?,
        }),
        Proven::SteppedUp { session, .. } => {
            let access = app.tokens.sign(Viewer { account, session: session.id }, &app.ids);
            VerificationOutcome::SteppedUp(SteppedUp {
                session: AccountSession(session),
                tokens: SessionTokens::of_step_up(access.map_err(Error::internal)?),
            })
        }
        Proven::SignedIn { created, opened, .. } => {
            let viewer = Viewer { account, session: opened.session.id };
            let access = app.tokens.sign(viewer, &app.ids).map_err(Error::internal)?;
            VerificationOutcome::SignedIn(SignedIn {
                account: Account(graph.clone()),
                account_created: created,
                session: AccountSession(opened.session),
                tokens: SessionTokens::of(ctx, access, (opened.refresh_token, false)),
            })
        }
    };
    Ok(SubmitVerificationPayload {
        verification,
        outcome: Some(outcome),
        account: Some(Account(graph)),
        user_errors: Vec::new(),
    })
}
