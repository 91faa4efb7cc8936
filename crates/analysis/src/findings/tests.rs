//! Each rule against a record that is healthy, one that it is made for, and one that just does not reach it.

mod cases;
mod healthy;

use std::collections::BTreeSet;

use proptest::prelude::*;

use self::cases::*;
use self::healthy::healthy;
use super::*;
use crate::record::*;

#[test]
fn a_wholly_healthy_record_and_an_empty_one_have_no_findings() {
    assert_eq!(findings(&healthy()), []);
    let names = RecordNames { name: "dairy", namespace: "smart", run: "dairy-1", run_key: "sha256:0" };
    assert_eq!(findings(&BaselineRecord::empty(names, 60, "2026-11-24T10:00:00Z".parse().unwrap())), []);
}

#[test]
fn each_rule_fires_on_its_case_and_stays_silent_just_below() {
    for (case, rule) in CASES.iter().zip(&RULES) {
        assert_eq!(case.id, rule.id, "the cases are in the order of the rules");
        let mut nearly = healthy();
        (case.nearly)(&mut nearly);
        assert_eq!(findings(&nearly), [], "{}", case.id);
        let mut seeded = healthy();
        (case.seeded)(&mut seeded);
        let found = findings(&seeded);
        let [one] = found.as_slice() else { panic!("{}: {found:#?}", case.id) };
        assert_eq!((one.id.as_str(), one.subject.as_str(), one.impact), (case.id, case.subject, case.impact));
        assert!(!one.evidence.is_empty() && !one.action.is_empty() && !one.paths.is_empty(), "{one:#?}");
        assert!(
            one.evidence.chars().any(|c| c.is_ascii_digit()) || case.id == "autoscaler-problem",
            "{one:#?}"
        );
        assert!(one.action.chars().count() < MAX_TEXT, "{}: the action is cut", case.id);
        let unknown = |name: &&String| crate::indicator::known(name).is_none();
        assert_eq!(one.explains.iter().find(unknown), None, "{}", case.id);
        let section = |path: &String| path.split('.').next().map(str::to_owned);
        let json = serde_json::to_value(&seeded).unwrap();
        for path in &one.paths {
            assert!(json.get(section(path).unwrap()).is_some(), "{}: {path}", case.id);
        }
    }
}

#[test]
fn the_further_bounds_of_a_rule_decide_on_impact_and_silence() {
    use Impact::{High, Low, Medium};
    let found = |change: Change| {
        let mut record = healthy();
        change(&mut record);
        findings(&record).first().map(|one| (one.id.clone(), one.impact))
    };
    let bounds: [(Change, Option<(&str, Impact)>); 23] = [
        (|record| api(record).response_time_p95_ms = Some(500.0), None),
        (|record| api(record).response_time_p95_ms = Some(500.1), Some(("endpoint-time", High))),
        (|record| errors(record, 20.0, 4.99), Some(("error-ratio", Medium))),
        (|record| errors(record, 20.0, 5.0), Some(("error-ratio", High))),
        // 100 requests in an hour, and 97.
        (|record| errors(record, 0.027_8, 5.0), Some(("error-ratio", High))),
        (|record| errors(record, 0.027, 5.0), None),
        (|record| connections(record, 89), Some(("connection-saturation", Medium))),
        (|record| connections(record, 90), Some(("connection-saturation", High))),
        (|record| hits(record, 70.0, 0), Some(("cache-misses", Medium))),
        (|record| hits(record, 69.9, 0), Some(("cache-misses", High))),
        (|record| few_lookups(record, 100), Some(("cache-misses", High))),
        (|record| few_lookups(record, 99), None),
        (|record| few_blocks(record, 1_000), Some(("buffer-misses", Medium))),
        (|record| few_blocks(record, 999), None),
        (|record| prefix(record, 100.0, 2.23), Some(("keys-without-ttl", Low))),
        // 9.9 % of the memory of all keys.
        (|record| prefix(record, 100.0, 2.2), None),
        (|record| small(record, 1.0), Some(("keys-without-ttl", Low))),
        (|record| small(record, 0.99), None),
        (
            |record| {
                prefix(record, 100.0, 25.0);
                cache(record).current_config.as_mut().unwrap().eviction_policy = "volatile-lru".to_owned();
            },
            Some(("keys-without-ttl", Medium)),
        ),
        (
            |record| {
                recommend(record, "High memory utilization", "93.8%");
                cache(record).current_config.as_mut().unwrap().eviction_policy = "noeviction".to_owned();
            },
            Some(("cache-memory", High)),
        ),
        (|record| throttled(record, "odoo-7f9c8d6b54-x2x9k", 25.0), Some(("cpu-throttling", High))),
        (
            |record| (odoo(record).restarts, odoo(record).replicas.ready) = (Some(3), 1),
            Some(("restarts", High)),
        ),
        // One that is pinned on purpose.
        (|record| (hpa(record).min_replicas, hpa(record).max_replicas) = (2, 2), None),
    ];
    for (index, (change, expected)) in bounds.into_iter().enumerate() {
        assert_eq!(found(change), expected.map(|(id, impact)| (id.to_owned(), impact)), "bound {index}");
    }
}

#[test]
fn the_page_of_findings_has_every_rule_as_it_is() {
    let page = include_str!("../../../../docs/findings.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let listed: Vec<Vec<&str>> =
        rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect();
    let expected: Vec<(String, String)> =
        RULES.iter().map(|rule| (format!("`{}`", rule.id), (rule.fires)())).collect();
    let found: Vec<(String, String)> =
        listed.iter().map(|cells| (cells[0].to_owned(), cells[1].to_owned())).collect();
    assert_eq!(found, expected, "docs/findings.md and the rules differ");
    for cells in listed {
        assert_eq!(cells.len(), 4, "{cells:?}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{cells:?}");
    }
    let ids: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(ids.len(), RULES.len(), "ids are unique");
}

#[test]
fn findings_are_ordered_by_impact_then_effect_and_the_least_are_left_out() {
    let mut record = healthy();
    database(&mut record).slow_queries = Some(vec![slow(36_000.0)]);
    hits(&mut record, 85.0, 5);
    odoo(&mut record).restarts = Some(12);
    database(&mut record).unused_indexes = Some((0..60).map(index).collect());
    let found = findings(&record);
    let order: Vec<&str> = found.iter().take(4).map(|one| one.id.as_str()).collect();
    assert_eq!(order, ["statement-time", "restarts", "cache-eviction-loss", "unused-index"]);
    assert_eq!(found.len(), MAX_FINDINGS);
    // Equal ones keep the record's order.
    assert!(found[3].evidence.starts_with("0 scans") && found[4].evidence.starts_with("1 scans"));
}

#[test]
fn a_quick_statement_that_runs_often_is_found_where_it_keeps_the_database_busy() {
    let mut record = healthy();
    let quick =
        |total_ms| SlowStatement { calls: 1_000_000, avg_ms: total_ms / 1e6, label: None, ..slow(total_ms) };
    // A tenth of the hour is 360 s.
    database(&mut record).top_statements = Some(vec![quick(359_000.0)]);
    database(&mut record).execution_time_ms = Some(400_000.0);
    assert_eq!(findings(&record), []);
    database(&mut record).top_statements = Some(vec![quick(360_000.0)]);
    let found = findings(&record);
    assert_eq!((found[0].subject.as_str(), found[0].impact), ("queryid -42", Impact::High));
    assert_eq!(found[0].effect_percent, Some(90.0));
    assert!(
        found[0].evidence.starts_with(
            "90% of the database's execution time: 1,000,000 calls of 0.36ms on average, 6m in all; SELECT"
        ),
        "{}",
        found[0].evidence
    );
    assert_eq!(found[0].paths, ["database_analysis.top_statements"]);
    // One that is slow, too, is found once.
    database(&mut record).slow_queries = Some(vec![quick(360_000.0)]);
    assert_eq!(findings(&record).len(), 1);
    // Without the sum of all there is no share, and only what keeps a connection busy counts.
    database(&mut record).execution_time_ms = None;
    let found = findings(&record);
    assert_eq!((found[0].impact, found[0].effect_percent), (Impact::Medium, None));
    assert!(
        found[0].evidence.starts_with("one connection busy for 10% of the time"),
        "{}",
        found[0].evidence
    );
}

#[test]
fn a_slow_statement_of_a_database_that_idles_is_not_high() {
    let mut record = healthy();
    for (total_ms, impact) in [(35_999.0, Impact::Medium), (36_000.0, Impact::High)] {
        database(&mut record).slow_queries = Some(vec![slow(total_ms)]);
        assert_eq!(findings(&record)[0].impact, impact);
    }
}

#[test]
fn hidden_and_hostile_texts_are_bounded_and_stay_as_they_are() {
    let mut record = healthy();
    let hostile = format!("\u{202e}<script>alert(1)</script>|`{}", "é".repeat(5_000));
    let mut statement = slow(50_000.0);
    (statement.query, statement.label) = (Some(hostile.clone()), Some(hostile.clone()));
    database(&mut record).slow_queries = Some(vec![statement]);
    api(&mut record).time_share_percent.as_mut().unwrap().insert(hostile.clone(), 99.0);
    api(&mut record).top_endpoints.as_mut().unwrap().insert(hostile.clone(), 0.1);
    throttled(&mut record, &hostile, 99.0);
    let found = findings(&record);
    assert_eq!(found.len(), 3);
    for one in &found {
        assert!(one.subject.chars().count() <= MAX_SUBJECT, "{}", one.id);
        assert!(one.evidence.chars().count() <= MAX_TEXT, "{}", one.id);
        assert!(one.paths.iter().all(|path| path.chars().count() < 2 * MAX_SUBJECT), "{}", one.id);
        assert!(one.subject.contains("<script>"), "{}", one.subject);
    }
}

#[test]
fn what_covers_too_little_is_no_finding() {
    let mut record = healthy();
    record.web_metrics.as_mut().unwrap().error_rate_percent = Some(40.0);
    api(&mut record).time_share_percent.as_mut().unwrap().insert("/api/v1/reports".to_owned(), 60.0);
    hits(&mut record, 10.0, 5);
    database(&mut record).cache_hit_ratio = Some(0.1);
    assert_eq!(findings(&record).len(), 4);
    for basis in record.basis.values_mut() {
        (basis.kind, basis.coverage_percent) = (BasisKind::Lifetime, Some(20.0));
    }
    assert_eq!(findings(&record), []);
}

#[test]
fn a_pod_belongs_to_the_workload_whose_pods_are_named_so() {
    let mut record = healthy();
    for (pod, subject) in [
        ("odoo-7f9c8d6b54-x2x9k", "Deployment odoo"),
        ("odoo-worker-7f9c8d6b54-x2x9k", "pod odoo-worker-7f9c8d6b54-x2x9k"),
        ("postgres-0", "StatefulSet postgres"),
        ("postgres-backup", "pod postgres-backup"),
        ("postgres-", "pod postgres-"),
    ] {
        throttled(&mut record, pod, 50.0);
        assert_eq!(findings(&record)[0].subject, subject);
        let metrics = record.infrastructure_metrics.as_mut().unwrap();
        metrics.cpu_throttled_percent_by_pod.as_mut().unwrap().clear();
    }
    throttled(&mut record, "(others)", 99.0);
    assert_eq!(findings(&record), []);
}

#[test]
fn memory_is_taken_from_cadvisor_where_metrics_server_says_nothing_and_needs_a_limit() {
    let mut record = healthy();
    odoo(&mut record).usage = None;
    let memory = record.infrastructure_metrics.as_mut().unwrap().memory_mb_by_pod.as_mut().unwrap();
    memory.insert("odoo-7f9c8d6b54-x2x9k".to_owned(), 500.0);
    let found = findings(&record);
    assert_eq!((found[0].id.as_str(), found[0].impact), ("memory-near-limit", Impact::Medium));
    assert_eq!(
        found[0].evidence,
        "500MiB in odoo-7f9c8d6b54-x2x9k, page cache included: 97.7% of the limit of 512MiB"
    );
    odoo(&mut record).containers[0].limits.clear();
    assert_eq!(findings(&record), []);
}

proptest! {
    #[test]
    fn no_number_makes_a_rule_panic_and_effects_are_parts(
        a in any::<f64>(), b in any::<f64>(), calls in any::<u64>(), replicas in any::<i32>(),
    ) {
        let mut record = healthy();
        let mut statement = slow(a);
        statement.calls = calls;
        database(&mut record).slow_queries = Some(vec![statement]);
        database(&mut record).cache_hit_ratio = Some(b);
        database(&mut record).missing_indexes = Some(scanned(a));
        database(&mut record).connection_headroom = Some(ConnectionHeadroom { used: calls, max: calls / 2 });
        api(&mut record).time_share_percent.as_mut().unwrap().insert("/x".to_owned(), a);
        api(&mut record).requests_per_second = Some(b);
        hits(&mut record, a, calls);
        prefix(&mut record, a, b);
        recommend(&mut record, "High memory fragmentation", "NaN");
        cache(&mut record).fragmentation_ratio = Some(a);
        throttled(&mut record, "odoo-7f9c8d6b54-x2x9k", b);
        odoo(&mut record).usage.as_mut().unwrap().memory_mib = a;
        hpa(&mut record).current_replicas = replicas;
        hpa(&mut record).desired_replicas = replicas;
        for one in findings(&record) {
            prop_assert!(one.effect_percent.is_none_or(|effect| (0.0..=100.0).contains(&effect)), "{:?}", one);
        }
    }
}
