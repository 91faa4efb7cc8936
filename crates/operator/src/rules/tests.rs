use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use plimsoll_analysis::promql;
use proptest::prelude::*;

use plimsoll_api::{KIND_LABEL, MANAGED_BY, OWNER_LABEL};

use super::*;

const DAIRY: Whose<'static> = Whose { name: "smart-dairy", namespace: "farm" };

/// A spec with every section, these objectives and these further members.
fn spec(objectives: &Value, more: &Value) -> PerformanceBaselineSpec {
    let mut spec = json!({
        "sources": {"prometheus": {"url": "http://prometheus:9090"}, "redis": {"host": "redis"},
            "postgres": {"host": "postgres", "database": "smart\"dairy", "credentials": {"secretRef": {"name": "pg"}}}},
        "web": {}, "api": {"matchers": "job=\"api\","}, "cache": {},
        "database": {"latencyHistogram": "db_query_duration_seconds", "matchers": "db=\"dairy\""},
        "metrics": [{"name": "busy", "query": "avg(odoo_workers_busy) # of all", "unit": "Ratio"}],
        "objectives": objectives, "prometheusRule": {"enabled": true},
    });
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

fn objective(indicator: &str, bound: &str) -> Value {
    let name = indicator.replace('.', "-").to_lowercase();
    json!({"name": name, "indicator": indicator, "lessThan": bound, "for": "5m"})
}

/// One objective for each indicator, a metric of the user's own, and a query.
fn everything() -> Value {
    let mut objectives: Vec<Value> = indicator::INDICATORS
        .iter()
        .map(|indicator| {
            let bound = match indicator.unit {
                Unit::Seconds => "500ms",
                Unit::Ratio => "12.5%",
                Unit::Bytes => "512Mi",
                Unit::Count => "2.5",
                Unit::PerSecond => "20/s",
            };
            objective(indicator.name, bound)
        })
        .collect();
    objectives.push(objective("metrics.busy", "80%"));
    objectives.push(
        json!({"name": "own", "query": "scalar(up)", "unit": "Count", "greaterThan": "3", "for": "1h"}),
    );
    Value::Array(objectives)
}

/// What Prometheus' own checker says of a rule file.
fn promtool(yaml: &str) -> Result<String, String> {
    let promtool = std::env::var_os("PLIMSOLL_PROMTOOL")
        .map_or_else(|| PathBuf::from("/usr/bin/promtool"), PathBuf::from);
    let mut child = Command::new(&promtool)
        .args(["check", "rules", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; set PLIMSOLL_PROMTOOL", promtool.display()));
    child.stdin.take().unwrap().write_all(yaml.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(said) } else { Err(said) }
}

fn expr<'a>(rules: &'a Rules, objective: &str) -> &'a str {
    let of = |alert: &&Alert| alert.labels.get("objective").is_some_and(|name| name == objective);
    &rules.group.rules.iter().find(of).unwrap().expr
}

#[test]
fn every_indicator_has_an_alert_that_prometheus_accepts() {
    let rules = rules(DAIRY, &spec(&everything(), &json!({})));
    assert_eq!(rules.left_out, Vec::<String>::new());
    // The objective on the hit ratio takes the place of the cache's own alert for it.
    assert_eq!(rules.group.rules.len(), indicator::INDICATORS.len() + 2 + 3);
    let yaml = rules.yaml();
    let said = promtool(&yaml).unwrap_or_else(|said| panic!("{said}\n{yaml}"));
    assert!(said.contains(&format!("{} rules found", rules.group.rules.len())), "{said}");
    for alert in &rules.group.rules {
        assert!(promql::gives(&alert.expr).is_ok(), "{}", alert.expr);
        assert!(alert.annotations["runbook_url"].starts_with("https://"));
    }
    insta::assert_yaml_snapshot!("every_indicator", rules.group);
}

#[test]
fn what_promtool_refuses_is_seen() {
    let mut rules = rules(DAIRY, &spec(&everything(), &json!({})));
    rules.group.rules[0].expr = "sum(".to_owned();
    let said = promtool(&rules.yaml()).unwrap_err();
    assert!(said.contains("could not parse expression"), "{said}");
}

#[test]
fn a_target_is_critical_and_a_warning_fires_before_it() {
    let one = json!([{"name": "pages", "indicator": "web.latency.p95", "lessThan": "3s", "warning": "1s500ms", "for": "10m"},
        {"name": "hits", "indicator": "cache.hitRatio", "greaterThan": "90%", "warning": "95%", "for": "5m"}]);
    let rules = rules(DAIRY, &spec(&one, &json!({})));
    let shown: Vec<(&str, &str, &str, &str)> = rules.group.rules[..4]
        .iter()
        .map(|rule| {
            let end = rule.expr.rsplit_once(')').unwrap().1.trim();
            (rule.alert.as_str(), rule.labels["severity"].as_str(), end, rule.hold.as_str())
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("PlimsollObjectiveMissed", "critical", ">= 3", "10m"),
            ("PlimsollObjectiveWarning", "warning", ">= 1.5", "10m"),
            ("PlimsollObjectiveMissed", "critical", "<= 0.9", "5m"),
            ("PlimsollObjectiveWarning", "warning", "<= 0.95", "5m"),
        ]
    );
    promtool(&rules.yaml()).unwrap();
}

#[test]
fn without_a_redis_there_are_no_alerts_for_a_cache_and_without_metrics_none_for_its_objective() {
    let objectives =
        json!([objective("database.queryTime.p95", "100ms"), objective("web.latency.p95", "3s")]);
    let sources = json!({"prometheus": {"url": "http://prometheus:9090"}});
    let rules = rules(DAIRY, &spec(&objectives, &json!({"sources": sources, "database": {}, "cache": null})));
    assert_eq!(rules.group.rules.len(), 1);
    assert!(rules.left_out[0].starts_with("database-querytime-p95: spec.database.latencyHistogram"));
    promtool(&rules.yaml()).unwrap();
}

#[test]
fn matchers_narrow_exporters_and_are_joined_whatever_commas_they_end_in() {
    let objectives = json!([objective("api.errorRatio", "1%"), objective("database.cacheHitRatio", "1%")]);
    let rule = json!({"enabled": true, "exporterMatchers": "namespace=\"farm\","});
    let rules = rules(DAIRY, &spec(&objectives, &json!({"prometheusRule": rule})));
    let api = expr(&rules, "api-errorratio");
    assert!(api.contains("api_requests_total{job=\"api\",status=~\"5..\"}[5m]"), "{api}");
    let database = expr(&rules, "database-cachehitratio");
    assert!(database.contains("{datname=\"smart\\\"dairy\",namespace=\"farm\",}"), "{database}");
    let cache = rules.group.rules.iter().filter(|alert| alert.alert.starts_with("PlimsollCache"));
    assert_eq!(cache.clone().count(), 4, "without an objective on the hit ratio it is watched all the same");
    for alert in cache {
        assert_eq!(alert.expr.matches('{').count(), alert.expr.matches("{namespace=\"farm\",}").count());
    }
    promtool(&rules.yaml()).unwrap();
}

#[test]
fn a_query_of_the_users_own_cannot_take_the_comparison_along() {
    for (query, begins) in [
        ("avg(busy) # half > 1", "(\navg(busy) # half > 1\n) >= 3"),
        ("1 + 1", "vector(\n1 + 1\n) >= 3"),
        ("a or b", "(\na or b\n) >= 3"),
    ] {
        let objectives =
            json!([{"name": "own", "query": query, "unit": "Count", "lessThan": "3", "for": "5m"}]);
        let rules = rules(DAIRY, &spec(&objectives, &json!({})));
        assert_eq!(expr(&rules, "own"), begins);
        promtool(&rules.yaml()).unwrap();
    }
    for query in ["up[5m]", "\"text\"", "sum(", "up) or vector(1", "up\n) or (up"] {
        let objectives =
            json!([{"name": "own", "query": query, "unit": "Count", "lessThan": "3", "for": "5m"}]);
        let rules = rules(DAIRY, &spec(&objectives, &json!({})));
        assert_eq!(rules.left_out.len(), 1, "{query}");
        assert!(rules.group.rules.iter().all(|alert| !alert.labels.contains_key("objective")), "{query}");
    }
}

#[test]
fn hostile_matchers_make_no_rule_or_a_whole_one() {
    for (matchers, is_made) in [
        ("job=\"odoo\"} or vector(1) #", false),
        ("job=\"odoo\"}[5m]) or vector(1) #", false),
        ("__name__=\"other\"", false),
        ("job=\"{{ $labels.x }}\"", true),
        ("job=\"a\\\"b\\n- alert: x\"", true),
        ("path=~\"/a}{b.*\"", true),
        ("job=\"x\" # comment\n", true),
        ("job='`$(id)`'", true),
    ] {
        let rules = rules(
            DAIRY,
            &spec(
                &json!([objective("web.errorRatio", "1%")]),
                &json!({"web": {"matchers": matchers}, "sources": {"prometheus": {"url": "http://p"}}, "cache": null}),
            ),
        );
        assert_eq!(rules.group.rules.len(), usize::from(is_made), "{matchers}: {:?}", rules.left_out);
        let yaml = rules.yaml();
        promtool(&yaml).unwrap_or_else(|said| panic!("{matchers}: {said}\n{yaml}"));
        for alert in &rules.group.rules {
            // A text of the spec in an annotation would be run as a template.
            assert!(
                !alert.annotations.values().any(|text| text.contains("$labels.x") || text.contains("alert:"))
            );
            assert!(
                promql::metric_names(&alert.expr).unwrap().iter().all(|name| name == "http_requests_total")
            );
        }
    }
}

#[test]
fn the_object_is_the_baselines_and_its_labels_are_not_taken_over() {
    let owner =
        OwnerReference { uid: "1".to_owned(), name: "smart-dairy".to_owned(), ..OwnerReference::default() };
    let given = [("release", "prometheus"), ("app.kubernetes.io/managed-by", "Helm")];
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let rules = rules(DAIRY, &spec(&everything(), &json!({})));
    let object = rules.object(DAIRY, &owner, &given);
    assert_eq!(object["metadata"]["name"], "plimsoll-smart-dairy");
    assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "1");
    assert_eq!(
        object["metadata"]["labels"],
        json!({"app.kubernetes.io/managed-by": MANAGED_BY, KIND_LABEL: "performancebaseline",
            OWNER_LABEL: "smart-dairy", "release": "prometheus"})
    );
    assert_eq!(object["spec"]["groups"][0]["rules"].as_array().unwrap().len(), rules.group.rules.len());
}

#[test]
fn long_names_that_share_their_head_have_different_rules() {
    let (one, other) = (format!("{}1", "a".repeat(252)), format!("{}2", "a".repeat(252)));
    assert_ne!(object_name(&one), object_name(&other));
    assert!(object_name(&one).len() <= 253);
}

proptest! {
    #[test]
    fn whatever_the_matchers_are_an_alert_parses_and_selects_only_its_own_metric(matchers in ".{0,40}", value in "[ -~]{0,12}") {
        let quoted = format!("a={}", serde_json::to_string(&value).unwrap());
        for matchers in [matchers, quoted] {
            let sources = json!({"prometheus": {"url": "http://p"}});
            let more = json!({"web": {"matchers": matchers}, "sources": sources, "cache": null});
            let rules = rules(DAIRY, &spec(&json!([objective("web.requestRate", "1/s")]), &more));
            for alert in &rules.group.rules {
                let names = promql::metric_names(&alert.expr).unwrap();
                prop_assert_eq!(names.into_iter().collect::<Vec<_>>(), ["http_requests_total"]);
            }
        }
    }
}
