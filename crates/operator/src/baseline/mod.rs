//! PerformanceBaseline: validate, observe, decide, act, status.

pub mod validate;
