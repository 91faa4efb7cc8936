//! Baselines on the real cluster: each story in a namespace of its own, all at once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

mod credentials;
mod figures;
mod forged;
mod many;
mod midrun;
mod refused;
mod schedule;
mod unavailable;
mod workloads;
