//! How sockets end.

use axum::extract::ws::CloseFrame;

/// How a socket ends: the protocol's close codes, and those of RFC 6455.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Close {
    /// The server restarts: come back.
    Restart,
    BadMessage,
    Unauthorized,
    Forbidden,
    SessionEnded,
    TokenExpired,
    Unavailable,
    InitTimeout,
    DuplicateOperation,
    TooManyInits,
    TooManySockets,
    TooLarge,
    NotText,
}

impl Close {
    pub(super) fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::Restart => (1012, "The server restarts; come back"),
            Self::BadMessage => (4400, "Invalid message"),
            Self::Unauthorized => (4401, "Unauthorized: send connection_init first"),
            Self::Forbidden => (4403, "Forbidden: the access token is not valid"),
            Self::SessionEnded => (4403, "Forbidden: the session has ended"),
            Self::TokenExpired => (4403, "Forbidden: the access token has expired; come back with a new one"),
            Self::Unavailable => (1013, "The service is not available right now; try again in a moment"),
            Self::InitTimeout => (4408, "Connection initialisation timeout"),
            Self::DuplicateOperation => (4409, "Subscriber for this id already exists"),
            Self::TooManyInits => (4429, "Too many initialisation requests"),
            Self::TooManySockets => (4429, "Too many sockets are open; close some of them"),
            Self::TooLarge => (1009, "The message is too large"),
            Self::NotText => (1007, "The message is not UTF-8"),
        };
        CloseFrame { code, reason: reason.into() }
    }
}

/// Why a socket's loop ended.
pub(super) enum End {
    /// Say why, and close.
    Close(Close),
    /// The client closes: to read on answers it (RFC 6455, section 5.5.1).
    Bye,
    /// The client has gone, or takes nothing.
    Gone,
}

impl End {
    /// What to say of a message that could not be read.
    pub fn of(error: &axum::Error) -> Self {
        use tokio_tungstenite::tungstenite::Error;
        let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>());
        match source {
            Some(Error::Capacity(_)) => Self::Close(Close::TooLarge),
            Some(Error::Utf8(_)) => Self::Close(Close::NotText),
            _ => Self::Gone,
        }
    }
}
