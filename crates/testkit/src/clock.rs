//! A clock that moves only when a test says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// A clock that stands still until it is advanced. Clones share one time.
#[derive(Debug, Clone)]
pub struct FixedClock(Arc<Mutex<Timestamp>>);

impl FixedClock {
    /// A clock that shows `time`, in RFC 3339, for example `2026-02-05T06:00:00Z`.
    ///
    /// # Panics
    /// Where `time` is not a timestamp.
    #[must_use]
    pub fn at(time: &str) -> Self {
        Self(Arc::new(Mutex::new(time.parse().expect("the test gives a timestamp in RFC 3339"))))
    }

    /// The time that it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        *self.lock()
    }

    /// Moves it by `step`, backwards where that is negative, and returns the new time.
    ///
    /// # Panics
    /// Where the time leaves what a [`Timestamp`] holds.
    pub fn advance(&self, step: SignedDuration) -> Timestamp {
        let mut time = self.lock();
        *time = time.checked_add(step).expect("the test stays within the years of a timestamp");
        *time
    }

    /// Moves it to `time`.
    pub fn set(&self, time: Timestamp) {
        *self.lock() = time;
    }

    fn lock(&self) -> MutexGuard<'_, Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for FixedClock {
    /// 5 February 2026, 06:00 UTC, a Thursday.
    fn default() -> Self {
        Self::at("2026-02-05T06:00:00Z")
    }
}
