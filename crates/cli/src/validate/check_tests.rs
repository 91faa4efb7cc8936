use super::*;
use crate::manifest;

fn now() -> Timestamp {
    "2026-11-24T00:00:00Z".parse().unwrap()
}

fn findings(object: &Value) -> Vec<String> {
    let documents = manifest::parse("a.json", &object.to_string()).unwrap();
    Kinds::known()
        .check(&documents[0], now())
        .into_iter()
        .map(|finding| format!("{:?} {}: {}", finding.check, finding.path, finding.message))
        .collect()
}

fn baseline(changes: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "plimsoll.dev/v1alpha1", "kind": "PerformanceBaseline",
        "metadata": {"name": "dairy"},
        "spec": {"sources": {"prometheus": {"url": "http://prom:9090"}}},
    });
    for (pointer, value) in changes.as_object().unwrap() {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[name] = value.clone();
    }
    object
}

/// Every change makes exactly one finding, which begins as is said.
fn each_is_found(cases: &[(Value, &str)]) {
    for (changes, expected) in cases {
        let found = findings(&baseline(changes));
        assert_eq!(found.len(), 1, "{changes}: {found:#?}");
        assert!(found[0].starts_with(expected), "{changes}: {found:#?}");
    }
}

#[test]
fn what_the_schema_refuses_is_found() {
    each_is_found(&[
        (
            json!({"/spec/windows": "7d"}),
            "Schema spec.windows: is not a known field; known here are activeDeadline",
        ),
        (json!({"/spec/window": 7}), "Schema spec.window: must be a string, not integer; quote it"),
        (json!({"/spec/window": "7 days"}), "Schema spec.window: \"7 days\" does not match"),
        (json!({"/spec/suspend": "true"}), "Schema spec.suspend: must be true or false, not string"),
        (json!({"/spec/historyLimit": 0}), "Schema spec.historyLimit: must be at least 1, is 0"),
        (json!({"/spec/historyLimit": 21}), "Schema spec.historyLimit: must be at most 20, is 21"),
        (json!({"/spec/historyLimit": 1.5}), "Schema spec.historyLimit: must be an integer, not number"),
        (
            json!({"/spec/historyLimit": 3_000_000_000_i64}),
            "Schema spec.historyLimit: 3000000000 is too large",
        ),
        (json!({"/spec/api": {"top": 101}}), "Schema spec.api.top: must be at most 100"),
        (json!({"/spec/web": {"errorMatchers": ""}}), "Schema spec.web.errorMatchers: must not be empty"),
        (json!({"/spec/web": []}), "Schema spec.web: must be a map, not array"),
        (json!({"/spec/sources": {}}), "Cel spec.sources: at least one source is needed"),
    ]);
    let long = "x".repeat(1025);
    each_is_found(&[
        (
            json!({"/spec/api": {"matchers": long}}),
            "Schema spec.api.matchers: must have at most 1024 characters",
        ),
        (
            json!({"/spec/metrics": [{"name": "a", "query": "up", "unit": "Percent"}]}),
            "Schema spec.metrics[0].unit: \"Percent\" is not one of Seconds, Ratio, Bytes, Count, PerSecond",
        ),
        (
            json!({"/spec/metrics": [{"name": "a", "unit": "Count"}]}),
            "Schema spec.metrics[0].query: is required",
        ),
        (json!({"/spec/metrics": [null]}), "Schema spec.metrics[0]: must be a map, not null"),
        (
            json!({"/spec/metrics": [
                {"name": "a", "query": "up", "unit": "Count"}, {"name": "a", "query": "up", "unit": "Count"},
            ]}),
            "Schema spec.metrics[1]: name \"a\" is used on line 1 already",
        ),
        (
            json!({"/spec/sources/workloads": {"selector": {"matchLabels": {"app.kubernetes.io/part-of": 7}}}}),
            "Schema spec.sources.workloads.selector.matchLabels[\"app.kubernetes.io/part-of\"]: must be a string",
        ),
    ]);
}

#[test]
fn what_the_rules_and_the_meaning_refuse_is_found() {
    each_is_found(&[
        (json!({"/spec/timeZone": "Asia/Dhaka"}), "Cel spec.timeZone: timeZone needs schedule"),
        (
            json!({"/spec/sources": {"workloads": {"selector": {}}}, "/spec/web": {}}),
            "Cel spec.web: web needs sources.prometheus",
        ),
        (
            json!({"/spec/sources/prometheus/url": "ftp://prom:9090"}),
            "Cel spec.sources.prometheus.url: must be an http or https URL",
        ),
        (
            json!({"/spec/sources/prometheus/auth": {"type": "Bearer"}}),
            "Cel spec.sources.prometheus.auth: bearer is set exactly when type is Bearer",
        ),
    ]);
    each_is_found(&[
        (json!({"/spec/window": "30s"}), "Meaning spec.window: \"30s\" is not between 1m and 92d"),
        (json!({"/spec/schedule": "0 25 * * *"}), "Meaning spec.schedule: "),
        (json!({"/spec/schedule": "0 2 * * 1", "/spec/timeZone": "Mars/Base"}), "Meaning spec.timeZone: "),
        (json!({"/spec/web": {"matchers": "job="}}), "Meaning spec.web.matchers: "),
        (
            json!({"/spec/metrics": [{"name": "a", "query": "sum(", "unit": "Count"}]}),
            "Meaning spec.metrics[0].query: ",
        ),
    ]);
    let found = findings(&baseline(&json!({"/spec/sources/prometheus/headers": [
        {"name": "Host", "value": "x"}, {"name": "X", "value": "y", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
    ]})));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("Cel spec.sources.prometheus.headers[0]: this header is set by Plimsoll"));
    assert!(
        found[1].starts_with("Cel spec.sources.prometheus.headers[1]: exactly one of value and valueFrom")
    );
}

#[test]
fn what_a_baseline_is_judged_by_is_checked_and_each_fault_is_told_once() {
    let page = |more: Value| {
        let mut objective = json!({"name": "page", "indicator": "web.latency.p95"});
        objective.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"/spec/web": {}, "/spec/objectives": [objective]})
    };
    let compare = |compare: Value| json!({"/spec/compareTo": compare});
    let no_prometheus = json!({
        "/spec/sources": {"workloads": {"selector": {}}},
        "/spec/objectives": [{"name": "a", "query": "up", "unit": "Count", "lessThan": "1"}],
    });
    each_is_found(&[
        (page(json!({})), "Cel spec.objectives[0]: exactly one of lessThan and greaterThan"),
        (
            page(json!({"lessThan": "3s", "unit": "Seconds"})),
            "Cel spec.objectives[0]: unit is set exactly with",
        ),
        (page(json!({"lessThan": "3 s"})), "Meaning spec.objectives[0].lessThan: \"3 s\" is not a time"),
        (
            page(json!({"lessThan": "3s", "warning": "4s"})),
            "Meaning spec.objectives[0].warning: it must lie below",
        ),
        (
            page(json!({"lessThan": "3s", "for": "soon"})),
            "Schema spec.objectives[0].for: \"soon\" does not match",
        ),
        (
            json!({"/spec/objectives": [{"name": "api", "indicator": "api.latency.p95", "lessThan": "1s"}]}),
            "Meaning spec.objectives[0].indicator: api.latency.p95 needs spec.api; add 'api: {}'",
        ),
        (
            json!({"/spec/objectives": [{"name": "a", "indicator": "web.latency.p96", "lessThan": "1s"}]}),
            "Schema spec.objectives[0].indicator: \"web.latency.p96\" does not match",
        ),
        (no_prometheus, "Cel spec.objectives: an objective's query needs sources.prometheus"),
        (compare(json!({"type": "Baseline"})), "Cel spec.compareTo.baseline: baseline is set exactly when"),
        (
            compare(json!({"type": "Baseline", "baseline": {"name": "dairy"}})),
            "Meaning spec.compareTo.baseline.name: this is the baseline itself: use type: PreviousRun",
        ),
        (
            compare(json!({"type": "PreviousRun", "confidence": "99.99%"})),
            "Meaning spec.compareTo.confidence: \"99.99%\" is not between 80% and 99.9%",
        ),
        (
            compare(json!({"type": "PreviousRun", "allowedChange": "50"})),
            "Schema spec.compareTo.allowedChange: \"50\" does not match",
        ),
        (
            json!({"/spec/prometheusRule": {"enabled": true, "labels": {"a b": "c"}}}),
            "Meaning spec.prometheusRule.labels[\"a b\"]: ",
        ),
    ]);
    let good = json!({
        "/spec/web": {}, "/spec/deletionPolicy": "Retain", "/spec/compareTo": {"type": "PreviousRun"},
        "/spec/objectives": [{"name": "page", "indicator": "web.latency.p95", "lessThan": "3s", "warning": "2s"}],
        "/spec/prometheusRule": {"enabled": true, "labels": {"release": "prometheus"}},
    });
    assert_eq!(findings(&baseline(&good)), Vec::<String>::new());
}

#[test]
fn what_every_object_must_have_is_found() {
    each_is_found(&[
        (json!({"/apiVersion": "plimsoll.dev/v1"}), "Schema apiVersion: must be plimsoll.dev/v1alpha1"),
        (json!({"/kind": "PerformanceBaselines"}), "Schema kind: must be one of PerformanceBaseline"),
        (json!({"/metadata/name": "Dairy_1"}), "Schema metadata.name: \"Dairy_1\" must be lower-case"),
        (json!({"/metadata": {}}), "Schema metadata.name: is required"),
        (json!({"/metadata/label": {}}), "Schema metadata.label: is not a known field"),
        (json!({"/metadata/labels": {"a": 1}}), "Schema metadata.labels.a: must be a string, not integer"),
        (json!({"/spek": {}}), "Schema spek: is not a known field"),
        (json!({"/spec": null}), "Schema spec: is required"),
    ]);
}

#[test]
fn a_good_object_has_no_findings() {
    for changes in [
        json!({}),
        json!({"/spec/web": null, "/spec/schedule": null}),
        json!({"/metadata": {"generateName": "dairy-", "namespace": "farm", "labels": {"a": "1"}}}),
        json!({"/spec/historyLimit": 5.0}),
        json!({"/status": {"conditions": []}}),
        json!({"/spec/schedule": "0 2 * * 1", "/spec/timeZone": "Asia/Dhaka", "/spec/web": {}, "/spec/api": {"top": 5}}),
    ] {
        let found = findings(&baseline(&changes));
        assert!(found.is_empty(), "{changes}: {found:#?}");
    }
}

#[test]
fn another_groups_object_is_not_ours() {
    let kinds = Kinds::known();
    for (text, expected) in [
        ("apiVersion: plimsoll.dev/v1alpha1\nkind: Anything\n", true),
        ("kind: PerformanceBaseline\n", true),
        ("apiVersion: example.com/v1\nkind: PerformanceBaseline\n", false),
        ("apiVersion: v1\nkind: Secret\n", false),
        ("a: 1\n", false),
    ] {
        let documents = manifest::parse("a.yaml", text).unwrap();
        assert_eq!(kinds.is_ours(&documents[0]), expected, "{text}");
    }
}

/// A keyword that nobody checks would make `validate` accept what the API server refuses.
#[test]
fn every_keyword_of_our_schemas_is_checked_here() {
    const CHECKED: [&str; 21] = [
        "type",
        "description",
        "nullable",
        "properties",
        "maxLength",
        "minLength",
        "required",
        "pattern",
        "format",
        "default",
        "items",
        "x-kubernetes-validations",
        "maximum",
        "minimum",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "maxItems",
        "maxProperties",
        "enum",
        "title",
        "additionalProperties",
    ];
    fn walk(schema: &Value, path: &str) {
        for (keyword, value) in schema.as_object().unwrap() {
            assert!(CHECKED.contains(&keyword.as_str()), "{path}: {keyword}");
            match keyword.as_str() {
                "format" => assert!(
                    ["int32", "int64", "date-time"].contains(&value.as_str().unwrap()),
                    "{path}: {value}"
                ),
                "x-kubernetes-list-type" => assert_eq!(value, "map", "{path}"),
                "pattern" => drop(regex::Regex::new(value.as_str().unwrap()).unwrap()),
                "properties" => {
                    value
                        .as_object()
                        .unwrap()
                        .iter()
                        .for_each(|(name, field)| walk(field, &format!("{path}.{name}")));
                }
                "items" | "additionalProperties" => walk(value, &format!("{path}[]")),
                _ => {}
            }
        }
    }
    for kind in Kinds::known().kinds {
        walk(&kind.schema, &kind.name);
    }
}
