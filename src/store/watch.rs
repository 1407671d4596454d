//! Who waits for which stream, and how far that stream has come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

/// The streams that have a reader in this process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Watches(Arc<Mutex<HashMap<Uuid, watch::Sender<i64>>>>);

/// A reader's view of a stream's latest version, for as long as it is held.
pub struct Watch {
    stream: Uuid,
    /// Absent only while it is dropped.
    version: Option<watch::Receiver<i64>>,
    watches: Watches,
}

impl Watches {
    pub fn watch(&self, stream: Uuid) -> Watch {
        let version = self.lock().entry(stream).or_insert_with(|| watch::channel(0).0).subscribe();
        Watch { stream, version: Some(version), watches: self.clone() }
    }

    /// Raises what is known of a stream, if anybody here wants to know.
    pub fn advance(&self, stream: Uuid, version: i64) {
        if let Some(sender) = self.lock().get(&stream) {
            sender.send_if_modified(|known| {
                let newer = version > *known;
                if newer {
                    *known = version;
                }
                newer
            });
        }
    }

    /// What is known of a stream that somebody here follows.
    pub fn known(&self, stream: Uuid) -> Option<i64> {
        self.lock().get(&stream).map(|sender| *sender.borrow())
    }

    pub fn streams(&self) -> Vec<Uuid> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, watch::Sender<i64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// What is known of the stream now.
    pub fn version(&self) -> i64 {
        self.version.as_ref().map_or(0, |version| *version.borrow())
    }

    /// Returns once the stream is known to be past `number`.
    pub async fn past(&mut self, number: i64) {
        // The sender lives in the map for as long as this receiver does, so this cannot fail.
        if let Some(version) = &mut self.version {
            let _ = version.wait_for(|version| *version > number).await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut streams = self.watches.lock();
        // Under the lock, so that of two that leave together the second one sees that it is the last.
        self.version = None;
        if streams.get(&self.stream).is_some_and(|sender| sender.receiver_count() == 0) {
            streams.remove(&self.stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_is_watched_for_as_long_as_somebody_watches() {
        let watches = Watches::default();
        let stream = Uuid::from_u128(1);
        let mut first = watches.watch(stream);
        let second = watches.watch(stream);
        watches.advance(stream, 3);
        watches.advance(stream, 2);
        first.past(2).await;
        drop(second);
        assert_eq!(watches.streams(), [stream]);
        drop(first);
        assert!(watches.streams().is_empty());
    }
}
