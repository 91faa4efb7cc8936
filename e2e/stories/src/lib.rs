//! What the stories share: clients as somebody else, charts by Helm, waiting on conditions, examples of references.
//!
//! A story runs against a real API server ([`bare`]) or the real cluster (`plimsoll_cluster`); both have a kubeconfig,
//! which is all that the helpers ask for.

pub mod access;
pub mod audit;
pub mod bare;
pub mod baseline;
pub mod charts;
pub mod databases;
pub mod environment;
pub mod gate;
pub mod image;
pub mod operator;
pub mod policy;
pub mod prometheus;
pub mod references;
pub mod story;
pub mod value;
pub mod wait;
pub mod workload;
