use super::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn object<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn deployment(name: &str) -> Deployment {
    object(&json!({
        "metadata": {"name": name},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": name}}, "template": {"spec": {"containers": [
            {"name": "web", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}},
            {"name": "proxy"},
        ]}}},
        "status": {"replicas": 2, "readyReplicas": 1},
    }))
}

fn pod(name: &str, app: &str, restarts: &[i32]) -> Pod {
    let statuses: Vec<Value> = restarts
        .iter()
        .map(|count| json!({"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": count}))
        .collect();
    object(
        &json!({"metadata": {"name": name, "labels": {"app": app}}, "status": {"containerStatuses": statuses}}),
    )
}

fn usage_of(name: &str, cpu: &str, memory: &str) -> DynamicObject {
    object(&json!({
        "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics", "metadata": {"name": name},
        "containers": [{"name": "web", "usage": {"cpu": cpu, "memory": memory}},
                       {"name": "proxy", "usage": {"cpu": "1m", "memory": "1Mi"}}],
    }))
}

fn hpa(spec_metrics: &Value, status: &Value) -> HorizontalPodAutoscaler {
    object(&json!({
        "metadata": {"name": "odoo-hpa"},
        "spec": {"minReplicas": 2, "maxReplicas": 9, "scaleTargetRef": {"kind": "Deployment", "name": "odoo"},
                 "metrics": spec_metrics},
        "status": status,
    }))
}

fn only(read: &Read) -> Workload {
    let (facts, dropped) = facts(read);
    assert_eq!((facts.workloads.len(), dropped), (1, 0));
    facts.workloads.into_iter().next().unwrap()
}

#[test]
fn requests_limits_and_replicas_are_those_of_the_template_and_status() {
    let read = Read { deployments: Some(vec![deployment("odoo")]), ..Read::default() };
    let workload = only(&read);
    assert_eq!(workload.replicas, Replicas { desired: 3, current: 2, ready: 1 });
    assert_eq!(workload.containers[0].requests["cpu"], "250m");
    assert_eq!(workload.containers[0].limits["memory"], "128Mi");
    assert!(workload.containers[1].requests.is_empty() && workload.containers[1].limits.is_empty());
    assert_eq!(
        (workload.restarts, workload.usage, workload.autoscaler),
        (None, None, None),
        "not read is not 0"
    );
}

#[test]
fn stateful_and_daemon_sets_have_replicas_too() {
    let set: StatefulSet = object(&json!({"metadata": {"name": "db"}, "spec": {"serviceName": "db",
        "selector": {"matchLabels": {"app": "db"}}, "template": {}}, "status": {"replicas": 1, "readyReplicas": 1}}));
    let daemons: DaemonSet = object(&json!({"metadata": {"name": "logs"}, "spec": {
        "selector": {"matchLabels": {"app": "logs"}}, "template": {}},
        "status": {"desiredNumberScheduled": 4, "currentNumberScheduled": 3, "numberMisscheduled": 0, "numberReady": 2}}));
    let read = Read { stateful_sets: Some(vec![set]), daemon_sets: Some(vec![daemons]), ..Read::default() };
    let (facts, _) = facts(&read);
    let told: Vec<(&str, Replicas)> =
        facts.workloads.iter().map(|workload| (workload.kind.as_str(), workload.replicas)).collect();
    assert_eq!(
        told,
        [
            ("DaemonSet", Replicas { desired: 4, current: 3, ready: 2 }),
            ("StatefulSet", Replicas { desired: 1, current: 1, ready: 1 }),
        ]
    );
}

#[test]
fn restarts_and_usage_are_summed_over_the_workloads_own_pods() {
    let read = Read {
        deployments: Some(vec![deployment("odoo")]),
        pods: Some(vec![
            pod("odoo-1", "odoo", &[2, 1]),
            pod("odoo-2", "odoo", &[4]),
            pod("api-1", "api", &[9]),
        ]),
        usage: Some(vec![
            usage_of("odoo-1", "250m", "64Mi"),
            usage_of("odoo-2", "12345678n", "65536Ki"),
            usage_of("api-1", "4", "4Gi"),
        ]),
        ..Read::default()
    };
    let workload = only(&read);
    assert_eq!(workload.restarts, Some(7));
    let usage = workload.usage.unwrap();
    assert_eq!(usage.pods, 2);
    assert!((usage.cpu_percent_of_core - (25.0 + 1.234_567_8 + 0.2)).abs() < 1e-9, "{usage:?}");
    assert!((usage.memory_mib - 130.0).abs() < 1e-9, "{usage:?}");
}

#[test]
fn a_workload_without_pods_restarted_nothing_and_a_pod_without_metrics_is_not_0() {
    let read = Read {
        deployments: Some(vec![deployment("odoo")]),
        pods: Some(vec![pod("odoo-1", "odoo", &[])]),
        usage: Some(Vec::new()),
        ..Read::default()
    };
    let workload = only(&read);
    assert_eq!((workload.restarts, workload.usage), (Some(0), None));
}

#[test]
fn an_autoscaler_tells_each_metric_in_the_unit_of_its_target() {
    let metrics = json!([
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}},
        {"type": "Pods", "pods": {"metric": {"name": "requests"}, "target": {"type": "AverageValue", "averageValue": "100"}}},
        {"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "30"}}},
    ]);
    let status = json!({"currentReplicas": 2, "desiredReplicas": 3, "currentMetrics": [
        {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 45, "averageValue": "90m"}}},
        {"type": "Pods", "pods": {"metric": {"name": "requests"}, "current": {"averageValue": "61500m"}}},
        {"type": "External", "external": {"metric": {"name": "queue"}, "current": {"value": "12"}}},
    ], "conditions": [{"type": "ScalingLimited", "status": "False"}, {"type": "ScalingActive", "status": "True"}]});
    let read = Read {
        deployments: Some(vec![deployment("odoo")]),
        autoscalers: Some(vec![hpa(&metrics, &status)]),
        ..Read::default()
    };
    let autoscaler = only(&read).autoscaler.unwrap();
    let told: Vec<String> = autoscaler
        .metrics
        .iter()
        .map(|metric| {
            format!("{} {}/{}", metric.name, metric.current.as_deref().unwrap_or("?"), metric.target)
        })
        .collect();
    assert_eq!(told, ["cpu 45%/70%", "requests 61500m/100", "queue 12/30"]);
    assert_eq!((autoscaler.min_replicas, autoscaler.max_replicas, autoscaler.desired_replicas), (2, 9, 3));
    assert!(autoscaler.problems.is_empty(), "{:?}", autoscaler.problems);
}

#[test]
fn a_custom_metric_that_the_autoscaler_does_not_know_is_a_problem_although_its_conditions_are_true() {
    let metrics = json!([{"type": "Pods", "pods": {"metric": {"name": "requests"},
        "target": {"type": "AverageValue", "averageValue": "100"}}}]);
    // As a real one has it: an entry without a name.
    let status = json!({"currentReplicas": 2, "desiredReplicas": 2, "currentMetrics": [{"type": ""}],
        "conditions": [{"type": "ScalingActive", "status": "True"}, {"type": "AbleToScale", "status": "False", "reason": "FailedGetScale"}]});
    let read = Read {
        deployments: Some(vec![deployment("odoo")]),
        autoscalers: Some(vec![hpa(&metrics, &status)]),
        ..Read::default()
    };
    let autoscaler = only(&read).autoscaler.unwrap();
    assert_eq!(autoscaler.metrics[0].current, None);
    assert_eq!(
        autoscaler.problems,
        ["AbleToScale=False: FailedGetScale", "metric requests is not known to the autoscaler"]
    );
}

#[test]
fn an_autoscaler_of_another_workload_is_not_this_ones() {
    let read = Read {
        deployments: Some(vec![deployment("api")]),
        autoscalers: Some(vec![hpa(&json!([]), &json!({"desiredReplicas": 2}))]),
        ..Read::default()
    };
    assert_eq!(only(&read).autoscaler, None);
}

#[test]
fn fifty_workloads_are_recorded_by_kind_and_name_and_the_rest_is_counted() {
    let read = Read {
        deployments: Some((0..60).rev().map(|index| deployment(&format!("d-{index:02}"))).collect()),
        ..Read::default()
    };
    let (facts, dropped) = facts(&read);
    assert_eq!((facts.workloads.len(), dropped), (MAX_WORKLOADS, 10));
    assert_eq!(facts.workloads[0].name, "d-00");
    assert!(facts.unknown.is_empty(), "they could be read");
}
