//! Facts of workloads, as the Kubernetes API tells them: requests, limits, restarts, replicas, autoscalers, usage.

pub mod assemble;
pub mod labels;
pub mod read;
