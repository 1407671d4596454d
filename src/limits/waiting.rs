//! Answers that have been made and wait until a slow client takes them. Whoever asks for much and reads nothing must not fill the
//! memory of everybody, and is refused before anybody else is.

use std::sync::Arc;

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// What the answers of one socket have together: four of the largest.
const OF_A_SOCKET_KIB: usize = 16 * 1024;
/// What those of all sockets of this process have.
const OF_ALL_KIB: usize = 256 * 1024;
/// Smaller ones are too many to be counted and too little to matter: a socket has a hundred at most.
const COUNTED: usize = 16 * 1024;

static ALL: Semaphore = Semaphore::const_new(OF_ALL_KIB);

/// The room that a socket has for answers. Cheap to clone.
#[derive(Clone)]
pub struct Room(Arc<Semaphore>);

/// An answer with its places among those that wait.
struct Waiting {
    body: Bytes,
    _own: OwnedSemaphorePermit,
    _place: SemaphorePermit<'static>,
}

impl AsRef<[u8]> for Waiting {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(OF_A_SOCKET_KIB)))
    }
}

impl Room {
    /// The same answer, which has its places until it is dropped; `None` if there is no room left.
    pub fn hold(&self, body: Bytes) -> Option<Bytes> {
        self.hold_among(&ALL, body)
    }

    fn hold_among(&self, all: &'static Semaphore, body: Bytes) -> Option<Bytes> {
        if body.len() <= COUNTED {
            return Some(body);
        }
        let size = u32::try_from(body.len().div_ceil(1024)).ok()?;
        let own = self.0.clone().try_acquire_many_owned(size).ok()?;
        let place = all.try_acquire_many(size).ok()?;
        Some(Bytes::from_owner(Waiting { body, _own: own, _place: place }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_has_room_until_it_is_gone() {
        static ALL: Semaphore = Semaphore::const_new(20 * 1024);
        let (one, other) = (Room::default(), Room::default());
        let large = Bytes::from(vec![b'x'; 9 * 1024 * 1024]);
        let hold = |room: &Room| room.hold_among(&ALL, large.clone());
        let waits = hold(&one).unwrap();
        assert_eq!(waits, large);
        // Its own room is taken, and the other's is not.
        let part = waits.slice(..5);
        drop(waits);
        assert!(hold(&one).is_none());
        let others = hold(&other).unwrap();
        assert!(one.hold_among(&ALL, Bytes::from_static(b"small")).is_some());
        // And now that of all.
        assert!(hold(&Room::default()).is_none());
        drop((part, others));
        assert!(hold(&one).is_some());
    }
}
