//! Hints between replicas: "this stream is now at that version".
//!
//! **Invariants.** A hint is never the truth and may be lost, doubled or late; whoever hears one reads the
//! database. Nothing personal travels here: ids and numbers only.

pub mod connect;
mod health;
mod redis;
mod sentinel;

use uuid::Uuid;

pub use self::health::Health;
pub use self::redis::{Channel, RedisBus, listen};
use crate::cache::{Outdated, Put};

/// What is said after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Of the database that it is about: deployments may share a Redis by mistake, and backups come back.
    pub epoch: u64,
    pub stream: Uuid,
    /// The number of the stream's latest event.
    pub version: i64,
    /// The number of the latest event that changed the link graph.
    pub graph_version: i64,
}

/// How hints reach the other replicas.
#[derive(Clone)]
pub enum Bus {
    /// There are none: this process is the only one.
    InProcess,
    Redis(RedisBus),
}

impl Bus {
    /// Whether hints arrive.
    pub fn health(&self) -> Health {
        match self {
            Self::InProcess => Health::of_one_process(),
            Self::Redis(bus) => bus.health().clone(),
        }
    }

    /// Puts an entry where the other replicas find it, best effort, and before any hint that is said after it.
    pub fn put(&self, put: Put) {
        match self {
            Self::InProcess => {}
            Self::Redis(bus) => bus.put(put),
        }
    }

    /// Returns once what was said has gone out, or could not.
    pub async fn flush(&self) {
        if let Self::Redis(bus) = self {
            bus.flush().await;
        }
    }

    /// Says it, best effort and without waiting. What is `outdated` by it goes first.
    pub fn publish(&self, hint: Hint, outdated: Option<Outdated>) {
        match self {
            Self::InProcess => {}
            Self::Redis(bus) => bus.publish(hint, outdated),
        }
    }
}

impl Hint {
    fn to_bytes(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[..8].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[8..24].copy_from_slice(self.stream.as_bytes());
        bytes[24..32].copy_from_slice(&self.version.to_be_bytes());
        bytes[32..].copy_from_slice(&self.graph_version.to_be_bytes());
        bytes
    }

    /// `None` for what is no hint: another release may say more, or something else.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            epoch: u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?),
            stream: Uuid::from_slice(bytes.get(8..24)?).ok()?,
            version: i64::from_be_bytes(bytes.get(24..32)?.try_into().ok()?),
            graph_version: i64::from_be_bytes(bytes.get(32..40)?.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_survives_the_wire_and_garbage_is_ignored() {
        let hint = Hint { epoch: 3, stream: Uuid::from_u128(7), version: 12, graph_version: 9 };
        assert_eq!(Hint::from_bytes(&hint.to_bytes()), Some(hint));
        let longer = [hint.to_bytes().as_slice(), b"more"].concat();
        assert_eq!(Hint::from_bytes(&longer), Some(hint));
        assert_eq!(Hint::from_bytes(b"PING"), None);
        assert_eq!(Hint::from_bytes(b""), None);
    }
}
