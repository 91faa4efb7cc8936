//! Reading the facts of workloads: pages, rights, and an API that may be missing.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use plimsoll_analysis::record::SourceReason;
use plimsoll_operator::baseline::view::FactsRead;
use plimsoll_operator::workloads::read::read;
use plimsoll_testkit::FakeApiServer;
use plimsoll_testkit::fixtures::NAMESPACE;
use plimsoll_testkit::server::{ApiFailure, Failure, ResourceType, Verb};
use serde_json::json;

fn server() -> FakeApiServer {
    let server = FakeApiServer::new();
    for app in ["odoo", "api"] {
        let deployment = json!({
            "metadata": {"name": app, "namespace": NAMESPACE, "labels": {"app": app}},
            "spec": {"selector": {"matchLabels": {"app": app}}, "template": {}},
        });
        server.put(serde_json::from_value::<Deployment>(deployment).unwrap());
    }
    server
}

fn put_pods(server: &FakeApiServer, count: usize) {
    for index in 0..count {
        let pod = json!({
            "metadata": {"name": format!("odoo-{index:05}"), "namespace": NAMESPACE, "labels": {"app": "odoo"}},
            "status": {"containerStatuses": [
                {"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 1},
            ]},
        });
        server.put(serde_json::from_value::<Pod>(pod).unwrap());
    }
}

async fn facts(server: &FakeApiServer, selector: LabelSelector) -> Result<FactsRead, kube::Error> {
    read(&server.client(), NAMESPACE, &selector, true, &jiff::Timestamp::now).await
}

#[tokio::test]
async fn every_page_is_read_and_the_selector_counts_for_workloads_and_not_for_pods() {
    let server = server();
    put_pods(&server, 1_201);
    let selector = serde_json::from_value(json!({"matchLabels": {"app": "odoo"}})).unwrap();
    let read = facts(&server, selector).await.unwrap();
    let restarts: Vec<_> =
        read.facts.workloads.iter().map(|workload| (workload.name.as_str(), workload.restarts)).collect();
    assert_eq!(restarts, [("odoo", Some(1_201))]);
    assert_eq!(
        (read.queries, read.reason, read.dropped),
        (8, None, 0),
        "three pages of pods, one of each other"
    );
}

#[tokio::test]
async fn more_pods_than_are_read_are_told() {
    let server = server();
    put_pods(&server, 10_001);
    let read = facts(&server, LabelSelector::default()).await.unwrap();
    assert_eq!(read.facts.unknown.len(), 1);
    assert!(read.facts.unknown[0].message.contains("more than the 10000"), "{:?}", read.facts.unknown);
}

#[tokio::test]
async fn each_missing_right_is_a_fact_that_names_the_rule_to_add() {
    for (plural, group) in [
        ("deployments", "apps"),
        ("statefulsets", "apps"),
        ("daemonsets", "apps"),
        ("horizontalpodautoscalers", "autoscaling"),
    ] {
        let server = server();
        server.forbid(Verb::List, plural);
        let read = facts(&server, LabelSelector::default()).await.unwrap();
        assert_eq!(read.reason, Some(SourceReason::Forbidden));
        let rule = format!("apiGroups [\"{group}\"], resources [\"{plural}\"], verbs [\"list\"]");
        assert!(read.facts.unknown[0].message.contains(&rule), "{:?}", read.facts.unknown);
        assert_eq!(read.facts.unknown[0].fact, plural);
    }
    // Pods, and usage, which is a resource of the same name.
    let server = server();
    server.forbid(Verb::List, "pods");
    let read = facts(&server, LabelSelector::default()).await.unwrap();
    let told: Vec<_> = read.facts.unknown.iter().map(|fact| fact.fact.as_str()).collect();
    assert_eq!(told, ["pods", "usage"]);
    assert!(read.facts.unknown[1].message.contains("apiGroups [\"metrics.k8s.io\"]"));
    assert!(read.facts.workloads.iter().all(|workload| workload.restarts.is_none()), "unknown is not 0");
}

#[tokio::test]
async fn a_metrics_api_that_is_missing_or_away_is_a_fact() {
    let server = server();
    server.unserve("metrics.k8s.io");
    let read = facts(&server, LabelSelector::default()).await.unwrap();
    assert_eq!(read.reason, Some(SourceReason::ExtensionMissing));
    assert!(read.facts.unknown[0].message.contains("install metrics-server"));
}

#[tokio::test]
async fn usage_is_read_from_the_metrics_api() {
    let server = server();
    put_pods(&server, 1);
    let metrics = ResourceType::new("metrics.k8s.io", "v1beta1", "pods");
    server.put_value(
        &metrics,
        &json!({"apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics",
            "metadata": {"name": "odoo-00000", "namespace": NAMESPACE},
            "containers": [{"name": "c", "usage": {"cpu": "100m", "memory": "1Mi"}}]}),
    );
    let read = facts(&server, LabelSelector::default()).await.unwrap();
    let odoo = read.facts.workloads.iter().find(|workload| workload.name == "odoo").unwrap();
    assert_eq!(odoo.usage.unwrap().pods, 1);
    assert!((odoo.usage.unwrap().cpu_percent_of_core - 10.0).abs() < 1e-9);
}

#[tokio::test]
async fn any_other_failure_is_an_error_and_no_fact() {
    let server = server();
    server.fail_next(Verb::List, "deployments", Failure::Refuse(ApiFailure::internal("etcd is away")));
    assert!(facts(&server, LabelSelector::default()).await.is_err());
    server.fail_next(Verb::List, "deployments", Failure::Disconnect);
    assert!(facts(&server, LabelSelector::default()).await.is_err());
}
