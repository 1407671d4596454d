//! The link graph: an account, the profiles that it has linked and the connections between them, read whole at
//! one version.
//!
//! **Invariants.** It is read by almost every request and never authorises anything: commands decide on the
//! database. An entry below what this process knows of the account's version is a miss.

pub mod connection;
pub mod event;
pub mod graphql;
mod load;
mod near;

use accounts_center_entity::experience_grant::Experience;
use accounts_center_entity::{account, linked_profile};
use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use near::LinkGraphs;

/// The most profiles that one account can link.
pub const MAX_PROFILES: u64 = 20;

/// One account with its linked profiles, oldest first, all read in one snapshot.
#[derive(Debug)]
pub struct LinkGraph {
    pub account: account::Model,
    /// The number of the account's latest event in this snapshot.
    pub version: i64,
    /// The number of the event that changed the graph last.
    pub graph_version: i64,
    pub profiles: Vec<linked_profile::Model>,
    /// In the order of their sources, then of their ids.
    pub edges: Vec<Edge>,
}

/// A directed connection between two profiles of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub id: Uuid,
    pub source: Uuid,
    pub target: Uuid,
    /// At least one, in the order of their experiences.
    pub grants: Vec<Grant>,
}

/// One experience that is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub experience: Experience,
    pub granted_at: DateTime<Utc>,
}
