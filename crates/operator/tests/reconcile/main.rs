//! The reconcile of PerformanceBaselines against a stateful fake API server.

mod crash;
mod failures;
mod runs;
mod stage;
