//! The reconcile of PerformanceBaselines against a stateful fake API server.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: clippy's exceptions cover only the tests themselves"
)]

mod alerts;
mod controller;
mod crash;
mod failures;
mod guard;
mod hazards;
mod judging;
mod retention;
mod runs;
mod sources;
mod stage;
mod truth;
mod workloads;
