//! The controller with real watches: what starts, wakes and stops a reconcile.

use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use plimsoll_api::PerformanceBaseline;
use plimsoll_operator::controller;
use plimsoll_testkit::JobDouble;
use plimsoll_testkit::fixtures::{BaselineFixture as _, NAMESPACE, PROMETHEUS, baseline};
use plimsoll_testkit::server::{ApiFailure, Failure, ResourceType, Verb};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::stage::{DAIRY, Stage, dairy};

/// A controller that runs, and how it is stopped.
struct Running {
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

fn start(stage: &Stage, namespace: Option<&'static str>) -> Running {
    let stop = CancellationToken::new();
    let (context, token) = (stage.context.clone(), stop.clone());
    let ended = tokio::spawn(async move { controller::run(context, namespace, 8, token, || {}).await });
    Running { stop, ended }
}

impl Running {
    async fn end(self) {
        self.stop.cancel();
        within(10, self.ended).await.unwrap();
    }
}

async fn within<F: Future>(seconds: u64, future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("it ends in time")
}

/// Waits for a condition with a deadline.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let poll = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), poll).await.is_ok(), "never: {what}");
}

fn is_ready(stage: &Stage, namespace: &str, name: &str) -> bool {
    let baseline: Option<PerformanceBaseline> = stage.server.get(namespace, name);
    let conditions = baseline.and_then(|baseline| baseline.status).unwrap_or_default().conditions;
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn jobs(stage: &Stage, namespace: &str) -> Vec<String> {
    let jobs = stage.server.list::<Job>(namespace).into_iter();
    jobs.filter_map(|job| job.metadata.name).collect()
}

/// Every Job of a namespace measures and ends.
fn deliver(stage: &Stage, namespace: &str) {
    for name in jobs(stage, namespace) {
        let job = JobDouble::new(&stage.server, namespace, &name);
        if job.is_open() {
            job.start().runs();
            job.delivers(|_| {});
        }
    }
}

fn request(stage: &Stage, value: &str) {
    stage.server.edit::<PerformanceBaseline>(NAMESPACE, DAIRY, |dairy| {
        let annotations = dairy.metadata.annotations.get_or_insert_default();
        annotations.insert("plimsoll.dev/run".to_owned(), value.to_owned());
    });
}

fn answered(stage: &Stage) -> Option<String> {
    stage.status().last_request_handled
}

#[tokio::test]
async fn a_baseline_is_brought_to_ready_and_stays_quiet() {
    let stage = Stage::with_dairy();
    let running = start(&stage, None);
    until("a Job", || !jobs(&stage, NAMESPACE).is_empty()).await;
    deliver(&stage, NAMESPACE);
    until("ready", || is_ready(&stage, NAMESPACE, DAIRY) && stage.status().current_run.is_none()).await;
    let touched = |stage: &Stage| {
        let of_dairy = |name: &str| name == DAIRY || name.starts_with("dairy-");
        let writes = stage.server.writes().into_iter().filter(|write| of_dairy(&write.object.name)).count();
        let gets = stage.server.reads().into_iter();
        (writes, gets.filter(|read| read.verb == Verb::Get && of_dairy(&read.object.name)).count())
    };
    let before = touched(&stage);
    // Its labels and its Job change: none of it is a reason to read or write anything.
    stage.server.edit::<PerformanceBaseline>(NAMESPACE, DAIRY, |dairy| {
        dairy.metadata.labels.get_or_insert_default().insert("a".to_owned(), "b".to_owned());
    });
    stage.expire();
    // A watch tells of changes in their order: once a later one is acted on, the earlier ones were seen.
    stage
        .server
        .put(baseline("later").prometheus(PROMETHEUS).web().uid("c0c0a000-0000-4000-8000-000000000002"));
    until("a later Job", || !jobs(&stage, NAMESPACE).is_empty()).await;
    running.end().await;
    assert_eq!(touched(&stage), before);
}

#[tokio::test]
async fn ten_baselines_at_once_are_all_brought_to_ready() {
    let stage = Stage::new();
    for index in 0..10 {
        let uid = format!("c0c0a000-0000-4000-8000-{index:012}");
        stage.server.put(baseline(&format!("b-{index}")).prometheus(PROMETHEUS).web().uid(&uid));
    }
    let running = start(&stage, None);
    until("ten Jobs", || jobs(&stage, NAMESPACE).len() == 10).await;
    deliver(&stage, NAMESPACE);
    until("ten ready", || (0..10).all(|index| is_ready(&stage, NAMESPACE, &format!("b-{index}")))).await;
    running.end().await;
}

#[tokio::test]
async fn a_new_run_of_one_baseline_is_a_reason_to_compare_another_with_it() {
    let stage = Stage::new();
    let compare = json!({"type": "Baseline", "baseline": {"name": "before"}});
    stage.server.put(dairy().compared_to(&compare));
    let running = start(&stage, None);
    let against = |stage: &Stage| stage.status().comparison.map(|comparison| comparison.against);
    until("a Job", || jobs(&stage, NAMESPACE).len() == 1).await;
    deliver(&stage, NAMESPACE);
    until("ready", || is_ready(&stage, NAMESPACE, DAIRY)).await;
    assert_eq!(against(&stage), None);
    let run = stage.status().last_run;
    let mut before = dairy().uid("c0c0a000-0000-4000-8000-000000000002");
    before.metadata.name = Some("before".to_owned());
    stage.server.put(before);
    for value in ["", "again"] {
        let earlier = against(&stage);
        let open = || {
            jobs(&stage, NAMESPACE).into_iter().any(|name| {
                name.starts_with("before-") && JobDouble::new(&stage.server, NAMESPACE, &name).is_open()
            })
        };
        if !value.is_empty() {
            stage.server.edit::<PerformanceBaseline>(NAMESPACE, "before", |before| {
                let annotations = before.metadata.annotations.get_or_insert_default();
                annotations.insert("plimsoll.dev/run".to_owned(), value.to_owned());
            });
        }
        until("a Job of the other", open).await;
        deliver(&stage, NAMESPACE);
        until("its run is compared with", || {
            against(&stage).is_some_and(|now| now.starts_with("before-") && Some(&now) != earlier.as_ref())
        })
        .await;
    }
    assert_eq!(stage.status().last_run, run, "nothing of its own was measured");
    running.end().await;
}

#[tokio::test]
async fn one_object_that_cannot_be_read_stops_no_other() {
    let stage = Stage::new();
    let baselines = ResourceType::of::<PerformanceBaseline>();
    for name in ["a-broken-one", "z-broken-one"] {
        let broken = json!({"apiVersion": "plimsoll.dev/v1alpha1", "kind": "PerformanceBaseline",
            "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"sources": "none"}});
        stage.server.put_value(&baselines, &broken);
    }
    stage.server.put(dairy());
    let running = start(&stage, None);
    until("a Job", || jobs(&stage, NAMESPACE).len() == 1).await;
    deliver(&stage, NAMESPACE);
    until("ready", || is_ready(&stage, NAMESPACE, DAIRY)).await;
    assert_eq!(jobs(&stage, NAMESPACE).len(), 1);
    running.end().await;
}

#[tokio::test]
async fn a_run_goes_on_although_the_watches_tell_nothing() {
    let stage = Stage::with_dairy();
    let running = start(&stage, None);
    until("a Job that is known", || stage.status().current_run.is_some_and(|run| run.job_uid.is_some()))
        .await;
    stage.server.hold_watches();
    deliver(&stage, NAMESPACE);
    until("ready by its own timer", || is_ready(&stage, NAMESPACE, DAIRY)).await;
    stage.server.release_watches();
    running.end().await;
}

#[tokio::test]
async fn after_a_watch_that_is_too_old_changes_are_seen_again() {
    let stage = Stage::with_dairy();
    let running = start(&stage, None);
    until("a Job", || !jobs(&stage, NAMESPACE).is_empty()).await;
    deliver(&stage, NAMESPACE);
    until("ready", || is_ready(&stage, NAMESPACE, DAIRY)).await;
    stage.server.hold_watches();
    request(&stage, "unseen");
    stage.server.close_watches();
    stage.server.compact();
    stage.server.release_watches();
    until("the request's Job", || jobs(&stage, NAMESPACE).len() == 2).await;
    deliver(&stage, NAMESPACE);
    until("the answer", || answered(&stage).as_deref() == Some("unseen")).await;
    running.end().await;
}

#[tokio::test]
async fn a_status_that_is_refused_for_conflicts_converges() {
    let stage = Stage::with_dairy();
    let conflict = ApiFailure::conflict(
        &ResourceType::of::<PerformanceBaseline>(),
        DAIRY,
        "the object has been modified; please apply your changes to the latest version and try again",
    );
    stage.server.fail_times(Verb::Patch, "performancebaselines/status", 5, Failure::Refuse(conflict));
    let running = start(&stage, None);
    until("a Job", || jobs(&stage, NAMESPACE).len() == 1).await;
    deliver(&stage, NAMESPACE);
    until("ready", || is_ready(&stage, NAMESPACE, DAIRY)).await;
    running.end().await;
}

#[tokio::test]
async fn a_stop_ends_the_controller_and_the_next_start_takes_up_its_runs() {
    let stage = Stage::with_dairy();
    let running = start(&stage, None);
    until("a Job", || !jobs(&stage, NAMESPACE).is_empty()).await;
    running.end().await;
    deliver(&stage, NAMESPACE);
    assert!(!is_ready(&stage, NAMESPACE, DAIRY));
    // The next start takes up what this one left.
    let running = start(&stage, None);
    until("ready", || is_ready(&stage, NAMESPACE, DAIRY)).await;
    running.end().await;
}

#[tokio::test]
async fn a_controller_of_one_namespace_leaves_the_others_alone() {
    let stage = Stage::with_dairy();
    for (namespace, uid) in [("meadow", "1"), ("elsewhere", "2")] {
        let uid = format!("c0c0a000-0000-4000-8000-00000000000{uid}");
        stage.server.put(dairy().namespace(namespace).uid(&uid));
    }
    let (first, second) = (start(&stage, Some(NAMESPACE)), start(&stage, Some("meadow")));
    for namespace in [NAMESPACE, "meadow"] {
        until("a Job", || jobs(&stage, namespace).len() == 1).await;
        deliver(&stage, namespace);
        until("ready", || is_ready(&stage, namespace, DAIRY)).await;
    }
    first.end().await;
    second.end().await;
    assert!(jobs(&stage, "elsewhere").is_empty());
    let touched = stage.server.writes().into_iter().map(|write| write.object.namespace);
    assert!(touched.into_iter().all(|namespace| namespace != "elsewhere"));
}

#[tokio::test]
async fn a_watch_that_is_refused_is_opened_again() {
    let stage = Stage::with_dairy();
    stage.server.forbid(Verb::List, "performancebaselines");
    let running = start(&stage, None);
    until("an attempt", || stage.server.reads().iter().any(|read| read.code == 403)).await;
    stage.server.permit(Verb::List, "performancebaselines");
    until("a Job", || jobs(&stage, NAMESPACE).len() == 1).await;
    running.end().await;
}
