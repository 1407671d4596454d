//! The one source of time: everything that asks what time it is asks a [`Clock`].

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// Tells the time, in UTC and whole milliseconds, moved by an offset that tests set on the sandbox.
///
/// Milliseconds, because PostgreSQL keeps microseconds and SQLite text: what is read back has to equal what
/// was written on both.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Where time stands still, for tests; absent where it runs.
    fixed_at: Option<DateTime<Utc>>,
    offset_seconds: AtomicI64,
}

impl Clock {
    /// The system's time.
    pub fn system() -> Self {
        Self(Arc::new(Inner { fixed_at: None, offset_seconds: AtomicI64::new(0) }))
    }

    /// A time that moves only by [`Clock::set_offset`].
    pub fn fixed(at: DateTime<Utc>) -> Self {
        Self(Arc::new(Inner { fixed_at: Some(at), offset_seconds: AtomicI64::new(0) }))
    }

    /// Now.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    pub fn now(&self) -> DateTime<Utc> {
        let base = self.0.fixed_at.unwrap_or_else(Utc::now);
        (base + TimeDelta::seconds(self.offset())).trunc_subsecs(3)
    }

    /// How far this clock has been moved, in seconds.
    pub fn offset(&self) -> i64 {
        self.0.offset_seconds.load(Ordering::Relaxed)
    }

    /// Moves this clock to `seconds` from where it would stand by itself. Kept within ±100 years, so that
    /// no sum of a time and a setting can overflow.
    pub fn set_offset(&self, seconds: i64) {
        const CENTURY: i64 = 100 * 365 * 24 * 3600;
        self.0.offset_seconds.store(seconds.clamp(-CENTURY, CENTURY), Ordering::Relaxed);
    }
}
