//! Finishing verifications in the graph: submitting proofs, having codes sent again, and calling off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_graphql::{Context, ID, InputObject, Object, OneofObject, SimpleObject, Union};

use super::graphql::{Verification, caller, found};
use super::service::not_found;
use super::{Caller, Client, OAuthResponse, Proven, Submitted};
use crate::account::graphql::Account;
use crate::app::App;
use crate::error::{Code, Error, UserError};
use crate::graph::consistency::graph_at;
use crate::graph::context::{address, app, limited, viewer};
use crate::graph::scalars::Secret;
use crate::ids::{NodeId, NodeKind};
use crate::limits::Limit;
use crate::profile::graphql::LinkedProfile;
use crate::session::Viewer;
use crate::session::graphql::{AccountSession, SessionTokens};

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
pub struct FinishMutation;

#[Object]
impl FinishMutation {
    /// One of these per operation. CODE_INCORRECT (still PENDING), OAUTH_DENIED, VERIFICATION_EXPIRED, VERIFICATION_FAILED,
    /// VERIFICATION_CLOSED, TOO_MANY_ATTEMPTS, PROFILE_LINKED_ELSEWHERE, LIMIT_REACHED, SIGN_IN_DISABLED,
    /// PLATFORM_UNAVAILABLE.
    async fn submit_verification(
        &self,
        ctx: &Context<'_>,
        input: SubmitVerificationInput,
    ) -> Result<SubmitVerificationPayload, Error> {
        limited(ctx, Limit::Submit)?;
        if ctx.data_opt::<Arc<OneSubmission>>().is_some_and(|submission| submission.is_used()) {
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
pub struct OneSubmission(AtomicBool);

impl OneSubmission {
    fn is_used(&self) -> bool {
        self.0.swap(true, Ordering::Relaxed)
    }
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
