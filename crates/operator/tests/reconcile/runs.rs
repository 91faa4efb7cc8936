//! What starts a run, what it leaves, and what it never does.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use plimsoll_analysis::record::SourceReason;
use plimsoll_api::PerformanceBaseline;
use plimsoll_testkit::fixtures::{BaselineFixture as _, NAMESPACE, fail_source, record_of};

use crate::stage::{DAIRY, Stage, dairy};

fn edit(stage: &Stage, change: impl FnOnce(&mut PerformanceBaseline)) {
    stage.server.edit::<PerformanceBaseline>(NAMESPACE, DAIRY, change);
}

#[tokio::test]
async fn a_run_leaves_a_record_a_report_and_a_ready_baseline() {
    let stage = Stage::with_dairy();
    stage.run().await.unwrap();
    let status = stage.status();
    let last = status.last_run.clone().unwrap();
    assert_eq!(stage.maps(), [last.name.clone(), format!("{}-report", last.name)]);
    let map: ConfigMap = stage.server.get(NAMESPACE, &last.name).unwrap();
    assert_eq!(map.immutable, Some(true));
    let (record, sha256) = plimsoll_operator::record_map::read(&map).unwrap();
    assert_eq!(Some(sha256), last.record_sha256);
    assert_eq!((record.name.as_str(), record.run.as_str()), (DAIRY, last.name.as_str()));
    for (type_, says) in [
        ("Ready", "True: Recorded"),
        ("Reconciling", "False: Idle"),
        ("Stalled", "False: AsExpected"),
        ("SourcesAvailable", "True: Collected"),
    ] {
        assert_eq!(stage.says(type_), says);
    }
    assert_eq!(status.summary.unwrap().page_p95.as_deref(), Some("1.23s"));
    assert_eq!(status.current_run, None);
    assert!(serde_json::to_vec(&stage.status()).unwrap().len() < 8 * 1024);
}

#[tokio::test]
async fn a_settled_baseline_is_neither_written_nor_read() {
    let stage = Stage::with_dairy();
    stage.run().await.unwrap();
    let (writes, reads) = (stage.server.writes().len(), stage.server.reads().len());
    for _ in 0..3 {
        assert!(!stage.reconcile().await.changed);
        stage.advance(60);
    }
    assert_eq!((stage.server.writes().len(), stage.server.reads().len()), (writes, reads));
}

#[tokio::test]
async fn a_second_look_at_a_run_under_way_writes_nothing() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    let mut settled = stage.server.writes().len();
    let look = async |what: &str, writes: &mut usize| {
        stage.reconcile().await;
        *writes = stage.server.writes().len();
        stage.reconcile().await;
        assert_eq!(stage.server.writes().len(), *writes, "{what}");
    };
    look("no pod", &mut settled).await;
    stage.job().start();
    look("a pod that starts", &mut settled).await;
    stage.job().runs();
    look("a pod that runs", &mut settled).await;
}

#[tokio::test]
async fn the_time_to_live_is_set_only_after_record_and_status() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    stage.deliver();
    stage.settle().await.unwrap();
    let writes: Vec<String> = stage
        .server
        .writes()
        .iter()
        .filter(|write| write.changed() && write.object.resource.plural != "events")
        .map(|write| format!("{:?} {}{}", write.verb, write.object.resource.plural, write.subresource))
        .collect();
    assert_eq!(
        writes,
        [
            "Patch performancebaselinesstatus",
            "Create jobs",
            "Patch performancebaselinesstatus",
            "Create configmaps",
            "Patch configmaps",
            "Patch performancebaselinesstatus",
            "Patch jobs",
            "Patch performancebaselinesstatus",
        ]
    );
}

#[tokio::test]
async fn a_cache_that_lags_behind_starts_no_second_run() {
    let stage = Stage::with_dairy();
    let stale = stage.dairy();
    stage.run().await.unwrap();
    let writes = stage.server.writes().len();
    plimsoll_operator::baseline::reconcile(&stale, &stage.context).await.unwrap();
    assert_eq!(stage.server.writes().len(), writes);
}

#[tokio::test]
async fn an_old_object_of_the_same_name_changes_nothing_of_the_new_one() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    let old = stage.dairy();
    stage.server.delete::<PerformanceBaseline>(NAMESPACE, DAIRY);
    stage.server.put(dairy().uid("11111111-0000-4000-8000-00000000c0c0"));
    let writes = stage.server.writes().len();
    plimsoll_operator::baseline::reconcile(&old, &stage.context).await.unwrap();
    assert_eq!(stage.server.writes().len(), writes);
    stage.run().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
}

#[tokio::test]
async fn an_operator_that_was_away_for_the_whole_run_still_records_it() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    stage.deliver();
    stage.advance(7_200);
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
}

#[tokio::test]
async fn a_b_a_is_measured_three_times() {
    let stage = Stage::with_dairy();
    for window in ["5m", "10m", "5m"] {
        edit(&stage, |dairy| dairy.spec.window = window.to_owned());
        stage.run().await.unwrap();
    }
    let status = stage.status();
    assert_eq!((status.spec_runs, status.history.len()), (Some(3), 3));
}

#[tokio::test]
async fn an_edit_that_measures_nothing_else_starts_no_run() {
    let stage = Stage::with_dairy();
    stage.run().await.unwrap();
    edit(&stage, |dairy| dairy.spec.history_limit = 7);
    stage.settle().await.unwrap();
    let status = stage.status();
    assert_eq!((status.spec_runs, status.observed_generation), (Some(1), Some(2)));
    assert_eq!(stage.condition("Ready").observed_generation, Some(2));
    assert!(stage.jobs().is_empty());
}

#[tokio::test]
async fn an_edit_during_a_run_lets_it_finish_and_runs_again() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    let first = stage.status().current_run.unwrap().name;
    edit(&stage, |dairy| dairy.spec.window = "10m".to_owned());
    stage.settle().await.unwrap();
    assert_eq!(stage.status().current_run.unwrap().name, first, "the running one goes on");
    stage.deliver();
    stage.settle().await.unwrap();
    let second = stage.status().current_run.unwrap();
    assert_ne!(second.name, first);
    assert_eq!(stage.says("Ready"), "False: Collecting", "the record is of the old spec");
}

#[tokio::test]
async fn a_request_is_answered_by_its_value_once() {
    let stage = Stage::with_dairy();
    stage.run().await.unwrap();
    edit(&stage, |dairy| {
        dairy
            .metadata
            .annotations
            .get_or_insert_default()
            .insert("plimsoll.dev/run".to_owned(), "now".to_owned());
    });
    stage.settle().await.unwrap();
    assert_eq!(stage.status().current_run.unwrap().trigger, "request/now");
    assert_eq!(stage.status().last_request_handled, None, "it is answered when the run has ended");
    assert_eq!(stage.says("Ready"), "True: Recorded", "the old record still stands");
    stage.deliver();
    stage.settle().await.unwrap();
    assert_eq!(stage.status().last_request_handled.as_deref(), Some("now"));
    stage.expire();
    stage.settle().await.unwrap();
    assert_eq!(stage.status().history.len(), 2);
}

#[tokio::test]
async fn a_slot_starts_one_run_and_missed_ones_start_one_together() {
    let stage = Stage::new();
    stage.server.put(dairy().schedule("*/10 * * * *"));
    stage.run().await.unwrap();
    let rest = stage.settle().await.unwrap();
    assert_eq!(rest.wake.as_secs(), 600, "the next slot is ten minutes away");
    stage.advance(601);
    stage.settle().await.unwrap();
    assert_eq!(stage.status().current_run.unwrap().trigger, "slot/2026-11-24T10:10:00Z");
    stage.deliver();
    stage.settle().await.unwrap();
    stage.expire();
    stage.advance(3_600);
    stage.settle().await.unwrap();
    assert_eq!(stage.status().current_run.unwrap().trigger, "slot/2026-11-24T11:10:00Z");
    stage.deliver();
    stage.settle().await.unwrap();
    assert_eq!(stage.status().current_run, None);
    assert_eq!(stage.status().next_run_time.unwrap().0.to_string(), "2026-11-24T11:20:00Z");
}

#[tokio::test]
async fn a_schedule_that_is_added_starts_no_run_at_once() {
    let stage = Stage::with_dairy();
    stage.run().await.unwrap();
    edit(&stage, |dairy| dairy.spec.schedule = Some("0 2 * * *".to_owned()));
    stage.settle().await.unwrap();
    assert_eq!(stage.status().current_run, None);
    assert_eq!(stage.status().next_run_time.unwrap().0.to_string(), "2026-11-25T02:00:00Z");
}

#[tokio::test]
async fn a_suspended_baseline_starts_nothing_and_what_waited_starts_afterwards() {
    let stage = Stage::new();
    stage.server.put(dairy().suspended());
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Ready"), "False: Suspended");
    assert!(stage.jobs().is_empty());
    edit(&stage, |dairy| dairy.spec.suspend = false);
    stage.run().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
    stage.settle().await.unwrap();
    edit(&stage, |dairy| dairy.spec.window = "10m".to_owned());
    stage.settle().await.unwrap();
    edit(&stage, |dairy| dairy.spec.suspend = true);
    stage.settle().await.unwrap();
    stage.deliver();
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded", "a run under way finishes");
}

#[tokio::test]
async fn the_newest_records_are_kept_and_the_newest_complete_one_besides() {
    let stage = Stage::new();
    let mut baseline = dairy();
    baseline.spec.history_limit = 1;
    stage.server.put(baseline);
    stage.run().await.unwrap();
    let complete = stage.status().last_run.unwrap().name;
    for window in ["6m", "7m"] {
        edit(&stage, |dairy| dairy.spec.window = window.to_owned());
        stage.settle().await.unwrap();
        let job = stage.job();
        job.start();
        job.delivers(|record| fail_source(record, SourceReason::Forbidden, "403")).completes();
        stage.settle().await.unwrap();
        stage.expire();
    }
    let kept: Vec<String> = stage.status().history.into_iter().map(|run| run.name).collect();
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[1], complete);
    assert_eq!(stage.maps().len(), 4);
}

#[tokio::test]
async fn a_job_that_another_container_holds_open_is_deleted_after_the_record() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    let job = stage.job();
    let frame = job.frame(record_of(&job.request(), stage.now()));
    job.sidecar("mesh").runs().logs(&frame).exits(0, "").settles();
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
    assert_eq!(stage.jobs().len(), 1, "the Job may still end by itself");
    stage.advance(30);
    stage.settle().await.unwrap();
    assert_eq!(stage.server.list::<Job>(NAMESPACE), []);
    assert_eq!(stage.status().current_run, None);
}

#[tokio::test]
async fn a_deleted_baseline_is_left_to_the_garbage_collector() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    let mut deleted = stage.dairy();
    let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(stage.now());
    deleted.metadata.deletion_timestamp = Some(now);
    stage.server.edit::<PerformanceBaseline>(NAMESPACE, DAIRY, |dairy| {
        dairy.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    });
    stage.server.delete::<PerformanceBaseline>(NAMESPACE, DAIRY);
    let writes = stage.server.writes().len();
    plimsoll_operator::baseline::reconcile(&deleted, &stage.context).await.unwrap();
    assert_eq!(stage.server.writes().len(), writes);
}
