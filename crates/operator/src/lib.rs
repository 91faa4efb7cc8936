//! The controllers of plimsoll.dev.

pub mod baseline;
pub mod rbac;
pub mod run_key;
pub mod schedule;
