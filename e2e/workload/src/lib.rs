//! The system under measurement: a small real web and API service, and its traffic.
//!
//! [`server`] answers as the web application `odoo` or as the `api` beside it: every request takes a worker, asks cache and
//! database, burns CPU and is measured with a monotonic clock. Without a database ([`data`]) a query is a timed wait. [`traffic`] sends requests to it at a constant
//! rate, and nowhere else. What a request does is drawn by [`draw`] from a seed and the request's number, so that two runs
//! draw the same queries and the same failures; only the machine's own speed differs.

#![warn(missing_docs)]

pub mod cli;
pub mod data;
pub mod draw;
pub mod latency;
pub mod metrics;
pub mod routes;
pub mod server;
pub mod signal;
pub mod traffic;
pub mod work;
