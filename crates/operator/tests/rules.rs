//! What the alerts of a baseline come to, evaluated by Prometheus' own engine over series that are given.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::PathBuf;
use std::process::Command;

use plimsoll_api::PerformanceBaselineSpec;
use plimsoll_operator::rules::{Rules, Whose, rules};
use serde_json::{Value, json};

const WHOSE: Whose<'static> = Whose { name: "dairy", namespace: "farm" };

fn of(objectives: &Value) -> Rules {
    let spec: PerformanceBaselineSpec = serde_json::from_value(json!({
        "sources": {"prometheus": {"url": "http://prometheus:9090"}, "redis": {"host": "redis"},
            "postgres": {"host": "postgres", "database": "dairy", "credentials": {"secretRef": {"name": "pg"}}}},
        "web": {"matchers": "job=\"odoo\""}, "cache": {}, "database": {},
        "metrics": [{"name": "busy", "query": "avg(busy) # of all", "unit": "Ratio"}],
        "objectives": objectives, "prometheusRule": {"enabled": true},
    }))
    .unwrap();
    let rules = rules(WHOSE, &spec);
    assert_eq!(rules.left_out, Vec::<String>::new());
    rules
}

fn below(indicator: &str, bound: &str) -> Value {
    json!([{"name": "it", "indicator": indicator, "lessThan": bound, "for": "5m"}])
}

fn above(indicator: &str, bound: &str) -> Value {
    json!([{"name": "it", "indicator": indicator, "greaterThan": bound, "for": "5m"}])
}

/// One case: which objectives, which series, a sample a minute for four hours, and which alerts fire at their end.
type Case<'a> = (&'a str, Value, Vec<(&'a str, &'a str)>, Vec<&'a str>);

fn cases() -> Vec<Case<'static>> {
    let slow = "http_request_duration_seconds_bucket{job=\"odoo\",le=";
    let buckets = |fast: &'static str, all: &'static str| {
        vec![
            (format!("{slow}\"1\"}}"), fast),
            (format!("{slow}\"5\"}}"), all),
            (format!("{slow}\"+Inf\"}}"), all),
        ]
    };
    let leaked = |series: Vec<(String, &'static str)>| {
        series.into_iter().map(|(name, values)| (&*name.leak(), values)).collect::<Vec<_>>()
    };
    let ok = "http_requests_total{job=\"odoo\",status=\"200\"}";
    let failed = "http_requests_total{job=\"odoo\",status=\"503\"}";
    let other = "http_requests_total{job=\"other\",status=\"503\"}";
    let missed = "PlimsollObjectiveMissed";
    let hits = "redis_keyspace_hits_total{instance=\"a\"}";
    let misses = "redis_keyspace_misses_total{instance=\"a\"}";
    let evicted = "redis_evicted_keys_total{instance=\"a\"}";
    let used = "redis_memory_used_bytes{instance=\"a\"}";
    let most = "redis_memory_max_bytes{instance=\"a\"}";
    let ratio = "redis_mem_fragmentation_ratio{instance=\"a\"}";
    vec![
        (
            "a slow page",
            below("web.latency.p95", "3s"),
            leaked(buckets("0+10x240", "0+100x240")),
            vec![missed],
        ),
        ("a fast page", below("web.latency.p95", "3s"), leaked(buckets("0+99x240", "0+100x240")), vec![]),
        ("no page at all", below("web.latency.p95", "3s"), vec![], vec![]),
        ("errors", below("web.errorRatio", "1%"), vec![(ok, "0+98x240"), (failed, "0+2x240")], vec![missed]),
        ("few errors", below("web.errorRatio", "1%"), vec![(ok, "0+999x240"), (failed, "0+1x240")], vec![]),
        (
            "errors of others",
            below("web.errorRatio", "1%"),
            vec![(ok, "0+98x240"), (other, "0+50x240")],
            vec![],
        ),
        ("no requests", below("web.errorRatio", "1%"), vec![(ok, "5x240"), (failed, "1x240")], vec![]),
        // Without a failed request there is no series of them, and a ratio of 0 is on the bad side of this bound.
        ("too few errors", above("web.errorRatio", "1%"), vec![(ok, "0+98x240")], vec![missed]),
        ("too few requests", above("web.requestRate", "20/s"), vec![(ok, "0+600x240")], vec![missed]),
        ("enough requests", above("web.requestRate", "20/s"), vec![(ok, "0+6000x240")], vec![]),
        (
            "a query of one's own",
            below("metrics.busy", "80%"),
            vec![("busy{pod=\"a\"}", "1x240")],
            vec![missed],
        ),
        (
            "many connections",
            below("database.connectionUse", "80%"),
            vec![
                ("pg_stat_database_numbackends{instance=\"a\",datname=\"x\"}", "50x240"),
                ("pg_stat_database_numbackends{instance=\"a\",datname=\"y\"}", "40x240"),
                ("pg_settings_max_connections{instance=\"a\",server=\"a:5432\"}", "100x240"),
            ],
            vec![missed],
        ),
        (
            "few buffer hits of this database",
            above("database.cacheHitRatio", "90%"),
            vec![
                ("pg_stat_database_blks_hit{instance=\"a\",datname=\"dairy\"}", "0+50x240"),
                ("pg_stat_database_blks_read{instance=\"a\",datname=\"dairy\"}", "0+50x240"),
                ("pg_stat_database_blks_hit{instance=\"a\",datname=\"other\"}", "0+9999x240"),
            ],
            vec![missed],
        ),
        (
            "a cold cache",
            json!([]),
            vec![(hits, "0+89x240"), (misses, "0+11x240")],
            vec!["PlimsollCacheHitRatioLow"],
        ),
        ("a warm cache", json!([]), vec![(hits, "0+91x240"), (misses, "0+9x240")], vec![]),
        (
            "an objective instead",
            above("cache.hitRatio", "90%"),
            vec![(hits, "0+89x240"), (misses, "0+11x240")],
            vec![missed],
        ),
        (
            "a full cache",
            json!([]),
            vec![(used, "95x240"), (most, "100x240")],
            vec!["PlimsollCacheMemoryHigh"],
        ),
        ("a cache without a limit", json!([]), vec![(used, "95x240"), (most, "0x240")], vec![]),
        (
            "evictions that rise",
            json!([]),
            vec![(evicted, "0x180 1+2x60")],
            vec!["PlimsollCacheEvictionsRising"],
        ),
        ("evictions as ever", json!([]), vec![(evicted, "0+2x240")], vec![]),
        (
            "a fragmented cache",
            json!([]),
            vec![(ratio, "1.7x240"), (used, "100000000x240")],
            vec!["PlimsollCacheFragmented"],
        ),
        ("a small cache", json!([]), vec![(ratio, "9x240"), (used, "1000000x240")], vec![]),
    ]
}

/// Cases as promtool takes them: which of all alerts fire, by their expressions at the end.
fn promtool(folder: &std::path::Path, cases: &[Case<'_>]) -> Result<String, String> {
    let tests: Vec<Value> = cases
        .iter()
        .map(|(what, objectives, series, fires)| {
            let rules = of(objectives).group.rules;
            let at = "3h50m";
            let exprs: Vec<Value> = rules
                .iter()
                .map(|rule| {
                    let fires = fires.contains(&rule.alert.as_str());
                    // How many series fire: none is no sample.
                    let samples = if fires { json!([{"labels": "{}", "value": 1}]) } else { json!([]) };
                    json!({"expr": format!("count(\n{}\n)", rule.expr), "eval_time": at, "exp_samples": samples})
                })
                .collect();
            let named: Vec<&str> = rules.iter().map(|rule| rule.alert.as_str()).collect();
            assert!(fires.iter().all(|alert| named.contains(alert)), "{what}: {named:?}");
            let series: Vec<Value> =
                series.iter().map(|(name, values)| json!({"series": name, "values": values})).collect();
            json!({"name": what, "interval": "1m", "input_series": series, "promql_expr_test": exprs})
        })
        .collect();
    let path = folder.join("cases.yaml");
    let file = json!({"evaluation_interval": "1m", "rule_files": [], "tests": tests});
    std::fs::write(&path, serde_yaml::to_string(&file).unwrap()).unwrap();
    let promtool = std::env::var_os("PLIMSOLL_PROMTOOL")
        .map_or_else(|| PathBuf::from("/usr/bin/promtool"), PathBuf::from);
    let output = Command::new(&promtool)
        .args(["test", "rules"])
        .arg(&path)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; set PLIMSOLL_PROMTOOL", promtool.display()));
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(said) } else { Err(said) }
}

#[test]
fn alerts_fire_on_what_they_are_for_and_on_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    promtool(folder.path(), &cases()).unwrap_or_else(|said| panic!("{said}"));
}

#[test]
fn a_case_that_is_wrong_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..cases().len() {
        let mut case = cases().remove(index);
        case.3 = if case.3.is_empty() {
            of(&case.1).group.rules.iter().take(1).map(|rule| &*rule.alert.clone().leak()).collect()
        } else {
            Vec::new()
        };
        let what = case.0;
        assert!(promtool(folder.path(), &[case]).is_err(), "{what}");
    }
}
