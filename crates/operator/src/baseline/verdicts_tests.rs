use super::super::judge::{Opinion, Subject};
use super::super::world::{World, dairy};
use super::*;
use plimsoll_analysis::judgement::{Against, Alignment, Better, Finding, Impact};
use plimsoll_analysis::record::Window;
use plimsoll_testkit::fixtures::record;
use serde_json::json;

fn result(name: &str, result: ObjectiveVerdict, value: f64) -> ObjectiveResult {
    ObjectiveResult {
        name: name.to_owned(),
        indicator: "web.latency.p95".to_owned(),
        target: "lessThan 3s".to_owned(),
        value: Some(value),
        low: None,
        high: None,
        unit: Unit::Seconds,
        result,
        margin_percent: None,
        path: None,
        finding: None,
        message: format!("the page takes {value}s"),
    }
}

fn change(indicator: &str, verdict: ChangeVerdict) -> Change {
    Change {
        indicator: indicator.to_owned(),
        unit: Unit::Seconds,
        better: Some(Better::Lower),
        before: Some(0.151),
        after: Some(0.013),
        change_percent: Some(-91.4),
        low_percent: Some(-93.0),
        high_percent: Some(-89.0),
        samples: None,
        effective_samples: None,
        verdict,
        rule: "too few data".to_owned(),
    }
}

fn compared_with(verdict: ChangeVerdict, indicators: Vec<Change>) -> Comparison {
    let at = "2026-11-24T10:00:00Z".parse().unwrap();
    Comparison {
        against: Against {
            name: "before".to_owned(),
            run: "before-0123456789".to_owned(),
            record_sha256: Some("ab".repeat(32)),
            window: Window { from: at, to: at },
        },
        alignment: Alignment::None,
        allowed_change_percent: 5.0,
        confidence_percent: 98.0,
        verdict,
        indicators,
        notes: Vec::new(),
    }
}

/// A judgement of the fixture's record.
fn judged(objectives: Vec<ObjectiveResult>, comparison: Option<Comparison>) -> Judged {
    let finding = |subject: &str| Finding {
        id: "slow-statement".to_owned(),
        subject: subject.to_owned(),
        impact: Impact::High,
        effect_percent: None,
        evidence: String::new(),
        action: String::new(),
        paths: Vec::new(),
        explains: Vec::new(),
    };
    let judgement = Judgement {
        schema: plimsoll_analysis::judgement::SCHEMA.to_owned(),
        run: record().run,
        record_sha256: None,
        generation: None,
        complete: true,
        objectives,
        findings: ["a", "b", "c", "d"].map(finding).into(),
        comparison,
        not_compared: None,
        trend: Vec::new(),
    };
    Judged {
        subject: Subject { run: "dairy-1".to_owned(), key: String::new(), sha256: String::new() },
        hash: "v1:0123456789abcdef".to_owned(),
        opinion: Ok(Box::new(Opinion { judgement, record: record() })),
        not_compared: None,
    }
}

fn view() -> View {
    let mut baseline = dairy();
    baseline.spec.objectives =
        serde_json::from_value(json!([{"name": "page", "indicator": "web.latency.p95", "lessThan": "3s"}]))
            .unwrap();
    baseline.spec.compare_to = serde_json::from_value(json!({"type": "PreviousRun"})).unwrap();
    World::new(baseline).view()
}

fn shown(said: &[Said]) -> Vec<String> {
    said.iter().map(|one| format!("{} {}: {}", one.type_, one.status.as_str(), one.reason)).collect()
}

#[test]
fn objectives_are_met_missed_or_not_to_be_said() {
    use ObjectiveVerdict::{Inconclusive, Met, Missed, Warning};
    for (verdicts, says, met) in [
        (vec![Met, Warning], "ObjectivesMet True: AllMet", "2/2"),
        (vec![Met, Inconclusive], "ObjectivesMet Unknown: Inconclusive", "1/2"),
        (vec![Missed, Inconclusive, Met], "ObjectivesMet False: ObjectivesMissed", "1/3"),
    ] {
        let results = verdicts.iter().map(|verdict| result("page", *verdict, 3.4)).collect();
        let mut status = PerformanceBaselineStatus::default();
        let said = write(&mut status, &view(), &judged(results, None));
        assert_eq!(shown(&said), [says]);
        assert_eq!(status.summary.unwrap().objectives.as_deref(), Some(met));
    }
    let mut status = PerformanceBaselineStatus::default();
    let results = vec![result("page", Missed, 3.4), result("api", Inconclusive, 0.1), result("ok", Met, 0.2)];
    let said = write(&mut status, &view(), &judged(results, None));
    assert_eq!(
        said[0].message,
        "1 of 3 met. Missed: page: the page takes 3.4s. Inconclusive: api: the page takes 0.1s."
    );
    let told = status.judgement.unwrap();
    assert_eq!((told.findings, told.top.len(), told.top[0].as_str()), (4, 3, "slow-statement: a"));
    assert_eq!(
        (status.objectives[0].result.as_str(), status.objectives[0].value.as_deref()),
        ("Missed", Some("3.4s"))
    );
}

#[test]
fn a_comparison_is_told_with_its_numbers_the_worst_first() {
    use ChangeVerdict::{Improved, Inconclusive, Regressed, Unchanged};
    let indicators = vec![
        change("a", Inconclusive),
        change("b", Improved),
        change("c", Unchanged),
        change("d", Regressed),
        Change { better: None, ..change("load", Regressed) },
    ];
    let mut status = PerformanceBaselineStatus::default();
    let said = write(&mut status, &view(), &judged(Vec::new(), Some(compared_with(Regressed, indicators))));
    assert_eq!(shown(&said), ["Regressed True: Regressed"]);
    assert_eq!(
        said[0].message,
        "Against run before-0123456789 of before: d Regressed 151ms -> 13ms (-91.4%, -93% to -89%); b Improved 151ms -> 13ms (-91.4%, -93% to -89%); a Inconclusive (too few data)"
    );
    let told = status.comparison.unwrap();
    let order: Vec<&str> = told.changes.iter().map(|change| change.indicator.as_str()).collect();
    assert_eq!((told.verdict.as_str(), order), ("Regressed", vec!["d", "b", "a"]));
    assert_eq!(status.summary.unwrap().change.as_deref(), Some("Regressed"));
    for (verdict, says) in [
        (Improved, "Regressed False: Improved"),
        (Unchanged, "Regressed False: Unchanged"),
        (Inconclusive, "Regressed Unknown: Inconclusive"),
    ] {
        let comparison = compared_with(verdict, vec![change("a", verdict)]);
        let said =
            write(&mut PerformanceBaselineStatus::default(), &view(), &judged(Vec::new(), Some(comparison)));
        assert_eq!(shown(&said), [says]);
    }
}

#[test]
fn what_cannot_be_compared_or_judged_is_unknown_with_its_reason() {
    let nothing = Unavailable::nothing("There is none.");
    let judged = Judged { not_compared: Some(nothing.clone()), ..judged(Vec::new(), None) };
    let mut status = PerformanceBaselineStatus::default();
    let said = write(&mut status, &view(), &judged);
    assert_eq!(shown(&said), ["Regressed Unknown: NothingToCompare"]);
    assert_eq!((said[0].message.as_str(), status.comparison.clone()), ("There is none.", None));
    let said = write(&mut status, &view(), &Judged { opinion: Err(nothing), ..judged });
    assert_eq!(
        shown(&said),
        ["ObjectivesMet Unknown: NothingToCompare", "Regressed Unknown: NothingToCompare"]
    );
    assert_eq!(status.judgement.unwrap().hash, "v1:0123456789abcdef", "and is not tried again");
}

#[test]
fn a_value_is_shown_as_far_as_it_is_known() {
    let with = |value: Option<f64>, low: Option<f64>, high: Option<f64>, unit: Unit| {
        super::value(&ObjectiveResult { value, low, high, unit, ..result("a", ObjectiveVerdict::Met, 1.0) })
    };
    for (told, expected) in [
        (with(Some(0.412), Some(0.25), Some(0.5), Unit::Seconds), Some("412ms")),
        (with(Some(2.5), Some(2.5), None, Unit::Seconds), Some(">2.5s")),
        (with(None, Some(0.06), Some(0.24), Unit::Seconds), Some("60-240ms")),
        (with(None, Some(0.06), None, Unit::Seconds), Some(">60ms")),
        (with(None, Some(0.5), Some(0.75), Unit::Ratio), Some("50% to 75%")),
        (with(None, None, None, Unit::Ratio), None),
    ] {
        assert_eq!(told.as_deref(), expected);
    }
}

#[test]
fn conditions_stay_while_nothing_is_judged_and_speak_of_the_spec_that_they_were_judged_by() {
    let mut view = view();
    let mut judged = judged(vec![result("page", ObjectiveVerdict::Missed, 3.4)], None);
    judged.hash = spec_part(&view);
    let mut status = PerformanceBaselineStatus::default();
    let now = "2026-11-24T10:00:00Z".parse().unwrap();
    let said = write(&mut status, &view, &judged);
    set(&mut status, Some(said), &view, now);
    let generation = |status: &PerformanceBaselineStatus| {
        condition::get(&status.conditions, types::OBJECTIVES_MET).unwrap().observed_generation
    };
    view.generation = 2;
    set(&mut status, None, &view, now);
    assert_eq!(generation(&status), Some(2), "it is judged by what this generation says too");
    view.generation = 3;
    view.spec.objectives[0].less_than = Some("4s".to_owned());
    set(&mut status, None, &view, now);
    assert_eq!(generation(&status), Some(2), "this bound was not judged");
    let said = write(&mut status, &view, &self::judged(Vec::new(), None));
    set(&mut status, Some(said), &view, now);
    assert!(status.conditions.is_empty(), "without objectives there is nothing to say");
}

#[test]
fn a_long_verdict_ends_with_where_the_rest_is() {
    let results: Vec<ObjectiveResult> = (0..30)
        .map(|index| ObjectiveResult {
            message: "é".repeat(200),
            ..result(&format!("objective-{index}"), ObjectiveVerdict::Missed, 1.0)
        })
        .collect();
    let said = write(&mut PerformanceBaselineStatus::default(), &view(), &judged(results, None));
    let message = &said[0].message;
    assert!(message.len() <= MAX_MESSAGE && message.starts_with("0 of 30 met. Missed: objective-0: é"));
    assert!(message.ends_with("(judgement.json has the rest)"));
}
