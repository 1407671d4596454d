//! Verifications: proofs that a profile or a passkey is its owner's. Linking, signing in and step-up rest on them.
//!
//! **Invariants.** A verification proves exactly what it was started for, to whom started it, once. Its code
//! is compared under the lock of its row, and every wrong try is committed. What a known and an unknown
//! handle get is the same, and no platform is called before the answer has gone out.

mod allowance;
mod by_passkey;
pub mod claiming;
mod closing;
mod delivery;
mod expiry;
pub mod finishing;
mod following;
pub mod graphql;
mod handle;
mod linking;
mod loader;
mod own_profile;
mod proof;
mod purge;
mod redeeming;
mod redirect;
mod service;
mod signing_in;
mod start;
pub mod starting;
pub mod subscription;
mod warning;

use accounts_center_entity::verification;

pub use allowance::purge_allowances;
pub use by_passkey::{request_options, start_sign_in as start_passkey_sign_in, start_step_up};
pub use closing::{close_about, close_of_sessions, erase_all};
pub use delivery::{DeliverCode, deliver};
pub use expiry::{EraseExpired, erase};
pub use following::{Follower, Followers, follow};
pub use loader::{VerificationKey, Verifications};
pub use own_profile::start_reverification;
pub use proof::is_provable;
pub use purge::purge;
pub use redeeming::OAuthResponse;
pub use redirect::authorization;
pub use service::{Client, Proven, Submitted, cancel, find, resend, submit};
pub use start::{ProofStart, has_room, start_link, start_sign_in};
pub use warning::{WarnOwner, warn_owner};

/// Who asks about a verification: a session, or a signed-out device with its client secret.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub viewer: Option<crate::session::Viewer>,
    pub client_secret: Option<&'a str>,
}

impl Caller<'_> {
    /// Whether this caller started `row`: by its account, or by the secret that its start gave.
    fn started(&self, keys: &crate::keys::Keys, row: &verification::Model) -> bool {
        match (row.account_id, &row.client_secret_hash, self.client_secret) {
            (Some(account), _, _) => self.viewer.is_some_and(|viewer| viewer.account == account),
            (None, Some(stored), Some(secret)) => keys.hash_matches(CLIENT_SECRET, secret.as_bytes(), stored),
            _ => false,
        }
    }
}

/// Names the use of a keyed hash.
const CLIENT_SECRET: &str = "client secret";
