//! Linked profiles: the life of a link, from its first proof to the tombstone that it leaves.
//!
//! **Invariants.** [`state_machine`] alone says what becomes of a link. What ends with it ends in the same
//! command: its sessions, and what flows over its connections. A profile that is gone leaves a row without
//! anything personal in it.

mod details;
pub mod event;
mod grace;
pub mod graphql;
mod refresh;
mod service;
pub mod state_machine;
pub mod subscription;
mod tombstone;
mod transition;
mod webhook;

pub use grace::{EndGrace, end_grace};
pub use refresh::{RefreshProfile, enqueue_first as look_at_new_link, refresh};
pub use service::{end_claimed, keep, prove_again, reverify, unlink};
pub use tombstone::{TombstoneKey, Tombstones};
pub use webhook::{ProfileWebhook, look_again};
