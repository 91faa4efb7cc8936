//! Baselines on the real cluster: each story in a namespace of its own, all at once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

mod addresses;
mod canaries;
mod credentials;
mod databases;
mod figures;
mod forged;
mod history;
mod judged;
mod kept;
mod many;
mod midrun;
mod refused;
mod schedule;
mod traffic;
mod unavailable;
mod workloads;
