//! How fast one caller may be, and how much of this process they may have (S32, S49).
//!
//! **Invariants.** These limits are of one process and are lost with it: they keep a caller from being a burden. What must
//! hold across replicas and restarts, as the tries of a code and the codes of a phone number, is in the database.

mod network;
mod places;
mod rate;
mod sockets;
pub mod waiting;

pub use rate::{Limit, RateLimits};
pub use sockets::{SocketQuotas, SocketSlot, SubscriptionSlot};
