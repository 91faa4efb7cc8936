use super::*;
use plimsoll_analysis::judgement::{Against, Alignment, Better, ObjectiveResult, SCHEMA};
use plimsoll_analysis::record::{
    Autoscaler, CacheAnalysis, CacheConfig, Container, DatabaseAnalysis, KeyPattern, KubernetesFacts,
    MissingIndex, RecordNames, Replicas, SlowStatement, Workload,
};
use plimsoll_analysis::request::Unit;

fn record(run: &str) -> BaselineRecord {
    let names = RecordNames { name: "dairy", namespace: "pasture", run, run_key: "sha256:0" };
    BaselineRecord::empty(names, 300, "2026-11-24T10:00:00Z".parse().unwrap())
}

fn missing(table: &str) -> MissingIndex {
    MissingIndex {
        schema: "public".to_owned(),
        table: table.to_owned(),
        seq_scan: 900,
        seq_tup_read: 9_000_000,
        idx_scan: 0,
        avg_rows_per_seq_scan: 10_000.0,
    }
}

fn slow(query_id: &str, query: &str, label: Option<&str>) -> SlowStatement {
    SlowStatement {
        calls: 10,
        avg_ms: 175.0,
        total_ms: 1_750.0,
        rows: 10,
        query: Some(query.to_owned()),
        query_id: query_id.to_owned(),
        label: label.map(str::to_owned),
    }
}

fn workload(cpu: &str, pods: i32, autoscaler: Option<(i32, i32)>) -> Workload {
    Workload {
        kind: "Deployment".to_owned(),
        name: "odoo".to_owned(),
        replicas: Replicas { desired: pods, current: pods, ready: pods },
        restarts: None,
        containers: vec![Container {
            name: "web".to_owned(),
            requests: [("cpu".to_owned(), cpu.to_owned())].into(),
            limits: std::collections::BTreeMap::new(),
        }],
        autoscaler: autoscaler.map(|(min_replicas, max_replicas)| Autoscaler {
            name: "odoo-hpa".to_owned(),
            min_replicas,
            max_replicas,
            current_replicas: 1,
            desired_replicas: 1,
            metrics: Vec::new(),
            problems: Vec::new(),
        }),
        usage: None,
    }
}

fn before() -> BaselineRecord {
    let settings = [("random_page_cost", "4"), ("work_mem", "4MB")];
    BaselineRecord {
        database_analysis: Some(DatabaseAnalysis {
            slow_queries: Some(vec![
                slow(
                    "1",
                    "SELECT day, sum(litres) FROM dairy_collection WHERE farmer = $1 GROUP BY day",
                    None,
                ),
                slow("2", "SELECT 2", Some("Daily summary")),
                slow("3", "SELECT 3", None),
            ]),
            missing_indexes: Some(vec![missing("dairy_collection"), missing("payments")]),
            settings: Some(settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
            ..DatabaseAnalysis::default()
        }),
        cache_analysis: Some(CacheAnalysis {
            current_config: Some(CacheConfig {
                maxmemory: "unlimited".to_owned(),
                eviction_policy: "noeviction".to_owned(),
            }),
            session_cache_enabled: Some(false),
            key_patterns: Some([].into()),
            ..CacheAnalysis::default()
        }),
        kubernetes: Some(KubernetesFacts { workloads: vec![workload("100m", 1, None)], unknown: Vec::new() }),
        ..record("dairy-1")
    }
}

fn after() -> BaselineRecord {
    let mut after = BaselineRecord { run: "dairy-2".to_owned(), ..before() };
    let database = after.database_analysis.as_mut().unwrap();
    database.slow_queries = Some(vec![slow("3", "SELECT 3", None)]);
    database.missing_indexes = Some(vec![missing("payments")]);
    database.settings.as_mut().unwrap().insert("random_page_cost".to_owned(), "1.1".to_owned());
    let cache = after.cache_analysis.as_mut().unwrap();
    cache.current_config.as_mut().unwrap().eviction_policy = "volatile-lru".to_owned();
    cache.session_cache_enabled = Some(true);
    cache.key_patterns = Some([("cache".to_owned(), KeyPattern { count: 7, size_mb: 0.1 })].into());
    after.kubernetes.as_mut().unwrap().workloads = vec![workload("200m", 3, Some((3, 10)))];
    after
}

fn change(indicator: &str, values: [f64; 2], better: Better, verdict: ChangeVerdict) -> Change {
    let [before, after] = values;
    Change {
        indicator: indicator.to_owned(),
        unit: if indicator.ends_with("Ratio") { Unit::Ratio } else { Unit::Seconds },
        better: Some(better),
        before: Some(before),
        after: Some(after),
        change_percent: Some((after - before) / before * 100.0),
        low_percent: None,
        high_percent: None,
        samples: None,
        effective_samples: None,
        verdict,
        rule: "a rule".to_owned(),
    }
}

/// The seed's table: 4.2 s to 2.1 s, 800 to 350 ms, 250 to 85 ms, 72 to 94 %.
fn comparison() -> Comparison {
    use ChangeVerdict::{Improved, Inconclusive};
    Comparison {
        against: Against {
            name: "dairy-before".to_owned(),
            run: "dairy-before-1".to_owned(),
            record_sha256: None,
            window: record("dairy-1").window,
        },
        alignment: Alignment::None,
        allowed_change_percent: 5.0,
        confidence_percent: 98.0,
        verdict: Improved,
        indicators: vec![
            change("web.latency.p95", [4.2, 2.1], Better::Lower, Improved),
            change("web.errorRatio", [0.01, 0.01], Better::Lower, Inconclusive),
            change("api.latency.p95", [0.8, 0.35], Better::Lower, Improved),
            change("database.queryTime.p95", [0.25, 0.085], Better::Lower, Improved),
            change("cache.hitRatio", [0.72, 0.94], Better::Higher, Improved),
        ],
        notes: vec!["load differs: 12/s before, 30/s after".to_owned()],
    }
}

fn judgement(comparison: Option<Comparison>) -> Judgement {
    Judgement {
        schema: SCHEMA.to_owned(),
        run: "dairy-2".to_owned(),
        record_sha256: None,
        generation: None,
        complete: true,
        objectives: vec![ObjectiveResult {
            name: "page-load".to_owned(),
            indicator: "web.latency.p95".to_owned(),
            target: "lessThan 3s".to_owned(),
            value: Some(2.1),
            low: None,
            high: None,
            unit: Unit::Seconds,
            result: ObjectiveVerdict::Met,
            margin_percent: None,
            path: None,
            finding: None,
            message: String::new(),
        }],
        findings: Vec::new(),
        comparison,
        not_compared: None,
        trend: Vec::new(),
    }
}

fn improved() -> BaselineOverview {
    BaselineOverview {
        name: "dairy".to_owned(),
        record: Some(after()),
        judgement: Some(judgement(Some(comparison()))),
        before: Some(before()),
        missing: None,
        is_ready: true,
        is_scheduled: true,
        has_alerts: true,
    }
}

fn of(baselines: Vec<BaselineOverview>) -> Overview {
    Overview { namespace: "pasture".to_owned(), baselines }
}

#[test]
fn what_two_records_hold_differently_is_seen() {
    let texts: Vec<(Category, String)> =
        changes::seen(&before(), &after()).into_iter().map(|seen| (seen.category, seen.text)).collect();
    let expected = [
        (Category::Database, "dairy_collection is no longer read whole (10,000 rows a scan before)"),
        (Category::Database, "no longer slow: SELECT day, sum(litres) FROM dairy_colle… (mean was 175ms)"),
        (Category::Database, "no longer slow: Daily summary (mean was 175ms)"),
        (Category::Database, "random_page_cost 4 → 1.1"),
        (Category::Caching, "eviction policy noeviction → volatile-lru"),
        (Category::Caching, "sessions are kept in the cache"),
        (Category::Caching, "keys with the prefix cache are cached"),
        (Category::Infrastructure, "odoo, container web: cpu request 100m → 200m"),
        (Category::Infrastructure, "odoo scales itself, 3 to 10 pods"),
    ];
    assert_eq!(texts, expected.map(|(category, text)| (category, text.to_owned())));
    assert_eq!(changes::seen(&after(), &after()), []);
    assert_eq!(changes::seen(&record("a"), &after()), [], "what one record has not is no change");
}

#[test]
fn what_is_missing_in_a_full_list_may_just_be_cut() {
    let mut after = after();
    let database = after.database_analysis.as_mut().unwrap();
    database.missing_indexes = Some((0..20).map(|index| missing(&format!("t{index}"))).collect());
    database.slow_queries = None;
    let seen = changes::seen(&before(), &after);
    assert!(
        seen.iter().all(|seen| !seen.text.contains("read whole") && !seen.text.contains("slow")),
        "{seen:?}"
    );
}

#[test]
fn the_number_of_pods_is_a_change_only_where_no_autoscaler_sets_it() {
    let with = |pods: i32, autoscaler: Option<(i32, i32)>| BaselineRecord {
        kubernetes: Some(KubernetesFacts {
            workloads: vec![workload("1", pods, autoscaler)],
            unknown: Vec::new(),
        }),
        ..record("dairy-1")
    };
    let texts = |before: &BaselineRecord, after: &BaselineRecord| -> Vec<String> {
        changes::seen(before, after).into_iter().map(|seen| seen.text).collect()
    };
    assert_eq!(texts(&with(1, None), &with(2, None)), ["odoo: 1 → 2 pods"]);
    assert_eq!(texts(&with(1, Some((1, 4))), &with(2, Some((1, 4)))), [""; 0]);
    assert_eq!(
        texts(&with(1, Some((1, 4))), &with(1, Some((2, 4)))),
        ["odoo scales itself, 1 to 4 pods → 2 to 4 pods"]
    );
    assert_eq!(texts(&with(1, Some((1, 4))), &with(1, None)), ["odoo no longer scales itself"]);
}

#[test]
fn the_three_parts_stand_in_markdown() {
    let text = overview_markdown(&of(vec![improved()]));
    for expected in [
        "# Performance of namespace pasture\n",
        "## Optimizations applied\n",
        "| Database       | dairy_collection is no longer read whole (10,000 rows a scan before)",
        "Database query (p95) 66% better",
        "| Caching ",
        "Cache hits 30.6% better",
        "Page load (p95) 50% better; API response (p95) 56.2% better",
        "## Performance metrics comparison\n",
        "| Metric             | Before | After | Improvement |",
        "| Page Load (P95) ",
        "with the above",
        "## Handoffs\n",
        "\n- [x] Performance baseline documented: dairy, run dairy-2, 2026-11-24",
        "\n- [x] Optimizations applied: dairy is improved against run dairy-before-1 (4 improved, 1 inconclusive)",
        "\n- [ ] Capacity plan delivered: ",
        "\n- [x] Monitoring verified: dairy measures by its schedule",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let row = text.lines().find(|line| line.contains("Page Load (P95)")).unwrap();
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    assert_eq!(cells, ["", "Page Load (P95)", "4.2s", "2.1s", "50%", ""]);
    let row = text.lines().find(|line| line.contains("Cache Hit Rate")).unwrap();
    assert!(row.contains("72%") && row.contains("94%") && row.contains("31%"), "{row}");
    assert!(text.ends_with('\n') && !text.ends_with("\n\n"));
}

#[test]
fn a_terminal_gets_the_same_without_markdown() {
    let text = overview_table(&of(vec![improved()]), Some(100));
    assert!(
        text.contains("[x] Performance baseline documented: dairy") && text.contains("[ ] Capacity plan"),
        "{text}"
    );
    assert!(!text.contains('#') && !text.contains("**") && !text.contains('\u{1b}'), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn what_is_not_there_is_not_ticked_and_says_what_to_do() {
    let text = overview_markdown(&of(Vec::new()));
    assert!(text.contains("no run is compared with an earlier one. Set spec.compareTo"), "{text}");
    assert!(text.contains("There is no baseline in this namespace."), "{text}");
    assert!(
        !text.contains("[x]") && text.contains("- [ ] Performance baseline documented: apply a"),
        "{text}"
    );
    let failed = BaselineOverview {
        name: "dairy".to_owned(),
        missing: Some("no run has finished yet".to_owned()),
        ..BaselineOverview::default()
    };
    let text = overview_markdown(&of(vec![failed]));
    assert!(!text.contains("[x]"), "{text}");
    assert!(text.contains("documented: dairy: no run has finished yet."), "{text}");
    assert!(
        text.contains("Monitoring verified: dairy lacks a complete record (see status), a schedule"),
        "{text}"
    );
}

#[test]
fn a_comparison_without_improvement_ticks_nothing() {
    let mut regressed = comparison();
    regressed.verdict = ChangeVerdict::Regressed;
    for change in &mut regressed.indicators {
        change.verdict = ChangeVerdict::Regressed;
    }
    let baseline =
        BaselineOverview { before: None, judgement: Some(judgement(Some(regressed))), ..improved() };
    let text = overview_markdown(&of(vec![baseline]));
    assert!(text.contains("- [ ] Optimizations applied: no comparison shows an improvement"), "{text}");
    assert!(
        text.contains("no change of configuration seen") && text.contains("Database query (p95) 66% worse"),
        "{text}"
    );
}

#[test]
fn several_baselines_are_told_apart() {
    let other = BaselineOverview { name: "goats".to_owned(), ..improved() };
    let alone = BaselineOverview { name: "sheep".to_owned(), judgement: Some(judgement(None)), ..improved() };
    let text = overview_markdown(&of(vec![improved(), other, alone]));
    assert!(text.contains("| Baseline | Category"), "{text}");
    assert!(text.contains("**sheep**: it is not compared with another run; set spec.compareTo."), "{text}");
}

#[test]
fn hostile_texts_stay_texts() {
    let hostile = "</td><script>alert(1)</script>|[x](javascript:1)\n# x";
    let mut before = before();
    before.database_analysis.as_mut().unwrap().slow_queries = Some(vec![slow("9", hostile, Some(hostile))]);
    let baseline = BaselineOverview {
        name: hostile.to_owned(),
        before: Some(before),
        missing: Some(hostile.to_owned()),
        ..improved()
    };
    let text = overview_markdown(&of(vec![baseline]));
    assert!(!text.contains("<script>") && !text.contains("\n# x") && !text.contains("[x](java"), "{text}");
}
