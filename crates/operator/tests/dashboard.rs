//! The dashboard that the chart ships, against what the operator really serves under /metrics.

use std::collections::BTreeSet;

use plimsoll_analysis::promql;
use plimsoll_operator::gauges::{Figure, Figures};
use plimsoll_operator::metrics::{KindLabels, Metrics, ReconcileLabels, RunLabels};
use serde_json::Value;

const DASHBOARD: &str = include_str!("../../../charts/plimsoll/files/dashboard.json");

/// The samples of an operator that has done one of everything.
fn samples() -> BTreeSet<String> {
    let metrics = Metrics::new(2);
    metrics.reconciles.get_or_create(&ReconcileLabels { kind: "x", outcome: "changed" }).inc();
    metrics.duration.get_or_create(&KindLabels { kind: "x" }).observe(0.1);
    metrics.runs.get_or_create(&RunLabels { kind: "x", reason: "Recorded".to_owned() }).inc();
    let figure = Figure { name: "pages".to_owned(), value: Some(1.5), target: Some(3.0), met: Some(true) };
    let figures = Figures { objectives: vec![figure], verdict: Some("Improved") };
    for name in ["dairy", "one too many"] {
        metrics.gauges.set(("farm".to_owned(), name.to_owned()), figures.clone());
    }
    let text = metrics.encode();
    for line in [
        "plimsoll_objective_value{namespace=\"farm\",name=\"dairy\",objective=\"pages\"} 1.5",
        "plimsoll_objective_target{namespace=\"farm\",name=\"dairy\",objective=\"pages\"} 3.0",
        "plimsoll_objective_met{namespace=\"farm\",name=\"dairy\",objective=\"pages\"} 1.0",
        "plimsoll_baseline_change{namespace=\"farm\",name=\"dairy\",verdict=\"Improved\"} 1",
        "plimsoll_objectives_left_out_total 1",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

/// Every query of the dashboard, with what Grafana puts in for its variables.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), field) {
                    ("expr", Value::String(query)) => found.push(filled(query)),
                    ("query", Value::String(query)) => {
                        let metric =
                            query.strip_prefix("label_values(").and_then(|rest| rest.split_once(','));
                        found.extend(metric.map(|(metric, _)| filled(metric)));
                    }
                    _ => queries(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        _ => {}
    }
}

fn filled(query: &str) -> String {
    query.replace("$__rate_interval", "5m").replace("$namespace", ".*").replace("$label", "namespace")
}

#[test]
fn every_query_of_the_dashboard_asks_for_metrics_that_the_operator_serves() {
    let mut all = Vec::new();
    queries(&serde_json::from_str(DASHBOARD).unwrap(), &mut all);
    assert!(all.len() >= 15, "{all:?}");
    let samples = samples();
    let mut used = BTreeSet::new();
    for query in &all {
        assert!(!query.contains('$'), "a variable that this test does not know: {query}");
        let names = promql::metric_names(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert!(!names.is_empty(), "{query}");
        for name in &names {
            assert!(samples.contains(name), "{name} is no metric of the operator: {samples:?}");
        }
        used.extend(names);
    }
    // So that a metric that is added is thought of.
    let shown: BTreeSet<String> = samples
        .into_iter()
        .filter(|name| !name.ends_with("_seconds_sum") && !name.ends_with("_seconds_count"))
        .collect();
    assert_eq!(used, shown);
}

#[test]
fn panels_have_ids_of_their_own_and_do_not_overlap() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} overlaps at {x},{y}", panel["title"]);
            }
        }
    }
}
