use super::super::conditions::waiting_problem;
use super::super::world::{Stage, World, dairy};
use super::*;
use crate::reason::RunReason;
use plimsoll_api::condition::{self, types};
use plimsoll_testkit::fixtures::{BaselineFixture as _, fail_source, record};
use strum::IntoEnumIterator as _;

fn says(status: &PerformanceBaselineStatus, type_: &str) -> String {
    let condition = condition::get(&status.conditions, type_).unwrap();
    format!("{}: {}", condition.status, condition.reason)
}

/// A world whose first run is under way.
fn running() -> World {
    let mut world = World::new(dairy());
    world.reconcile().unwrap();
    world
}

fn stored(record: plimsoll_analysis::record::BaselineRecord) -> Step {
    Step::Finish(Box::new(StoredRecord { record, sha256: "0".repeat(64) }), None)
}

fn after(world: &World, step: &Step) -> PerformanceBaselineStatus {
    next_status(&world.view(), step, world.now)
}

fn waits(reason: RunReason) -> Step {
    let problem = Some(Problem { reason, message: "It waits.".to_owned() });
    Step::Wait { job_uid: None, problem, wake: std::time::Duration::from_secs(1) }
}

#[test]
fn each_situation_has_its_conditions() {
    let blocked = Problem { reason: RunReason::PolicyMissing, message: "No policy.".to_owned() };
    let idle = |blocked| Step::Idle { wake: std::time::Duration::from_secs(1), blocked };
    let fail = |reason| Step::Fail(Problem { reason, message: "It failed.".to_owned() });
    let failed = |reason| {
        let mut record = record();
        fail_source(&mut record, reason, "refused");
        stored(record)
    };
    let fresh = || World::new(dairy());
    let rows: Vec<(&str, World, Step, [&str; 3])> = vec![
        ("new", fresh(), idle(None), ["False: Pending", "False: Idle", "False: AsExpected"]),
        (
            "blocked",
            fresh(),
            idle(Some(blocked)),
            ["False: PolicyMissing", "False: Idle", "True: PolicyMissing"],
        ),
        (
            "suspended",
            World::new(dairy().suspended()),
            idle(None),
            ["False: Suspended", "False: Idle", "False: AsExpected"],
        ),
        (
            "invalid",
            World::new(dairy().window("soon")),
            idle(None),
            ["False: InvalidSpec", "False: Idle", "True: InvalidSpec"],
        ),
        (
            "waits for nobody",
            running(),
            waits(RunReason::Unschedulable),
            ["False: Unschedulable", "True: Unschedulable", "False: AsExpected"],
        ),
        (
            "waits for a person",
            running(),
            waits(RunReason::ImagePullFailed),
            ["False: ImagePullFailed", "True: ImagePullFailed", "True: ImagePullFailed"],
        ),
        ("recorded", running(), stored(record()), ["True: Recorded", "False: Idle", "False: AsExpected"]),
        (
            "failed for a moment",
            running(),
            failed(SourceReason::Timeout),
            ["False: Timeout", "False: Idle", "False: AsExpected"],
        ),
        (
            "failed for good",
            running(),
            failed(SourceReason::TLSFailed),
            ["False: TLSFailed", "False: Idle", "True: TLSFailed"],
        ),
        (
            "evicted",
            running(),
            fail(RunReason::Evicted),
            ["False: Evicted", "False: Idle", "False: AsExpected"],
        ),
        (
            "out of memory",
            running(),
            fail(RunReason::OutOfMemory),
            ["False: OutOfMemory", "False: Idle", "True: OutOfMemory"],
        ),
    ];
    for (name, world, step, expected) in rows {
        let status = after(&world, &step);
        let told = [types::READY, types::RECONCILING, types::STALLED].map(|type_| says(&status, type_));
        assert_eq!(told, expected, "{name}");
        assert!(status.conditions.iter().all(|one| one.observed_generation == Some(world.view().generation)));
        assert_eq!(status.observed_generation, Some(world.view().generation));
    }
}

#[test]
fn a_transition_has_the_time_of_its_change_and_keeps_it() {
    let mut world = running();
    let told = |status: &PerformanceBaselineStatus, type_| {
        condition::get(&status.conditions, type_).unwrap().last_transition_time.0
    };
    let start = world.now;
    world.advance(30);
    let status = after(&world, &waits(RunReason::Unschedulable));
    assert_eq!(told(&status, types::READY), start, "it was False before");
    let status = after(&world, &stored(record()));
    assert_eq!(told(&status, types::READY), world.now);
}

#[test]
fn every_reason_says_what_to_do_and_is_recognised_again() {
    for reason in RunReason::iter() {
        assert!(reason.remedy().ends_with('.') && reason.remedy().len() < 200, "{reason:?}");
        assert!(!reason.remedy().contains("tried again"), "{reason:?}: status says when");
        let mut world = running();
        world.baseline.status = Some(after(&world, &waits(reason)));
        let problem = waiting_problem(&world.view()).unwrap();
        assert_eq!((problem.reason, problem.message.as_str()), (reason, "It waits."));
    }
}

#[test]
fn failing_sources_share_the_message_and_each_keeps_its_remedy() {
    let mut record = record();
    fail_source(&mut record, SourceReason::Unreachable, &"far away ".repeat(200));
    let mut second = record.sources[0].clone();
    second.name = KUBERNETES.to_owned();
    second.reason = Some(SourceReason::Forbidden);
    record.sources.push(second);
    let status = after(&running(), &stored(record));
    let message = status.last_run.unwrap().message.unwrap();
    assert!(message.len() <= MAX_MESSAGE);
    for part in [
        "prometheus: far",
        "network policies.",
        "kubernetes: far",
        "Give the operator that right.",
        ASK_AGAIN,
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert_eq!(status.retry, None, "one of them does not pass by itself");
}

#[test]
fn a_source_that_gives_no_reason_is_no_passing_failure() {
    let mut record = record();
    record.sources[0].state = SourceState::Partial;
    let status = after(&running(), &stored(record));
    assert_eq!((status.retry, status.last_run.unwrap().complete), (None, false));
}

#[test]
fn steps_that_only_write_elsewhere_leave_the_status_alone() {
    let world = running();
    let steps = [
        Step::DeleteJob { uid: String::new() },
        Step::Record(Box::new(record())),
        Step::CleanUp(Vec::new()),
        Step::CreateJob { request: String::new(), keys: Vec::new(), nonce: String::new() },
    ];
    for step in steps {
        assert_eq!(Some(after(&world, &step)), world.baseline.status);
    }
}

#[test]
fn an_attempt_starts_anew() {
    let mut world = running();
    world.advance(100);
    let problem = Problem { reason: RunReason::ResultLost, message: String::new() };
    let run = after(&world, &Step::NextAttempt(problem)).current_run.unwrap();
    assert_eq!((run.attempt, run.job_uid, run.started_at.0), (2, None, world.now));
}

#[test]
fn what_a_run_answers_is_told_when_it_has_ended_and_not_before() {
    let mut world = World::new(dairy());
    world.request("now");
    world.reconcile().unwrap();
    assert_eq!(world.baseline.status.as_ref().unwrap().last_request_handled, None);
    world.request("later");
    world.job().unwrap().stage = Stage::Delivers(None);
    world.job().unwrap().finished = true;
    let steps = world.reconcile().unwrap();
    let status = world.baseline.status.clone().unwrap();
    assert_eq!(status.last_request_handled.as_deref(), Some("now"));
    assert_eq!(status.current_run.unwrap().trigger, "request/later", "{steps:?}");
}

#[test]
fn the_same_run_recorded_twice_stands_once_in_the_history() {
    let mut world = running();
    let once = after(&world, &stored(record()));
    world.baseline.status = Some(once.clone());
    let mut twice = after(&world, &stored(record()));
    twice.conditions.clone_from(&once.conditions);
    assert_eq!(twice, once);
}
