//! How a run tells the person who waits for it how far it is.

/// Receives the steps of a run. The command line draws them on a terminal; a Job has nobody who watches.
pub trait Progress: Send + Sync {
    /// Step `done` of `total` begins; `what` names it in a few words, for example `web latency`.
    ///
    /// The last call of a run has `done == total`.
    fn step(&self, done: usize, total: usize, what: &str);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn step(&self, _done: usize, _total: usize, _what: &str) {}
}
