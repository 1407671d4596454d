//! Answers that have been made and wait until a slow client takes them. Whoever asks for much and reads nothing must not fill the
//! memory of everybody.

use axum::body::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

/// What all answers of this process have together that wait for sockets.
const MOST_KIB: usize = 256 * 1024;
/// Smaller ones are too many to be counted and too little to matter: a socket has a hundred at most.
const COUNTED: usize = 16 * 1024;

static ROOM: Semaphore = Semaphore::const_new(MOST_KIB);

/// An answer with its place among those that wait.
struct Waiting {
    body: Bytes,
    _place: SemaphorePermit<'static>,
}

impl AsRef<[u8]> for Waiting {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// The same answer, which has a place until it is dropped; `None` if there is none left.
pub fn hold(body: Bytes) -> Option<Bytes> {
    hold_in(&ROOM, body)
}

fn hold_in(room: &'static Semaphore, body: Bytes) -> Option<Bytes> {
    if body.len() <= COUNTED {
        return Some(body);
    }
    let place = room.try_acquire_many(u32::try_from(body.len().div_ceil(1024)).ok()?).ok()?;
    Some(Bytes::from_owner(Waiting { body, _place: place }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_has_room_until_it_is_gone() {
        static ROOM: Semaphore = Semaphore::const_new(100);
        let large = Bytes::from(vec![b'x'; 60 * 1024]);
        let waits = hold_in(&ROOM, large.clone()).unwrap();
        assert_eq!(waits, large);
        let part = waits.slice(..5);
        drop(waits);
        assert!(hold_in(&ROOM, large.clone()).is_none());
        assert!(hold_in(&ROOM, Bytes::from_static(b"small")).is_some());
        drop(part);
        assert!(hold_in(&ROOM, large).is_some());
    }
}
