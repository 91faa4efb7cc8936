//! The manifests under examples/: every field exists, and what refers to each other fits.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod manifests;
mod servers;

use std::path::Path;
use std::process::Command;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use plimsoll_analysis::{duration, promql};
use plimsoll_api::PerformanceBaseline;
use plimsoll_workload::metrics::Metrics;
use plimsoll_workload::routes::Role;
use serde_json::Value;

use manifests::{
    Document, all, assert_restricted, assert_runnable, check, documents, documents_of, examples, pod,
    referenced, smart_dairy, typed,
};

#[test]
fn every_example_has_only_fields_that_exist() {
    let documents = documents(&examples());
    assert!(documents.len() >= 12, "{} documents: are they all found?", documents.len());
    for document in &documents {
        if let Err(why) = check(&document.value) {
            panic!("{}: {why}", document.file.display());
        }
    }
}

#[test]
fn a_misspelt_field_is_found_wherever_it_stands() {
    let documents = documents(&smart_dairy());
    for (kind, pointer, key) in [
        ("Deployment", "/spec/template/spec/containers/0/readinessProbe", "failureTreshold"),
        ("Deployment", "/spec", "replica"),
        ("Service", "/spec/ports/0", "targetport"),
        ("HorizontalPodAutoscaler", "/spec/behavior/scaleUp", "stabilisationWindowSeconds"),
        ("PerformanceBaseline", "/spec/web", "errorMatcher"),
        ("PerformanceBaseline", "/spec/metrics/0", "unitt"),
        ("Kustomization", "", "resource"),
    ] {
        let mut value =
            documents.iter().find(|document| document.value["kind"] == kind).unwrap().value.clone();
        assert_eq!(check(&value), Ok(()));
        value.pointer_mut(pointer).unwrap()[key] = Value::from(1);
        assert!(check(&value).unwrap_err().contains(key), "{kind}{pointer}/{key}");
    }
    let unknown = serde_json::json!({"apiVersion": "v1", "kind": "Deployment"});
    assert!(check(&unknown).is_err());
}

#[test]
fn the_autoscalers_are_the_seeds() {
    let documents = documents(&smart_dairy().join("base"));
    let autoscalers: Vec<HorizontalPodAutoscaler> = all(&documents, "HorizontalPodAutoscaler");
    let seed = documents_of(include_str!("../fixtures/optimized-hpa.yaml"), Path::new("optimized-hpa.yaml"));
    assert_eq!((autoscalers.len(), seed.len()), (2, 2));
    for (ours, seed) in autoscalers.iter().zip(&seed) {
        let seed: HorizontalPodAutoscaler = typed(&seed.value).unwrap();
        assert_eq!(
            (&ours.metadata.name, &ours.metadata.namespace),
            (&seed.metadata.name, &seed.metadata.namespace)
        );
        assert_eq!(ours.spec, seed.spec);
    }
}

#[test]
fn services_autoscalers_and_annotations_fit_their_deployments() {
    let documents = documents(&smart_dairy().join("base"));
    let deployments: Vec<Deployment> = all(&documents, "Deployment");
    let services: Vec<Service> = all(&documents, "Service");
    let autoscalers: Vec<HorizontalPodAutoscaler> = all(&documents, "HorizontalPodAutoscaler");
    assert_eq!(deployments.len(), 2);
    for (deployment, role) in deployments.iter().zip([Role::Api, Role::Odoo]) {
        let name = deployment.metadata.name.clone().unwrap();
        let spec = deployment.spec.as_ref().unwrap();
        assert_eq!(spec.replicas, None, "{name}: the autoscaler's");
        let pod_metadata = spec.template.metadata.as_ref().unwrap();
        let labels = pod_metadata.labels.as_ref().unwrap();
        assert_eq!(labels["app"], name);
        assert_eq!(deployment.metadata.labels.as_ref().unwrap()["app.kubernetes.io/part-of"], "smart-dairy");
        assert_eq!(labels["app.kubernetes.io/part-of"], "smart-dairy");
        assert_restricted(pod(deployment), 65_532, &name);
        let container = &pod(deployment).containers[0];
        assert_runnable(container);
        let port = &container.ports.as_ref().unwrap()[0];
        assert_eq!(port.container_port, i32::from(role.port()), "{name}");
        assert!(container.args.as_ref().unwrap().contains(&format!("0.0.0.0:{}", role.port())), "{name}");

        let annotations = pod_metadata.annotations.as_ref().unwrap();
        assert_eq!(annotations["prometheus.io/scrape"], "true");
        assert_eq!(annotations["prometheus.io/port"], role.port().to_string());
        assert_eq!(annotations["prometheus.io/path"], "/metrics");

        let service = services.iter().find(|service| service.metadata.name.as_ref() == Some(&name)).unwrap();
        let service = service.spec.as_ref().unwrap();
        assert!(service.selector.as_ref().unwrap().iter().all(|(key, value)| labels.get(key) == Some(value)));
        let service_port = &service.ports.as_ref().unwrap()[0];
        assert_eq!(service_port.port, i32::from(role.port()));
        assert_eq!(service_port.target_port, Some(IntOrString::String(port.name.clone().unwrap())));

        let targets = |autoscaler: &&HorizontalPodAutoscaler| {
            autoscaler.spec.as_ref().is_some_and(|spec| {
                spec.scale_target_ref.name == name && spec.scale_target_ref.kind == "Deployment"
            })
        };
        assert_eq!(autoscalers.iter().filter(targets).count(), 1, "{name}");
    }
    let namespaces: Vec<Namespace> = all(&documents, "Namespace");
    let labels = namespaces[0].metadata.labels.as_ref().unwrap();
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
}

#[test]
fn baselines_pass_their_rules_and_ask_for_metrics_that_exist() {
    let documents = documents(&smart_dairy());
    let baselines: Vec<PerformanceBaseline> = all(&documents, "PerformanceBaseline");
    assert_eq!(baselines.len(), 4);
    let metrics = [Role::Odoo, Role::Api].map(|role| Metrics::new(role).encode(0.0).unwrap()).concat();
    for baseline in &baselines {
        kube::core::cel::validate_cel(baseline).unwrap();
        let spec = &baseline.spec;
        duration::parse(&spec.window).unwrap();
        let (web, api) = (spec.web.as_ref().unwrap(), spec.api.as_ref().unwrap());
        for matchers in [&web.matchers, &web.error_matchers, &api.matchers, &api.error_matchers] {
            promql::check_matchers(matchers).unwrap();
        }
        for name in [&web.latency_histogram, &api.latency_histogram] {
            assert!(metrics.contains(&format!("\n{name}_bucket{{")), "{name}");
        }
        for name in [&web.request_counter, &api.request_counter] {
            assert!(metrics.contains(&format!("\n{name}{{")), "{name}");
        }
        assert!(metrics.contains(&format!("{{{}=\"", api.endpoint_label)));
        let database = spec.database.as_ref().unwrap();
        let histogram = database.latency_histogram.as_ref().unwrap();
        assert!(metrics.contains(&format!("\n{histogram}_bucket{{")), "{histogram}");
        promql::check_matchers(&database.matchers).unwrap();
        // Kept under the prefix that the service gives its sessions.
        assert_eq!(spec.cache.as_ref().unwrap().session_prefix, "session:");
        let postgres = spec.sources.postgres.as_ref().unwrap();
        let redis = spec.sources.redis.as_ref().unwrap();
        assert_eq!((postgres.host.as_deref(), postgres.port), (Some("postgres"), 5432));
        assert_eq!((redis.host.as_deref(), redis.port), (Some("redis"), 6379));
        for metric in &spec.metrics {
            promql::check_query(&metric.query).unwrap();
            let name = metric
                .query
                .split(['(', ')', '[', ' '])
                .find(|word| word.contains('_') && !word.starts_with("histogram"));
            let name = name.unwrap_or_else(|| panic!("{} names no metric", metric.query));
            assert!(metrics.lines().any(|line| line.starts_with(name)), "{name} of {}", metric.name);
        }
    }
}

#[test]
fn a_baseline_that_breaks_a_rule_is_refused() {
    let documents = documents(&smart_dairy());
    let mut baselines: Vec<PerformanceBaseline> = all(&documents, "PerformanceBaseline");
    baselines[0].spec.sources.prometheus = None;
    assert!(kube::core::cel::validate_cel(&baselines[0]).is_err());
}

#[test]
fn the_local_baseline_differs_in_its_time_alone() {
    let read = |path: &str| {
        let file = smart_dairy().join(path);
        let mut documents = documents_of(&std::fs::read_to_string(&file).unwrap(), &file);
        let mut baseline: PerformanceBaseline = typed(&documents.remove(0).value).unwrap();
        let window = std::mem::take(&mut baseline.spec.window);
        for metric in &mut baseline.spec.metrics {
            metric.query = metric.query.replace(&format!("[{window}]"), "[]");
        }
        (baseline.spec.schedule, baseline.spec.time_zone) = (None, None);
        let sample = std::mem::take(&mut baseline.spec.sample_duration);
        ((window, sample), baseline.metadata, baseline.spec)
    };
    let (week, week_metadata, week_spec) = read("baseline.yaml");
    let (minutes, minutes_metadata, minutes_spec) = read("local/baseline.yaml");
    assert_eq!((week.0.as_str(), minutes.0.as_str()), ("7d", "5m"));
    assert_eq!((week.1.as_str(), minutes.1.as_str()), ("60s", "20s"));
    assert_eq!(week_metadata, minutes_metadata);
    assert_eq!(week_spec, minutes_spec);
}

#[test]
fn every_baseline_has_the_four_success_criteria_that_a_run_can_judge() {
    let documents = documents(&smart_dairy());
    for baseline in all::<PerformanceBaseline>(&documents, "PerformanceBaseline") {
        let bounds: Vec<_> = baseline
            .spec
            .objectives
            .iter()
            .map(|one| (one.indicator.as_deref(), one.less_than.as_deref(), one.greater_than.as_deref()))
            .collect();
        let expected = [
            (Some("web.latency.p95"), Some("3s"), None),
            (Some("api.latency.p95"), Some("500ms"), None),
            (Some("database.queryTime.p95"), Some("100ms"), None),
            (Some("cache.hitRatio"), None, Some("90%")),
        ];
        assert_eq!(bounds, expected, "{:?}", baseline.metadata.name);
    }
}

#[test]
fn before_and_after_differ_in_the_comparison_alone() {
    let read = |path: &str| {
        let file = smart_dairy().join(path);
        let mut documents = documents_of(&std::fs::read_to_string(&file).unwrap(), &file);
        typed::<PerformanceBaseline>(&documents.remove(0).value).unwrap()
    };
    let (before, after) = (read("before-after/before.yaml"), read("before-after/after.yaml"));
    let compare = after.spec.compare_to.as_ref().unwrap();
    assert_eq!(compare.baseline.as_ref().map(|other| &other.name), before.metadata.name.as_ref());
    assert!(before.spec.compare_to.is_none());
    let mut same = after.spec.clone();
    same.compare_to = None;
    assert_eq!(same, before.spec);
    // They measure what the other examples do.
    let local = read("local/baseline.yaml").spec;
    assert_eq!(
        (&same.sources, &same.web, &same.api, &same.database, &same.cache, &same.objectives),
        (&local.sources, &local.web, &local.api, &local.database, &local.cache, &local.objectives)
    );
}

/// The overlay as kubectl renders it, or nothing on a machine without kubectl.
fn rendered() -> Option<Vec<Document>> {
    let folder = smart_dairy().join("local");
    let output = Command::new("kubectl").arg("kustomize").arg(&folder).output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("SKIPPED: kubectl is not installed, the overlay is not rendered");
            return None;
        }
        Err(error) => panic!("kubectl: {error}"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(documents_of(&String::from_utf8(output.stdout).unwrap(), &folder))
}

#[test]
fn the_rendered_overlay_is_small_quick_and_has_traffic() {
    let Some(documents) = rendered() else { return };
    for document in &documents {
        check(&document.value).unwrap();
    }
    let deployments: Vec<Deployment> = all(&documents, "Deployment");
    let names: Vec<_> =
        deployments.iter().map(|deployment| deployment.metadata.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["api", "odoo", "traffic"]);
    for deployment in &deployments {
        assert_restricted(pod(deployment), 65_532, deployment.metadata.name.as_deref().unwrap());
        for container in &pod(deployment).containers {
            assert_eq!(container.image.as_deref(), Some("plimsoll-workload:local"));
            assert_runnable(container);
            let requests = container.resources.as_ref().unwrap().requests.as_ref().unwrap();
            assert!(["100m", "10m"].contains(&requests["cpu"].0.as_str()), "{requests:?}");
        }
    }
    let servers: Vec<StatefulSet> = all(&documents, "StatefulSet");
    assert_eq!(servers.len(), 2);
    for server in &servers {
        let name = server.metadata.name.as_deref().unwrap();
        let pod = server.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
        assert_restricted(pod, 999, name);
        let files = referenced(pod);
        // Named with a hash of its content, so that a change starts new pods.
        assert!(files.iter().any(|file| file.starts_with(&format!("configmap/{name}-files-"))), "{files:?}");
        for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
            assert_eq!(container.image, Some(format!("plimsoll-example-{name}:local")));
            let requests = container.resources.as_ref().unwrap().requests.as_ref().unwrap();
            assert_eq!(requests["cpu"].0, "50m", "{name}");
        }
    }
    let traffic =
        deployments.iter().find(|deployment| deployment.metadata.name.as_deref() == Some("traffic")).unwrap();
    assert_eq!(traffic.spec.as_ref().unwrap().replicas, Some(1));
    assert_ne!(traffic.metadata.labels.as_ref().unwrap()["app.kubernetes.io/part-of"], "smart-dairy");

    let autoscalers: Vec<HorizontalPodAutoscaler> = all(&documents, "HorizontalPodAutoscaler");
    let base: Vec<HorizontalPodAutoscaler> =
        all(&self::documents(&smart_dairy().join("base")), "HorizontalPodAutoscaler");
    for autoscaler in &autoscalers {
        let base = base.iter().find(|base| base.metadata.name == autoscaler.metadata.name).unwrap();
        let (spec, base) = (autoscaler.spec.as_ref().unwrap(), base.spec.as_ref().unwrap());
        assert_eq!(spec.min_replicas, Some(1));
        assert_eq!((&spec.metrics, &spec.scale_target_ref), (&base.metrics, &base.scale_target_ref));
        let behavior = spec.behavior.as_ref().unwrap();
        assert_eq!(behavior.scale_up.as_ref().unwrap().stabilization_window_seconds, Some(0));
        assert_eq!(behavior.scale_down.as_ref().unwrap().stabilization_window_seconds, Some(15));
    }
}
