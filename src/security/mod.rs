//! What a person sees of the security of their account, and what they are warned of.
//!
//! **Invariants.** An alert is written in the command that does what it warns of, and never leaves its account. It can be
//! acknowledged, and is never taken back.

mod alert;
mod checkup;
pub mod event;
pub mod graphql;
mod loader;
mod service;
pub mod subscription;

pub use alert::{AlertKind, NewAlert, erase_all, raise};
pub use loader::{AlertKey, Alerts};
pub use service::purge;
