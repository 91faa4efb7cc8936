//! What a baseline leaves in the cluster: alerts, and records beyond its own end.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use plimsoll_api::baseline::AppliedPolicy;
use plimsoll_api::{OWNER_LABEL, PerformanceBaseline, PerformanceBaselineStatus};
use plimsoll_stories::baseline::RUN;
use plimsoll_stories::charts::run;
use plimsoll_stories::environment::Environment;
use plimsoll_stories::story::{Story, tell};
use serde_json::json;

/// How long an edit may take until it is followed.
const EDIT: Duration = Duration::from_secs(30);
/// Name of the definition of PrometheusRules.
const DEFINITION: &str = "prometheusrules.monitoring.coreos.com";

/// A definition that takes any spec, where the cluster has none.
const MANIFEST: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: prometheusrules.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {kind: PrometheusRule, plural: prometheusrules, singular: prometheusrule}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"#;

/// promtool reads the rules of a run's report.
async fn check_rules(story: &Story, run_name: &str) -> Result<String> {
    let map = story.api::<ConfigMap>().get(&format!("{run_name}-report")).await?;
    let rules = map.data.and_then(|mut data| data.remove("rules.yaml")).context("rules.yaml")?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("rules.yaml");
    std::fs::write(&path, &rules)?;
    let environment = Environment::get()?;
    run(std::process::Command::new(&environment.promtool).args(["check", "rules"]).arg(&path))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_stand_in_the_report_and_where_the_kind_is_known_as_a_rule_that_goes_with_them() {
    tell("alerts", |story: Story| async move {
        let definitions = Api::<CustomResourceDefinition>::all(story.admin.clone());
        let was_known = definitions.get_opt(DEFINITION).await?.is_some();
        let mut spec = story.dairy();
        spec["objectives"] = json!([{"name": "pages", "indicator": "web.latency.p95", "lessThan": "3s"}]);
        spec["prometheusRule"] = json!({"enabled": true, "labels": {"release": "prometheus"}});
        story.baseline("dairy", spec).await?;
        let ready = story.until_ready("dairy").await?;
        let run_name = ready.status.and_then(|status| status.last_run).context("a run")?.name;
        let told = |name: Option<&str>| {
            let name = name.map(str::to_owned);
            let run_name = run_name.clone();
            move |status: &PerformanceBaselineStatus| {
                status.prometheus_rule.as_ref().is_some_and(|rule| {
                    rule.name == name && rule.alerts == 1 && rule.run.as_ref() == Some(&run_name)
                })
            }
        };
        if !was_known {
            story.until_baseline("without the kind the file is told", "dairy", EDIT, told(None)).await?;
        }
        println!("{}", check_rules(&story, &run_name).await?);
        story.apply(MANIFEST).await?;
        let gvk = GroupVersionKind::gvk("monitoring.coreos.com", "v1", "PrometheusRule");
        let resource = ApiResource::from_gvk_with_plural(&gvk, "prometheusrules");
        let rules = Api::<DynamicObject>::namespaced_with(story.admin.clone(), &story.namespace, &resource);
        // Each edit looks for the kind again; discovery learns of a new one after a moment.
        for hold in ["6m", "7m", "8m", "9m", "10m"] {
            let objectives =
                json!([{"name": "pages", "indicator": "web.latency.p95", "lessThan": "3s", "for": hold}]);
            story.edit("dairy", json!({"spec": {"objectives": objectives}})).await?;
            let written = story.until_baseline("the rule", "dairy", EDIT, told(Some("plimsoll-dairy"))).await;
            if written.is_ok() {
                break;
            }
        }
        let rule = rules.get("plimsoll-dairy").await?;
        ensure!(rule.metadata.labels.context("labels")?["release"] == "prometheus");
        ensure!(rule.data["spec"]["groups"][0]["rules"][0]["alert"] == "PlimsollObjectiveMissed");
        story.edit("dairy", json!({"spec": {"prometheusRule": {"enabled": false}}})).await?;
        let gone = |status: &PerformanceBaselineStatus| status.prometheus_rule.is_none();
        story.until_baseline("the alerts are taken away", "dairy", EDIT, gone).await?;
        ensure!(rules.get_opt("plimsoll-dairy").await?.is_none());
        if !was_known {
            definitions.delete(DEFINITION, &DeleteParams::default()).await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retained_records_outlive_their_baseline_and_the_next_one_leaves_them_alone() {
    tell("retained", |story: Story| async move {
        story.baseline("dairy", story.dairy()).await?;
        story.until_ready("dairy").await?;
        let of_dairy = ListParams::default().labels(&format!("{OWNER_LABEL}=dairy"));
        let maps = || async { anyhow::Ok(story.api::<ConfigMap>().list(&of_dairy).await?.items) };
        let has_owner =
            |map: &ConfigMap| !map.metadata.owner_references.clone().unwrap_or_default().is_empty();
        ensure!(maps().await?.iter().filter(|map| has_owner(map)).count() == 2);
        for (policy, applied) in [
            ("Retain", AppliedPolicy::Retain),
            ("Delete", AppliedPolicy::Delete),
            ("Retain", AppliedPolicy::Retain),
        ] {
            story.edit("dairy", json!({"spec": {"deletionPolicy": policy}})).await?;
            let follows = |status: &PerformanceBaselineStatus| status.deletion_policy == Some(applied);
            story.until_baseline(policy, "dairy", EDIT, follows).await?;
            let owned = maps().await?.iter().filter(|map| has_owner(map)).count();
            ensure!(owned == if policy == "Retain" { 0 } else { 2 }, "{policy}: {owned}");
        }
        let kept = maps().await?;
        story.api::<PerformanceBaseline>().delete("dairy", &DeleteParams::default()).await?;
        story.until_gone::<PerformanceBaseline>("dairy", RUN).await?;
        story.baseline("dairy", story.dairy()).await?;
        story.until_ready("dairy").await?;
        let now = maps().await?;
        ensure!(now.len() == kept.len() + 2, "{} of {}", now.len(), kept.len());
        for map in &kept {
            ensure!(now.contains(map), "{:?} was changed", map.metadata.name);
        }
        Ok(())
    })
    .await;
}
