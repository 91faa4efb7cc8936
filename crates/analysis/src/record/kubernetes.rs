//! Facts of workloads, as the operator reads them from the Kubernetes API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Facts that the operator read from the Kubernetes API.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KubernetesFacts {
    /// Workloads that the selector names, by kind and name.
    pub workloads: Vec<Workload>,
    /// What could not be read, and the right to add.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<UnknownFact>,
}

/// A fact that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownFact {
    /// Which fact: `pods`, `usage`, `horizontalpodautoscalers`, ...
    pub fact: String,
    /// Why, and the RBAC rule to add where a right is missing.
    pub message: String,
}

/// One Deployment, StatefulSet or DaemonSet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// `Deployment`, `StatefulSet` or `DaemonSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Replicas.
    pub replicas: Replicas,
    /// Restarts of the containers of the pods that exist now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u64>,
    /// Its containers, as the pod template declares them.
    pub containers: Vec<Container>,
    /// The autoscaler that targets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaler: Option<Autoscaler>,
    /// Usage now, summed over its pods, from metrics-server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// Replicas of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicas {
    /// Asked for.
    pub desired: i32,
    /// Existing.
    pub current: i32,
    /// Ready.
    pub ready: i32,
}

/// Requests and limits of a container, as Quantity strings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// `cpu`, `memory`, ... as requested.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, String>,
    /// `cpu`, `memory`, ... as limited.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, String>,
}

/// State of a HorizontalPodAutoscaler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Autoscaler {
    /// Its name.
    pub name: String,
    /// Least replicas.
    pub min_replicas: i32,
    /// Most replicas.
    pub max_replicas: i32,
    /// Replicas now.
    pub current_replicas: i32,
    /// Replicas wanted now.
    pub desired_replicas: i32,
    /// Metrics as `name: current/target`.
    pub metrics: Vec<AutoscalerMetric>,
    /// Conditions that are not as they should be, as `type=status: reason`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// One metric of an autoscaler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoscalerMetric {
    /// `cpu`, `memory` or the custom metric's name.
    pub name: String,
    /// The target, for example `70%` or `100`.
    pub target: String,
    /// The current value in the target's unit; absent where the autoscaler does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
}

/// Use of a workload's pods.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Percent of a core.
    pub cpu_percent_of_core: f64,
    /// MiB.
    pub memory_mib: f64,
    /// How many pods were measured.
    pub pods: u64,
}
