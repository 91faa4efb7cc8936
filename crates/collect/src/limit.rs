//! Until when a run may read: an instant, or earlier where it is told to stop.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// The end of a run's reading. What a source has read by then stays.
#[derive(Debug, Clone)]
pub struct TimeLimit {
    at: Instant,
    stop: CancellationToken,
}

/// The limit came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs_f64().ceil())]
pub(crate) struct Late(pub(crate) Duration);

impl TimeLimit {
    /// Reading ends at an instant.
    #[must_use]
    pub fn at(at: Instant) -> Self {
        Self { at, stop: CancellationToken::new() }
    }

    /// Ends reading now, for every clone.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// How much time is left; zero once it is over or was stopped.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        if self.stop.is_cancelled() {
            return Duration::ZERO;
        }
        self.at.saturating_duration_since(Instant::now())
    }

    /// Waits for `work`, at most `most` and at most to the end.
    ///
    /// # Errors
    /// [`Late`] with the time that it was given.
    pub(crate) async fn within<T>(&self, most: Duration, work: impl Future<Output = T>) -> Result<T, Late> {
        let limit = self.remaining().min(most);
        if limit.is_zero() {
            return Err(Late(limit));
        }
        let started = Instant::now();
        tokio::select! {
            result = tokio::time::timeout(limit, work) => result.map_err(|_| Late(limit)),
            () = self.stop.cancelled() => Err(Late(started.elapsed())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_at_the_limit_or_at_a_stop_whichever_is_first() {
        let limit = TimeLimit::at(Instant::now() + Duration::from_secs(3600));
        assert_eq!(limit.within(Duration::from_secs(1), async { 7 }).await, Ok(7));
        let short = Duration::from_millis(5);
        assert_eq!(limit.within(short, std::future::pending::<()>()).await, Err(Late(short)));
        let clone = limit.clone();
        let (result, ()) =
            tokio::join!(limit.within(Duration::from_secs(3600), std::future::pending::<()>()), async move {
                clone.stop();
            });
        assert!(result.is_err());
        assert_eq!(limit.remaining(), Duration::ZERO);
        assert!(limit.within(short, async { 7 }).await.is_err(), "nothing is begun after the end");
    }
}
