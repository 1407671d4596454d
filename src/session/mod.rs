//! Sessions: devices that are signed in, and the access tokens that they show.
//!
//! **Invariants.** A mutation checks its session's row inside the transaction that it holds anyway; a token
//! alone changes nothing.

pub mod graphql;
mod loader;
mod service;
pub mod sign_in_method;
mod token;

pub use loader::{OpenedBy, SessionKey, Sessions};
pub use service::{
    NewSession, Viewer, check, check_fresh, check_recent, end_opened_by, open, opened_by, purge, step_up,
};
pub use token::{AccessToken, TokenError, Tokens};
