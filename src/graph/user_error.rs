//! What the person can put right.

use async_graphql::resolver_utils::EnumType;
use async_graphql::{Enum, SimpleObject};

/// Something the caller can put right.
#[derive(Clone, Debug, PartialEq, Eq, SimpleObject)]
#[graphql(name = "AccountsUserError")]
pub struct UserError {
    /// What kind of mistake it is.
    pub code: AccountsErrorCode,
    /// A sentence for the person.
    pub message: String,
    /// The input field at fault, from the root of `input`.
    pub path: Vec<String>,
}

impl UserError {
    pub fn new(code: AccountsErrorCode, message: impl Into<String>, path: &[&str]) -> Self {
        Self { code, message: message.into(), path: path.iter().map(|&part| part.to_owned()).collect() }
    }
}

/// Something that stands in the way, told by a preview.
#[derive(Clone, Debug, SimpleObject)]
#[graphql(name = "AccountsProblem")]
pub struct Problem {
    /// The user error that it would be.
    pub code: AccountsErrorCode,
    /// A sentence for the person.
    pub message: String,
}

impl Problem {
    pub fn new(code: AccountsErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The kinds of mistakes that a person can put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum AccountsErrorCode {
    /// The value is not of the form that the field asks for.
    Invalid,
    /// The text is longer than the field allows.
    TooLong,
    /// There is no such object, or it is not the caller's.
    NotFound,
    /// There are as many as there may be.
    LimitReached,
    /// This verification or handle is used up; start anew later.
    TooManyAttempts,
    /// The idempotency key came before, with another input.
    IdempotencyKeyReused,
    /// No platform is configured under this key.
    UnknownPlatform,
    /// The platform does not offer what was asked of it.
    UnsupportedByPlatform,
    /// The platform does not answer just now.
    PlatformUnavailable,
    /// The operator has not registered this URL.
    RedirectUriNotRegistered,
    /// The code is not the one that was sent last.
    CodeIncorrect,
    /// The person did not allow it at the platform.
    OauthDenied,
    /// A further code is sent only after `resendAvailableAt`.
    ResendTooEarly,
    /// The time for this proof has run out.
    VerificationExpired,
    /// The proof failed; start a new one.
    VerificationFailed,
    /// This verification has ended already.
    VerificationClosed,
    /// The profile may not sign in.
    SignInDisabled,
    /// The profile is linked to another account.
    ProfileLinkedElsewhere,
    /// The profile is not active.
    ProfileNotActive,
    /// Nobody could sign in to the account any more.
    LastSignInMethod,
    /// It needs a second thought: the same again, with the `confirmation` that is in the answer.
    ConfirmationRequired,
}

impl AccountsErrorCode {
    /// Its name in the graph, which is also its name in the database.
    pub fn name(self) -> &'static str {
        Self::items().iter().find(|item| item.value == self).map_or("INTERNAL", |item| item.name)
    }

    /// The code of this name; absent if another release wrote it.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::items().iter().find(|item| item.name == name).map(|item| item.value)
    }
}
