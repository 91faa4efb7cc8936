//! What fails, how it is told, and that the remedy helps.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event;
use plimsoll_analysis::frame;
use plimsoll_analysis::record::SourceReason;
use plimsoll_api::PerformanceBaseline;
use plimsoll_testkit::fixtures::BaselineFixture as _;
use plimsoll_testkit::fixtures::{NAMESPACE, PROMETHEUS, baseline, fail_source, record_of};
use plimsoll_testkit::server::Verb;
use serde_json::json;

use crate::stage::{DAIRY, Stage, dairy};

/// Asks for a run and lets it measure.
async fn remedied(stage: &Stage) {
    stage.expire();
    stage.server.edit::<PerformanceBaseline>(NAMESPACE, DAIRY, |dairy| {
        dairy
            .metadata
            .annotations
            .get_or_insert_default()
            .insert("plimsoll.dev/run".to_owned(), "again".to_owned());
    });
    stage.run().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
    assert_eq!(stage.says("Stalled"), "False: AsExpected");
}

fn message(stage: &Stage, type_: &str) -> String {
    stage.condition(type_).message
}

#[tokio::test]
async fn what_keeps_a_pod_is_told_while_it_waits_and_forgotten_when_it_runs() {
    for (reason, remedy, keep) in [
        ("ImagePullFailed", "jobs.imagePullSecrets", "image"),
        ("Unschedulable", "jobs.nodeSelector", "node"),
        ("QuotaExceeded", "ResourceQuota", "quota"),
        ("PodRefused", "restricted", "security"),
    ] {
        let stage = Stage::with_dairy();
        stage.settle().await.unwrap();
        let job = stage.job();
        match keep {
            "image" => drop(job.start().waits("ImagePullBackOff", "Back-off pulling image")),
            "node" => drop(job.start().unschedulable("0/1 nodes are available")),
            "quota" => drop(job.pod_refused("pods \"x\" is forbidden: exceeded quota: small")),
            _ => drop(job.pod_refused("pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\"")),
        }
        stage.advance(11);
        stage.settle().await.unwrap();
        assert_eq!(stage.says("Reconciling"), format!("True: {reason}"));
        assert_eq!(stage.says("Ready"), format!("False: {reason}"));
        let stalled = if reason == "Unschedulable" {
            "False: AsExpected".to_owned()
        } else {
            format!("True: {reason}")
        };
        assert_eq!(stage.says("Stalled"), stalled);
        assert!(message(&stage, "Ready").contains(remedy), "{}", message(&stage, "Ready"));
        stage.deliver();
        stage.settle().await.unwrap();
        assert_eq!(stage.says("Ready"), "True: Recorded", "{reason}");
    }
}

#[tokio::test]
async fn how_a_pod_failed_is_told_with_its_remedy() {
    for (reason, remedy, end) in [
        ("OutOfMemory", "jobs.resources.limits.memory", "memory"),
        ("DeadlineExceeded", "spec.activeDeadlineSeconds", "deadline"),
    ] {
        let stage = Stage::with_dairy();
        stage.settle().await.unwrap();
        let job = stage.job();
        job.start();
        if end == "memory" {
            job.out_of_memory()
        } else {
            job.pod_deadline()
        };
        job.settles();
        stage.settle().await.unwrap();
        assert_eq!(stage.says("Stalled"), format!("True: {reason}"));
        assert!(message(&stage, "Ready").contains(remedy), "{}", message(&stage, "Ready"));
        assert_eq!(stage.maps(), Vec::<String>::new());
        remedied(&stage).await;
    }
}

#[tokio::test]
async fn a_job_whose_time_for_starting_is_over_says_what_kept_it() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    stage.job().start().waits("ErrImagePull", "no such image");
    stage.settle().await.unwrap();
    stage.job().job_deadline();
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Ready"), "False: ImagePullFailed");
    remedied(&stage).await;
}

#[tokio::test]
async fn a_passing_failure_is_tried_again_after_1_5_and_15_minutes_and_then_needs_a_person() {
    let stage = Stage::with_dairy();
    for minutes in [1, 5, 15] {
        stage.settle().await.unwrap();
        let job = stage.job();
        job.start();
        job.delivers(|record| fail_source(record, SourceReason::Unreachable, "refused")).completes();
        let rest = stage.settle().await.unwrap();
        stage.expire();
        assert_eq!(stage.says("Ready"), "False: Unreachable");
        assert_eq!(stage.says("Stalled"), "False: AsExpected");
        assert_eq!(rest.wake.as_secs(), minutes * 60);
        stage.advance(i64::try_from(minutes).unwrap() * 60 + 1);
    }
    stage.settle().await.unwrap();
    let job = stage.job();
    job.start();
    job.delivers(|record| fail_source(record, SourceReason::Unreachable, "refused")).completes();
    let rest = stage.settle().await.unwrap();
    assert_eq!(rest.wake.as_secs(), 3_600, "no fifth try");
    assert_eq!(stage.says("Stalled"), "True: Unreachable");
    remedied(&stage).await;
}

#[tokio::test]
async fn what_a_person_must_mend_is_not_tried_again() {
    for reason in [SourceReason::AuthenticationFailed, SourceReason::SecretMissing, SourceReason::TLSFailed] {
        let stage = Stage::with_dairy();
        stage.settle().await.unwrap();
        let job = stage.job();
        job.start();
        job.delivers(|record| fail_source(record, reason, "said by the source")).completes();
        stage.settle().await.unwrap();
        assert_eq!(stage.says("Stalled"), format!("True: {reason:?}"));
        assert_eq!(stage.says("SourcesAvailable"), format!("False: {reason:?}"));
        assert!(message(&stage, "Ready").contains("said by the source"));
        assert_eq!(stage.maps().len(), 2, "the record is kept");
        stage.advance(3_600);
        stage.settle().await.unwrap();
        assert_eq!(stage.status().current_run, None);
        remedied(&stage).await;
    }
}

#[tokio::test]
async fn a_forged_doubled_or_foreign_frame_is_no_result() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    let genuine = {
        let job = stage.job();
        job.frame(record_of(&job.request(), stage.now()))
    };
    let nonce = stage.jobs()[0].metadata.annotations.as_ref().unwrap()["plimsoll.dev/nonce"].clone();
    let foreign = frame::encode(
        &nonce,
        &frame::Envelope {
            uid: "another".to_owned(),
            run_key: "another".to_owned(),
            job_uid: "another".to_owned(),
            record: record_of(&stage.job().request(), stage.now()),
        },
    )
    .unwrap();
    for log in [format!("{genuine}{genuine}"), foreign] {
        let stage = Stage::with_dairy();
        stage.settle().await.unwrap();
        // The same run on a fresh server: only the nonce differs, so the frame is made to fit.
        let own = stage.jobs()[0].metadata.annotations.as_ref().unwrap()["plimsoll.dev/nonce"].clone();
        let job = stage.job();
        job.start();
        job.succeeds(&log.replace(&nonce, &own), "").completes();
        stage.settle().await.unwrap();
        assert_eq!(stage.says("Stalled"), "True: ResultInvalid");
        assert!(message(&stage, "Ready").contains("docs/security.md"));
        remedied(&stage).await;
    }
}

#[tokio::test]
async fn a_lost_result_is_measured_once_more_and_no_third_time() {
    for loss in ["deleted", "cut", "pods"] {
        let stage = Stage::with_dairy();
        stage.settle().await.unwrap();
        for attempt in [1, 2] {
            assert_eq!(stage.status().current_run.unwrap().attempt, attempt, "{loss}");
            let job = stage.job();
            job.start();
            job.runs();
            stage.settle().await.unwrap();
            match loss {
                "deleted" => {
                    assert!(stage.server.delete::<Job>(NAMESPACE, &stage.status().current_run.unwrap().name));
                }
                "cut" => {
                    let whole = job.frame(record_of(&job.request(), stage.now()));
                    job.succeeds(&whole[..whole.len() / 2], "").completes();
                }
                _ => drop(job.fails("BackoffLimitExceeded", "the node is gone").delete_pods()),
            }
            stage.settle().await.unwrap();
        }
        assert_eq!(stage.says("Stalled"), "True: ResultLost", "{loss}");
        let jobs = stage.server.lifecycles().into_iter().filter(|(key, _)| key.resource.plural == "jobs");
        assert_eq!(jobs.map(|(_, life)| life.creates).sum::<usize>(), 2, "{loss}");
        remedied(&stage).await;
    }
}

#[tokio::test]
async fn a_foreign_object_that_has_the_runs_name_is_never_touched() {
    let probe = Stage::with_dairy();
    probe.settle().await.unwrap();
    let run = probe.status().current_run.unwrap().name;
    for kind in ["Job", "ConfigMap"] {
        let stage = Stage::with_dairy();
        let meta = json!({"name": run, "namespace": NAMESPACE});
        if kind == "Job" {
            let spec = json!({"template": {"spec": {"containers": [], "restartPolicy": "Never"}}});
            stage.server.put(serde_json::from_value::<Job>(json!({"metadata": meta, "spec": spec})).unwrap());
        } else {
            let data = json!({"theirs": "kept"});
            stage
                .server
                .put(serde_json::from_value::<ConfigMap>(json!({"metadata": meta, "data": data})).unwrap());
        }
        stage.settle().await.unwrap();
        assert_eq!(stage.says("Stalled"), "True: NameCollision", "{kind}");
        assert!(message(&stage, "Ready").contains(&format!("A {kind} named {run}")));
        assert_eq!(stage.jobs().len() + stage.maps().len(), 1, "{kind}");
        remedied(&stage).await;
    }
}

#[tokio::test]
async fn an_invalid_spec_stalls_and_its_correction_helps() {
    let stage = Stage::new();
    let mut wrong = dairy();
    wrong.spec.schedule = Some("every monday".to_owned());
    stage.server.put(wrong);
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Stalled"), "True: InvalidSpec");
    assert!(message(&stage, "Ready").starts_with("spec.schedule: "), "{}", message(&stage, "Ready"));
    let writes = stage.server.writes().len();
    stage.settle().await.unwrap();
    assert_eq!(stage.server.writes().len(), writes);
    stage.server.edit::<PerformanceBaseline>(NAMESPACE, DAIRY, |dairy| dairy.spec.schedule = None);
    stage.run().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
}

#[tokio::test]
async fn without_the_policy_a_named_secret_starts_nothing() {
    let stage = Stage::new();
    let mut baseline = baseline(DAIRY).prometheus(PROMETHEUS).web();
    baseline.spec.sources.prometheus.as_mut().unwrap().auth = Some(
        serde_json::from_value(
            json!({"type": "Bearer", "bearer": {"secretKeyRef": {"name": "prom", "key": "token"}}}),
        )
        .unwrap(),
    );
    stage.server.put(baseline);
    let rest = stage.settle().await.unwrap();
    assert_eq!(stage.says("Stalled"), "True: PolicyMissing");
    assert!(message(&stage, "Ready").contains("plimsoll-cluster"));
    assert!(stage.jobs().is_empty());
    assert!(rest.wake.as_secs() <= 60, "it looks again by itself");
}

#[tokio::test]
async fn a_right_that_is_missing_is_a_fact_that_names_the_rule() {
    let stage = Stage::new();
    stage.server.put(dairy().workloads());
    stage.server.forbid(Verb::List, "deployments");
    stage.run().await.unwrap();
    assert_eq!(stage.says("Ready"), "False: Forbidden");
    let text = message(&stage, "Ready");
    assert!(text.contains("apiGroups [\"apps\"], resources [\"deployments\"], verbs [\"list\"]"), "{text}");
    stage.server.permit(Verb::List, "deployments");
    remedied(&stage).await;
}

#[tokio::test]
async fn events_are_told_on_transitions_only() {
    let stage = Stage::with_dairy();
    stage.run().await.unwrap();
    for _ in 0..3 {
        stage.settle().await.unwrap();
    }
    let events = stage.server.list::<Event>(NAMESPACE);
    let mut reasons: Vec<String> = events.iter().filter_map(|event| event.reason.clone()).collect();
    reasons.retain(|reason| ["RunStarted", "Recorded"].contains(&reason.as_str()));
    reasons.sort();
    assert_eq!(reasons, ["Recorded", "RunStarted"]);
}
