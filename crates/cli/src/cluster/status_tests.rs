use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use plimsoll_api::baseline::{
    ChangeStatus, ComparisonStatus, CurrentRun, FinishedRun, KeptRun, ObjectiveStatus, RetryStatus,
    SourceStatus,
};
use plimsoll_testkit::fixtures::{self, BaselineFixture as _};

fn at(text: &str) -> Time {
    Time(text.parse().unwrap())
}

fn now() -> Timestamp {
    "2026-11-24T00:00:00Z".parse().unwrap()
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: Some(1),
        last_transition_time: at("2026-11-23T00:00:00Z"),
    }
}

fn failed() -> PerformanceBaselineStatus {
    PerformanceBaselineStatus {
        observed_generation: Some(1),
        conditions: vec![
            condition("Ready", "False", "Unreachable", "prometheus: no such host\u{1b}[31m."),
            condition("SourcesAvailable", "False", "Unreachable", "Not collected whole: prometheus."),
        ],
        current_run: Some(CurrentRun {
            name: "dairy-bbbbbbbbbb".to_owned(),
            key: String::new(),
            trigger: "slot/2026-11-23T23:59:00Z".to_owned(),
            spec_hash: String::new(),
            started_at: at("2026-11-23T23:59:30Z"),
            request_hash: None,
            attempt: 2,
            request: None,
            job_uid: None,
            finished: false,
        }),
        last_run: Some(FinishedRun {
            name: "dairy-aaaaaaaaaa".to_owned(),
            key: String::new(),
            spec_hash: String::new(),
            finished_at: at("2026-11-23T21:00:00Z"),
            complete: false,
            record_sha256: None,
            reason: Some("Unreachable".to_owned()),
            message: Some("prometheus: no such host.".to_owned()),
        }),
        history: vec![KeptRun {
            name: "dairy-9999999999".to_owned(),
            finished_at: at("2026-11-16T02:00:04.123Z"),
            complete: true,
            record_sha256: "00".to_owned(),
            spec_hash: None,
        }],
        sources: vec![SourceStatus {
            name: "prometheus".to_owned(),
            state: "Failed".to_owned(),
            reason: Some("Unreachable".to_owned()),
            message: Some("no such host".to_owned()),
            duration_ms: Some(7),
        }],
        retry: Some(RetryStatus { attempts: 1, next_at: Some(at("2026-11-24T00:01:00Z")) }),
        next_run_time: Some(at("2026-11-30T02:00:00Z")),
        ..PerformanceBaselineStatus::default()
    }
}

#[test]
fn everything_that_a_person_asks_stands_in_the_block() {
    let mut baseline = fixtures::baseline("dairy").web().annotated("please").generation(2);
    baseline.status = Some(failed());
    let expected = "\
PerformanceBaseline dairy, namespace pasture
  The operator has not looked at the last edit yet.

Conditions
  Ready             False  Unreachable
    prometheus: no such host [31m.
  SourcesAvailable  False  Unreachable
    Not collected whole: prometheus.

Runs
  Under way  dairy-bbbbbbbbbb, for slot/2026-11-23T23:59:00Z, attempt 2, since 2026-11-23T23:59:30Z (30s ago)
  Requested  please, not started yet
  Last       dairy-aaaaaaaaaa, not complete, 2026-11-23T21:00:00Z (3h ago)
             Unreachable: prometheus: no such host.
  Retry      2026-11-24T00:01:00Z (in 60s)
  Next       2026-11-30T02:00:00Z (in 6d)
  Kept       dairy-9999999999, complete, 2026-11-16T02:00:04Z (7d ago)

Sources of the last run
  prometheus  Failed     Unreachable, 7 ms
    no such host
";
    assert_eq!(block(&baseline, now()), expected);
}

#[test]
fn objectives_and_change_stand_with_their_figures() {
    let objective = |name: &str, result: &str, value: Option<&str>, target: &str| ObjectiveStatus {
        name: name.to_owned(),
        result: result.to_owned(),
        value: value.map(str::to_owned),
        target: target.to_owned(),
    };
    let mut baseline = fixtures::baseline("dairy").web();
    baseline.status = Some(PerformanceBaselineStatus {
        observed_generation: Some(1),
        objectives: vec![
            objective("page-load", "Met", Some("412ms"), "lessThan 3s"),
            objective("cache", "Inconclusive", None, "greaterThan 90%"),
        ],
        comparison: Some(ComparisonStatus {
            against: "dairy-before-aaaaaaaaaa".to_owned(),
            record_sha256: None,
            verdict: "Improved".to_owned(),
            changes: vec![ChangeStatus {
                indicator: "web.latency.p95".to_owned(),
                verdict: "Improved".to_owned(),
                change: "151ms -> 13ms (-91%, -93% to -89%)".to_owned(),
            }],
        }),
        ..PerformanceBaselineStatus::default()
    });
    let text = block(&baseline, now());
    let expected = "\
Objectives of the last run
  page-load  Met           412ms  lessThan 3s
  cache      Inconclusive         greaterThan 90%

Change
  Improved against dairy-before-aaaaaaaaaa
  web.latency.p95  Improved  151ms -> 13ms (-91%, -93% to -89%)
";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn an_object_that_nobody_has_looked_at_says_so() {
    let baseline = fixtures::baseline("dairy");
    assert!(block(&baseline, now()).contains("No status yet"));
    let mut suspended = fixtures::baseline("dairy").suspended();
    suspended.status = Some(PerformanceBaselineStatus { observed_generation: Some(1), ..Default::default() });
    let text = block(&suspended, now());
    assert!(text.contains("Last       none has finished") && text.contains("spec.suspend is true"), "{text}");
}

#[test]
fn a_long_message_is_wrapped() {
    let text = wrapped(&"word ".repeat(60), "    ");
    assert!(
        text.len() > 2 && text.iter().all(|line| line.starts_with("    w") && line.len() <= WIDTH),
        "{text:?}"
    );
}
