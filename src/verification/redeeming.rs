//! Proving control by what a platform's redirect brought back.
//!
//! An authorization code can be redeemed once, and redeeming it is a call that no command may wait for. So a command of its own
//! takes the response first: of two that come at once, one gets the verification and the other hears that it is used. What the
//! platform then says is the proof, and it goes the way of a good code. A process that dies in between leaves a verification
//! that nobody can finish; the person starts anew.

use accounts_center_entity::verification::{self, Method, Status};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use super::Caller;
use super::proof::{self, End};
use super::redirect::unavailable;
use super::service::{configured, lock, lock_for};
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::platform::{OpenId, Platform, ProfileClaim, Provider, Redemption, Unproven};
use crate::store::{Command, Outcome};

const PATH: [&str; 1] = ["verificationId"];

/// What a platform's redirect brought back.
#[derive(Clone, Copy)]
pub struct OAuthResponse<'a> {
    pub state: &'a str,
    pub code: Option<&'a str>,
    pub error: Option<&'a str>,
    pub iss: Option<&'a str>,
}

impl<'a> OAuthResponse<'a> {
    /// What the platform answered: a code, or an error.
    fn answer(&self) -> Result<Result<&'a str, &'a str>, UserError> {
        match (self.code, self.error) {
            (Some(code), None) => Ok(Ok(code)),
            (None, Some(error)) => Ok(Err(error)),
            (Some(_), Some(_)) | (None, None) => {
                let message = "A response has either a code or an error.";
                let path = ["proof", "oauthResponse"];
                Err(UserError::new(AccountsErrorCode::Invalid, message, &path))
            }
        }
    }

    /// Whether the response says that it is of this provider, if that always says so (RFC 9207). Else a platform that
    /// lures people could pass on to us what another one answered.
    fn is_of(&self, openid: &OpenId, provider: &Provider) -> bool {
        match self.iss {
            Some(iss) => iss == openid.issuer(),
            None => !provider.signs_responses(),
        }
    }
}

/// Takes the response for a verification that `caller` started, redeems its code, and gives whose profile it is.
pub(super) async fn redeem(
    app: &App,
    caller: Caller<'_>,
    row: &verification::Model,
    response: OAuthResponse<'_>,
) -> UserResult<ProfileClaim> {
    let answer = match response.answer() {
        Ok(answer) => answer,
        Err(error) => return Ok(Err(vec![error])),
    };
    if row.method != Method::Oauth {
        return Ok(Err(vec![proof::of_another_way()]));
    }
    let platform = match configured(app, &row.platform) {
        Ok(platform) => platform,
        Err(error) => return Ok(Err(vec![error])),
    };
    let Some(openid) = &platform.openid else {
        return Ok(Err(vec![proof::of_another_way()]));
    };
    // Before the code is taken: without this it could not be redeemed, and would be lost.
    let provider = match openid.provider().await {
        Ok(provider) => provider,
        Err(cause) => return Ok(Err(vec![unavailable(&platform, &cause, &PATH)])),
    };
    let is_of_provider = response.is_of(openid, &provider);
    let taken = take(app, caller, row, (response.state, is_of_provider, answer)).await?;
    let (row, code) = match taken {
        Ok(taken) => taken,
        Err(errors) => return Ok(Err(errors)),
    };
    let secrets = app.keys.oauth_secrets(row.id);
    let redirect_uri = row.redirect_uri.as_deref().unwrap_or_default();
    match ask(&platform, &provider, Redemption { code, redirect_uri, secrets }).await {
        Ok(claim) => Ok(Ok(claim)),
        Err(unproven) => give_up(app, &platform, &row, unproven).await,
    }
}

/// Checks a response, and marks the verification as used by it. What does not fit ends the verification.
async fn take<'a>(
    app: &App,
    caller: Caller<'_>,
    row: &verification::Model,
    (state, is_of_provider, answer): (&str, bool, Result<&'a str, &'a str>),
) -> UserResult<(verification::Model, &'a str)> {
    app.store
        .command(row.stream_id, async |command: &mut Command| {
            let locked = lock_for(command, caller, row).await?;
            if let Some(error) = proof::refusal(&locked, command) {
                return Ok(Outcome::reject(error));
            }
            let is_own_session = caller.viewer.map(|viewer| viewer.session) == locked.session_id;
            if locked.session_id.is_some() && !is_own_session {
                let message = "Finish a verification in the session that started it; start a new one.";
                return end(command, locked, proof::failed(message)).await;
            }
            if locked.redeemed_at.is_some() {
                let message =
                    "This response was submitted already; wait for it, or start a new verification.";
                let code = AccountsErrorCode::VerificationClosed;
                return Ok(Outcome::reject(UserError::new(code, message, &PATH)));
            }
            if !app.keys.oauth_secrets(locked.id).is_state(state) || !is_of_provider {
                let message = "This response belongs to something else; start a new verification.";
                return end(command, locked, proof::failed(message)).await;
            }
            match answer {
                Ok(code) => {
                    let mut taken = locked.into_active_model();
                    taken.redeemed_at = Set(Some(command.now()));
                    Ok(Outcome::Commit((taken.update(command.tx()).await?, code)))
                }
                Err(error) => end(command, locked, answered_with(error)).await,
            }
        })
        .await
}

/// The platform's error, by RFC 6749, 4.1.2.1. Its text came by the browser and could say anything: it is not shown.
fn answered_with(error: &str) -> UserError {
    let (code, message) = match error {
        "access_denied" => (AccountsErrorCode::OauthDenied, "This was not allowed at the platform."),
        "server_error" | "temporarily_unavailable" => (
            AccountsErrorCode::PlatformUnavailable,
            "The platform cannot do this just now; start a new verification in a moment.",
        ),
        _ => return proof::failed("The platform refused this; start a new verification."),
    };
    UserError::new(code, message, &PATH)
}

/// Ends a verification with an error.
async fn end<T>(command: &Command, row: verification::Model, error: UserError) -> Result<Outcome<T>, Error> {
    proof::close(command, row, End::Failed(error.code)).await?;
    Ok(Outcome::reject(error))
}

/// Redeems the code, and asks who the profile is: only that tells its state, and its handle as the platform shows it
/// everywhere else. The id token says neither for sure.
async fn ask(
    platform: &Platform,
    provider: &Provider,
    what: Redemption<'_>,
) -> Result<ProfileClaim, Unproven> {
    let Some(openid) = &platform.openid else {
        return Err(Unproven::NotAsked("it has no OpenID provider".to_owned()));
    };
    let external_id = openid.redeem(provider, &what).await?;
    match platform.client.awaited().profile(&external_id).await {
        Ok(claim) if claim.external_id == external_id => Ok(claim),
        Ok(_) => Err(Unproven::Unanswered("it answered with another profile".to_owned())),
        Err(error) => Err(Unproven::Unanswered(error.to_string())),
    }
}

/// What becomes of a verification whose code proved nothing: where nothing was sent it can be submitted again; else it ends,
/// because the code may be used up, and a platform takes one that comes twice for stolen.
async fn give_up<T>(
    app: &App,
    platform: &Platform,
    row: &verification::Model,
    unproven: Unproven,
) -> UserResult<T> {
    let error = match &unproven {
        Unproven::NotAsked(cause) => unavailable(platform, cause, &PATH),
        Unproven::Unanswered(cause) => {
            let error = unavailable(platform, cause, &PATH);
            let message =
                format!("{} does not answer just now; start a new verification.", platform.display_name);
            UserError { message, ..error }
        }
        Unproven::Refused(cause) => {
            tracing::warn!(platform = %platform.key, cause, "a profile was not proved by OAuth");
            proof::failed("The platform does not confirm this; start a new verification.")
        }
    };
    app.store
        .command(row.stream_id, async |command: &mut Command| {
            let locked = lock(command, row.id).await?;
            if locked.status != Status::Pending {
                return Ok(Outcome::reject(error.clone()));
            }
            if let Unproven::NotAsked(_) = unproven {
                let mut free = locked.into_active_model();
                free.redeemed_at = Set(None);
                free.update(command.tx()).await?;
                return Ok(Outcome::reject(error.clone()));
            }
            end(command, locked, error.clone()).await
        })
        .await
}
