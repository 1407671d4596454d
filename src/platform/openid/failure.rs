//! How a provider fails, in words that have nothing of what was sent or answered: those could be secrets, or anything.

use openidconnect::core::{CoreErrorResponseType, CoreRequestTokenError};
use openidconnect::{ClaimsVerificationError, DiscoveryError, RequestTokenError};

/// Why an authorization code proved nothing. The texts are for the log: they have nothing of what was sent.
#[derive(Debug, thiserror::Error)]
pub enum Unproven {
    /// Nothing was sent, so the code is as good as before.
    #[error("the platform was not asked: {0}")]
    NotAsked(String),
    /// Nobody knows whether the code is used up.
    #[error("the platform is not available: {0}")]
    Unanswered(String),
    /// The platform does not take the code, or what it says cannot be believed.
    #[error("refused: {0}")]
    Refused(&'static str),
}

/// How a call to a provider failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{0}")]
    NotSent(String),
    #[error("{0}")]
    Unanswered(String),
}

/// Without what the provider said, which could be anything.
pub(super) fn undiscovered(error: &DiscoveryError<CallError>) -> String {
    match error {
        DiscoveryError::Request(error) => error.to_string(),
        DiscoveryError::Response(status, ..) => format!("status {status}, or an answer that is no JSON"),
        DiscoveryError::Validation(_) => "it names another issuer".to_owned(),
        _ => "an answer that is not of OpenID Connect Discovery".to_owned(),
    }
}

pub(super) fn unredeemed(error: CoreRequestTokenError<CallError>) -> Unproven {
    match error {
        RequestTokenError::Request(CallError::NotSent(why)) => Unproven::NotAsked(why),
        RequestTokenError::Request(CallError::Unanswered(why)) => Unproven::Unanswered(why),
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            // The operator has to put that right, and not the person.
            CoreErrorResponseType::InvalidClient | CoreErrorResponseType::UnauthorizedClient => {
                Unproven::Unanswered("it does not take our client_id and client_secret".to_owned())
            }
            _ => Unproven::Refused("it does not take the code"),
        },
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            Unproven::Unanswered("an answer that is not of OAuth 2.0".to_owned())
        }
    }
}

pub(super) fn disbelief(error: &ClaimsVerificationError) -> &'static str {
    match error {
        ClaimsVerificationError::Expired(_) => "the id token has expired",
        ClaimsVerificationError::InvalidAudience(_) => "the id token is for somebody else",
        ClaimsVerificationError::InvalidIssuer(_) => "the id token is of somebody else",
        ClaimsVerificationError::InvalidNonce(_) => "the id token is of another request",
        ClaimsVerificationError::SignatureVerification(_) => "the id token's signature does not fit",
        _ => "the id token is malformed",
    }
}
