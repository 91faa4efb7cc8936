//! Whatever happens, the steps come to rest, and in the end what is asked for is measured.

use plimsoll_analysis::frame::FrameError;
use plimsoll_analysis::record::SourceReason;
use plimsoll_api::condition::{self, types};
use proptest::prelude::*;

use super::decide::Step;
use super::world::{Stage, World, dairy};
use crate::reason::RunReason;

/// What the rest of the world does.
#[derive(Debug, Clone)]
enum Act {
    Window(&'static str),
    Schedule(Option<&'static str>),
    Suspend(bool),
    HistoryLimit(i32),
    Sources(bool, bool),
    Request(&'static str),
    Advance(i64),
    Job(Stage),
    Finish,
    Delete,
    Hold(bool),
    SuspendJob(bool),
    Refuse(Option<RunReason>),
    Reconcile,
}

fn stage() -> impl Strategy<Value = Stage> {
    prop_oneof![
        Just(Stage::Waits(None)),
        Just(Stage::Waits(Some(RunReason::ImagePullFailed))),
        Just(Stage::Waits(Some(RunReason::Unschedulable))),
        Just(Stage::Runs),
        Just(Stage::Delivers(None)),
        Just(Stage::Delivers(Some(SourceReason::Unreachable))),
        Just(Stage::Delivers(Some(SourceReason::AuthenticationFailed))),
        Just(Stage::Prints(FrameError::Missing)),
        Just(Stage::Prints(FrameError::Doubled)),
        Just(Stage::Unreadable),
        Just(Stage::Silent),
        Just(Stage::Over(RunReason::ResultLost)),
        Just(Stage::Over(RunReason::Evicted)),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        prop_oneof![Just("5m"), Just("6m"), Just("soon")].prop_map(Act::Window),
        prop_oneof![Just(None), Just(Some("*/10 * * * *")), Just(Some("0 2 * * *")), Just(Some("x"))]
            .prop_map(Act::Schedule),
        any::<bool>().prop_map(Act::Suspend),
        (1..4).prop_map(Act::HistoryLimit),
        (any::<bool>(), any::<bool>())
            .prop_map(|(prometheus, workloads)| Act::Sources(prometheus, workloads)),
        prop_oneof![Just("a"), Just("b"), Just("")].prop_map(Act::Request),
        prop_oneof![Just(1_i64), Just(25), Just(61), Just(601), Just(4_000), Just(-900)]
            .prop_map(Act::Advance),
        stage().prop_map(Act::Job),
        stage().prop_map(Act::Job),
        stage().prop_map(Act::Job),
        Just(Act::Finish),
        Just(Act::Delete),
        any::<bool>().prop_map(Act::Hold),
        any::<bool>().prop_map(Act::SuspendJob),
        prop_oneof![Just(None), Just(Some(RunReason::QuotaExceeded)), Just(Some(RunReason::NameCollision))]
            .prop_map(Act::Refuse),
        Just(Act::Reconcile),
        Just(Act::Reconcile),
        Just(Act::Reconcile),
        Just(Act::Reconcile),
    ]
}

fn apply(world: &mut World, act: &Act) {
    match act.clone() {
        Act::Window(window) => world.edit(|it| it.spec.window = window.to_owned()),
        Act::Schedule(schedule) => world.edit(|it| it.spec.schedule = schedule.map(str::to_owned)),
        Act::Suspend(suspend) => world.edit(|it| it.spec.suspend = suspend),
        Act::HistoryLimit(limit) => world.edit(|it| it.spec.history_limit = limit),
        Act::Sources(prometheus, workloads) => world.edit(|it| {
            use plimsoll_testkit::fixtures::BaselineFixture as _;
            let whole = dairy().workloads().spec;
            it.spec.sources.prometheus = whole.sources.prometheus.filter(|_| prometheus);
            it.spec.sources.workloads = whole.sources.workloads.filter(|_| workloads);
            it.spec.web = whole.web.filter(|_| prometheus);
        }),
        Act::Request(value) => world.request(value),
        Act::Advance(seconds) => world.advance(seconds),
        Act::Job(stage) => drop(world.job().map(|job| job.stage = stage)),
        Act::Finish => drop(world.job().map(|job| job.finished = true)),
        Act::Delete => {
            let name = world.view().run().map(|run| run.name.clone()).unwrap_or_default();
            world.jobs.remove(&name);
        }
        Act::Hold(held) => {
            world.jobs.values_mut().for_each(|job| job.held = held);
            world.jobs.retain(|_, job| held || job.deleting_since.is_none());
        }
        Act::SuspendJob(suspended) => drop(world.job().map(|job| job.suspended = suspended)),
        Act::Refuse(refusal) => world.refusal = refusal,
        Act::Reconcile => drop(rests(world)),
    }
}

/// Reconciles, and sees to it that the steps came to rest and that a second look writes nothing.
fn rests(world: &mut World) -> Vec<Step> {
    let steps = world.reconcile().unwrap_or_else(|steps| panic!("never at rest: {steps:#?}"));
    let settled = world.baseline.status.clone();
    let again = world.reconcile().unwrap_or_else(|steps| panic!("never at rest again: {steps:#?}"));
    if again.len() == 1 {
        assert_eq!(world.baseline.status, settled, "a second look changes nothing: {again:?}");
    }
    let status = world.baseline.status.as_ref().unwrap();
    let bytes = serde_json::to_vec(status).unwrap().len();
    assert!(bytes < 8 * 1024, "{bytes}");
    for made in world.made.values() {
        assert!(*made <= 2, "a run's Job is made at most twice: {:?}", world.made);
    }
    if condition::is_true(&status.conditions, types::READY) {
        let view = world.view();
        let last = status.last_run.as_ref().unwrap();
        assert!(last.complete && last.spec_hash == view.valid.unwrap().spec_hash);
        assert!(world.maps.contains_key(&last.name), "the record is there");
    }
    for condition in &status.conditions {
        assert_eq!(condition.observed_generation, world.baseline.metadata.generation);
    }
    for kept in &status.history {
        assert!(world.maps.contains_key(&kept.name));
    }
    steps
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn from_whatever_happened_the_steps_rest_and_a_good_world_ends_in_a_record(
        acts in prop::collection::vec(act(), 0..40),
        asks in any::<bool>(),
    ) {
        let mut world = World::new(dairy());
        for act in &acts {
            apply(&mut world, act);
        }
        // Then all is well: a good spec, nothing in the way, Jobs that deliver.
        world.refusal = None;
        world.edit(|it| it.spec = dairy().spec);
        if asks {
            world.request("in the end");
        }
        world.jobs.values_mut().for_each(|job| { job.held = false; job.suspended = false; });
        world.jobs.retain(|_, job| job.deleting_since.is_none());
        let mut rounds = 0;
        loop {
            let steps = rests(&mut world);
            if let Some(job) = world.job() {
                job.stage = Stage::Delivers(None);
                job.finished = true;
            }
            if matches!(steps.last(), Some(Step::Idle { .. })) {
                break;
            }
            rounds += 1;
            prop_assert!(rounds < 30, "never idle: {:?}", world.baseline.status);
            world.advance(30);
        }
        let hash = world.view().valid.unwrap().spec_hash;
        let status = world.baseline.status.unwrap();
        prop_assert!(status.current_run.is_none());
        let last = status.last_run.as_ref().unwrap();
        prop_assert_eq!(&last.spec_hash, &hash, "whatever was dropped, this spec was measured");
        if asks {
            prop_assert!(condition::is_true(&status.conditions, types::READY), "{:#?}", status);
            prop_assert!(!condition::is_true(&status.conditions, types::STALLED));
            prop_assert_eq!(status.last_request_handled.as_deref(), Some("in the end"));
            prop_assert!(status.retry.is_none());
        } else {
            let stalled = condition::is_true(&status.conditions, types::STALLED);
            prop_assert!(last.complete || stalled || status.retry.is_some(), "{:#?}", status);
        }
        prop_assert!(!condition::is_true(&status.conditions, types::RECONCILING));
    }
}
