//! Sessions: devices that are signed in, the access tokens that they show, and the refresh tokens that they keep.
//!
//! **Invariants.** A mutation checks its session's row inside the transaction that it holds anyway; a token
//! alone changes nothing. Whoever reads is asked for nothing but what is in memory, and is out 5 seconds after the
//! session has ended.

mod confirmation;
mod cookie;
mod ended;
mod ending;
pub mod event;
pub mod graphql;
mod loader;
mod refresh;
mod refresh_token;
mod service;
mod service_token;
pub mod sign_in_method;
mod subgraph_token;
pub mod subscription;
mod token;

pub use confirmation::Confirmation;
pub use cookie::{Cookies, forget as forget_cookie};
pub use ended::EndedSessions;
pub use ending::{end_all, end_opened_by, end_opened_by_passkey, erase_all, revoke, revoke_all};
pub use loader::{OpenedBy, SessionKey, Sessions};
pub use refresh::refresh;
pub use service::{
    NewSession, Opened, OpenedWith, Viewer, check, check_fresh, check_recent, open, page, purge, step_up,
};
pub use service_token::ROUTER;
pub use subgraph_token::Audience;
pub use token::{AccessToken, TokenError, Tokens};
