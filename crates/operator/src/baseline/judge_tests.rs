use super::super::world::{Stage, World, dairy};
use super::*;
use plimsoll_api::PerformanceBaseline;
use plimsoll_testkit::fixtures::record;
use serde_json::Value;

/// A baseline at rest after one complete run, judged.
fn judged(change: impl FnOnce(&mut PerformanceBaseline)) -> World {
    let mut baseline = dairy();
    change(&mut baseline);
    let mut world = World::new(baseline);
    world.reconcile().unwrap();
    let job = world.job().unwrap();
    (job.stage, job.finished) = (Stage::Delivers(None), true);
    world.reconcile().unwrap();
    world
}

fn set<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

fn objectives(bound: &str) -> Vec<ObjectiveSpec> {
    set(json!([{"name": "page", "indicator": "web.latency.p95", "lessThan": bound}]))
}

fn kept(name: &str, complete: bool) -> KeptRun {
    set(json!({"name": name, "finishedAt": "2026-11-24T10:00:00Z", "complete": complete,
        "recordSha256": format!("sha-{name}")}))
}

fn subject_of(run: &str) -> Subject {
    Subject { run: run.to_owned(), key: "sha256:key".to_owned(), sha256: format!("sha-{run}") }
}

fn run(name: &str) -> Target {
    Target::Run { run: name.to_owned(), sha256: format!("sha-{name}") }
}

fn why(target: Target) -> String {
    match target {
        Target::Missing(why) => format!("{}: {}", why.reason, why.message),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_record_is_judged_again_exactly_when_what_it_is_judged_by_changes() {
    type Edit = fn(&mut PerformanceBaseline);
    let rows: [(&str, Edit, Need); 10] = [
        ("nothing", |_| {}, Need::No),
        ("a bound", |it| it.spec.objectives = objectives("4s"), Need::Yes),
        ("no objective", |it| it.spec.objectives = Vec::new(), Need::Yes),
        ("how long an alert waits", |it| it.spec.objectives[0].r#for = "1h".to_owned(), Need::No),
        ("a comparison", |it| it.spec.compare_to = set(json!({"type": "PreviousRun"})), Need::Yes),
        ("history", |it| it.spec.history_limit = 9, Need::No),
        ("alerts", |it| it.spec.prometheus_rule = set(json!({"enabled": true})), Need::No),
        ("a schedule", |it| it.spec.schedule = Some("0 2 * * *".to_owned()), Need::No),
        ("a spec that means nothing", |it| it.spec.window = "soon".to_owned(), Need::No),
        (
            "a direction",
            |it| {
                it.spec.metrics =
                    set(json!([{"name": "a", "query": "up", "unit": "Count", "better": "Lower"}]));
            },
            Need::Yes,
        ),
    ];
    for (what, edit, expected) in rows {
        let mut world = judged(|it| it.spec.objectives = objectives("3s"));
        world.edit(edit);
        assert_eq!(need(&world.view()), expected, "{what}");
    }
    assert_eq!(need(&World::new(dairy()).view()), Need::No, "there is no record yet");
    for compare in [
        json!({"type": "Baseline", "baseline": {"name": "other"}}),
        json!({"type": "Record", "record": {"configMapRef": {"name": "from-git"}}}),
    ] {
        let mut world = judged(|it| it.spec.compare_to = set(compare));
        assert_eq!(need(&world.view()), Need::Asks);
        world.baseline.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now));
        assert_eq!(need(&world.view()), Need::No);
    }
}

#[test]
fn the_hash_has_a_part_of_the_spec_and_one_of_what_is_compared_with() {
    let other = json!({"type": "Baseline", "baseline": {"name": "other"}});
    let view = judged(|it| it.spec.compare_to = set(other)).view();
    let part = spec_part(&view);
    let targets = [
        run("a"),
        run("b"),
        Target::Missing(Unavailable::nothing("none")),
        Target::Missing(Unavailable::nothing("gone")),
    ];
    let hashes: std::collections::BTreeSet<String> =
        targets.iter().map(|target| hash(&view, target)).collect();
    assert_eq!(hashes.len(), targets.len());
    assert!(hashes.iter().all(|hash| is_of(hash, &part) && !is_of(hash, &part[..8])));
    // The run before this one is decided by this one: that it is pruned is no reason to judge again.
    let view = judged(|it| it.spec.compare_to = set(json!({"type": "PreviousRun"}))).view();
    assert_eq!(hash(&view, &run("a")), hash(&view, &Target::Missing(Unavailable::nothing("pruned"))));
    assert_eq!(hash(&view, &run("a")), spec_part(&view));
}

#[test]
fn the_previous_run_is_the_newest_complete_one_before_it() {
    let history = [kept("d", false), kept("c", true), kept("b", false), kept("a", true)];
    for (of, expected) in [("new", run("c")), ("d", run("c")), ("c", run("a")), ("b", run("a"))] {
        assert_eq!(previous_run(&history, &subject_of(of)), expected, "{of}");
    }
    assert!(why(previous_run(&history, &subject_of("a"))).starts_with("NothingToCompare"));
    assert!(why(previous_run(&[], &subject_of("a"))).contains("next run"));
}

#[test]
fn a_run_of_a_baseline_is_the_one_that_is_named_or_its_newest_complete_one() {
    let history = [kept("c", false), kept("b", true), kept("a", true)];
    let of = |run: Option<&str>, subject: &str| run_of("other", &history, run, &subject_of(subject));
    assert_eq!(of(None, "x"), run("b"));
    assert_eq!(of(Some("a"), "x"), run("a"));
    assert_eq!(of(Some("c"), "x"), run("c"), "whoever names an incomplete run gets it");
    assert!(why(of(Some("z"), "x")).contains("kept are: c, b, a"));
    assert!(why(of(Some("a"), "a")).contains("the one that is judged"));
    assert!(
        why(run_of("other", &[kept("c", false)], None, &subject_of("x"))).contains("no complete run yet")
    );
}

#[test]
fn an_applied_record_is_compared_with_unless_it_is_this_runs_own_or_of_another_schema() {
    let stored = |sha256: &str| StoredRecord { record: record(), sha256: sha256.to_owned() };
    assert!(matches!(exported(stored("x"), "from-git", &subject_of("a")), Target::Exported(_)));
    assert!(why(exported(stored("sha-a"), "from-git", &subject_of("a"))).contains("the next run"));
    let mut other = stored("x");
    other.record.schema = "plimsoll.dev/baseline-record/v9".to_owned();
    let why = why(exported(other, "from-git", &subject_of("a")));
    assert!(why.starts_with("RecordUnreadable") && why.contains("baseline-record/v9"), "{why}");
}

#[test]
fn a_judgement_names_its_record_and_what_there_was_to_compare_with() {
    let view = judged(|it| {
        it.spec.objectives = objectives("3s");
        it.spec.compare_to = set(json!({"type": "PreviousRun"}));
    })
    .view();
    let stored = StoredRecord { record: record(), sha256: "ab".repeat(32) };
    let material = |before| Material {
        subject: subject_of("a"),
        hash: "v1:x".to_owned(),
        record: Ok(stored.clone()),
        older: vec![record()],
        before,
    };
    let with = judge(&view, &material(Some(Ok(stored.clone()))));
    let judgement = &with.opinion.as_ref().unwrap().judgement;
    assert_eq!(judgement.record_sha256.as_ref(), Some(&stored.sha256));
    assert_eq!((judgement.generation, judgement.objectives.len()), (Some(1), 1));
    let against = &judgement.comparison.as_ref().unwrap().against;
    assert_eq!(
        (against.run.as_str(), against.record_sha256.as_ref()),
        (record().run.as_str(), Some(&stored.sha256))
    );
    assert!(!judgement.trend.is_empty() && judgement.trend[0].points.len() == 2);
    let nothing = Unavailable::nothing("None.");
    let without = judge(&view, &material(Some(Err(nothing.clone()))));
    let judgement = &without.opinion.as_ref().unwrap().judgement;
    assert_eq!((judgement.comparison.as_ref(), judgement.not_compared.as_deref()), (None, Some("None.")));
    assert_eq!(without.not_compared, Some(nothing.clone()));
    let gone = judge(&view, &Material { record: Err(nothing.clone()), ..material(None) });
    assert_eq!(gone.opinion, Err(nothing));
}

#[test]
fn a_run_that_ends_while_the_spec_means_nothing_is_judged_when_it_does_again() {
    let mut baseline = dairy();
    baseline.spec.objectives = objectives("3s");
    let mut world = World::new(baseline);
    world.reconcile().unwrap();
    world.edit(|it| it.spec.window = "soon".to_owned());
    let job = world.job().unwrap();
    (job.stage, job.finished) = (Stage::Delivers(None), true);
    world.reconcile().unwrap();
    let told = |world: &World| world.baseline.status.clone().unwrap().objectives.len();
    assert_eq!((told(&world), need(&world.view())), (0, Need::No));
    world.edit(|it| it.spec.window = "5m".to_owned());
    assert_eq!(need(&world.view()), Need::Yes);
    world.reconcile().unwrap();
    assert_eq!((told(&world), need(&world.view())), (1, Need::No));
}
