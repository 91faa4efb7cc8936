//! `prometheusRule`: where the alerts are written, and what stands in the way.

use k8s_openapi::api::core::v1::ConfigMap;
use plimsoll_api::PerformanceBaseline;
use plimsoll_testkit::fixtures::{BaselineFixture as _, NAMESPACE};
use plimsoll_testkit::server::{ObjectKey, ResourceType, Verb};
use plimsoll_testkit::{FixedClock, every_crash_point};
use serde_json::{Value, json};

use crate::stage::{DAIRY, Stage, dairy};

fn kind() -> ResourceType {
    ResourceType::new("monitoring.coreos.com", "v1", "prometheusrules")
}

fn enabled() -> PerformanceBaseline {
    let mut baseline = dairy();
    baseline.spec.objectives = serde_json::from_value(json!([
        {"name": "pages", "indicator": "web.latency.p95", "lessThan": "3s"},
        {"name": "errors", "indicator": "api.errorRatio", "lessThan": "1%"},
    ]))
    .unwrap();
    baseline.spec.prometheus_rule =
        Some(serde_json::from_value(json!({"enabled": true, "labels": {"release": "prometheus"}})).unwrap());
    baseline
}

/// A rule of somebody else's, so that the server knows the kind.
fn serve_the_kind(stage: &Stage) {
    put(stage, "others");
}

fn put(stage: &Stage, name: &str) -> Value {
    let object = json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"groups": []}});
    stage.server.put_value(&kind(), &object)
}

fn rule(stage: &Stage) -> Option<Value> {
    let name = format!("plimsoll-{DAIRY}");
    stage.server.get_value(&ObjectKey { resource: kind(), namespace: NAMESPACE.to_owned(), name })
}

fn file(stage: &Stage) -> Option<String> {
    let run = stage.status().last_run?.name;
    let map: ConfigMap = stage.server.get(NAMESPACE, &format!("{run}-report"))?;
    map.data?.get("rules.yaml").cloned()
}

fn edit(stage: &Stage, change: impl FnOnce(&mut PerformanceBaseline)) {
    stage.server.edit::<PerformanceBaseline>(NAMESPACE, DAIRY, change);
}

#[tokio::test]
async fn alerts_are_written_once_follow_the_spec_and_go_when_they_are_not_enabled() {
    let stage = Stage::new();
    serve_the_kind(&stage);
    stage.server.put(enabled());
    stage.run().await.unwrap();
    let first = rule(&stage).expect("the rule is there");
    assert_eq!(first["spec"]["groups"][0]["rules"].as_array().unwrap().len(), 2);
    assert_eq!(first["metadata"]["labels"]["release"], "prometheus");
    assert_eq!(first["metadata"]["ownerReferences"][0]["uid"], json!(stage.dairy().metadata.uid));
    let status = stage.status().prometheus_rule.unwrap();
    assert_eq!((status.name.as_deref(), status.alerts), (Some("plimsoll-dairy"), 2));
    assert_eq!(status.message, None);
    assert_eq!(status.run, stage.status().last_run.map(|run| run.name));
    let yaml: Value = serde_yaml::from_str(&file(&stage).unwrap()).unwrap();
    assert_eq!(yaml["groups"], first["spec"]["groups"]);
    let writes = stage.server.writes().len();
    assert!(!stage.reconcile().await.changed);
    assert_eq!(stage.server.writes().len(), writes);

    edit(&stage, |baseline| baseline.spec.objectives[0].less_than = Some("2s".to_owned()));
    stage.settle().await.unwrap();
    let second = rule(&stage).unwrap();
    assert_ne!(first["spec"], second["spec"]);
    assert!(file(&stage).unwrap().contains(">= 2"));

    edit(&stage, |baseline| baseline.spec.prometheus_rule.as_mut().unwrap().enabled = false);
    stage.settle().await.unwrap();
    assert_eq!((rule(&stage), file(&stage)), (None, None));
    assert_eq!(stage.status().prometheus_rule, None);
}

#[tokio::test]
async fn without_the_kind_the_file_stands_in_the_report_and_the_rule_follows_when_the_kind_comes() {
    let stage = Stage::new();
    stage.server.put(enabled());
    stage.run().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
    let status = stage.status().prometheus_rule.unwrap();
    assert_eq!(status.name, None);
    assert!(status.message.unwrap().contains("rules.yaml"));
    assert!(file(&stage).unwrap().contains("PlimsollObjectiveMissed"));
    serve_the_kind(&stage);
    edit(&stage, |baseline| {
        let annotations = baseline.metadata.annotations.get_or_insert_default();
        annotations.insert("plimsoll.dev/run".to_owned(), "again".to_owned());
    });
    stage.run().await.unwrap();
    assert!(rule(&stage).is_some());
    assert_eq!(stage.status().prometheus_rule.unwrap().message, None);
}

#[tokio::test]
async fn a_missing_right_is_told_and_fails_nothing() {
    let stage = Stage::new();
    serve_the_kind(&stage);
    stage.server.forbid(Verb::Patch, "prometheusrules");
    stage.server.put(enabled());
    stage.run().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
    assert_eq!(rule(&stage), None);
    let message = stage.status().prometheus_rule.unwrap().message.unwrap();
    assert!(message.contains("may not write PrometheusRules"), "{message}");
    assert!(message.contains("rules.yaml"), "{message}");
    assert!(!stage.reconcile().await.changed, "it is not tried again without a run or an edit");
}

#[tokio::test]
async fn a_rule_of_somebody_else_is_neither_overwritten_nor_deleted() {
    let stage = Stage::new();
    let theirs = put(&stage, &format!("plimsoll-{DAIRY}"));
    stage.server.put(enabled());
    stage.run().await.unwrap();
    assert_eq!(rule(&stage).as_ref(), Some(&theirs));
    assert!(stage.status().prometheus_rule.unwrap().message.unwrap().contains("not this baseline's"));
    edit(&stage, |baseline| baseline.spec.prometheus_rule = None);
    stage.settle().await.unwrap();
    assert_eq!(rule(&stage).as_ref(), Some(&theirs));
}

#[tokio::test]
async fn a_spec_that_means_nothing_leaves_the_alerts_of_the_one_before() {
    let stage = Stage::new();
    serve_the_kind(&stage);
    stage.server.put(enabled());
    stage.run().await.unwrap();
    let before = rule(&stage);
    edit(&stage, |baseline| baseline.spec.window = "never".to_owned());
    stage.settle().await.unwrap();
    assert_eq!(rule(&stage), before);
}

#[tokio::test]
async fn an_objective_without_a_metric_is_named() {
    let stage = Stage::new();
    let mut baseline = enabled().postgres();
    baseline.spec.objectives.extend::<Vec<_>>(
        serde_json::from_value(
            json!([{"name": "query", "indicator": "database.queryTime.p95", "lessThan": "100ms"}]),
        )
        .unwrap(),
    );
    stage.server.put(baseline);
    stage.settle().await.unwrap();
    let status = stage.status().prometheus_rule.unwrap();
    assert_eq!(status.alerts, 2);
    assert!(status.message.unwrap().contains("query: spec.database.latencyHistogram"));
}

#[tokio::test]
async fn alerts_that_come_and_go_end_the_same_wherever_the_operator_crashes() {
    let report = every_crash_point(|server| async move {
        let stage = Stage::on(server, FixedClock::at("2026-11-24T10:00:00Z"));
        serve_the_kind(&stage);
        stage.server.put(enabled());
        stage.run().await?;
        assert!(rule(&stage).is_some() && file(&stage).is_some());
        edit(&stage, |baseline| baseline.spec.prometheus_rule = None);
        stage.settle().await?;
        assert_eq!((rule(&stage), file(&stage)), (None, None));
        Ok::<(), String>(())
    })
    .await;
    report.assert_clean();
}
