//! Linked profiles: the life of a link, from its first proof to the tombstone that it leaves.
//!
//! **Invariants.** [`state_machine`] alone says what becomes of a link. What ends with it ends in the same
//! command: its sessions, and what flows over its connections. A profile that is gone leaves a row without
//! anything personal in it.

mod claim;
mod claim_jobs;
mod containment;
mod details;
mod erasing;
pub mod event;
mod exposure;
mod grace;
pub mod graphql;
pub mod mutation;
mod notice;
mod privacy;
mod refresh;
mod revoking;
mod service;
mod sign_in;
pub mod state_machine;
pub mod subscription;
mod tombstone;
mod transition;
mod unlink_preview;
mod webhook;

pub use claim::{
    ClaimProof, EndOffer, TellOwner, claim, end_claims, end_claims_of, end_locked_claims, has_claim,
    is_any_claimed, lock_claims, offer, purge_claims,
};
pub use claim_jobs::{HandOver, SettleClaim, end_offer, hand_over, settle_claim, tell_owner};
pub use containment::{contain, prove_own, release};
pub use erasing::erase_all;
pub use grace::{EndGrace, end_grace};
pub use notice::{SendNotice, send_notice, tell_of_deletion, tell_of_sign_in};
pub use privacy::{ReadPrivacy, enqueue as read_privacy_later, read_privacy};
pub use refresh::{RefreshProfile, enqueue_first as look_at_new_link, refresh};
pub use revoking::{RevokeLogins, revoke_logins};
pub use service::{end_claimed, find_linked, keep, prove_again, reverify, unlink};
pub use sign_in::{any_signs_in, set_sign_in, signs_in};
pub use tombstone::{TombstoneKey, Tombstones};
pub use transition::find as find_own;
pub use webhook::{ProfileWebhook, look_again};
