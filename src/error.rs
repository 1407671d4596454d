//! Which error belongs where.
//!
//! - [`UserError`]: what the person can put right. It is data, in a payload's `userErrors`.
//! - [`Error`]: everything else that ends an operation. What the caller did wrong has a code and a message
//!   for the caller; what went wrong inside is logged once, at the boundary, and never shown.
//!
//! A resolver returns `Result<_, Error>` and uses `?`. [`crate::graph::outcome`] is the boundary: it gives
//! each error its code, and takes the words from any error that is not one of ours.

use std::fmt;
use std::sync::Arc;

use sea_orm::{DbErr, RuntimeErr};

pub use crate::graph::user_error::{AccountsErrorCode, UserError};

/// What ends an operation.
#[derive(Clone, Debug)]
pub enum Error {
    /// The caller did something wrong; the message says what, and what would be right.
    Client { code: Code, message: String },
    /// The caller is too fast; in so many seconds it may go on.
    RateLimited { retry_after: u64 },
    /// Something that we need is not there just now: the database. Trying again later helps.
    Unavailable(Arc<anyhow::Error>),
    /// Another commit came between; running it again settles it. Never reaches a caller as such.
    Conflict,
    /// A defect or a fault of ours.
    Internal(Arc<anyhow::Error>),
}

/// The codes of top-level errors, in `extensions.code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Unauthenticated,
    StepUpRequired,
    BadUserInput,
    ParseFailed,
    ValidationFailed,
    QueryTooComplex,
    AnswerTooLarge,
    CursorExpired,
    RateLimited,
    ServiceUnavailable,
    Internal,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::StepUpRequired => "STEP_UP_REQUIRED",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::ParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::ValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::QueryTooComplex => "QUERY_TOO_COMPLEX",
            Self::AnswerTooLarge => "ANSWER_TOO_LARGE",
            Self::CursorExpired => "CURSOR_EXPIRED",
            Self::RateLimited => "RATE_LIMITED",
            Self::ServiceUnavailable => "SERVICE_UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }
}

/// A step of work that may end in user errors: `Ok(Err(_))` is what the person can put right.
pub type UserResult<T> = Result<Result<T, Vec<UserError>>, Error>;

impl Error {
    pub fn client(code: Code, message: impl Into<String>) -> Self {
        Self::Client { code, message: message.into() }
    }

    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::client(Code::Unauthenticated, message)
    }

    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        Self::Internal(Arc::new(cause.into()))
    }

    pub fn code(&self) -> Code {
        match self {
            Self::Client { code, .. } => *code,
            Self::RateLimited { .. } => Code::RateLimited,
            Self::Unavailable(_) => Code::ServiceUnavailable,
            Self::Conflict | Self::Internal(_) => Code::Internal,
        }
    }

    /// Logs what the caller is not told.
    pub fn log(&self) {
        match self {
            Self::Client { .. } | Self::RateLimited { .. } => {}
            Self::Conflict => tracing::error!("a conflict that nobody settled"),
            Self::Unavailable(cause) => tracing::warn!(cause = format!("{cause:#}"), "unavailable"),
            Self::Internal(cause) => tracing::error!(cause = format!("{cause:#}"), "internal error"),
        }
    }
}

/// What the caller is told.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client { message, .. } => message,
            Self::RateLimited { .. } => "You are too fast; wait for the seconds in `extensions.retryAfter`.",
            Self::Unavailable(_) => "The service is not available right now; try again in a moment.",
            Self::Conflict | Self::Internal(_) => "Something went wrong on our side.",
        })
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        let unreachable = match &error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
            DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause)) => {
                is_unreachable(cause)
            }
            _ => false,
        };
        let cause = Arc::new(anyhow::Error::new(error));
        if unreachable { Self::Unavailable(cause) } else { Self::Internal(cause) }
    }
}

fn is_unreachable(cause: &sea_orm::sqlx::Error) -> bool {
    use sea_orm::sqlx::Error as Sqlx;
    match cause {
        Sqlx::Io(_) | Sqlx::Tls(_) | Sqlx::PoolTimedOut | Sqlx::PoolClosed | Sqlx::Protocol(_) => true,
        Sqlx::Database(error) => error.code().is_some_and(|code| passes(&code)),
        _ => false,
    }
}

/// Whether a database's error passes by itself. PostgreSQL: connection (08), resources (53), shutdown (57P), a
/// standby (25006), a lock, statement or transaction that took too long (55P03, 57014, 25P03), and conflicts of
/// transactions (40001, 40P01). SQLite: busy (5), with its extended codes.
fn passes(code: &str) -> bool {
    const CLASSES: [&str; 3] = ["08", "53", "57P"];
    const CODES: [&str; 6] = ["25006", "55P03", "57014", "25P03", "40001", "40P01"];
    let is_busy = code.len() < 5 && code.parse::<u32>().is_ok_and(|code| code & 0xff == 5);
    CLASSES.iter().any(|class| code.starts_with(class)) || CODES.contains(&code) || is_busy
}
