use super::*;
use serde_json::{Value, json};

fn spec(json: Value) -> PerformanceBaselineSpec {
    serde_json::from_value(json).unwrap()
}

fn now() -> Timestamp {
    "2026-11-24T00:00:00Z".parse().unwrap()
}

fn base() -> Value {
    json!({"sources": {"prometheus": {"url": "http://prom:9090"}}, "web": {}, "api": {}})
}

fn with(changes: &Value) -> PerformanceBaselineSpec {
    let mut object = base();
    for (name, value) in changes.as_object().unwrap() {
        object[name] = value.clone();
    }
    spec(object)
}

fn hash(changes: &Value) -> String {
    validate(&with(changes), now()).unwrap().spec_hash
}

#[test]
fn the_seeds_names_are_the_defaults() {
    let valid = validate(&spec(base()), now()).unwrap();
    assert_eq!(valid.window_seconds, 7 * 86_400);
    assert_eq!(valid.web.as_ref().unwrap().matchers, "job=\"odoo\"");
    assert_eq!(valid.api.as_ref().unwrap().top, 10);
    assert!(!valid.names_a_secret());
}

#[test]
fn every_wrong_field_is_named_with_its_path() {
    let errors = validate(
        &with(&json!({
            "window": "30s", "schedule": "0 2 * *", "web": {"matchers": "job=\"a\"} or vector(1)"},
            "api": {"errorMatchers": "status"}, "metrics": [{"name": "a", "query": "sum(", "unit": "Count"}],
        })),
        now(),
    )
    .unwrap_err();
    let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "spec.window",
            "spec.schedule",
            "spec.web.matchers",
            "spec.api.errorMatchers",
            "spec.metrics[0].query"
        ]
    );
    let errors =
        validate(&with(&json!({"schedule": "0 2 * * 1", "timeZone": "Mars/Base"})), now()).unwrap_err();
    assert_eq!(errors[0].path, "spec.timeZone");
}

#[test]
fn what_does_not_change_the_measurement_does_not_change_the_hash() {
    let reference = hash(&json!({}));
    let bearer = json!({"prometheus": {"url": "http://prom:9090/", "auth": {"type": "Bearer",
        "bearer": {"secretKeyRef": {"name": "a", "key": "b"}}}, "tls": {"serverName": "x"}}});
    for change in [
        json!({"window": "1w"}),
        json!({"schedule": "0 2 * * 1", "timeZone": "Asia/Dhaka"}),
        json!({"suspend": true, "historyLimit": 9, "activeDeadlineSeconds": 99}),
        json!({"web": {"matchers": "job=\"odoo\""}}),
        json!({"sources": bearer}),
    ] {
        assert_eq!(hash(&change), reference, "{change}");
    }
}

#[test]
fn what_changes_the_measurement_changes_the_hash() {
    let reference = hash(&json!({}));
    for change in [
        json!({"window": "6d"}),
        json!({"web": {"matchers": "job=\"shop\""}}),
        json!({"api": {"top": 9}}),
        json!({"metrics": [{"name": "a", "query": "up", "unit": "Count"}]}),
        json!({"sources": {"prometheus": {"url": "http://other:9090"}}}),
        json!({"sources": {"prometheus": {"url": "http://prom:9090", "headers": [{"name": "X-Scope-OrgID", "value": "a"}]}}}),
        json!({"sources": {"prometheus": {"url": "http://prom:9090"}, "workloads": {"selector": {}}}}),
    ] {
        assert_ne!(hash(&change), reference, "{change}");
    }
}

#[test]
fn the_hash_of_a_version_never_changes() {
    assert_eq!(hash(&json!({})), "v1:b1505c543e971512", "an upgrade must not start runs");
}

#[test]
fn a_secret_is_seen_wherever_it_is_named() {
    for source in [
        json!({"auth": {"type": "Bearer", "bearer": {"secretKeyRef": {"name": "a", "key": "b"}}}}),
        json!({"auth": {"type": "Basic", "basic": {"secretRef": {"name": "a"}}}}),
        json!({"tls": {"ca": {"secretKeyRef": {"name": "a", "key": "b"}}}}),
        json!({"headers": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]}),
    ] {
        let mut source = source;
        source["url"] = json!("https://prom");
        let valid = validate(&with(&json!({"sources": {"prometheus": source.clone()}})), now()).unwrap();
        assert!(valid.names_a_secret(), "{source}");
    }
}

#[test]
fn a_spec_that_asks_nothing_or_of_nobody_is_refused() {
    for (object, path) in [
        (json!({"sources": {}}), "spec.sources"),
        (json!({"sources": {"workloads": {"selector": {}}}, "web": {}}), "spec.web"),
        (json!({"sources": {"workloads": {"selector": {}}}, "api": {}}), "spec.api"),
    ] {
        let errors = validate(&spec(object), now()).unwrap_err();
        assert_eq!(errors.last().unwrap().path, path);
    }
}

#[test]
fn a_spec_that_no_environment_holds_is_refused() {
    let metric = |index: usize| {
        let query = format!("sum(up{{a=~\"{}\"}})", "é$".repeat(700));
        json!({"name": format!("m{index}"), "query": query, "unit": "Count"})
    };
    let few = json!({"metrics": (0..5).map(metric).collect::<Vec<_>>()});
    assert!(validate(&with(&few), now()).is_ok());
    let many = json!({"metrics": (0..30).map(metric).collect::<Vec<_>>()});
    let errors = validate(&with(&many), now()).unwrap_err();
    assert!(errors[0].message.contains("shorten"), "{}", errors[0]);
}
