//! Whether hints arrive: a replica says something to itself every second, the same way that hints go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Without a word of our own for so long, hints of others may be lost as well.
const SILENCE: Duration = Duration::from_secs(3);

/// What is known of the way of hints. Cheap to clone.
#[derive(Clone)]
pub struct Health(Option<Arc<Inner>>);

struct Inner {
    begun: Instant,
    /// When our last word came back, in milliseconds after `begun`, plus 1; 0 while it is known to be broken.
    heard_at: AtomicU64,
    /// Raised by every gap: what was believed before it may have missed a hint.
    unbroken_since: AtomicU64,
}

impl Health {
    /// Of a process that is the only one: it hears all there is.
    pub fn of_one_process() -> Self {
        Self(None)
    }

    /// Of a bus that has not been heard yet.
    pub fn unknown() -> Self {
        let (heard_at, unbroken_since) = (AtomicU64::new(0), AtomicU64::new(0));
        Self(Some(Arc::new(Inner { begun: Instant::now(), heard_at, unbroken_since })))
    }

    /// Names the time without a gap that goes on now; `None` while hints may be lost. What was read within one
    /// such time, and is hinted at by nobody, is still so.
    pub fn unbroken(&self) -> Option<u64> {
        let Some(inner) = &self.0 else { return Some(0) };
        // In this order: a gap that ends in between then counts.
        if !inner.is_heard() {
            return None;
        }
        Some(inner.unbroken_since.load(Ordering::Acquire))
    }

    /// Our own word came back. True if that ends a silence.
    pub(super) fn heard(&self) -> bool {
        let Some(inner) = &self.0 else { return false };
        let silent = !inner.is_heard();
        if silent {
            inner.unbroken_since.fetch_add(1, Ordering::AcqRel);
        }
        inner.heard_at.store(inner.millis() + 1, Ordering::Release);
        silent
    }

    /// The way is known to be broken.
    pub(super) fn lost(&self) {
        if let Some(inner) = &self.0 {
            inner.heard_at.store(0, Ordering::Release);
        }
    }
}

impl Inner {
    fn is_heard(&self) -> bool {
        let heard_at = self.heard_at.load(Ordering::Acquire);
        heard_at != 0 && self.millis() + 1 < heard_at + SILENCE.as_millis() as u64
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_ends_what_was_believed_before_it() {
        let health = Health::unknown();
        assert_eq!(health.unbroken(), None);
        assert!(health.heard());
        let first = health.unbroken().unwrap();
        assert!(!health.heard());
        assert_eq!(health.unbroken(), Some(first));
        health.lost();
        assert_eq!(health.unbroken(), None);
        assert!(health.heard());
        assert_ne!(health.unbroken(), Some(first));
        assert_eq!(Health::of_one_process().unbroken(), Some(0));
    }
}
