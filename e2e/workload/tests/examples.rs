//! The manifests under examples/: every field exists, and what refers to each other fits.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Container, Namespace, PodSpec, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use plimsoll_analysis::{duration, promql};
use plimsoll_api::PerformanceBaseline;
use plimsoll_workload::cli::Cli;
use plimsoll_workload::metrics::Metrics;
use plimsoll_workload::routes::Role;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A document and where it stands.
#[derive(Debug)]
struct Document {
    file: PathBuf,
    value: Value,
}

/// The fields of a Kustomization that the examples use.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kustomization {
    api_version: String,
    kind: String,
    resources: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    images: Vec<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    patches: Vec<Patch>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    path: String,
    target: BTreeMap<String, String>,
}

/// One operation of RFC 6902.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    op: String,
    path: String,
    value: Value,
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn smart_dairy() -> PathBuf {
    examples().join("smart-dairy")
}

fn documents_of(text: &str, file: &Path) -> Vec<Document> {
    serde_saphyr::from_multiple::<Value>(text)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        .into_iter()
        .map(|value| Document { file: file.to_owned(), value })
        .collect()
}

/// Every document of every YAML file in a folder and below.
fn documents(folder: &Path) -> Vec<Document> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(documents(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            found.extend(documents_of(&std::fs::read_to_string(&path).unwrap(), &path));
        }
    }
    found
}

/// The first place where `written` has what `kept` lacks or has otherwise.
fn lost(written: &Value, kept: &Value, at: &str) -> Option<String> {
    match (written, kept) {
        (Value::Object(written), Value::Object(kept)) => written.iter().find_map(|(key, value)| {
            let at = format!("{at}.{key}");
            match kept.get(key) {
                None => Some(at),
                Some(kept) => lost(value, kept, &at),
            }
        }),
        (Value::Array(written), Value::Array(kept)) if written.len() == kept.len() => written
            .iter()
            .zip(kept)
            .enumerate()
            .find_map(|(index, (written, kept))| lost(written, kept, &format!("{at}[{index}]"))),
        _ => (written != kept).then(|| format!("{at}: {written} became {kept}")),
    }
}

/// The object as its type, after a check that the type keeps every field: one that is misspelt or misplaced is lost.
fn typed<T: DeserializeOwned + Serialize>(value: &Value) -> Result<T, String> {
    let object: T = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    match lost(value, &serde_json::to_value(&object).unwrap(), "") {
        None => Ok(object),
        Some(place) => Err(format!("{place} is no field of its type")),
    }
}

fn check(value: &Value) -> Result<(), String> {
    if value.is_array() {
        return typed::<Vec<Operation>>(value).map(|_| ());
    }
    match (value["apiVersion"].as_str(), value["kind"].as_str()) {
        (Some("v1"), Some("Namespace")) => typed::<Namespace>(value).map(|_| ()),
        (Some("v1"), Some("Service")) => typed::<Service>(value).map(|_| ()),
        (Some("apps/v1"), Some("Deployment")) => typed::<Deployment>(value).map(|_| ()),
        (Some("autoscaling/v2"), Some("HorizontalPodAutoscaler")) => {
            typed::<HorizontalPodAutoscaler>(value).map(|_| ())
        }
        (Some("plimsoll.dev/v1alpha1"), Some("PerformanceBaseline")) => {
            typed::<PerformanceBaseline>(value).map(|_| ())
        }
        (Some("kustomize.config.k8s.io/v1beta1"), Some("Kustomization")) => {
            typed::<Kustomization>(value).map(|_| ())
        }
        other => Err(format!("{other:?} is a kind that this test does not know; add it")),
    }
}

fn all<T: DeserializeOwned + Serialize>(documents: &[Document], kind: &str) -> Vec<T> {
    documents
        .iter()
        .filter(|document| document.value["kind"] == kind)
        .map(|document| {
            typed(&document.value).unwrap_or_else(|why| panic!("{}: {why}", document.file.display()))
        })
        .collect()
}

fn pod(deployment: &Deployment) -> &PodSpec {
    deployment.spec.as_ref().unwrap().template.spec.as_ref().unwrap()
}

fn assert_restricted(pod: &PodSpec, of: &str) {
    let security = pod.security_context.as_ref().unwrap();
    assert_eq!((security.run_as_non_root, security.run_as_user), (Some(true), Some(65_532)), "{of}");
    assert_eq!(security.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault", "{of}");
    assert_eq!(pod.automount_service_account_token, Some(false), "{of}");
    for container in &pod.containers {
        let security = container.security_context.as_ref().unwrap();
        assert_eq!(security.allow_privilege_escalation, Some(false), "{of}");
        assert_eq!(security.read_only_root_filesystem, Some(true), "{of}");
        assert_eq!(security.capabilities.as_ref().unwrap().drop, Some(vec!["ALL".to_owned()]), "{of}");
        let resources = container.resources.as_ref().unwrap();
        assert!(resources.requests.as_ref().is_some_and(|requests| requests.contains_key("cpu")), "{of}");
        assert!(resources.limits.as_ref().is_some_and(|limits| limits.contains_key("memory")), "{of}");
    }
}

fn assert_runnable(container: &Container) {
    assert_eq!(container.command, Some(vec!["/plimsoll-workload".to_owned()]));
    let arguments = container.args.iter().flatten().map(String::as_str);
    Cli::try_parse_from(std::iter::once("plimsoll-workload").chain(arguments)).map(|_| ()).unwrap();
}

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
        ("PerformanceBaseline", "/spec/metrics/0", "better"),
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
    let seed = documents_of(include_str!("fixtures/optimized-hpa.yaml"), Path::new("optimized-hpa.yaml"));
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
    for (deployment, role) in deployments.iter().zip([Role::Odoo, Role::Api]) {
        let name = deployment.metadata.name.clone().unwrap();
        let spec = deployment.spec.as_ref().unwrap();
        assert_eq!(spec.replicas, None, "{name}: the autoscaler's");
        let pod_metadata = spec.template.metadata.as_ref().unwrap();
        let labels = pod_metadata.labels.as_ref().unwrap();
        assert_eq!(labels["app"], name);
        assert_eq!(deployment.metadata.labels.as_ref().unwrap()["app.kubernetes.io/part-of"], "smart-dairy");
        assert_eq!(labels["app.kubernetes.io/part-of"], "smart-dairy");
        assert_restricted(pod(deployment), &name);
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
    assert_eq!(baselines.len(), 2);
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
        (window, baseline.metadata, baseline.spec)
    };
    let (week, week_metadata, week_spec) = read("baseline.yaml");
    let (minutes, minutes_metadata, minutes_spec) = read("local/baseline.yaml");
    assert_eq!((week.as_str(), minutes.as_str()), ("7d", "5m"));
    assert_eq!(week_metadata, minutes_metadata);
    assert_eq!(week_spec, minutes_spec);
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
        assert_restricted(pod(deployment), deployment.metadata.name.as_deref().unwrap());
        for container in &pod(deployment).containers {
            assert_eq!(container.image.as_deref(), Some("plimsoll-workload:local"));
            assert_runnable(container);
            let requests = container.resources.as_ref().unwrap().requests.as_ref().unwrap();
            assert!(["100m", "10m"].contains(&requests["cpu"].0.as_str()), "{requests:?}");
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
