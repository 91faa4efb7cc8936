//! Fixtures and a stateful fake API server with faults; for tests only.
//!
//! [`server::FakeApiServer`] stores objects, merges server-side applies, runs watches and numbers every write, so that
//! [`crash::CrashTest`] can fail a scenario before, after and in doubt at each of them and compare the end states.
//! [`job::JobDouble`] stands for the Job controller and the kubelet, [`fixtures`] for users.

pub mod clock;
pub mod crash;
pub mod fixtures;
pub mod job;
pub mod server;

pub use clock::FixedClock;
pub use crash::{CrashReport, CrashTest, every_crash_point};
pub use job::JobDouble;
pub use server::FakeApiServer;
