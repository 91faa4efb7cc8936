//! What an administrator may set for every Job: the chart's `jobs` values.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LocalObjectReference, ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::{Deserialize, Serialize};

/// Settings of every Job's pod; nothing of them comes from a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JobSettings {
    /// Secrets for pulling the image, in the namespace of each run.
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Labels beside ours.
    pub labels: BTreeMap<String, String>,
    /// Annotations beside ours, for example to keep a mesh's sidecar out.
    pub annotations: BTreeMap<String, String>,
    /// Nodes to run on.
    pub node_selector: BTreeMap<String, String>,
    /// Taints to tolerate.
    pub tolerations: Vec<Toleration>,
    /// Requests and limits of the container.
    pub resources: ResourceRequirements,
    /// Priority class.
    pub priority_class_name: Option<String>,
}

impl Default for JobSettings {
    fn default() -> Self {
        let amounts = |cpu: &str, memory: &str| {
            Some(BTreeMap::from([
                ("cpu".to_owned(), Quantity(cpu.to_owned())),
                ("memory".to_owned(), Quantity(memory.to_owned())),
            ]))
        };
        Self {
            image_pull_secrets: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            resources: ResourceRequirements {
                requests: amounts("50m", "64Mi"),
                limits: amounts("1", "256Mi"),
                claims: None,
            },
            priority_class_name: None,
        }
    }
}
