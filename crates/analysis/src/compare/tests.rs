//! What `compare` says of whole records.

use super::*;
use crate::record::{RecordNames, WebMetrics};

fn record(p95_ms: f64) -> BaselineRecord {
    let names = RecordNames { name: "dairy", namespace: "smart", run: "dairy-1", run_key: "sha256:0" };
    let mut record = BaselineRecord::empty(names, 3_600, "2026-11-24T10:00:00Z".parse().unwrap());
    record.web_metrics = Some(WebMetrics { page_load_p95_ms: Some(p95_ms), ..WebMetrics::default() });
    record
}

fn against(record: &BaselineRecord) -> Against {
    let (name, run) = (record.name.clone(), record.run.clone());
    Against { name, run, record_sha256: None, window: record.window }
}

#[test]
fn figures_without_slots_are_inconclusive_however_far_apart() {
    let (before, after) = (record(100.0), record(10_000.0));
    let found = compare(&before, &after, against(&before), &CompareOptions::default());
    assert_eq!(found.verdict, ChangeVerdict::Inconclusive);
    assert_eq!(found.indicators.len(), 1);
    assert!(found.indicators[0].rule.contains("no slots"), "{}", found.indicators[0].rule);
    assert_eq!(found.indicators[0].change_percent, Some(9_900.0));
}
