use super::super::{ValidBaseline, validate};
use super::*;
use jiff::Timestamp;
use serde_json::{Value, json};

fn now() -> Timestamp {
    "2026-11-24T00:00:00Z".parse().unwrap()
}

/// A spec of every source, with changes to its fields by JSON pointer; null takes one out.
fn spec(changes: &[(&str, Value)]) -> PerformanceBaselineSpec {
    let mut object = json!({
        "sources": {
            "prometheus": {"url": "http://prom:9090"},
            "postgres": {"host": "pg", "database": "herd", "credentials": {"secretRef": {"name": "a"}}},
            "redis": {"host": "redis"},
        },
        "web": {}, "api": {}, "database": {}, "cache": {},
        "metrics": [{"name": "busy", "query": "avg(busy)", "unit": "Ratio", "better": "Lower"}],
    });
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent).unwrap();
        match value {
            Value::Null => drop(parent.as_object_mut().unwrap().shift_remove(name)),
            value => parent[name] = value.clone(),
        }
    }
    serde_json::from_value(object).unwrap()
}

fn judged(changes: &[(&str, Value)]) -> Result<ValidBaseline, Vec<String>> {
    let errors = |errors: Vec<super::super::FieldError>| {
        errors.into_iter().map(|error| error.to_string()).collect::<Vec<_>>()
    };
    validate("dairy", &spec(changes), now()).map_err(errors)
}

fn objectives(objectives: Value) -> Result<Vec<Objective>, Vec<String>> {
    judged(&[("/objectives", objectives)]).map(|valid| valid.objectives)
}

#[test]
fn the_seeds_criteria_are_objectives_with_bounds_in_base_units() {
    let read = objectives(json!([
        {"name": "page-load", "indicator": "web.latency.p95", "lessThan": "3s", "warning": "2s"},
        {"name": "database", "indicator": "database.queryTime.p95", "lessThan": "100ms"},
        {"name": "cache", "indicator": "cache.hitRatio", "greaterThan": "90%", "warning": "95%"},
        {"name": "workers", "indicator": "metrics.busy", "lessThan": "80%"},
        {"name": "memory", "indicator": "infrastructure.memory", "lessThan": "2Gi"},
        {"name": "queue", "query": "sum(queue)", "unit": "Count", "lessThan": "100"},
    ]))
    .unwrap();
    let told: Vec<(&str, &str, Bound, f64, Option<f64>)> = read
        .iter()
        .map(|one| (one.name.as_str(), one.indicator.as_str(), one.comparison, one.target, one.warning))
        .collect();
    assert_eq!(
        told,
        [
            ("page-load", "web.latency.p95", Bound::LessThan, 3.0, Some(2.0)),
            ("database", "database.queryTime.p95", Bound::LessThan, 0.1, None),
            ("cache", "cache.hitRatio", Bound::GreaterThan, 0.9, Some(0.95)),
            ("workers", "metrics.busy", Bound::LessThan, 0.8, None),
            ("memory", "infrastructure.memory", Bound::LessThan, 2_147_483_648.0, None),
            ("queue", "metrics.queue", Bound::LessThan, 100.0, None),
        ]
    );
    assert_eq!((read[0].target_text.as_str(), read[5].unit), ("3s", Unit::Count));
}

#[test]
fn an_objective_that_means_nothing_names_the_field_and_what_to_add() {
    let of = |indicator: &str, bound: Value| {
        let mut objective = json!({"name": "a", "indicator": indicator});
        objective.as_object_mut().unwrap().extend(bound.as_object().unwrap().clone());
        json!([objective])
    };
    let less = |bound: &str| json!({"lessThan": bound});
    let one = |fields: Value| json!([fields]);
    for (objectives, path, says) in [
        (of("web.latency.p96", less("3s")), "[0].indicator", "web.latency.p95"),
        (of("metrics.idle", less("3s")), "[0].indicator", "spec.metrics has no \"idle\""),
        (of("web.latency.p95", less("3")), "[0].lessThan", "3s"),
        (of("metrics.busy", less("3s")), "[0].lessThan", "90%"),
        (of("web.latency.p95", json!({"lessThan": "3s", "warning": "4s"})), "[0].warning", "below lessThan"),
        (of("web.latency.p95", json!({"lessThan": "3s", "warning": "3s"})), "[0].warning", "below lessThan"),
        (
            of("cache.hitRatio", json!({"greaterThan": "90%", "warning": "80%"})),
            "[0].warning",
            "above greaterThan",
        ),
        (of("web.latency.p95", json!({"lessThan": "3s", "warning": "2"})), "[0].warning", "3s"),
        (of("web.errorRatio", less("0%")), "[0].lessThan", "no value lies below"),
        (of("web.errorRatio", less("101%")), "[0].lessThan", "every value lies below"),
        (of("cache.hitRatio", json!({"greaterThan": "100%"})), "[0].greaterThan", "no value lies above"),
        (of("web.latency.p95", json!({"lessThan": "3s", "for": "1h30"})), "[0].for", "1h30"),
        (of("web.latency.p95", json!({"lessThan": "3s", "for": "93d"})), "[0].for", "92d"),
        (of("web.latency.p95", json!({})), "[0]", "exactly one of lessThan"),
        (
            of("web.latency.p95", json!({"lessThan": "3s", "greaterThan": "1s"})),
            "[0]",
            "exactly one of lessThan",
        ),
        (one(json!({"name": "a", "lessThan": "1"})), "[0]", "exactly one of indicator"),
        (one(json!({"name": "a", "query": "up", "lessThan": "1"})), "[0]", "needs unit"),
        (of("web.latency.p95", json!({"unit": "Count", "lessThan": "3s"})), "[0]", "own unit"),
        (one(json!({"name": "a", "query": "sum(", "unit": "Count", "lessThan": "1"})), "[0].query", ""),
        (
            one(json!({"name": "busy", "query": "up", "unit": "Count", "lessThan": "1"})),
            "[0].name",
            "metrics.busy",
        ),
        (
            json!([
                {"name": "a", "indicator": "web.latency.p95", "lessThan": "3s"},
                {"name": "a", "indicator": "web.latency.p99", "lessThan": "3s"},
            ]),
            "[1].name",
            "another objective",
        ),
    ] {
        let errors = self::objectives(objectives.clone()).unwrap_err();
        assert_eq!(errors.len(), 1, "{objectives}: {errors:?}");
        let start = format!("spec.objectives{path}: ");
        assert!(errors[0].starts_with(&start) && errors[0].contains(says), "{objectives}: {}", errors[0]);
    }
}

#[test]
fn an_indicator_needs_its_section_or_source() {
    let less = |indicator: &str| json!([{"name": "a", "indicator": indicator, "lessThan": "90%"}]);
    let seconds = |indicator: &str| json!([{"name": "a", "indicator": indicator, "lessThan": "3s"}]);
    let no_database = [("/database", Value::Null), ("/sources/postgres", Value::Null)];
    let no_cache = [("/cache", Value::Null), ("/sources/redis", Value::Null)];
    let only_histogram =
        [("/database", json!({"latencyHistogram": "h"})), ("/sources/postgres", Value::Null)];
    type Row<'a> = (Vec<(&'a str, Value)>, Value, &'a str);
    let rows: Vec<Row<'_>> = vec![
        (vec![("/web", Value::Null)], seconds("web.latency.p50"), "spec.web"),
        (vec![("/api", Value::Null)], less("api.errorRatio"), "spec.api"),
        (no_database.to_vec(), seconds("database.queryTime.p95"), "spec.database"),
        (no_database.to_vec(), less("database.cacheHitRatio"), "spec.sources.postgres"),
        (only_histogram.to_vec(), less("database.connectionUse"), "spec.sources.postgres"),
        (only_histogram.to_vec(), seconds("database.queryTime.p95"), ""),
        (no_cache.to_vec(), less("cache.hitRatio"), "spec.sources.redis and spec.cache"),
    ];
    for (mut changes, objective, needs) in rows {
        changes.push(("/objectives", objective.clone()));
        match judged(&changes) {
            Ok(_) => assert!(needs.is_empty(), "{objective}"),
            Err(errors) => {
                assert!(errors[0].contains(&format!("needs {needs}")) && !needs.is_empty(), "{errors:?}");
            }
        }
    }
    let of_redis_alone = [
        ("/sources/prometheus", Value::Null),
        ("/web", Value::Null),
        ("/api", Value::Null),
        ("/metrics", Value::Null),
        (
            "/objectives",
            json!([{"name": "a", "indicator": "infrastructure.cpu", "lessThan": "3"},
            {"name": "b", "query": "up", "unit": "Count", "lessThan": "3"}]),
        ),
    ];
    let errors = judged(&of_redis_alone).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors.iter().all(|error| error.contains("spec.sources.prometheus")), "{errors:?}");
}

#[test]
fn a_query_of_an_objective_is_measured_by_its_name_and_everything_else_of_it_is_judged() {
    let query = |text: &str| json!([{"name": "queue", "query": text, "unit": "Count", "lessThan": "100"}]);
    let valid = judged(&[("/objectives", query("sum(queue)"))]).unwrap();
    let names: Vec<&str> = valid.metrics.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(names, ["busy", "queue"]);
    let hash = |changes: &[(&str, Value)]| judged(changes).unwrap().spec_hash;
    let reference = hash(&[]);
    assert_ne!(valid.spec_hash, reference, "a query of one's own is measured");
    assert_ne!(valid.spec_hash, hash(&[("/objectives", query("max(queue)"))]));
    for (other, why) in [
        (
            json!([{"name": "queue", "query": "sum(queue)", "unit": "Count", "greaterThan": "9", "for": "1h"}]),
            "bound",
        ),
        (
            json!([{"name": "queue", "query": "sum(queue)", "unit": "Count", "lessThan": "100", "warning": "9"}]),
            "warning",
        ),
    ] {
        assert_eq!(hash(&[("/objectives", other)]), valid.spec_hash, "{why}");
    }
    let page = json!([{"name": "a", "indicator": "web.latency.p95", "lessThan": "3s"}]);
    let as_metric = json!([{"name": "busy", "query": "avg(busy)", "unit": "Ratio", "better": "Higher"}]);
    for same in [
        ("/objectives", page),
        ("/compareTo", json!({"type": "PreviousRun", "allowedChange": "9%"})),
        ("/deletionPolicy", json!("Retain")),
        ("/prometheusRule", json!({"enabled": true, "labels": {"release": "x"}})),
        ("/metrics", as_metric),
    ] {
        assert_eq!(hash(std::slice::from_ref(&same)), reference, "{same:?}");
    }
}

#[test]
fn a_comparison_says_with_what_and_how() {
    let queue = json!([{"name": "queue", "query": "sum(queue)", "unit": "Count", "greaterThan": "1"},
        {"name": "a", "indicator": "web.latency.p95", "lessThan": "3s"}]);
    let compare = json!({"type": "Baseline", "baseline": {"name": "other"}, "alignment": "HourOfWeek"});
    let valid = judged(&[("/objectives", queue), ("/compareTo", compare)]).unwrap();
    let comparison = valid.comparison.unwrap();
    assert_eq!(comparison.with, CompareWith::Baseline { name: "other".to_owned(), run: None });
    let options = comparison.options;
    assert_eq!((options.allowed_change, options.confidence), (0.05, 0.98));
    assert_eq!(options.alignment, judgement::Alignment::HourOfWeek);
    let better =
        [("busy".to_owned(), judgement::Better::Lower), ("queue".to_owned(), judgement::Better::Higher)];
    assert_eq!(options.better, better.into());
    let previous = judged(&[("/compareTo", json!({"type": "PreviousRun"}))]).unwrap();
    assert_eq!(previous.comparison.unwrap().with, CompareWith::PreviousRun);
    let record = json!({"type": "Record", "record": {"configMapRef": {"name": "from-git"}}});
    let record = judged(&[("/compareTo", record)]).unwrap().comparison.unwrap();
    assert_eq!(record.with, CompareWith::Record { config_map: "from-git".to_owned() });
    assert_eq!(judged(&[]).unwrap().comparison, None);
}

#[test]
fn a_comparison_that_contradicts_itself_is_refused() {
    let with = |more: Value| {
        let mut compare = json!({"type": "PreviousRun"});
        compare.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        compare
    };
    let own_run = json!({"type": "Baseline", "baseline": {"name": "dairy", "run": "dairy-0123456789"}});
    assert!(judged(&[("/compareTo", own_run)]).is_ok(), "an earlier run of its own may be named");
    for (compare, path, says) in [
        (
            json!({"type": "Baseline", "baseline": {"name": "dairy"}}),
            "baseline.name",
            "use type: PreviousRun",
        ),
        (with(json!({"allowedChange": "5"})), "allowedChange", "90%"),
        (with(json!({"confidence": "79%"})), "confidence", "80%"),
        (with(json!({"confidence": "99.95%"})), "confidence", "99.9%"),
        (json!({"type": "Baseline"}), "baseline", "needs it"),
        (json!({"type": "Record"}), "record", "needs it"),
        (with(json!({"baseline": {"name": "other"}})), "baseline", "only with type Baseline"),
        (with(json!({"record": {"configMapRef": {"name": "x"}}})), "record", "only with type Record"),
    ] {
        let errors = judged(&[("/compareTo", compare.clone())]).unwrap_err();
        assert_eq!(errors.len(), 1, "{compare}: {errors:?}");
        let start = format!("spec.compareTo.{path}: ");
        assert!(errors[0].starts_with(&start) && errors[0].contains(says), "{compare}: {}", errors[0]);
    }
    for good in ["80%", "99.9%", "98%"] {
        assert!(judged(&[("/compareTo", with(json!({"confidence": good})))]).is_ok(), "{good}");
    }
}

#[test]
fn labels_of_the_rule_are_labels() {
    let rule = |name: &str, value: &str| json!({"enabled": true, "labels": {name: value}});
    assert!(judged(&[("/prometheusRule", rule("a.example/release", "prom-1"))]).is_ok());
    assert!(judged(&[("/prometheusRule", rule("release", ""))]).is_ok());
    for (name, value) in [("a b", "x"), ("release", "a b"), ("release", "-a"), ("release", "a/b")] {
        let errors = judged(&[("/prometheusRule", rule(name, value))]).unwrap_err();
        let path = format!("spec.prometheusRule.labels[\"{name}\"]: ");
        assert!(errors.len() == 1 && errors[0].starts_with(&path), "{errors:?}");
    }
    let of = |matchers: &str| json!({"enabled": true, "exporterMatchers": matchers});
    assert!(judged(&[("/prometheusRule", of("namespace=\"farm\","))]).is_ok());
    let errors = judged(&[("/prometheusRule", of("a=\"b\"} or vector(1) #"))]).unwrap_err();
    assert!(errors[0].starts_with("spec.prometheusRule.exporterMatchers: "), "{errors:?}");
}
