//! Records are judged when they are made, and again whenever what they are judged by changes; never by other records than
//! status says.

use k8s_openapi::api::core::v1::ConfigMap;
use plimsoll_analysis::judgement::Judgement;
use plimsoll_analysis::record::{BaselineRecord, HistogramSeries, Series};
use plimsoll_api::PerformanceBaseline;
use plimsoll_operator::record_map::{JUDGEMENT, RECORD_SHA256_ANNOTATION, REPORT};
use plimsoll_testkit::JobDouble;
use plimsoll_testkit::fixtures::{BaselineFixture as _, NAMESPACE};
use plimsoll_testkit::server::Write;
use serde_json::{Value, json};

use crate::stage::{DAIRY, Stage, dairy};

/// Two objectives of the fixture's record: its pages take 1.23 s, its API 180 ms.
fn objectives(page: &str, api: &str) -> Value {
    json!([
        {"name": "page", "indicator": "web.latency.p95", "lessThan": page},
        {"name": "api", "indicator": "api.latency.p95", "lessThan": api},
    ])
}

fn previous_run() -> Value {
    json!({"type": "PreviousRun"})
}

fn edit(stage: &Stage, change: impl FnOnce(&mut PerformanceBaseline)) {
    stage.server.edit::<PerformanceBaseline>(NAMESPACE, DAIRY, change);
}

/// The judgement in the report of a run.
fn judgement(stage: &Stage, run: &str) -> Judgement {
    let map: ConfigMap = stage.server.get(NAMESPACE, &format!("{run}-report")).expect("there is a report");
    serde_json::from_str(&map.data.unwrap()[JUDGEMENT]).unwrap()
}

fn last(stage: &Stage) -> String {
    stage.status().last_run.unwrap().name
}

/// What was written since so many writes, Events by their reason.
fn since(stage: &Stage, before: usize) -> Vec<String> {
    let shown = |write: &Write| match write.object.resource.plural.as_str() {
        "events" => "event".to_owned(),
        plural => format!("{:?} {plural}{}", write.verb, write.subresource),
    };
    stage.server.writes()[before..].iter().map(shown).collect()
}

/// A window of page loads slot by slot, in which a load takes `factor` times as long as in another; the slots differ a
/// little among each other.
fn pages(record: &mut BaselineRecord, factor: f64) {
    let bounds_ms: Vec<f64> = (1..=40).map(|step| f64::from(step) * 100.0).collect();
    let counts = |slot: u32| -> Vec<f64> {
        let middle = 1_000.0 * factor * (1.0 + 0.02 * f64::from((slot * 7919) % 11) / 11.0);
        let share = |bound: f64| 1.0 - (-(bound / middle).powi(3)).exp();
        let mut below = 0.0;
        let inside = |bound: &f64| {
            let now = 500.0 * share(*bound);
            let inside = now - below;
            below = now;
            inside
        };
        let mut counts: Vec<f64> = bounds_ms.iter().map(inside).collect();
        counts.push(500.0 - counts.iter().sum::<f64>());
        counts
    };
    let slots: Vec<u32> = (0..288).collect();
    let histogram = HistogramSeries {
        bounds_ms: bounds_ms.clone(),
        counts: slots.iter().map(|slot| counts(*slot)).collect(),
        slots,
    };
    let mut series = Series { step_seconds: 300, slots: 288, ..Series::default() };
    series.histograms.insert("web.latency".to_owned(), histogram);
    record.series = Some(series);
    // The 95th percentile of this distribution (Weibull of shape 3).
    record.web_metrics.as_mut().unwrap().page_load_p95_ms =
        Some(1_000.0 * factor * 20f64.ln().powf(1.0 / 3.0));
}

/// One whole run of `dairy` whose pages take `factor` times as long as in another.
async fn run_with(stage: &Stage, factor: f64) {
    stage.settle().await.unwrap();
    let job = stage.job();
    job.start().runs();
    job.delivers(|record| pages(record, factor)).completes();
    stage.settle().await.unwrap();
    stage.expire();
}

/// Another run, an hour later.
async fn run_again(stage: &Stage, value: &str, factor: f64) {
    stage.advance(3_600);
    stage.request(value);
    run_with(stage, factor).await;
}

/// Reconciles a baseline by its name until it rests, delivering its Job where it has one.
async fn run_named(stage: &Stage, name: &str, factor: f64) {
    for _ in 0..3 {
        let baseline: PerformanceBaseline = stage.server.get(NAMESPACE, name).unwrap();
        plimsoll_operator::baseline::reconcile(&baseline, &stage.context).await.unwrap();
        let baseline: PerformanceBaseline = stage.server.get(NAMESPACE, name).unwrap();
        if let Some(run) = baseline.status.unwrap().current_run {
            let job = JobDouble::new(&stage.server, NAMESPACE, &run.name);
            if job.is_open() {
                job.start().runs();
                job.delivers(|record| pages(record, factor));
            }
        }
        stage.expire();
    }
}

#[tokio::test]
async fn objectives_are_judged_with_the_run_and_do_not_decide_whether_it_is_ready() {
    let stage = Stage::new();
    stage.server.put(dairy().objectives(&objectives("3s", "100ms")));
    stage.run().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
    assert_eq!(stage.says("ObjectivesMet"), "False: ObjectivesMissed");
    let status = stage.status();
    assert_eq!(status.summary.unwrap().objectives.as_deref(), Some("1/2"));
    let told: Vec<(&str, &str, Option<&str>)> = status
        .objectives
        .iter()
        .map(|one| (one.name.as_str(), one.result.as_str(), one.value.as_deref()))
        .collect();
    assert_eq!(told, [("page", "Met", Some("1.23s")), ("api", "Missed", Some("180ms"))]);
    let message = stage.condition("ObjectivesMet").message;
    assert!(message.contains("api") && message.contains("180ms") && message.contains("100ms"), "{message}");
    let last = status.last_run.unwrap();
    let judgement = judgement(&stage, &last.name);
    assert_eq!(judgement.record_sha256, last.record_sha256);
    assert_eq!(
        (judgement.run, judgement.generation, judgement.objectives.len()),
        (last.name.clone(), Some(1), 2)
    );
    let told = status.judgement.unwrap();
    assert_eq!((told.run, told.findings as usize), (last.name.clone(), judgement.findings.len()));
    let report: ConfigMap = stage.server.get(NAMESPACE, &format!("{}-report", last.name)).unwrap();
    assert!(report.data.unwrap()[REPORT].contains("page"));
    let conditions: Vec<String> = stage.status().conditions.into_iter().map(|one| one.type_).collect();
    assert!(!conditions.contains(&"Regressed".to_owned()), "{conditions:?}");
}

#[tokio::test]
async fn an_edit_of_a_bound_judges_again_without_a_run_and_writes_report_status_and_event() {
    let stage = Stage::new();
    stage.server.put(dairy().objectives(&objectives("3s", "500ms")));
    stage.run().await.unwrap();
    assert_eq!(stage.says("ObjectivesMet"), "True: AllMet");
    let (run, before) = (last(&stage), stage.server.writes().len());
    edit(&stage, |it| it.spec.objectives = dairy().objectives(&objectives("1s", "500ms")).spec.objectives);
    stage.settle().await.unwrap();
    let status = "Patch performancebaselinesstatus";
    assert_eq!(since(&stage, before), ["Patch configmaps", status, "event"]);
    assert_eq!(stage.says("ObjectivesMet"), "False: ObjectivesMissed");
    assert_eq!((last(&stage), stage.jobs().len()), (run.clone(), 0));
    assert_eq!(judgement(&stage, &run).generation, Some(2));
    // Back again: it is met, which is no Event; then nothing is left to do.
    let before = stage.server.writes().len();
    edit(&stage, |it| it.spec.objectives = dairy().objectives(&objectives("3s", "500ms")).spec.objectives);
    stage.settle().await.unwrap();
    assert_eq!(since(&stage, before), ["Patch configmaps", status]);
    let before = (stage.server.writes().len(), stage.server.reads().len());
    assert!(!stage.reconcile().await.changed);
    assert_eq!((stage.server.writes().len(), stage.server.reads().len()), before);
    // How long an alert waits is not judged: the generation is noted and no more.
    edit(&stage, |it| it.spec.objectives[0].r#for = "1h".to_owned());
    let before = stage.server.writes().len();
    stage.settle().await.unwrap();
    assert_eq!(since(&stage, before), [status]);
    assert_eq!(stage.condition("ObjectivesMet").observed_generation, Some(4));
    edit(&stage, |it| it.spec.objectives = Vec::new());
    stage.settle().await.unwrap();
    assert!(stage.status().conditions.iter().all(|one| one.type_ != "ObjectivesMet"));
    assert_eq!(stage.status().summary.unwrap().objectives, None);
}

#[tokio::test]
async fn a_query_of_an_objective_is_measured_first_and_judged_then() {
    let stage = Stage::new();
    stage.server.put(dairy());
    stage.run().await.unwrap();
    let queue = json!([{"name": "queue", "query": "sum(queue)", "unit": "Count", "lessThan": "100"}]);
    edit(&stage, |it| it.spec.objectives = dairy().objectives(&queue).spec.objectives);
    stage.settle().await.unwrap();
    let job = stage.job();
    assert_eq!(job.request().metrics[0].name, "queue");
    stage.run().await.unwrap();
    // The double measures no queries.
    assert_eq!(stage.says("ObjectivesMet"), "Unknown: Inconclusive");
    assert_eq!(stage.status().summary.unwrap().objectives.as_deref(), Some("0/1"));
}

#[tokio::test]
async fn the_previous_run_is_compared_with_and_a_slower_one_is_regressed_with_its_numbers() {
    let stage = Stage::new();
    let mut baseline = dairy().compared_to(&previous_run());
    baseline.spec.history_limit = 1;
    stage.server.put(baseline);
    run_with(&stage, 1.0).await;
    assert_eq!(stage.says("Regressed"), "Unknown: NothingToCompare");
    let first = last(&stage);
    let before = stage.server.writes().len();
    run_again(&stage, "slower", 1.5).await;
    assert_eq!(stage.says("Regressed"), "True: Regressed", "{}", stage.condition("Regressed").message);
    let status = stage.status();
    let comparison = status.comparison.clone().unwrap();
    assert_eq!(
        (comparison.against.as_str(), status.summary.unwrap().change.as_deref()),
        (first.as_str(), Some("Regressed"))
    );
    let page = comparison.changes.iter().find(|change| change.indicator == "web.latency.p95").unwrap();
    assert!(page.verdict == "Regressed" && page.change.starts_with("1.46s -> 2.18s (+49.6%, +"), "{page:?}");
    assert_eq!(
        since(&stage, before).iter().filter(|what| *what == "event").count(),
        3,
        "started, recorded, regressed"
    );
    assert_eq!(judgement(&stage, &last(&stage)).comparison.unwrap().against.run, first);
    assert_eq!(judgement(&stage, &last(&stage)).trend[0].points.len(), 2);
    // What it is compared with outlives the limit, so that an edit does not end the comparison.
    edit(&stage, |it| it.spec.objectives = dairy().objectives(&objectives("3s", "500ms")).spec.objectives);
    stage.settle().await.unwrap();
    assert_eq!((stage.says("Regressed"), stage.status().history.len()), ("True: Regressed".to_owned(), 2));
    // The next run is compared with the slow one, and the first is no longer needed.
    run_again(&stage, "fast again", 1.0).await;
    assert_eq!(stage.says("Regressed"), "False: Improved", "{}", stage.condition("Regressed").message);
    let history: Vec<String> = stage.status().history.into_iter().map(|kept| kept.name).collect();
    assert!(history.len() == 2 && !history.contains(&first), "{history:?}");
    assert_eq!(stage.status().summary.unwrap().change.as_deref(), Some("Improved"));
}

#[tokio::test]
async fn the_newest_run_of_another_baseline_is_compared_with_as_soon_as_there_is_one() {
    let stage = Stage::new();
    let other = json!({"type": "Baseline", "baseline": {"name": "before"}});
    stage.server.put(dairy().compared_to(&other));
    run_with(&stage, 1.0).await;
    assert_eq!(stage.says("Regressed"), "Unknown: NothingToCompare");
    assert!(stage.condition("Regressed").message.contains("no PerformanceBaseline before"));
    let mut before = dairy().uid("c0c0a000-0000-4000-8000-000000000002");
    before.metadata.name = Some("before".to_owned());
    stage.server.put(before);
    stage.settle().await.unwrap();
    assert!(stage.condition("Regressed").message.contains("no complete run yet"));
    run_named(&stage, "before", 1.5).await;
    let mine = last(&stage);
    let writes = stage.server.writes().len();
    stage.settle().await.unwrap();
    assert_eq!(since(&stage, writes), ["Patch configmaps", "Patch performancebaselinesstatus", "event"]);
    assert_eq!(stage.says("Regressed"), "False: Improved", "{}", stage.condition("Regressed").message);
    assert_eq!(last(&stage), mine, "nothing was measured for it");
    let theirs: PerformanceBaseline = stage.server.get(NAMESPACE, "before").unwrap();
    let kept = theirs.status.unwrap().history[0].clone();
    assert_eq!(stage.status().comparison.unwrap().against, kept.name);
    let writes = stage.server.writes().len();
    stage.settle().await.unwrap();
    assert_eq!(stage.server.writes().len(), writes, "a second look writes nothing");
    // A run that is named and kept by nobody.
    let named = json!({"type": "Baseline", "baseline": {"name": "before", "run": "before-0000000000"}});
    edit(&stage, |it| it.spec.compare_to = dairy().compared_to(&named).spec.compare_to);
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Regressed"), "Unknown: NothingToCompare");
    assert!(stage.condition("Regressed").message.contains(&kept.name), "{:?}", stage.condition("Regressed"));
    assert_eq!((stage.status().comparison, stage.status().summary.unwrap().change), (None, None));
    // The other's record is altered behind our back.
    stage.server.edit::<ConfigMap>(NAMESPACE, &kept.name, |map| {
        let text = map.data.as_mut().unwrap().get_mut("record.json").unwrap();
        *text = text.replace("\"complete\": true", "\"complete\": true ");
    });
    edit(&stage, |it| it.spec.compare_to = dairy().compared_to(&other).spec.compare_to);
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Regressed"), "Unknown: RecordMismatch");
}

#[tokio::test]
async fn an_applied_record_is_compared_with_and_one_that_was_changed_is_refused() {
    let stage = Stage::new();
    stage.server.put(dairy());
    run_with(&stage, 1.5).await;
    let (slow, sha256) = (last(&stage), stage.status().last_run.unwrap().record_sha256.unwrap());
    let record: ConfigMap = stage.server.get(NAMESPACE, &slow).unwrap();
    let from_git = json!({"type": "Record", "record": {"configMapRef": {"name": "from-git"}}});
    edit(&stage, |it| it.spec.compare_to = dairy().compared_to(&from_git).spec.compare_to);
    let rest = stage.settle().await.unwrap();
    assert_eq!(stage.says("Regressed"), "Unknown: NothingToCompare");
    assert!(rest.wake.as_secs() <= 60, "nothing tells when it is applied: {rest:?}");
    let mut applied = ConfigMap { data: record.data.clone(), ..ConfigMap::default() };
    applied.metadata.name = Some("from-git".to_owned());
    applied.metadata.namespace = Some(NAMESPACE.to_owned());
    applied.metadata.annotations = Some([(RECORD_SHA256_ANNOTATION.to_owned(), sha256)].into());
    stage.server.put(applied);
    stage.settle().await.unwrap();
    assert!(stage.condition("Regressed").message.contains("the run that is judged"), "it is its own");
    run_again(&stage, "after", 1.0).await;
    assert_eq!(stage.says("Regressed"), "False: Improved", "{}", stage.condition("Regressed").message);
    assert_eq!(stage.status().comparison.unwrap().against, slow);
    assert!(stage.settle().await.unwrap().wake.as_secs() > 60);
    for (spoil, says) in
        [(("\"complete\": true", "\"complete\": false"), "RecordMismatch"), (("{", "["), "RecordUnreadable")]
    {
        stage.server.edit::<ConfigMap>(NAMESPACE, "from-git", |map| {
            let text = map.data.as_mut().unwrap().get_mut("record.json").unwrap();
            *text = text.replacen(spoil.0, spoil.1, 1);
        });
        stage.settle().await.unwrap();
        assert_eq!(stage.says("Regressed"), format!("Unknown: {says}"));
        assert_eq!(stage.status().comparison, None);
    }
    let writes = stage.server.writes().len();
    stage.settle().await.unwrap();
    assert_eq!(stage.server.writes().len(), writes, "a second look writes nothing");
}

#[tokio::test]
async fn what_became_of_a_record_that_is_gone_or_was_changed_is_told_and_nothing_is_made_up() {
    let altered = |stage: &Stage, name: &str| {
        stage.server.edit::<ConfigMap>(NAMESPACE, name, |map| {
            let text = map.data.as_mut().unwrap().get_mut("record.json").unwrap();
            *text = text.replace("\"complete\": true", "\"complete\": false");
        });
    };
    for is_deleted in [true, false] {
        let stage = Stage::new();
        stage.server.put(dairy().objectives(&objectives("3s", "500ms")).compared_to(&previous_run()));
        run_with(&stage, 1.0).await;
        run_again(&stage, "second", 1.0).await;
        let name = last(&stage);
        if is_deleted {
            stage.server.delete::<ConfigMap>(NAMESPACE, &name);
        } else {
            altered(&stage, &name);
        }
        edit(&stage, |it| {
            it.spec.objectives = dairy().objectives(&objectives("2s", "500ms")).spec.objectives;
        });
        stage.settle().await.unwrap();
        let says = if is_deleted { "Unknown: RecordMissing" } else { "Unknown: RecordMismatch" };
        assert_eq!((stage.says("ObjectivesMet").as_str(), stage.says("Regressed").as_str()), (says, says));
        let status = stage.status();
        assert!(status.objectives.is_empty() && status.comparison.is_none());
        let writes = stage.server.writes().len();
        assert!(!stage.reconcile().await.changed);
        assert_eq!(stage.server.writes().len(), writes, "and it is not tried again and again");
    }
    // Of the run before only the comparison depends.
    let stage = Stage::new();
    stage.server.put(dairy().objectives(&objectives("3s", "500ms")).compared_to(&previous_run()));
    run_with(&stage, 1.0).await;
    altered(&stage, &last(&stage));
    run_again(&stage, "second", 1.0).await;
    assert_eq!(stage.says("ObjectivesMet"), "True: AllMet");
    assert_eq!(stage.says("Regressed"), "Unknown: RecordMismatch");
    let judgement = judgement(&stage, &last(&stage));
    assert!(judgement.not_compared.is_some() && judgement.comparison.is_none());
}

#[tokio::test]
async fn a_run_without_a_record_leaves_nothing_judged_and_a_report_of_somebody_else_is_left_alone() {
    let stage = Stage::new();
    stage.server.put(dairy().objectives(&objectives("3s", "500ms")).compared_to(&previous_run()));
    stage.run().await.unwrap();
    stage.request("again");
    stage.settle().await.unwrap();
    stage.job().start().runs().out_of_memory().settles();
    stage.settle().await.unwrap();
    assert_eq!(stage.says("ObjectivesMet"), "Unknown: NoRecord");
    assert_eq!(stage.says("Regressed"), "Unknown: NoRecord");
    assert!(stage.status().objectives.is_empty() && stage.status().judgement.is_none());
    // Somebody puts a ConfigMap of his own in the place of a report.
    let stage = Stage::new();
    stage.server.put(dairy().objectives(&objectives("3s", "500ms")));
    stage.run().await.unwrap();
    let name = format!("{}-report", last(&stage));
    stage.server.edit::<ConfigMap>(NAMESPACE, &name, |map| {
        (map.metadata.owner_references, map.metadata.labels) = (None, None);
    });
    edit(&stage, |it| it.spec.objectives = dairy().objectives(&objectives("1s", "500ms")).spec.objectives);
    let rest = stage.settle().await.unwrap();
    assert_eq!((stage.says("Stalled"), rest.wake.as_secs()), ("True: NameCollision".to_owned(), 30));
    stage.request("goes on");
    stage.settle().await.unwrap();
    assert!(stage.status().current_run.is_some(), "a run is not kept from starting");
}
