use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use plimsoll_api::baseline::{
    BaselineSummary, ChangeStatus, ComparisonStatus, CurrentRun, FinishedRun, JudgementStatus, KeptRun,
    ObjectiveStatus, RuleStatus, SourceStatus,
};
use proptest::prelude::*;

/// A status as long as it can get, with messages of `length` characters and as many objectives, each of them judged.
fn judged(kept: usize, sources: usize, length: usize, objectives: usize) -> PerformanceBaselineStatus {
    let mut status = full(kept, sources, length);
    let run = format!("{}-0123456789", "a".repeat(40));
    let results = ["Met", "Missed", "Inconclusive", "Warning"];
    let objective = |index: usize| ObjectiveStatus {
        name: format!("{}-{index:02}", "o".repeat(60)),
        result: results[index % 4].to_owned(),
        value: Some("1.23GiB to 4.56GiB".to_owned()),
        target: format!("greaterThan {}", "9".repeat(12)),
    };
    status.objectives = (0..objectives).map(objective).collect();
    let change = ChangeStatus {
        indicator: format!("metrics.{}", "m".repeat(63)),
        verdict: "Regressed".to_owned(),
        change: "c".repeat(120),
    };
    status.comparison = Some(ComparisonStatus {
        against: run.clone(),
        record_sha256: Some("0".repeat(64)),
        verdict: "Inconclusive".to_owned(),
        changes: vec![change; 10],
    });
    status.judgement = Some(JudgementStatus {
        run: run.clone(),
        hash: format!("v1:{}:{}", "0".repeat(16), "0".repeat(8)),
        findings: 50,
        top: vec!["t".repeat(120); 3],
    });
    let word = || Some("60-240ms, 60-240ms".to_owned());
    status.summary = Some(BaselineSummary {
        objectives: Some("0/30".to_owned()),
        change: Some("Inconclusive".to_owned()),
        page_p95: word(),
        api_p95: word(),
        db_p95: word(),
        cache_hit: word(),
        requests: word(),
        errors: word(),
        coverage: word(),
    });
    status.prometheus_rule = Some(RuleStatus {
        name: Some(run.clone()),
        alerts: 60,
        hash: "0".repeat(16),
        run: Some(run),
        message: Some("é".repeat(200)),
    });
    let (first, time) =
        (status.conditions[0].clone(), status.last_run.as_ref().map(|run| run.finished_at.clone()));
    for type_ in ["ObjectivesMet", "Regressed"] {
        status.conditions.push(Condition {
            type_: type_.to_owned(),
            status: "Unknown".to_owned(),
            ..first.clone()
        });
    }
    (status.last_run_time, status.next_run_time, status.last_slot) = (time.clone(), time.clone(), time);
    status
}

/// A status as long as it can get before it is judged, with messages of `length` characters.
fn full(kept: usize, sources: usize, length: usize) -> PerformanceBaselineStatus {
    let time = Time("2026-11-24T10:00:00Z".parse().unwrap());
    let message = "é".repeat(length);
    let name = format!("{}-0123456789", "a".repeat(40));
    let (key, hash) = (format!("sha256:{}", "0".repeat(64)), "v1:0123456789abcdef".to_owned());
    let request = "x".repeat(128);
    let condition = |type_: &str| Condition {
        type_: type_.to_owned(),
        status: "False".to_owned(),
        reason: "AuthenticationFailed".to_owned(),
        message: message.clone(),
        observed_generation: Some(1_000_000),
        last_transition_time: time.clone(),
    };
    PerformanceBaselineStatus {
        observed_generation: Some(1_000_000),
        conditions: ["Ready", "Reconciling", "Stalled", "SourcesAvailable"].map(condition).into(),
        last_request_handled: Some(request.clone()),
        current_run: Some(CurrentRun {
            name: name.clone(),
            key: key.clone(),
            trigger: format!("request/{request}"),
            spec_hash: hash.clone(),
            started_at: time.clone(),
            request_hash: Some(key.clone()),
            attempt: 2,
            request: Some(request),
            job_uid: Some("c0c0a000-0000-4000-8000-00000000c0c0".to_owned()),
            finished: true,
        }),
        last_run: Some(FinishedRun {
            name: name.clone(),
            key: key.clone(),
            spec_hash: hash.clone(),
            finished_at: time.clone(),
            complete: false,
            record_sha256: Some("0".repeat(64)),
            reason: Some("AuthenticationFailed".to_owned()),
            message: Some(message.clone()),
        }),
        history: vec![
            KeptRun {
                name,
                finished_at: time.clone(),
                complete: true,
                record_sha256: "0".repeat(64),
                spec_hash: Some("v1:0123456789abcdef".to_owned()),
            };
            kept
        ],
        sources: vec![
            SourceStatus {
                name: "s".repeat(16),
                state: "Collected".to_owned(),
                reason: Some("AuthenticationFailed".to_owned()),
                message: Some(message),
                duration_ms: Some(600_000),
            };
            sources
        ],
        ..PerformanceBaselineStatus::default()
    }
}

fn fitted(mut status: PerformanceBaselineStatus) -> PerformanceBaselineStatus {
    fit_result(&mut status);
    fit_conditions(&mut status);
    status
}

#[test]
fn a_status_stays_under_8_kib_with_the_longest_history_and_with_the_most_sources() {
    for (kept, sources) in [(0, 2), (3, 2), (22, 2), (3, 16)] {
        let status = fitted(full(kept, sources, 1_024));
        let bytes = size(&status);
        assert!(bytes < 8 * 1024, "{kept} runs, {sources} sources: {bytes}");
        assert!(status.conditions.iter().all(|condition| condition.message.len() >= 55));
        assert_eq!((status.history.len(), status.sources.len()), (kept, sources));
    }
}

#[test]
fn thirty_objectives_with_long_names_and_a_comparison_fit_beside_the_longest_history() {
    for (kept, sources, objectives) in [(1, 2, 30), (3, 4, 30), (10, 4, 30), (22, 4, 30), (3, 16, 30)] {
        let status = fitted(judged(kept, sources, 1_024, objectives));
        let bytes = size(&status);
        assert!(bytes < 8 * 1024, "{kept} runs, {sources} sources, {objectives} objectives: {bytes}");
        assert_eq!((status.history.len(), status.sources.len()), (kept, sources));
        assert_eq!(status.conditions.len(), 6);
        assert!(status.conditions.iter().all(|condition| condition.message.len() >= 50));
        let left = |word: &str| status.objectives.iter().filter(|one| one.result == word).count();
        assert!(
            left("Missed") == 8 || left("Met") == 0,
            "those that are met go first: {:?}",
            status.objectives
        );
        if kept <= 3 && sources <= 4 {
            assert_eq!(left("Missed"), 8, "{kept} runs: {}", status.objectives.len());
        }
    }
}

#[test]
fn a_run_that_starts_after_a_judgement_still_fits() {
    let whole = judged(22, 4, 300, 30);
    let mut rests = whole.clone();
    rests.current_run = None;
    fit_result(&mut rests);
    rests.current_run = whole.current_run;
    fit_conditions(&mut rests);
    assert!(size(&rests) < 8 * 1024, "{}", size(&rests));
}

#[test]
fn thirty_objectives_with_names_of_usual_length_are_all_told() {
    let mut status = judged(3, 3, 120, 30);
    for (index, objective) in status.objectives.iter_mut().enumerate() {
        objective.name = format!("objective-{index}");
        (objective.value, objective.target) = (Some("412ms".to_owned()), "lessThan 500ms".to_owned());
    }
    let status = fitted(status);
    assert_eq!(status.objectives.len(), 30);
    assert!(size(&status) < 8 * 1024);
}

#[test]
fn what_fits_is_not_touched() {
    let status = full(3, 2, 40);
    assert_eq!(fitted(status.clone()), status);
}

#[test]
fn a_message_that_is_cut_keeps_its_beginning_and_its_end() {
    let text = format!("Prometheus said: {}. Check the address.", "x".repeat(2_000));
    let cut = cut(&text, 200);
    assert!(cut.len() <= 200 && cut.starts_with("Prometheus said: x") && cut.ends_with("Check the address."));
    assert_eq!(with_remedy("short", "Do this."), "short Do this.");
    let long = with_remedy(&"é".repeat(2_000), "Do this.");
    assert!(long.len() <= MAX_MESSAGE && long.ends_with(" Do this."));
}

proptest! {
    #[test]
    fn a_cut_text_is_within_its_bound_and_cutting_again_changes_nothing(text in "\\PC{0,400}", max in 20_usize..300) {
        let once = cut(&text, max);
        prop_assert!(once.len() <= max);
        prop_assert_eq!(cut(&once, max), once);
    }

    #[test]
    fn fitting_again_changes_nothing(
        kept in 0_usize..23, sources in 0_usize..5, length in 0_usize..1_100, objectives in 0_usize..31,
    ) {
        let once = fitted(judged(kept, sources, length, objectives));
        prop_assert!(size(&once) < 8 * 1024);
        let mut again = once.clone();
        fit_conditions(&mut again);
        prop_assert_eq!(again, once);
    }
}
