#![allow(clippy::panic, reason = "helpers of tests: clippy's exceptions cover only the tests themselves")]

use super::super::view::{JobSeen, RecordSeen};
use super::super::world::{Stage, World, dairy};
use super::*;
use crate::job::build::request_hash;
use plimsoll_analysis::record::SourceReason;
use plimsoll_testkit::fixtures::{BaselineFixture as _, baseline};

/// A step in few words.
fn shown(step: &Step) -> String {
    let reason =
        |problem: &Option<Problem>| problem.as_ref().map_or("", |problem| problem.reason.as_str()).to_owned();
    let text = match step {
        Step::Idle { wake, blocked } => format!("Idle {}s {}", wake.as_secs(), reason(blocked)),
        Step::Begin(run) => format!("Begin {} attempt {}", run.trigger, run.attempt),
        Step::Wait { wake, problem, .. } => format!("Wait {}s {}", wake.as_secs(), reason(problem)),
        Step::Fail(problem) => format!("Fail {}", problem.reason.as_str()),
        Step::NextAttempt(problem) => format!("NextAttempt {}", problem.reason.as_str()),
        Step::CleanUp(steps) => format!("CleanUp {}", steps.len()),
        Step::WriteRules => "WriteRules".to_owned(),
        Step::RulesWritten(_) => "RulesWritten".to_owned(),
        Step::ChangePolicy => "ChangePolicy".to_owned(),
        Step::ApplyPolicy(runs) => format!("ApplyPolicy {}", runs.len()),
        Step::Prune(runs) => format!("Prune {}", runs.len()),
        Step::CreateJob { .. } => "CreateJob".to_owned(),
        Step::DeleteJob { .. } => "DeleteJob".to_owned(),
        Step::Record(_) => "Record".to_owned(),
        Step::Judge(judged) => format!("Judge {}", judged.subject.run),
        Step::Finish(..) => "Finish".to_owned(),
        Step::Abandon => "Abandon".to_owned(),
        Step::EndRun => "EndRun".to_owned(),
    };
    text.trim_end().to_owned()
}

/// A run whose intent is written and whose Job is not made.
fn intent() -> World {
    let mut world = World::new(dairy());
    let step = world.step();
    write(&mut world, &step);
    world
}

/// A run whose Job is made and known.
fn running() -> World {
    let mut world = World::new(dairy());
    world.reconcile().unwrap();
    world
}

/// A run whose Job is at a stage.
fn at(stage: Stage) -> World {
    let mut world = running();
    world.job().unwrap().stage = stage;
    world
}

/// A resource at rest after one complete run.
fn recorded(mut world: World) -> World {
    world.reconcile().unwrap();
    let job = world.job().unwrap();
    job.stage = Stage::Delivers(None);
    job.finished = true;
    world.reconcile().unwrap();
    world
}

/// A finished run of which only the Job is left.
fn finished(job_is_finished: bool, has_ttl: bool) -> World {
    let mut world = at(Stage::Delivers(None));
    world.job().unwrap().finished = job_is_finished;
    while !matches!(world.step(), Step::CleanUp(_) | Step::Wait { .. }) {
        let step = world.step();
        if let Step::Record(record) = &step {
            let name = world.view().run().unwrap().name.clone();
            world.maps.insert(name, (**record).clone());
        }
        write(&mut world, &step);
    }
    world.job().unwrap().has_ttl = has_ttl;
    world
}

fn write(world: &mut World, step: &Step) {
    let view = world.view();
    world.baseline.status = Some(super::super::status::next_status(&view, step, world.now));
}

fn with(mut world: World, change: impl FnOnce(&mut World)) -> World {
    change(&mut world);
    world
}

#[test]
fn a_resource_without_a_run_starts_what_is_due() {
    let edited =
        |window: &'static str| move |world: &mut World| world.edit(|it| it.spec.window = window.to_owned());
    let rows: Vec<(&str, World, &str)> = vec![
        ("new", World::new(dairy()), "Begin spec/1 attempt 1"),
        ("new and suspended", World::new(dairy().suspended()), "Idle 3600s"),
        ("invalid", World::new(dairy().schedule("no")), "Idle 3600s"),
        ("recorded", recorded(World::new(dairy())), "Idle 3600s"),
        ("edited", with(recorded(World::new(dairy())), edited("6m")), "Begin spec/2 attempt 1"),
        ("edited in spelling", with(recorded(World::new(dairy())), edited("300s")), "Idle 3600s"),
        ("requested", with(recorded(World::new(dairy())), |it| it.request("x")), "Begin request/x attempt 1"),
        (
            "requested and edited",
            with(with(recorded(World::new(dairy())), |it| it.request("x")), edited("6m")),
            "Begin spec/2 attempt 1",
        ),
        (
            "a slot is ahead",
            with(recorded(World::new(dairy().schedule("*/10 * * * *"))), |it| it.advance(300)),
            "Idle 300s",
        ),
        (
            "a slot has come",
            with(recorded(World::new(dairy().schedule("*/10 * * * *"))), |it| it.advance(600)),
            "Begin slot/2026-11-24T10:10:00Z attempt 1",
        ),
        (
            "several slots have passed",
            with(recorded(World::new(dairy().schedule("*/10 * * * *"))), |it| it.advance(3_700)),
            "Begin slot/2026-11-24T11:00:00Z attempt 1",
        ),
        (
            "a request and a slot",
            with(recorded(World::new(dairy().schedule("*/10 * * * *"))), |it| {
                it.advance(600);
                it.request("x");
            }),
            "Begin request/x attempt 1",
        ),
        (
            "too many records",
            with(recorded(World::new(dairy())), |it| {
                let history = &mut it.baseline.status.as_mut().unwrap().history;
                let kept = history[0].clone();
                for number in 0..4 {
                    history.push(plimsoll_api::baseline::KeptRun {
                        name: format!("old-{number}"),
                        ..kept.clone()
                    });
                }
            }),
            "Prune 2",
        ),
        (
            "deleted",
            with(running(), |it| {
                it.baseline.metadata.deletion_timestamp = Some(Time(it.now));
            }),
            "Idle 3600s",
        ),
    ];
    for (name, world, expected) in rows {
        assert_eq!(shown(&world.step()), expected, "{name}");
    }
}

#[test]
fn a_value_that_comes_back_gets_a_number() {
    let mut world = recorded(World::new(dairy()));
    for value in ["x", "y"] {
        world.request(value);
        world = recorded(world);
    }
    world.request("x");
    assert_eq!(shown(&world.step()), "Begin request/x/2 attempt 1");
}

#[test]
fn a_failure_that_may_pass_is_retried_and_a_slot_at_the_same_time_is_answered_by_it() {
    let mut world = at(Stage::Delivers(Some(SourceReason::Unreachable)));
    world.job().unwrap().finished = true;
    world.reconcile().unwrap();
    assert_eq!(shown(&world.step()), "Idle 60s");
    world.edit(|it| it.spec.schedule = Some("*/1 * * * *".to_owned()));
    world.reconcile().unwrap();
    world.advance(60);
    let step = world.step();
    assert!(shown(&step).starts_with("Begin retry/1/dairy-"), "{step:?}");
    write(&mut world, &step);
    assert_eq!(world.baseline.status.as_ref().unwrap().last_slot, Some(Time(world.now)));
    world.advance(60);
    world.baseline.status.as_mut().unwrap().current_run = None;
    assert_eq!(shown(&world.step()), "Begin slot/2026-11-24T10:02:00Z attempt 1");
}

#[test]
fn a_secret_without_its_policy_blocks() {
    let mut secret = dairy();
    secret.spec.sources.prometheus.as_mut().unwrap().auth =
        serde_json::from_value(json!({"type": "Basic", "basic": {"secretRef": {"name": "prom"}}})).unwrap();
    let mut world = World::new(secret);
    world.secrets_allowed = false;
    assert_eq!(shown(&world.step()), "Idle 30s PolicyMissing");
    world.secrets_allowed = true;
    let step = world.step();
    write(&mut world, &step);
    world.secrets_allowed = false;
    assert_eq!(shown(&world.step()), "Wait 30s PolicyMissing", "the intent stands");
    world.secrets_allowed = true;
    assert_eq!(shown(&world.step()), "CreateJob");
}

#[test]
fn an_intent_becomes_a_job_unless_what_it_measures_changed() {
    let rows: Vec<(&str, World, &str)> = vec![
        ("as it was", intent(), "CreateJob"),
        ("edited", with(intent(), |it| it.edit(|it| it.spec.window = "6m".to_owned())), "Abandon"),
        ("suspended", with(intent(), |it| it.edit(|it| it.spec.suspend = true)), "Abandon"),
        ("invalid", with(intent(), |it| it.edit(|it| it.spec.window = "soon".to_owned())), "Abandon"),
        (
            "other credentials",
            with(intent(), |it| {
                it.edit(|it| {
                    it.spec.sources.prometheus.as_mut().unwrap().tls =
                        serde_json::from_value(json!({"serverName": "other"})).unwrap();
                });
            }),
            "Begin spec/1 attempt 1",
        ),
    ];
    for (name, world, expected) in rows {
        assert_eq!(shown(&world.step()), expected, "{name}");
    }
}

#[test]
fn a_dropped_intent_leaves_what_it_would_have_measured_due() {
    let mut world = intent();
    world.edit(|it| it.spec.suspend = true);
    world.reconcile().unwrap();
    world.edit(|it| it.spec.suspend = false);
    assert_eq!(shown(&world.step()), "Begin spec/2 attempt 1");
    // A, invalid, A.
    let mut world = intent();
    world.edit(|it| it.spec.window = "soon".to_owned());
    world.reconcile().unwrap();
    world.edit(|it| it.spec.window = "5m".to_owned());
    assert_eq!(shown(&world.step()), "Begin spec/2 attempt 1");
}

#[test]
fn a_job_is_waited_for_and_then_read() {
    use plimsoll_analysis::frame::FrameError;
    let rows: Vec<(&str, World, &str)> = vec![
        ("no pod", running(), "Wait 3s"),
        ("no pod for long", with(running(), |it| it.advance(200)), "Wait 20s"),
        ("an image", at(Stage::Waits(Some(RunReason::ImagePullFailed))), "Wait 3s ImagePullFailed"),
        ("runs", at(Stage::Runs), "Wait 15s"),
        ("runs past its deadline", with(at(Stage::Runs), |it| it.advance(1_320)), "NextAttempt NodeLost"),
        ("delivers", at(Stage::Delivers(None)), "Record"),
        ("says nothing", at(Stage::Prints(FrameError::Missing)), "NextAttempt ResultLost"),
        ("is cut", at(Stage::Prints(FrameError::Cut)), "NextAttempt ResultLost"),
        ("says it twice", at(Stage::Prints(FrameError::Doubled)), "Fail ResultInvalid"),
        ("is forged", at(Stage::Prints(FrameError::Foreign("run"))), "Fail ResultInvalid"),
        ("no kubelet", at(Stage::Unreadable), "Wait 3s LogUnavailable"),
        ("never a kubelet", with(at(Stage::Unreadable), |it| it.advance(1_320)), "NextAttempt NodeLost"),
        ("no log", at(Stage::Silent), "NextAttempt ResultLost"),
        ("lost", at(Stage::Over(RunReason::ResultLost)), "NextAttempt ResultLost"),
        ("evicted", at(Stage::Over(RunReason::Evicted)), "Fail Evicted"),
        ("never scheduled", at(Stage::Over(RunReason::Unschedulable)), "Fail Unschedulable"),
        ("deleted", with(running(), |it| it.jobs.clear()), "NextAttempt ResultLost"),
        (
            "suspended for a day",
            with(running(), |it| {
                it.job().unwrap().suspended = true;
                it.advance(86_400);
            }),
            "Wait 30s JobSuspended",
        ),
        ("is going", with(running(), |it| it.job().unwrap().deleting_since = Some(it.now)), "Wait 3s"),
        (
            "does not go",
            with(running(), |it| {
                it.job().unwrap().deleting_since = Some(it.now);
                it.advance(60);
            }),
            "Wait 6s JobStuck",
        ),
    ];
    for (name, world, expected) in rows {
        assert_eq!(shown(&world.step()), expected, "{name}");
    }
}

#[test]
fn a_second_attempt_takes_the_place_of_the_first() {
    let mut world = at(Stage::Silent);
    let step = world.step();
    write(&mut world, &step);
    assert_eq!(shown(&world.step()), "DeleteJob");
    world.job().unwrap().deleting_since = Some(world.now);
    assert_eq!(shown(&world.step()), "Wait 3s");
    world.jobs.clear();
    assert_eq!(shown(&world.step()), "CreateJob");
    world.reconcile().unwrap();
    world.job().unwrap().stage = Stage::Silent;
    assert_eq!(shown(&world.step()), "Fail ResultLost", "and there is no third");
}

#[test]
fn a_record_that_is_there_finishes_the_run_whatever_became_of_its_job() {
    let mut world = running();
    let name = world.view().run().unwrap().name.clone();
    world.maps.insert(name, plimsoll_testkit::fixtures::record());
    world.jobs.clear();
    assert_eq!(shown(&world.step()), "Finish");
}

#[test]
fn what_is_not_ours_ends_the_run() {
    let world = running();
    let view = world.view();
    for (observed, expected) in [
        (Observed { record: RecordSeen::Foreign("x"), ..Observed::default() }, "Fail NameCollision"),
        (Observed { record: RecordSeen::Unreadable, ..Observed::default() }, "Fail ResultInvalid"),
        (Observed { job: JobSeen::Foreign("x"), ..Observed::default() }, "Fail NameCollision"),
        (Observed::default(), "Wait 3s"),
    ] {
        assert_eq!(shown(&decide(&view, &observed, world.now)), expected);
    }
}

#[test]
fn after_a_run_its_job_gets_a_time_to_live_or_goes() {
    let foreign = |finished| {
        move |world: &mut World| {
            let mut job = world.job().unwrap().clone();
            job.finished = finished;
            job.has_ttl = false;
            world.jobs.insert("older".to_owned(), job);
        }
    };
    let rows: Vec<(&str, World, &str)> = vec![
        ("complete", finished(true, false), "CleanUp 1"),
        ("with its time to live", finished(true, true), "EndRun"),
        ("held open", finished(false, false), "Wait 3s"),
        ("held open for long", with(finished(false, false), |it| it.advance(20)), "CleanUp 1"),
        ("an older one that runs", with(finished(true, true), foreign(false)), "CleanUp 1"),
        ("an older one that ended", with(finished(true, true), foreign(true)), "CleanUp 1"),
        ("nothing", with(finished(true, false), |it| it.jobs.clear()), "EndRun"),
    ];
    for (name, world, expected) in rows {
        assert_eq!(shown(&world.step()), expected, "{name}");
    }
}

#[test]
fn a_run_of_workloads_alone_needs_no_job() {
    let mut world = World::new(baseline("dairy").workloads());
    let step = world.step();
    assert!(matches!(&step, Step::Begin(run) if run.request_hash.is_none()));
    write(&mut world, &step);
    assert_eq!(shown(&world.step()), "Record");
    world.edit(|it| it.spec.window = "6m".to_owned());
    assert_eq!(shown(&world.step()), "Abandon");
}

#[test]
fn what_the_api_server_refuses_waits_and_what_is_not_ours_fails() {
    for (reason, expected) in [
        (RunReason::QuotaExceeded, "Wait 30s QuotaExceeded"),
        (RunReason::PodRefused, "Wait 30s PodRefused"),
        (RunReason::NameCollision, "Fail NameCollision"),
        (RunReason::ResultInvalid, "Fail ResultInvalid"),
    ] {
        assert_eq!(shown(&refused(&Step::EndRun, Problem { reason, message: String::new() })), expected);
    }
}

#[test]
fn a_wake_is_never_before_a_slot_nor_later_than_an_hour() {
    let world = recorded(World::new(dairy().schedule("0 2 * * *")));
    assert_eq!(world.step().wake(), Some(IDLE));
    for milliseconds in [0, 1, 999, 59_000, 3_540_000] {
        let mut world = world.clone();
        world.now = "2026-11-25T02:00:00Z".parse::<Timestamp>().unwrap()
            - jiff::SignedDuration::from_millis(milliseconds + 1);
        let wake = world.step().wake().unwrap();
        let woken = world.now + jiff::SignedDuration::try_from(wake).unwrap();
        assert!(woken >= "2026-11-25T02:00:00Z".parse().unwrap(), "{milliseconds}: {wake:?}");
        assert!(wake <= IDLE);
    }
}

#[test]
fn the_request_of_a_run_names_its_workloads_and_the_addresses_that_are_forbidden() {
    let world = World::new(dairy().workloads());
    let view = world.view();
    let guard = Guard { forbidden_addresses: vec!["[fd00::1]:6443".to_owned()], secrets_allowed: true };
    let request = request(&view, view.valid.as_ref().unwrap(), "run", "key", Some(&guard)).unwrap();
    let value: serde_json::Value = serde_json::from_str(&request).unwrap();
    assert_eq!(value["forbidden_addresses"], json!(["[fd00::1]:6443"]));
    assert_eq!(value[WORKLOADS], json!({}));
    assert_ne!(request_hash(&request), request_hash("{}"));
}
