//! The link graph: an account, the profiles that it has linked and the connections between them, read whole at
//! one version.
//!
//! **Invariants.** It is read by almost every request and never authorises anything: commands decide on the
//! database. An entry below what this process has heard of the account is a miss, in this process and in Redis.
//! While hints may be lost nothing is served that the database has not confirmed.

pub mod connection;
pub mod event;
pub mod graphql;
mod layout;
mod load;
mod near;
pub mod pausing;
mod slot;

use std::sync::Arc;

use accounts_center_entity::experience_grant::Experience;
use accounts_center_entity::{account, linked_profile};
use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use near::{Counts, LinkGraphs};

/// The most profiles that one account can link.
pub const MAX_PROFILES: u64 = 20;

/// The graph of one account, and the latest version at which it is known to be right. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LinkGraph {
    /// The number of an event of the account; at it, the graph was this.
    pub version: i64,
    pub nodes: Arc<Nodes>,
}

impl std::ops::Deref for LinkGraph {
    type Target = Nodes;

    fn deref(&self) -> &Nodes {
        &self.nodes
    }
}

/// One account with its linked profiles, oldest first, and their connections, all read in one snapshot.
#[derive(Debug, PartialEq, Eq)]
pub struct Nodes {
    pub account: account::Model,
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
