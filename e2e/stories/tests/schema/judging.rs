//! Bad input of what judges a record: objectives and comparisons.

use serde_json::{Value, json};

use crate::bases::least_with;
use crate::case::{Case, Expected};
use crate::rules::Rule;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = objectives();
    cases.extend(comparisons());
    cases
}

/// Objectives: an indicator or a query, one bound, written with the unit of what it bounds.
fn objectives() -> Vec<Case> {
    let of = |objective: Value| {
        let metrics = json!([{"name": "busy", "query": "avg(busy)", "unit": "Ratio"}]);
        let changes = [("/web", json!({})), ("/metrics", metrics), ("/objectives", json!([objective]))];
        least_with(&changes)
    };
    let page = |bound: &str| of(json!({"name": "a", "indicator": "web.latency.p95", "lessThan": bound}));
    let mut cases = Vec::new();
    for (bound, expected) in [
        ("3s", Expected::Accepted),
        ("500ms", Expected::Accepted),
        ("1s500ms", Expected::Accepted),
        ("3", Expected::Meaningless),
        ("90%", Expected::Meaningless),
        ("3S", Expected::Meaningless),
        ("-3s", Expected::Meaningless),
        ("", Expected::Refused),
    ] {
        cases.push(Case::new(format!("page load below {bound:?}"), &page(bound), expected));
    }
    let made = |objective: Value, expected: Expected| {
        Case::new(format!("objective {objective}"), &of(objective.clone()), expected)
    };
    let indicator = |name: &str| json!({"name": "a", "indicator": name, "lessThan": "10%"});
    let query = |extra: Value| {
        let mut objective = json!({"name": "a", "query": "avg(free)", "unit": "Ratio", "greaterThan": "10%"});
        for (key, value) in extra.as_object().expect("an object") {
            objective[key] = value.clone();
        }
        objective
    };
    cases.extend([
        made(indicator("web.errorRatio"), Expected::Accepted),
        made(indicator("metrics.busy"), Expected::Accepted),
        made(indicator("metrics.idle"), Expected::Meaningless),
        made(indicator("api.errorRatio"), Expected::Meaningless),
        made(indicator("cache.hitRatio"), Expected::Meaningless),
        made(indicator("web.latency.p42"), Expected::Refused),
        made(indicator("WEB.errorRatio"), Expected::Refused),
        made(indicator("web.errorRatio\n"), Expected::Refused),
        made(indicator(""), Expected::Refused),
        made(query(json!({})), Expected::Accepted),
        made(query(json!({"warning": "20%"})), Expected::Accepted),
        made(query(json!({"warning": "5%"})), Expected::Meaningless),
        made(query(json!({"warning": "2s"})), Expected::Meaningless),
        made(query(json!({"query": "sum("})), Expected::Meaningless),
        made(query(json!({"name": "busy"})), Expected::Meaningless),
        made(query(json!({"indicator": "web.errorRatio"})), Expected::Refused),
        made(query(json!({"lessThan": "90%"})), Expected::Refused),
        made(query(json!({"for": "soon"})), Expected::Refused),
        made(json!({"name": "a", "query": "avg(free)", "greaterThan": "10%"}), Expected::Refused),
        made(json!({"name": "a", "indicator": "web.errorRatio"}), Expected::Refused),
        made(json!({"name": "a", "lessThan": "10%"}), Expected::Refused),
    ]);
    let many = |count: usize| {
        let objective = |index: usize| json!({"name": format!("o{index}"), "indicator": "web.errorRatio", "lessThan": "1%"});
        least_with(&[("/web", json!({})), ("/objectives", (0..count).map(objective).collect::<Value>())])
    };
    cases.push(Case::new("30 objectives", &many(30), Expected::Accepted));
    cases.push(Case::new("31 objectives", &many(31), Expected::Refused));
    cases
}

/// What a run is compared with: the member that the type names, and bounds in percent.
fn comparisons() -> Vec<Case> {
    let made = |compare: Value, expected: Expected| {
        Case::new(format!("compareTo {compare}"), &least_with(&[("/compareTo", compare.clone())]), expected)
    };
    let previous = |extra: Value| {
        let mut compare = json!({"type": "PreviousRun"});
        for (key, value) in extra.as_object().expect("an object") {
            compare[key] = value.clone();
        }
        compare
    };
    vec![
        made(previous(json!({})), Expected::Accepted),
        made(previous(json!({"allowedChange": "0%", "confidence": "99.9%"})), Expected::Accepted),
        made(previous(json!({"allowedChange": "5"})), Expected::Refused),
        made(previous(json!({"allowedChange": "-5%"})), Expected::Refused),
        made(previous(json!({"confidence": "79%"})), Expected::Meaningless),
        made(previous(json!({"confidence": "99.99%"})), Expected::Meaningless),
        made(previous(json!({"confidence": "100%"})), Expected::Refused),
        made(previous(json!({"alignment": "DayOfWeek"})), Expected::Refused),
        made(previous(json!({"baseline": {"name": "before"}})), Expected::Refused),
        made(json!({"type": "Baseline"}), Expected::Refused),
        made(json!({"type": "Baseline", "baseline": {"name": "before"}}), Expected::Accepted),
        made(json!({"type": "Baseline", "baseline": {"name": "dairy"}}), Expected::Meaningless),
        made(
            json!({"type": "Baseline", "baseline": {"name": "dairy", "run": "dairy-1"}}),
            Expected::Accepted,
        ),
        made(
            json!({"type": "Baseline", "baseline": {"name": "before", "namespace": "b"}}),
            Expected::Refused,
        ),
        made(json!({"type": "Record"}), Expected::Refused),
        made(json!({"type": "Record", "record": {"configMapRef": {"name": "a"}}}), Expected::Accepted),
        made(json!({"type": "Window"}), Expected::Refused),
    ]
}

/// The CEL rules of objectives and comparisons.
pub(crate) fn rules() -> Vec<Rule> {
    let objective =
        |objective: Value| least_with(&[("/web", json!({})), ("/objectives", json!([objective]))]);
    let compare = |compare: Value| least_with(&[("/compareTo", compare)]);
    let page = json!({"name": "a", "indicator": "web.errorRatio", "lessThan": "1%"});
    let query = json!({"name": "a", "query": "up", "unit": "Count", "greaterThan": "1"});
    let changed = |base: &Value, key: &str, value: Value| {
        let mut changed = base.clone();
        changed[key] = value;
        objective(changed)
    };
    let without = |base: &Value, key: &str| {
        let mut without = base.clone();
        without.as_object_mut().expect("an object").shift_remove(key);
        objective(without)
    };
    let of_workloads = |one: &Value| {
        let sources = json!({"workloads": {"selector": {}}});
        least_with(&[("/sources", sources), ("/objectives", json!([one]))])
    };
    let record = json!({"configMapRef": {"name": "a"}});
    vec![
        (
            "exactly one of indicator and query is set",
            vec![objective(page.clone()), objective(query.clone())],
            vec![changed(&query, "indicator", json!("web.errorRatio")), without(&page, "indicator")],
        ),
        (
            "unit is set exactly with query",
            vec![objective(query.clone())],
            vec![without(&query, "unit"), changed(&page, "unit", json!("Ratio"))],
        ),
        (
            "exactly one of lessThan and greaterThan is set",
            vec![objective(page.clone())],
            vec![changed(&page, "greaterThan", json!("0%")), without(&page, "lessThan")],
        ),
        (
            "an objective's query needs sources.prometheus",
            vec![objective(query.clone()), least_with(&[("/objectives", json!([]))])],
            vec![of_workloads(&query)],
        ),
        (
            "baseline is set exactly when type is Baseline",
            vec![compare(json!({"type": "Baseline", "baseline": {"name": "before"}}))],
            vec![
                compare(json!({"type": "Baseline"})),
                compare(json!({"type": "PreviousRun", "baseline": {"name": "before"}})),
            ],
        ),
        (
            "record is set exactly when type is Record",
            vec![compare(json!({"type": "Record", "record": record}))],
            vec![
                compare(json!({"type": "Record"})),
                compare(json!({"type": "PreviousRun", "record": record})),
                compare(json!({"type": "Baseline", "baseline": {"name": "before"}, "record": record})),
            ],
        ),
    ]
}
