//! The workload of the example, in a story's own namespace.

use serde_json::{Value, json};

use crate::story::Story;

/// What a Deployment of the workload does.
#[derive(Debug, Clone, Copy)]
pub struct Serving<'a> {
    /// Its name, also its label `app`, which Prometheus makes the job of its series.
    pub name: &'a str,
    /// Pods.
    pub replicas: i32,
    /// Arguments of the workload.
    pub arguments: &'a [&'a str],
    /// Port that Prometheus scrapes and that readiness is asked on; 0 where nothing listens.
    pub port: u16,
}

/// A Deployment of the workload, restricted as its namespace demands.
#[must_use]
pub fn deployment(story: &Story, serving: &Serving<'_>) -> Value {
    let labels = json!({"app": serving.name});
    let mut container = json!({
        "name": "workload",
        "image": story.environment.workload,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/plimsoll-workload"],
        "args": serving.arguments,
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
        },
    });
    let mut annotations = json!({});
    if serving.port != 0 {
        container["readinessProbe"] =
            json!({"httpGet": {"path": "/readyz", "port": serving.port}, "periodSeconds": 1});
        annotations = json!({"prometheus.io/scrape": "true", "prometheus.io/port": serving.port.to_string()});
    }
    json!({
        "metadata": {"name": serving.name, "labels": labels},
        "spec": {
            "replicas": serving.replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 5,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container],
                },
            },
        },
    })
}
