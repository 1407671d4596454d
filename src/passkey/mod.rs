//! Passkeys: WebAuthn credentials that sign in to an account, and step up.
//!
//! **Invariants.** What an authenticator signs is checked inside the command that relies on it, on the credential as the
//! database has it there. A challenge is random, sealed in the row of what it was made for, and used once. Whether a
//! credential is known here is told to nobody who does not own it.

mod ceremony;
pub mod event;
pub mod graphql;
mod loader;
mod registration;
mod relying_party;
mod service;

pub use ceremony::{Assertion, Expected, Proved, begin, check, note_use, options};
pub use loader::Passkeys;
pub use registration::purge_registrations;
pub use relying_party::RelyingParty;
pub use service::{erase_all, find_own, has_any, is_of, not_found, unsupported};
