//! Linked profiles: the life of a link, from its first proof to the tombstone that it leaves.
//!
//! **Invariants.** [`state_machine`] alone says what becomes of a link. What ends with it ends in the same
//! command: its sessions, and what flows over its connections. A profile that is gone leaves a row without
//! anything personal in it.

mod grace;
pub mod graphql;
mod refresh;
mod service;
pub mod state_machine;
mod tombstone;
mod transition;

pub use grace::{EndGrace, end_grace};
pub use refresh::{ProfileWebhook, RefreshProfile, look_again, refresh};
pub use service::{end_claimed, keep, prove_again, unlink};
pub use tombstone::{TombstoneKey, Tombstones};
