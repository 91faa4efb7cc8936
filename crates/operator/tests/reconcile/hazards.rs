//! What a cluster and its people do to a run: refusals, foreign objects, lost nodes, hostile results.

use jiff::SignedDuration;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use plimsoll_analysis::record::{Source, SourceReason, SourceState};
use plimsoll_api::PerformanceBaseline;
use plimsoll_testkit::fixtures::{BaselineFixture as _, NAMESPACE, fail_source, record_of};
use plimsoll_testkit::server::{ApiFailure, Failure, Verb};
use serde_json::json;

use crate::stage::{DAIRY, Stage, dairy};

fn edit(stage: &Stage, change: impl FnOnce(&mut PerformanceBaseline)) {
    stage.server.edit::<PerformanceBaseline>(NAMESPACE, DAIRY, change);
}

fn request(stage: &Stage, value: &str) {
    edit(stage, |dairy| {
        let annotations = dairy.metadata.annotations.get_or_insert_default();
        annotations.insert("plimsoll.dev/run".to_owned(), value.to_owned());
    });
}

fn edit_job(stage: &Stage, change: impl FnOnce(&mut Job)) {
    let name = stage.status().current_run.unwrap().name;
    stage.server.edit::<Job>(NAMESPACE, &name, change);
}

#[tokio::test]
async fn a_refused_job_is_told_with_its_remedy_and_made_once_it_is_allowed() {
    let stage = Stage::with_dairy();
    stage.server.set_quota(NAMESPACE, "jobs", 0);
    let rest = stage.settle().await.unwrap();
    assert_eq!(stage.says("Reconciling"), "True: QuotaExceeded");
    assert_eq!(stage.says("Stalled"), "True: QuotaExceeded");
    let message = stage.condition("Ready").message;
    assert!(message.contains("exceeded quota") && message.contains("ResourceQuota"), "{message}");
    assert!(rest.wake.as_secs() <= 60, "it looks again by itself");
    let writes = stage.server.writes().iter().filter(|write| write.changed()).count();
    stage.settle().await.unwrap();
    assert_eq!(stage.server.writes().iter().filter(|write| write.changed()).count(), writes);
    stage.server.set_quota(NAMESPACE, "jobs", 9);
    stage.run().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
    assert_eq!(stage.says("Stalled"), "False: AsExpected");
}

#[tokio::test]
async fn a_job_that_admission_refuses_is_told() {
    let stage = Stage::with_dairy();
    let refusal =
        ApiFailure::new(422, "Invalid", "jobs.batch is invalid: ValidatingAdmissionPolicy denied request");
    stage.server.fail_times(Verb::Create, "jobs", 100, Failure::Refuse(refusal));
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Stalled"), "True: PodRefused");
    assert!(stage.condition("Stalled").message.contains("denied request"));
}

#[tokio::test]
async fn a_record_that_a_quota_refuses_is_kept_in_its_job_until_there_is_room() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    stage.server.set_quota(NAMESPACE, "configmaps", 0);
    stage.deliver();
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Reconciling"), "True: QuotaExceeded");
    assert_eq!(
        stage.jobs()[0].spec.as_ref().unwrap().ttl_seconds_after_finished,
        None,
        "the record is only there"
    );
    stage.server.set_quota(NAMESPACE, "configmaps", 9);
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
    assert_eq!(stage.maps().len(), 2);
}

#[tokio::test]
async fn a_foreign_config_map_with_the_reports_name_is_never_touched() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    let report = format!("{}-report", stage.status().current_run.unwrap().name);
    let theirs = json!({"metadata": {"name": report, "namespace": NAMESPACE}, "data": {"theirs": "kept"}});
    stage.server.put(serde_json::from_value::<ConfigMap>(theirs).unwrap());
    stage.deliver();
    stage.settle().await.unwrap();
    let map: ConfigMap = stage.server.get(NAMESPACE, &report).unwrap();
    assert_eq!(map.data.unwrap().keys().collect::<Vec<_>>(), ["theirs"]);
    assert_eq!(stage.says("Stalled"), "True: NameCollision");
    assert!(stage.condition("Ready").message.contains(&report));
}

#[tokio::test]
async fn a_value_of_the_annotation_that_comes_back_is_measured_anew() {
    let stage = Stage::with_dairy();
    stage.run().await.unwrap();
    let mut runs = Vec::new();
    for value in ["a", "b", "a"] {
        stage.advance(60);
        request(&stage, value);
        // The Jobs of the earlier runs are still there: nothing of theirs may be taken for the new run's.
        stage.settle().await.unwrap();
        stage.deliver();
        stage.settle().await.unwrap();
        runs.push(stage.status().last_run.unwrap());
    }
    assert_ne!(runs[0].name, runs[2].name);
    assert!(runs[2].finished_at.0 > runs[1].finished_at.0);
    assert_eq!(stage.status().last_request_handled.as_deref(), Some("a"));
    stage.settle().await.unwrap();
    assert_eq!(stage.status().current_run, None);
}

#[tokio::test]
async fn a_run_reads_the_workloads_that_its_own_spec_named() {
    let stage = Stage::new();
    stage.server.put(dairy().workloads());
    stage.settle().await.unwrap();
    edit(&stage, |dairy| {
        dairy.spec.sources.workloads = None;
        dairy.spec.window = "10m".to_owned();
    });
    stage.deliver();
    stage.settle().await.unwrap();
    let map: ConfigMap = stage.server.get(NAMESPACE, &stage.status().last_run.unwrap().name).unwrap();
    let (record, _) = plimsoll_operator::record_map::read(&map).unwrap();
    assert!(record.kubernetes.is_some(), "the spec of this run named workloads");
    // And the other way round: the run under way now named none.
    edit(&stage, |dairy| dairy.spec.sources.workloads = self::dairy().workloads().spec.sources.workloads);
    stage.settle().await.unwrap();
    stage.deliver();
    stage.settle().await.unwrap();
    let map: ConfigMap = stage.server.get(NAMESPACE, &stage.status().last_run.unwrap().name).unwrap();
    let (record, _) = plimsoll_operator::record_map::read(&map).unwrap();
    assert_eq!(record.kubernetes, None);
}

#[tokio::test]
async fn a_suspended_job_is_told_and_goes_on_when_it_is_resumed() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    edit_job(&stage, |job| job.spec.as_mut().unwrap().suspend = Some(true));
    stage.advance(86_400);
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Reconciling"), "True: JobSuspended");
    edit_job(&stage, |job| job.spec.as_mut().unwrap().suspend = Some(false));
    stage.deliver();
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
}

#[tokio::test]
async fn a_run_on_a_lost_node_ends_and_is_tried_again() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    for attempt in [1, 2] {
        assert_eq!(stage.status().current_run.unwrap().attempt, attempt);
        stage.job().runs();
        stage.settle().await.unwrap();
        // The pod's and the Job's deadlines pass, and no kubelet answers.
        stage.advance(600 + 600 + 121);
        stage.settle().await.unwrap();
    }
    let last = stage.status().last_run.unwrap();
    assert_eq!(last.reason.as_deref(), Some("NodeLost"));
    assert!(stage.status().retry.unwrap().next_at.is_some(), "another node may take it");
    stage.advance(61);
    stage.run().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_told_and_read_later() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    stage.deliver();
    stage.server.fail_times(
        Verb::Get,
        "pods/log",
        3,
        Failure::Refuse(ApiFailure::internal("no route to host")),
    );
    for _ in 0..3 {
        let rest = stage.settle().await.unwrap();
        assert_eq!(stage.says("Reconciling"), "True: LogUnavailable");
        assert!(rest.wake.as_secs() >= 3);
    }
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
}

#[tokio::test]
async fn a_log_that_can_never_be_read_ends_the_run() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    for _ in 0..2 {
        stage.deliver();
        stage.server.fail_times(Verb::Get, "pods/log", 1, Failure::Refuse(ApiFailure::internal("no route")));
        stage.advance(600 + 600 + 121);
        stage.settle().await.unwrap();
    }
    assert_eq!(stage.status().last_run.unwrap().reason.as_deref(), Some("NodeLost"));
}

#[tokio::test]
async fn a_job_that_is_deleted_and_does_not_go_is_told_until_it_has_gone() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    stage.job().runs();
    stage.settle().await.unwrap();
    let name = stage.status().current_run.unwrap().name;
    edit_job(&stage, |job| job.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]));
    stage.server.delete::<Job>(NAMESPACE, &name);
    stage.job().delete_pods();
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Reconciling"), "True: Collecting", "a Job takes a moment to go");
    stage.advance(120);
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Reconciling"), "True: JobStuck");
    edit_job(&stage, |job| job.metadata.finalizers = None);
    stage.server.delete::<Job>(NAMESPACE, &name);
    stage.run().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
}

#[tokio::test]
async fn a_record_that_names_no_source_is_no_result() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    let job = stage.job();
    job.start();
    job.delivers(|record| record.sources.clear()).completes();
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Ready"), "False: ResultInvalid");
    assert_eq!(stage.says("Stalled"), "True: ResultInvalid");
}

#[tokio::test]
async fn a_hostile_record_cannot_break_the_status() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    let job = stage.job();
    job.start();
    job.delivers(|record| {
        let hostile = |index: usize| Source {
            name: format!("source-{}", index / 2),
            state: SourceState::Failed,
            reason: Some(SourceReason::Unreachable),
            message: Some("x".repeat(5_000)),
            duration_ms: Some(u64::MAX),
            cost: None,
            warnings: Vec::new(),
        };
        record.sources.extend((0..1_000).map(hostile));
        record.complete = true;
        record.collection_date += SignedDuration::from_hours(24 * 365);
    });
    let rest = stage.settle().await.unwrap();
    let status = stage.status();
    assert!(serde_json::to_vec(&status).unwrap().len() < 8 * 1024);
    assert_eq!(status.sources.len(), 16);
    assert_eq!(stage.says("Ready"), "False: Unreachable", "what the sources say counts, not the flag");
    assert!(status.last_run.unwrap().finished_at.0 <= stage.now(), "a run does not end in the future");
    assert_eq!(rest.wake.as_secs(), 60, "the delay of a retry is by the operator's clock");
}

#[tokio::test]
async fn a_jobs_clock_decides_nothing() {
    for hours in [-48, 48] {
        let stage = Stage::with_dairy();
        stage.settle().await.unwrap();
        let job = stage.job();
        job.start();
        job.delivers(|record| {
            fail_source(record, SourceReason::Unreachable, "refused");
            record.collection_date += SignedDuration::from_hours(hours);
        });
        let rest = stage.settle().await.unwrap();
        assert_eq!(rest.wake.as_secs(), 60, "{hours}");
    }
}

#[tokio::test]
async fn a_log_that_is_no_text_ends_the_run() {
    let mut stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    stage.deliver();
    let inner = stage.server.client();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let inner = inner.clone();
        async move {
            if request.uri().path().ends_with("/log") {
                return Ok(http::Response::new(Body::from(vec![0xff_u8, 0xfe, b'\n'])));
            }
            inner.send(request).await
        }
    });
    stage.context.client = kube::Client::new(service, "default");
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Stalled"), "True: ResultInvalid");
}

#[tokio::test]
async fn what_other_containers_do_and_print_does_not_matter() {
    // Another container prints what it likes, in any order, and ours prints a frame.
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    let job = stage.job();
    let frame = job.frame(record_of(&job.request(), stage.now()));
    job.sidecar("mesh").runs().logs(&format!("{{\"level\":\"info\"}}\n{frame}")).exits(0, "").completes();
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
}
