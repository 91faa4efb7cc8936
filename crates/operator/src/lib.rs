//! The controllers of plimsoll.dev.
//!
//! The operator talks to the Kubernetes API and to nothing else, and has no right on Secrets: every contact with the
//! measured world is a Job in the resource's own namespace.

pub mod admin;
pub mod apply;
pub mod args;
pub mod baseline;
pub mod context;
pub mod controller;
pub mod error;
pub mod events;
pub mod gauges;
pub mod job;
pub mod lease;
pub mod links;
pub mod metrics;
pub mod rbac;
pub mod reason;
mod record_cut;
pub mod record_map;
pub mod retain;
pub mod rules;
pub mod run;
pub mod run_key;
pub mod schedule;
pub mod workloads;
