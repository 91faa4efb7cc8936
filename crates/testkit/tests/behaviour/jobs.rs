//! Jobs and their pods, moved by hand.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::{ListParams, LogParams};
use kube::runtime::conditions;
use kube::runtime::wait::Condition as _;
use plimsoll_analysis::frame::{self, Expected};
use plimsoll_analysis::record::SourceReason;
use plimsoll_analysis::request::BaselineRequest;
use plimsoll_testkit::fixtures::{NAMESPACE, fail_source, record};
use plimsoll_testkit::job::QUOTA_REFUSAL;
use plimsoll_testkit::{FakeApiServer, JobDouble};
use serde_json::{Value, json};

use crate::object;

const NONCE: &str = "0123456789abcdef0123456789abcdef";

fn request() -> BaselineRequest {
    let matchers = json!({
        "latency_histogram": "h", "request_counter": "c", "matchers": "", "error_matchers": "",
    });
    object(json!({
        "schema": plimsoll_analysis::request::SCHEMA, "name": "dairy", "namespace": NAMESPACE, "uid": "u-1",
        "run": "dairy-1", "run_key": "sha256:1", "window_seconds": 300,
        "prometheus": {"url": "http://prometheus:9090"}, "web": matchers,
    }))
}

fn put_job(server: &FakeApiServer) -> JobDouble {
    let environment = json!([
        {"name": "PLIMSOLL_REQUEST", "value": serde_json::to_string(&request()).unwrap()},
        {"name": "PLIMSOLL_NONCE", "value": NONCE},
    ]);
    server.put::<Job>(object(json!({
        "metadata": {"name": "dairy-1", "namespace": NAMESPACE},
        "spec": {"ttlSecondsAfterFinished": 60, "backoffLimit": 0, "template": {
            "metadata": {"labels": {"plimsoll.dev/run": "dairy-1"}},
            "spec": {"restartPolicy": "Never", "containers": [
                {"name": "plimsoll", "image": "plimsoll:1", "env": environment},
            ]},
        }},
    })));
    JobDouble::only(server, NAMESPACE)
}

fn job(server: &FakeApiServer) -> Job {
    server.get(NAMESPACE, "dairy-1").unwrap()
}

/// `phase`, state and reason of our container.
fn pod_state(double: &JobDouble) -> Value {
    let status = double.pod().status.unwrap();
    let ours =
        status.container_statuses.unwrap().into_iter().find(|status| status.name == "plimsoll").unwrap();
    let state = ours.state.unwrap();
    let waiting = state.waiting.and_then(|waiting| waiting.reason);
    let ended = state.terminated.map(|ended| (ended.exit_code, ended.reason.unwrap()));
    json!([status.phase, status.reason, waiting, ended])
}

#[tokio::test]
async fn a_started_job_has_one_pod_as_the_controller_makes_it() {
    let server = FakeApiServer::new();
    let double = put_job(&server);
    double.start().start();
    let pods: Api<Pod> = Api::namespaced(server.client(), NAMESPACE);
    let uid = job(&server).metadata.uid.unwrap();
    for selector in ["job-name=dairy-1".to_owned(), format!("batch.kubernetes.io/controller-uid={uid}")] {
        let found = pods.list(&ListParams::default().labels(&selector)).await.unwrap();
        assert_eq!(found.items.len(), 1, "{selector}");
        let owner = &found.items[0].metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!(
            (owner.kind.as_str(), owner.uid.as_str(), owner.controller),
            ("Job", uid.as_str(), Some(true))
        );
        assert_eq!(found.items[0].metadata.labels.as_ref().unwrap()["plimsoll.dev/run"], "dairy-1");
    }
    assert_eq!(pod_state(&double), json!(["Pending", null, "ContainerCreating", null]));
    assert_eq!(job(&server).status.unwrap().active, Some(1));
    assert!(server.writes().is_empty(), "the controller is no client of ours");
}

#[tokio::test]
async fn each_way_a_pod_goes_shows_in_its_status() {
    type Way = fn(&JobDouble) -> &JobDouble;
    let ways: [(Way, Value); 8] = [
        (|job| job.runs(), json!(["Running", null, null, null])),
        (
            |job| job.waits("ImagePullBackOff", "no such image"),
            json!(["Pending", null, "ImagePullBackOff", null]),
        ),
        (
            |job| job.unschedulable("0/1 nodes are available"),
            json!(["Pending", null, "ContainerCreating", null]),
        ),
        (|job| job.runs().exits(0, "done"), json!(["Succeeded", null, null, [0, "Completed"]])),
        (|job| job.runs().exits(2, "no secret"), json!(["Failed", null, null, [2, "Error"]])),
        (|job| job.runs().out_of_memory(), json!(["Failed", null, null, [137, "OOMKilled"]])),
        (|job| job.runs().pod_deadline(), json!(["Failed", "DeadlineExceeded", null, [137, "Error"]])),
        (|job| job.runs().evicted("low on memory"), json!(["Failed", "Evicted", null, [137, "Error"]])),
    ];
    for (index, (way, expected)) in ways.into_iter().enumerate() {
        let server = FakeApiServer::new();
        let double = put_job(&server);
        way(&double);
        assert_eq!(pod_state(&double), expected, "way {index}");
    }
}

#[tokio::test]
async fn a_job_completes_or_fails_with_its_conditions() {
    let server = FakeApiServer::new();
    let double = put_job(&server);
    double.succeeds("hello\n", "{}");
    let done = job(&server);
    assert!(conditions::is_job_completed().matches_object(Some(&done)));
    assert_eq!(done.status.unwrap().succeeded, Some(1));
    assert!(!double.is_open());
    let pods: Api<Pod> = Api::namespaced(server.client(), NAMESPACE);
    let log = pods.logs(double.pod().metadata.name.as_deref().unwrap(), &LogParams::default()).await.unwrap();
    assert_eq!(log, "hello\n");

    let server = FakeApiServer::new();
    let double = put_job(&server);
    double.runs().exits(1, "").settles();
    let failed = job(&server).status.unwrap().conditions.unwrap();
    let types: Vec<_> = failed.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(types, ["FailureTarget", "Failed"]);
    assert_eq!(failed[1].reason.as_deref(), Some("BackoffLimitExceeded"));

    let server = FakeApiServer::new();
    let double = put_job(&server);
    double.runs().job_deadline();
    assert!(server.list::<Pod>(NAMESPACE).is_empty(), "at a Job's deadline its pods go");
    assert_eq!(
        job(&server).status.unwrap().conditions.unwrap()[1].reason.as_deref(),
        Some("DeadlineExceeded")
    );
}

#[tokio::test]
async fn an_injected_container_keeps_the_pod_running() {
    let server = FakeApiServer::new();
    let double = put_job(&server);
    double.runs().sidecar("mesh").exits(0, "").settles();
    assert_eq!(pod_state(&double), json!(["Running", null, null, [0, "Completed"]]));
    assert!(double.is_open());
}

#[tokio::test]
async fn a_delivered_record_is_a_frame_of_this_run() {
    let server = FakeApiServer::new();
    let double = put_job(&server);
    double.delivers(|record| record.web_metrics.as_mut().unwrap().page_load_p95_ms = Some(99.0));
    let pods: Api<Pod> = Api::namespaced(server.client(), NAMESPACE);
    let log = pods.logs(double.pod().metadata.name.as_deref().unwrap(), &LogParams::default()).await.unwrap();
    let uid = job(&server).metadata.uid.unwrap();
    let expected = Expected { nonce: NONCE, uid: "u-1", run_key: "sha256:1", job_uid: &uid };
    let record = frame::decode(&log, &expected).unwrap().record;
    assert_eq!(record.web_metrics.unwrap().page_load_p95_ms, Some(99.0));
    assert_eq!((record.run.as_str(), record.complete), ("dairy-1", true));
    assert!(conditions::is_job_completed().matches_object(Some(&job(&server))));

    let server = FakeApiServer::new();
    let double = put_job(&server);
    double.delivers(|record| fail_source(record, SourceReason::Unreachable, "connection refused"));
    assert_eq!(pod_state(&double), json!(["Failed", null, null, [3, "Error"]]));
    assert!(!double.is_open());
}

#[tokio::test]
async fn a_refused_pod_is_told_in_an_event() {
    let server = FakeApiServer::new();
    let double = put_job(&server);
    double.pod_refused(QUOTA_REFUSAL);
    let fields = ListParams::default().fields("involvedObject.name=dairy-1,involvedObject.kind=Job");
    let events: Api<Event> = Api::namespaced(server.client(), NAMESPACE);
    let found = events.list(&fields).await.unwrap().items;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].reason.as_deref(), found[0].message.as_deref()),
        (Some("FailedCreate"), Some(QUOTA_REFUSAL))
    );
    let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(server.client(), NAMESPACE);
    let found = events.list(&ListParams::default().fields("regarding.name=dairy-1")).await.unwrap().items;
    assert_eq!(found[0].note.as_deref(), Some(QUOTA_REFUSAL));
}

#[tokio::test]
async fn the_ttl_removes_the_job_and_its_pods() {
    let server = FakeApiServer::new();
    let double = put_job(&server);
    double.succeeds("", "");
    double.expires();
    assert!(!double.exists());
    assert!(server.list::<Pod>(NAMESPACE).is_empty());
}

#[test]
fn the_record_fixture_is_complete_and_judged() {
    let record = record();
    assert!(record.complete);
    assert!(record.is_judged("web_metrics.page_load_p95_ms"));
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<plimsoll_analysis::record::BaselineRecord>(&text).unwrap(), record);
}
