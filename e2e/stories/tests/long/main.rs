//! Stories that take longer than CI allows: `cargo xtask test --long` tells them, one at a time and alone on the cluster.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

mod tuned;
