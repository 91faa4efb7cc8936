use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use plimsoll_api::baseline::{CurrentRun, FinishedRun, KeptRun, SourceStatus};
use proptest::prelude::*;

/// A status as long as it can get, with messages of `length` characters.
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
    fn fitting_again_changes_nothing(kept in 0_usize..23, sources in 0_usize..5, length in 0_usize..1_100) {
        let once = fitted(full(kept, sources, length));
        prop_assert!(size(&once) < 8 * 1024);
        let mut again = once.clone();
        fit_conditions(&mut again);
        prop_assert_eq!(again, once);
    }
}
