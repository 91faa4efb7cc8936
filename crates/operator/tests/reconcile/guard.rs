//! What is known before a Job is made: the API server's addresses, and whether Secrets may be named.

use std::sync::Arc;

use plimsoll_api::PerformanceBaseline;
use plimsoll_operator::context::Settings;
use plimsoll_testkit::fixtures::{BaselineFixture as _, PROMETHEUS, baseline};
use plimsoll_testkit::server::{ApiFailure, Failure, ResourceType, Verb};
use serde_json::{Value, json};

use crate::stage::{DAIRY, Stage, dairy};

const POLICY: &str = "plimsoll-references.plimsoll.dev";

fn endpoints(addresses: &[&str], port: u16) -> Value {
    let endpoints: Vec<Value> = addresses.iter().map(|address| json!({"addresses": [address]})).collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "kubernetes", "namespace": "default"},
        "endpoints": endpoints, "ports": [{"name": "https", "port": port}],
    })
}

fn put_endpoints(stage: &Stage, addresses: &[&str]) {
    let slices = ResourceType::new("discovery.k8s.io", "v1", "endpointslices");
    stage.server.put_value(&slices, &endpoints(addresses, 6443));
}

async fn forbidden(stage: &Stage) -> Vec<String> {
    stage.settle().await.unwrap();
    stage.job().request().forbidden_addresses
}

#[tokio::test]
async fn a_job_is_told_every_address_of_the_api_server() {
    let stage = Stage::with_dairy();
    put_endpoints(&stage, &["192.0.2.7", "2001:db8::7", "192.0.2.6"]);
    let expected = ["10.96.0.1:443", "192.0.2.6:6443", "192.0.2.7:6443", "[2001:db8::7]:6443"];
    assert_eq!(forbidden(&stage).await, expected);
}

#[tokio::test]
async fn without_the_right_or_the_slice_the_service_address_still_stands() {
    let stage = Stage::with_dairy();
    assert_eq!(forbidden(&stage).await, ["10.96.0.1:443"]);
    let stage = Stage::with_dairy();
    put_endpoints(&stage, &["192.0.2.7"]);
    stage.server.forbid(Verb::Get, "endpointslices");
    assert_eq!(forbidden(&stage).await, ["10.96.0.1:443"]);
}

#[tokio::test]
async fn no_job_is_made_while_the_addresses_cannot_be_read() {
    let stage = Stage::with_dairy();
    let away = Failure::Refuse(ApiFailure::internal("etcd is away"));
    stage.server.fail_times(Verb::Get, "endpointslices", 100, away);
    assert!(stage.settle().await.is_err());
    assert!(stage.jobs().is_empty());
}

#[tokio::test]
async fn an_intent_whose_addresses_changed_is_written_anew_before_its_job() {
    let stage = Stage::with_dairy();
    let etcd = || Failure::Refuse(ApiFailure::internal("etcd is away"));
    stage.server.fail_next(Verb::Create, "jobs", etcd());
    assert!(plimsoll_operator::baseline::reconcile(&stage.dairy(), &stage.context).await.is_err());
    let before = stage.status().current_run.unwrap();
    put_endpoints(&stage, &["192.0.2.7"]);
    assert_eq!(forbidden(&stage).await.len(), 2);
    let after = stage.status().current_run.unwrap();
    assert_eq!(after.name, before.name);
    assert_ne!(after.request_hash, before.request_hash);
    stage.deliver();
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
}

fn with_secret() -> PerformanceBaseline {
    let mut baseline = baseline(DAIRY).prometheus(PROMETHEUS).web();
    baseline.spec.sources.prometheus.as_mut().unwrap().auth = serde_json::from_value(
        json!({"type": "Bearer", "bearer": {"secretKeyRef": {"name": "prom", "key": "token"}}}),
    )
    .unwrap();
    baseline
}

fn put_policy(stage: &Stage, policy: Option<Value>, binding: Option<Value>) {
    for (kind, plural, spec) in [
        ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", policy),
        ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", binding),
    ] {
        let Some(spec) = spec else { continue };
        let resource = ResourceType::new("admissionregistration.k8s.io", "v1", plural);
        let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": POLICY}, "spec": spec});
        stage.server.put_value(&resource, &object);
    }
}

#[tokio::test]
async fn a_secret_is_used_only_where_its_policy_is_there_and_bound_and_denies() {
    let policy = |failure: &str| Some(json!({"failurePolicy": failure, "validations": []}));
    let binding = |name: &str, action: &str| Some(json!({"policyName": name, "validationActions": [action]}));
    for (what, policy, binding, allowed) in [
        ("all is well", policy("Fail"), binding(POLICY, "Deny"), true),
        ("failing closed is the default", Some(json!({"validations": []})), binding(POLICY, "Deny"), true),
        ("it fails open", policy("Ignore"), binding(POLICY, "Deny"), false),
        ("it only warns", policy("Fail"), binding(POLICY, "Warn"), false),
        ("another is bound", policy("Fail"), binding("other", "Deny"), false),
        ("it is not bound", policy("Fail"), None, false),
        ("it is not there", None, binding(POLICY, "Deny"), false),
    ] {
        let mut stage = Stage::new();
        let settings =
            Settings { reference_policy: Some(POLICY.to_owned()), ..(*stage.context.settings).clone() };
        stage.context.settings = Arc::new(settings);
        stage.server.put(with_secret());
        put_policy(&stage, policy, binding);
        stage.settle().await.unwrap();
        assert_eq!(stage.jobs().len(), usize::from(allowed), "{what}");
        if !allowed {
            assert_eq!(stage.says("Stalled"), "True: PolicyMissing", "{what}");
        }
    }
}

#[tokio::test]
async fn a_policy_that_may_not_be_read_is_not_known_to_stand() {
    let mut stage = Stage::new();
    let settings =
        Settings { reference_policy: Some(POLICY.to_owned()), ..(*stage.context.settings).clone() };
    stage.context.settings = Arc::new(settings);
    stage.server.put(with_secret());
    stage.server.forbid(Verb::Get, "validatingadmissionpolicies");
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Stalled"), "True: PolicyMissing");
}

#[tokio::test]
async fn a_spec_without_a_secret_asks_for_no_policy() {
    let stage = Stage::new();
    stage.server.put(dairy());
    stage.server.forbid(Verb::Get, "validatingadmissionpolicies");
    stage.settle().await.unwrap();
    let asked = stage.server.reads();
    assert!(!asked.iter().any(|read| read.object.resource.plural.starts_with("validating")));
    assert_eq!(stage.jobs().len(), 1);
}
