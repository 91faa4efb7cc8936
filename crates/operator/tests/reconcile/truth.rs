//! What a status says is so: messages, conditions, slots, and what is still owed.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use plimsoll_analysis::record::SourceReason;
use plimsoll_api::PerformanceBaseline;
use plimsoll_operator::context::Settings;
use plimsoll_testkit::fixtures::{BaselineFixture as _, NAMESPACE, PROMETHEUS, baseline, fail_source};
use plimsoll_testkit::server::{ApiFailure, Failure, Verb};
use serde_json::json;

use crate::stage::{DAIRY, Stage, dairy};

fn edit(stage: &Stage, change: impl FnOnce(&mut PerformanceBaseline)) {
    stage.server.edit::<PerformanceBaseline>(NAMESPACE, DAIRY, change);
}

fn fails_with(stage: &Stage, reason: SourceReason) {
    let job = stage.job();
    job.start();
    job.delivers(|record| fail_source(record, reason, "refused")).completes();
}

#[tokio::test]
async fn a_run_of_an_older_spec_is_not_called_the_first_of_the_new_one() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    edit(&stage, |dairy| dairy.spec.window = "10m".to_owned());
    stage.settle().await.unwrap();
    let message = stage.condition("Ready").message;
    assert!(!message.contains("is the first for this spec"), "{message}");
    assert!(message.contains("before the last edit"), "{message}");
}

#[tokio::test]
async fn a_failure_says_when_it_is_tried_again_or_what_a_person_does() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    fails_with(&stage, SourceReason::Unreachable);
    stage.settle().await.unwrap();
    let message = stage.condition("Ready").message;
    assert!(message.ends_with("it is tried again by itself, at 2026-11-24T10:01:00Z."), "{message}");
    for minutes in [1, 5, 15] {
        stage.expire();
        stage.advance(minutes * 60 + 1);
        stage.settle().await.unwrap();
        fails_with(&stage, SourceReason::Unreachable);
        stage.settle().await.unwrap();
    }
    let message = stage.condition("Stalled").message;
    assert!(message.contains("annotation plimsoll.dev/run a new value"), "{message}");
    assert!(!message.contains("tried again"), "{message}");
}

#[tokio::test]
async fn a_failed_run_shows_no_figures_of_an_older_one() {
    let stage = Stage::with_dairy();
    stage.run().await.unwrap();
    assert!(stage.status().summary.is_some());
    edit(&stage, |dairy| dairy.spec.window = "10m".to_owned());
    stage.settle().await.unwrap();
    stage.job().start().out_of_memory().settles();
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Ready"), "False: OutOfMemory");
    assert_eq!(stage.status().summary, None);
}

#[tokio::test]
async fn a_long_message_keeps_its_remedy() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    stage.job().pod_refused(&format!("pods \"x\" is forbidden: {}\u{7}", "é".repeat(2_000)));
    stage.advance(11);
    stage.settle().await.unwrap();
    let message = stage.condition("Stalled").message;
    assert!(message.contains("restricted pod security standard"), "{message}");
    assert!(message.len() <= 1_000 && !message.contains('\u{7}'), "an Event holds it whole");
}

fn with_secret() -> PerformanceBaseline {
    let mut baseline = baseline(DAIRY).prometheus(PROMETHEUS).web();
    baseline.spec.sources.prometheus.as_mut().unwrap().auth = serde_json::from_value(
        json!({"type": "Bearer", "bearer": {"secretKeyRef": {"name": "prom", "key": "token"}}}),
    )
    .unwrap();
    baseline
}

fn allow_secrets(stage: &mut Stage, allowed: bool) {
    let settings = Settings { allow_secrets_without_policy: allowed, ..(*stage.context.settings).clone() };
    stage.context.settings = Arc::new(settings);
}

#[tokio::test]
async fn a_policy_that_is_missing_blocks_a_run_and_takes_nothing_from_the_record_that_stands() {
    let mut stage = Stage::new();
    allow_secrets(&mut stage, true);
    stage.server.put(with_secret());
    stage.run().await.unwrap();
    allow_secrets(&mut stage, false);
    edit(&stage, |dairy| {
        dairy
            .metadata
            .annotations
            .get_or_insert_default()
            .insert("plimsoll.dev/run".to_owned(), "now".to_owned());
    });
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded", "Ready tells of a complete record of this spec");
    assert_eq!(stage.says("Stalled"), "True: PolicyMissing");
    allow_secrets(&mut stage, true);
    stage.run().await.unwrap();
    assert_eq!(stage.status().last_request_handled.as_deref(), Some("now"));
}

#[tokio::test]
async fn a_slot_whose_job_is_not_made_yet_waits_for_the_policy() {
    let mut stage = Stage::new();
    allow_secrets(&mut stage, true);
    stage.server.put(with_secret().schedule("*/10 * * * *"));
    stage.run().await.unwrap();
    stage.advance(601);
    stage.server.fail_next(Verb::Create, "jobs", Failure::Refuse(ApiFailure::internal("etcd is away")));
    let refused = plimsoll_operator::baseline::reconcile(&stage.dairy(), &stage.context).await;
    assert!(refused.is_err() && stage.status().current_run.is_some());
    allow_secrets(&mut stage, false);
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Stalled"), "True: PolicyMissing");
    assert!(stage.jobs().is_empty());
    allow_secrets(&mut stage, true);
    stage.settle().await.unwrap();
    assert_eq!(stage.status().current_run.unwrap().trigger, "slot/2026-11-24T10:10:00Z");
    assert_eq!(stage.jobs().len(), 1);
}

#[tokio::test]
async fn a_slot_survives_a_spec_that_was_wrong_for_a_moment() {
    let stage = Stage::new();
    stage.server.put(dairy().schedule("*/10 * * * *"));
    stage.run().await.unwrap();
    stage.advance(601);
    stage.server.fail_next(Verb::Create, "jobs", Failure::Refuse(ApiFailure::internal("etcd is away")));
    let refused = plimsoll_operator::baseline::reconcile(&stage.dairy(), &stage.context).await;
    assert!(refused.is_err() && stage.status().current_run.is_some());
    edit(&stage, |dairy| dairy.spec.web.as_mut().unwrap().matchers = "job=".to_owned());
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Stalled"), "True: InvalidSpec");
    edit(&stage, |baseline| baseline.spec.web = dairy().spec.web);
    stage.settle().await.unwrap();
    assert_eq!(stage.status().current_run.unwrap().trigger, "slot/2026-11-24T10:10:00Z");
}

#[tokio::test]
async fn an_edited_schedule_starts_no_run_for_a_slot_of_the_past() {
    let stage = Stage::new();
    stage.server.put(dairy().schedule("0 2 * * *"));
    stage.run().await.unwrap();
    edit(&stage, |dairy| dairy.spec.schedule = Some("0 8 * * *".to_owned()));
    stage.settle().await.unwrap();
    assert_eq!(stage.status().current_run, None);
    assert_eq!(stage.status().next_run_time.unwrap().0.to_string(), "2026-11-25T08:00:00Z");
}

#[tokio::test]
async fn an_edit_of_something_else_takes_no_slot_away() {
    let stage = Stage::new();
    stage.server.put(dairy().schedule("*/10 * * * *"));
    stage.settle().await.unwrap();
    stage.advance(601);
    edit(&stage, |dairy| dairy.spec.history_limit = 7);
    stage.settle().await.unwrap();
    stage.deliver();
    stage.settle().await.unwrap();
    assert_eq!(stage.status().current_run.unwrap().trigger, "slot/2026-11-24T10:10:00Z");
}

#[tokio::test]
async fn slots_that_pass_while_suspended_are_passed_over() {
    let stage = Stage::new();
    stage.server.put(dairy().schedule("*/10 * * * *"));
    stage.run().await.unwrap();
    edit(&stage, |dairy| dairy.spec.suspend = true);
    stage.settle().await.unwrap();
    stage.advance(3_600);
    stage.settle().await.unwrap();
    edit(&stage, |dairy| dairy.spec.suspend = false);
    stage.settle().await.unwrap();
    assert_eq!(stage.status().current_run, None);
    assert_eq!(stage.status().next_run_time.unwrap().0.to_string(), "2026-11-24T11:10:00Z");
}

#[tokio::test]
async fn a_clock_that_goes_back_starts_nothing_twice() {
    let stage = Stage::new();
    stage.server.put(dairy().schedule("*/10 * * * *"));
    stage.run().await.unwrap();
    stage.advance(601);
    stage.run().await.unwrap();
    let runs = stage.status().history.len();
    for step in [-3_600, 1_800, 1_790] {
        stage.advance(step);
        let rest = stage.settle().await.unwrap();
        assert_eq!((stage.status().current_run, stage.status().history.len()), (None, runs), "{step}");
        assert!(rest.wake.as_secs() <= 3_600 && !rest.wake.is_zero());
    }
}

#[tokio::test]
async fn a_retry_that_was_dropped_before_its_job_is_made_after_all() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    fails_with(&stage, SourceReason::Unreachable);
    stage.settle().await.unwrap();
    stage.expire();
    stage.advance(61);
    stage.server.fail_next(Verb::Create, "jobs", Failure::Refuse(ApiFailure::internal("etcd is away")));
    assert!(plimsoll_operator::baseline::reconcile(&stage.dairy(), &stage.context).await.is_err());
    edit(&stage, |dairy| dairy.spec.suspend = true);
    stage.settle().await.unwrap();
    assert_eq!(stage.status().current_run, None);
    edit(&stage, |dairy| dairy.spec.suspend = false);
    stage.settle().await.unwrap();
    assert!(stage.status().current_run.unwrap().trigger.starts_with("retry/1/"));
}

#[tokio::test]
async fn more_workloads_than_are_recorded_are_a_note_and_no_failure() {
    let stage = Stage::new();
    stage.server.put(baseline(DAIRY).workloads());
    for index in 0..60 {
        let deployment = json!({
            "metadata": {"name": format!("d-{index:02}"), "namespace": NAMESPACE},
            "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {}},
        });
        stage.server.put(serde_json::from_value::<Deployment>(deployment).unwrap());
    }
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
    let map = stage.server.get(NAMESPACE, &stage.status().last_run.unwrap().name).unwrap();
    let (record, _) = plimsoll_operator::record_map::read(&map).unwrap();
    assert_eq!(record.truncated["kubernetes.workloads"], 10);
    assert!(record.sources[0].warnings[0].contains("narrow"), "{:?}", record.sources[0].warnings);
}

#[tokio::test]
async fn a_cluster_without_metrics_is_told_as_such() {
    let stage = Stage::new();
    stage.server.put(baseline(DAIRY).workloads());
    stage.server.unserve("metrics.k8s.io");
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Ready"), "False: ExtensionMissing");
    assert!(stage.condition("Ready").message.contains("install metrics-server"));
}

#[tokio::test]
async fn a_pod_that_waits_long_is_looked_at_less_often() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    stage.job().start().waits("ImagePullBackOff", "Back-off");
    let early = stage.settle().await.unwrap();
    stage.advance(600);
    let late = stage.settle().await.unwrap();
    assert!(early.wake.as_secs() <= 3 && (15..=60).contains(&late.wake.as_secs()), "{early:?} {late:?}");
}
