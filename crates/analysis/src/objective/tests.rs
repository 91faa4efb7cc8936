//! Objectives against records made for each case.

use indexmap::IndexMap;
use proptest::prelude::*;

use super::*;
use crate::judgement::Impact;
use crate::record::{
    Basis, BasisKind, CacheMetrics, CustomMetric, DatabaseAnalysis, DatabaseMetrics, QueryTime,
    QueryTimeMethod, RecordNames, Source, SourceReason, SourceState, WebMetrics,
};
use crate::request::Unit;
use crate::threshold;

const P95: &str = "web_metrics.page_load_p95_ms";
const ERRORS: &str = "web_metrics.error_rate_percent";
const QUERY_TIME: &str = "database_metrics.query_time_p95_ms";
const HIT_RATE: &str = "cache_metrics.hit_rate_window";

fn basis(kind: BasisKind) -> Basis {
    Basis {
        kind,
        from: "2026-11-24T09:00:00Z".parse().unwrap(),
        to: "2026-11-24T10:00:00Z".parse().unwrap(),
        coverage_percent: (kind == BasisKind::Window).then_some(99.5),
        samples: Some(10_000),
        resolution_ms: None,
        note: None,
    }
}

fn source(name: &str, state: SourceState) -> Source {
    Source {
        name: name.to_owned(),
        state,
        reason: None,
        message: None,
        duration_ms: None,
        cost: None,
        warnings: Vec::new(),
    }
}

fn empty() -> BaselineRecord {
    let names = RecordNames { name: "dairy", namespace: "smart", run: "dairy-1", run_key: "sha256:0" };
    let mut record = BaselineRecord::empty(names, 3_600, "2026-11-24T10:00:00Z".parse().unwrap());
    record.sources =
        ["prometheus", "postgres", "redis"].map(|name| source(name, SourceState::Collected)).to_vec();
    record
}

/// A page load p95 in milliseconds, with the bounds of its bucket.
fn page_load(p95: f64, bucket: Option<Vec<f64>>) -> BaselineRecord {
    let mut record = empty();
    record.web_metrics = Some(WebMetrics {
        page_load_p95_ms: Some(p95),
        requests_per_second: Some(10.0),
        error_rate_percent: Some(2.0),
        ..WebMetrics::default()
    });
    record.basis.insert(P95.to_owned(), Basis { resolution_ms: bucket, ..basis(BasisKind::Window) });
    record.basis.insert("web_metrics.requests_per_second".to_owned(), basis(BasisKind::Window));
    record.basis.insert(ERRORS.to_owned(), basis(BasisKind::Window));
    record
}

fn query_time(low: f64, high: Option<f64>, method: QueryTimeMethod) -> BaselineRecord {
    let mut record = empty();
    let time = QueryTime { low, high, method };
    record.database_metrics =
        Some(DatabaseMetrics { query_time_p95_ms: Some(time), ..DatabaseMetrics::default() });
    let resolution = (method == QueryTimeMethod::Histogram).then(|| vec![low]);
    record
        .basis
        .insert(QUERY_TIME.to_owned(), Basis { resolution_ms: resolution, ..basis(BasisKind::Sampled) });
    record
}

fn hit_rate(percent: f64, kind: BasisKind, lookups: u64) -> BaselineRecord {
    let mut record = empty();
    record.cache_metrics = Some(CacheMetrics {
        hit_rate: Some(94.2),
        hit_rate_window: Some(percent),
        ..CacheMetrics::default()
    });
    record.basis.insert(HIT_RATE.to_owned(), Basis { samples: Some(lookups), ..basis(kind) });
    record
}

fn objective(indicator: &str, comparison: Bound, target: &str, warning: Option<&str>) -> Objective {
    let unit = indicator::known(indicator).map_or(Unit::Count, |known| known.unit);
    Objective {
        name: "it".to_owned(),
        indicator: indicator.to_owned(),
        unit,
        comparison,
        target: threshold::parse(target, unit).unwrap(),
        warning: warning.map(|warning| threshold::parse(warning, unit).unwrap()),
        target_text: target.to_owned(),
    }
}

fn below(indicator: &str, target: &str) -> Objective {
    objective(indicator, Bound::LessThan, target, None)
}

fn above(indicator: &str, target: &str) -> Objective {
    objective(indicator, Bound::GreaterThan, target, None)
}

fn judged(record: &BaselineRecord, objective: Objective) -> ObjectiveResult {
    judge(record, &[objective], &[]).remove(0)
}

use ObjectiveVerdict::{Inconclusive, Met, Missed, Warning};

#[test]
fn a_figure_is_met_on_the_good_side_of_its_target_and_missed_on_it_or_beyond() {
    for (p95, target, verdict, margin, words) in [
        (2_100.0, "3s", Met, 30.0, "Page load (p95): 2.1s, below the target of 3s by 30%"),
        (4_200.0, "3s", Missed, -40.0, "Page load (p95): 4.2s, above the target of 3s by 40%"),
        (3_000.0, "3s", Missed, 0.0, "Page load (p95): 3s, not below the target of 3s"),
        (2_999.0, "3s", Met, 100.0 / 3_000.0, "Page load (p95): 3s, just below the target of 3s"),
        (3_001.0, "3s", Missed, -100.0 / 3_000.0, "just above the target of 3s"),
    ] {
        let result = judged(&page_load(p95, None), below("web.latency.p95", target));
        assert_eq!(result.result, verdict, "{p95}: {}", result.message);
        assert!((result.margin_percent.unwrap() - margin).abs() < 1e-9, "{p95}");
        assert!(result.message.contains(words), "{}", result.message);
        assert_eq!((result.value, result.path.as_deref()), (Some(p95 / 1_000.0), Some(P95)));
        assert_eq!(result.target, "lessThan 3s");
    }
    let rate = |target| judged(&page_load(1.0, None), above("web.requestRate", target));
    assert_eq!((rate("8/s").result, rate("8/s").margin_percent), (Met, Some(25.0)));
    assert_eq!((rate("10/s").result, rate("20/s").result), (Missed, Missed));
    assert_eq!(rate("8/s").message, "Page requests: 10/s, above the target of 8/s by 25%");
    assert_eq!(rate("4/s").message, "Page requests: 10/s, 2.5 times the target of 4/s");
    let hits = judged(&hit_rate(84.9, BasisKind::Sampled, 10_000), above("cache.hitRatio", "90%"));
    assert_eq!(hits.message, "Cache hits: 84.9%, below the target of 90% by 5.1 points");
    assert_eq!(rate("10/s").message, "Page requests: 10/s, not above the target of 10/s");
}

#[test]
fn between_warning_and_target_it_is_a_warning_which_counts_as_met() {
    for (p95, verdict) in
        [(1_999.0, Met), (2_000.0, Warning), (2_900.0, Warning), (3_000.0, Missed), (5_000.0, Missed)]
    {
        let warned = objective("web.latency.p95", Bound::LessThan, "3s", Some("2s"));
        let result = judged(&page_load(p95, None), warned);
        assert_eq!(result.result, verdict, "{p95}");
        assert_eq!(
            result.message.contains("past the warning at 2s"),
            verdict == Warning,
            "{}",
            result.message
        );
    }
    for (percent, verdict) in [(97.0, Met), (95.0, Warning), (92.0, Warning), (90.0, Missed), (80.0, Missed)]
    {
        let warned = objective("cache.hitRatio", Bound::GreaterThan, "90%", Some("95%"));
        let result = judged(&hit_rate(percent, BasisKind::SincePreviousRun, 10_000), warned);
        assert_eq!(result.result, verdict, "{percent}: {}", result.message);
    }
    assert!(Warning.is_met());
}

#[test]
fn a_bucket_that_holds_the_target_too_is_judged_by_value_and_said_to_be_uncertain() {
    let inside = judged(&page_load(2_900.0, Some(vec![2_500.0, 5_000.0])), below("web.latency.p95", "3s"));
    assert_eq!((inside.result, inside.low, inside.high), (Met, Some(2.5), Some(5.0)));
    assert!(
        inside.message.contains("not certain: the histogram says 2.5-5s and no more"),
        "{}",
        inside.message
    );
    assert!(inside.message.contains("a bucket bound at 3s would"), "{}", inside.message);
    for bucket in [vec![2_500.0, 3_000.0], vec![1_000.0, 2_950.0]] {
        let outside = judged(&page_load(2_900.0, Some(bucket)), below("web.latency.p95", "3s"));
        assert_eq!(outside.result, Met);
        assert!(!outside.message.contains("certain"), "{}", outside.message);
    }
}

#[test]
fn above_the_highest_bucket_a_percentile_is_only_known_to_be_larger() {
    let last = || page_load(10_000.0, Some(vec![10_000.0]));
    let missed = judged(&last(), below("web.latency.p95", "3s"));
    assert_eq!(missed.result, Missed);
    assert!(missed.message.contains(">10s, at least 3.33 times the target of 3s"), "{}", missed.message);
    let unknown = judged(&last(), below("web.latency.p95", "20s"));
    assert_eq!((unknown.result, unknown.margin_percent), (Inconclusive, None));
    assert!(unknown.message.contains("give the histogram a bucket bound at 20s"), "{}", unknown.message);
    assert_eq!(judged(&last(), above("web.latency.p95", "10s")).result, Met);
}

#[test]
fn an_interval_is_met_or_missed_only_as_a_whole() {
    use QueryTimeMethod::{Histogram, StatementBounds};
    for (low, high, method, comparison, verdict) in [
        (5.0, Some(80.0), StatementBounds, Bound::LessThan, Met),
        (50.0, Some(100.0), Histogram, Bound::LessThan, Met),
        (100.0, Some(250.0), Histogram, Bound::LessThan, Missed),
        (150.0, Some(240.0), StatementBounds, Bound::LessThan, Missed),
        (60.0, Some(240.0), StatementBounds, Bound::LessThan, Inconclusive),
        (50.0, None, Histogram, Bound::LessThan, Inconclusive),
        (250.0, None, Histogram, Bound::LessThan, Missed),
        (100.0, Some(250.0), Histogram, Bound::GreaterThan, Met),
        (50.0, Some(100.0), Histogram, Bound::GreaterThan, Missed),
        (60.0, Some(240.0), StatementBounds, Bound::GreaterThan, Inconclusive),
    ] {
        let asked = objective("database.queryTime.p95", comparison, "100ms", None);
        let result = judged(&query_time(low, high, method), asked);
        assert_eq!(result.result, verdict, "{low} {high:?} {comparison:?}: {}", result.message);
        assert_eq!((result.value, result.low), (None, Some(low / 1_000.0)));
    }
    let message = |low, high, method| {
        judged(&query_time(low, high, method), below("database.queryTime.p95", "100ms")).message
    };
    assert_eq!(
        message(60.0, Some(240.0), StatementBounds),
        "Database query (p95): 60-240ms, but the target of 100ms lies within; measure it with a histogram that spec.database.latencyHistogram names"
    );
    assert_eq!(
        message(50.0, Some(100.0), Histogram),
        "Database query (p95): 50-100ms, at most the target of 100ms"
    );
    assert_eq!(
        message(2.0, Some(80.0), StatementBounds),
        "Database query (p95): 2-80ms, below the target of 100ms by at least 20%"
    );
}

#[test]
fn an_interval_that_may_have_passed_the_warning_is_a_warning() {
    for (high, verdict) in [(50.0, Met), (50.1, Warning), (100.0, Warning), (100.1, Inconclusive)] {
        let warned = objective("database.queryTime.p95", Bound::LessThan, "100ms", Some("50ms"));
        let record = query_time(20.0, Some(high), QueryTimeMethod::StatementBounds);
        assert_eq!(judged(&record, warned).result, verdict, "{high}");
    }
}

#[test]
fn little_coverage_a_lifetime_and_an_unknown_basis_are_never_a_pass() {
    let mut thin = page_load(1.0, None);
    thin.basis.get_mut(P95).unwrap().coverage_percent = Some(79.9);
    let result = judged(&thin, below("web.latency.p95", "3s"));
    assert_eq!((result.result, result.value, result.margin_percent), (Inconclusive, Some(0.001), None));
    assert!(result.message.starts_with("Page load (p95): 1ms, but it covers 79.9% of the window"));
    let lifetime = judged(&hit_rate(99.0, BasisKind::Lifetime, 10_000), above("cache.hitRatio", "90%"));
    assert_eq!(lifetime.result, Inconclusive);
    assert!(lifetime.message.contains("sampleDuration"), "{}", lifetime.message);
    let mut unknown = page_load(1.0, None);
    unknown.basis.clear();
    assert_eq!(judged(&unknown, below("web.latency.p95", "3s")).result, Inconclusive);
}

#[test]
fn a_percentile_of_few_observations_is_inconclusive_on_either_side() {
    for (quantile, indicator, path, least) in
        [(0.95, "web.latency.p95", P95, 59), (0.99, "web.latency.p99", "web_metrics.page_load_p99_ms", 299)]
    {
        for (samples, p, verdict) in [
            (least - 1, 1.0, Inconclusive),
            (least, 1.0, Met),
            (least - 1, 9_000.0, Inconclusive),
            (least, 9_000.0, Missed),
        ] {
            let mut record = page_load(p, None);
            record.web_metrics.as_mut().unwrap().page_load_p99_ms = Some(p);
            record
                .basis
                .insert(path.to_owned(), Basis { samples: Some(samples), ..basis(BasisKind::Window) });
            let result = judged(&record, below(indicator, "3s"));
            assert_eq!(result.result, verdict, "{quantile} of {samples}: {}", result.message);
            if verdict == Inconclusive {
                let words = format!("{samples} observations, and this target is judged from {least} on");
                assert!(result.message.contains(&words), "{}", result.message);
            }
        }
    }
}

#[test]
fn a_ratio_of_few_requests_is_missed_where_chance_does_not_explain_it() {
    for (per_second, percent, verdict) in [
        (0.01, 0.0, Inconclusive),  // none of 36 requests failed: up to 8 % could
        (0.01, 50.0, Missed),       // 18 of 36 failed: not by chance
        (0.003, 9.0, Inconclusive), // 1 of 11 failed
        (0.09, 0.0, Met),           // none of 324 failed
        (10.0, 2.0, Missed),
    ] {
        let mut record = page_load(1.0, None);
        let web = record.web_metrics.as_mut().unwrap();
        (web.requests_per_second, web.error_rate_percent) = (Some(per_second), Some(percent));
        let result = judged(&record, below("web.errorRatio", "1%"));
        assert_eq!(result.result, verdict, "{per_second}/s, {percent}%: {}", result.message);
    }
    let few = judged(&hit_rate(100.0, BasisKind::Sampled, 12), above("cache.hitRatio", "90%"));
    assert_eq!(few.result, Inconclusive);
    assert!(few.message.contains("12 lookups"), "{}", few.message);
    assert!(few.message.contains("spec.sampleDuration"), "{}", few.message);
    for (blocks, verdict) in [(298, Inconclusive), (299, Met)] {
        let mut record = empty();
        record.database_analysis =
            Some(DatabaseAnalysis { cache_hit_ratio: Some(1.0), ..DatabaseAnalysis::default() });
        let known = Basis { samples: Some(blocks), ..basis(BasisKind::SincePreviousRun) };
        record.basis.insert("database_analysis.cache_hit_ratio".to_owned(), known);
        assert_eq!(judged(&record, above("database.cacheHitRatio", "99%")).result, verdict, "{blocks}");
    }
}

#[test]
fn what_was_not_measured_is_inconclusive_with_the_reason_and_what_to_do() {
    let message = |record: &BaselineRecord, asked: Objective| {
        let result = judged(record, asked);
        assert_eq!((result.result, result.value, result.margin_percent), (Inconclusive, None, None));
        result.message
    };
    let mut noted = empty();
    let note =
        Some("no series of http_request_duration_seconds_bucket{job=\"odoo\"} in the window".to_owned());
    noted.basis.insert(P95.to_owned(), Basis { note, ..basis(BasisKind::Window) });
    let text = message(&noted, below("web.latency.p95", "3s"));
    assert!(text.starts_with("Page load (p95): there is no figure: no series of http_request"), "{text}");
    assert!(message(&empty(), below("web.latency.p95", "3s")).contains("set spec.web"));
    let mut failed = empty();
    failed.sources[2] = Source {
        reason: Some(SourceReason::AuthenticationFailed),
        message: Some("WRONGPASS: check the Secret redis".to_owned()),
        ..source("redis", SourceState::Failed)
    };
    assert_eq!(
        message(&failed, above("cache.hitRatio", "90%")),
        "Cache hits: redis could not be read (AuthenticationFailed): WRONGPASS: check the Secret redis"
    );
    let mut none = empty();
    none.sources.clear();
    assert!(message(&none, above("cache.hitRatio", "90%")).contains("spec.sources.redis and spec.cache"));
    let mut idle = hit_rate(1.0, BasisKind::Sampled, 0);
    idle.cache_metrics.as_mut().unwrap().hit_rate_window = None;
    idle.basis.clear();
    let text = message(&idle, above("cache.hitRatio", "90%"));
    assert!(text.contains("94.2% since the server started is not judged"), "{text}");
    assert!(message(&empty(), below("metrics.backlog", "100")).contains("query of backlog"));
    assert!(message(&empty(), below("web.latency.p96", "100")).contains("no indicator"));
}

#[test]
fn a_metric_of_another_unit_than_the_target_is_no_value_of_it() {
    let mut record = empty();
    let metric = CustomMetric { value: 7.0, unit: Unit::Bytes };
    record.custom_metrics = Some(IndexMap::from([("backlog".to_owned(), metric)]));
    record.basis.insert("custom_metrics.backlog".to_owned(), basis(BasisKind::Instant));
    let result = judged(&record, below("metrics.backlog", "100"));
    assert_eq!((result.result, result.value), (Inconclusive, None));
    assert!(result.message.contains("measured as Bytes"), "{}", result.message);
    let metric = CustomMetric { value: 7.0, unit: Unit::Count };
    record.custom_metrics = Some(IndexMap::from([("backlog".to_owned(), metric)]));
    let result = judged(&record, below("metrics.backlog", "100"));
    assert_eq!((result.result, result.margin_percent), (Met, Some(93.0)));
    assert_eq!(result.path.as_deref(), Some("custom_metrics.backlog"));
}

#[test]
fn a_missed_objective_names_the_first_finding_that_explains_it_and_no_other_does() {
    let finding = |id: &str, subject: &str, explains: &str| Finding {
        id: id.to_owned(),
        subject: subject.to_owned(),
        impact: Impact::High,
        effect_percent: None,
        evidence: String::new(),
        action: String::new(),
        paths: Vec::new(),
        explains: vec![explains.to_owned()],
    };
    let findings = [
        finding("cache-misses", "all keys", "cache.hitRatio"),
        finding("statement-time", "Daily summary", "web.latency.p95"),
        finding("cpu-throttling", "Deployment odoo", "web.latency.p95"),
    ];
    let results = judge(
        &page_load(4_200.0, None),
        &[below("web.latency.p95", "3s"), below("web.latency.p95", "5s")],
        &findings,
    );
    assert_eq!(results[0].finding.as_deref(), Some("statement-time: Daily summary"));
    assert!(results[0].message.ends_with("; see the finding statement-time: Daily summary"));
    assert_eq!((results[1].result, results[1].finding.as_deref()), (Met, None));
}

#[test]
fn messages_are_bounded_whatever_a_source_says() {
    let mut noted = empty();
    let note = Some("\u{202e}ß".repeat(10_000));
    noted.basis.insert(P95.to_owned(), Basis { note, ..basis(BasisKind::Window) });
    let text = judged(&noted, below("web.latency.p95", "3s")).message;
    assert!(text.chars().count() <= message::MAX_MESSAGE, "{}", text.len());
}

proptest! {
    #[test]
    fn no_figure_that_may_be_judged_and_lies_on_the_bad_side_is_met(
        value in 0.0f64..10_000.0,
        target in 1u64..10_000,
        coverage in 0.0f64..100.0,
        samples in 0u64..200,
    ) {
        let mut record = page_load(value, None);
        let known = record.basis.get_mut(P95).unwrap();
        (known.coverage_percent, known.samples) = (Some(coverage), Some(samples));
        let result = judged(&record, below("web.latency.p95", &format!("{target}ms")));
        let expected = if coverage < 80.0 || samples < 59 {
            Inconclusive
        } else if result.value.unwrap() < threshold::parse(&format!("{target}ms"), Unit::Seconds).unwrap() {
            Met
        } else {
            Missed
        };
        prop_assert_eq!(result.result, expected, "{}", result.message);
    }

    #[test]
    fn an_interval_agrees_with_every_value_inside_it(
        low in 0.0f64..200.0,
        width in 0.0f64..200.0,
        part in 0.0f64..1.0,
        is_less in any::<bool>(),
    ) {
        let comparison = if is_less { Bound::LessThan } else { Bound::GreaterThan };
        let asked = objective("database.queryTime.p95", comparison, "100ms", None);
        let record = query_time(low, Some(low + width), QueryTimeMethod::StatementBounds);
        let verdict = judged(&record, asked.clone()).result;
        let inside = by_value(&asked, (low + width * part) / 1_000.0, None).verdict;
        // Equal to the target is the one value on which an interval and a figure differ.
        let is_on_the_target = (low + width * part - 100.0).abs() < 1e-9;
        prop_assert!(verdict == Inconclusive || verdict == inside || is_on_the_target);
    }

    #[test]
    fn no_number_of_a_record_makes_it_panic(value in any::<f64>(), low in any::<f64>(), target in any::<f64>()) {
        let mut record = page_load(value, Some(vec![low, value]));
        record.database_metrics = Some(DatabaseMetrics {
            query_time_p95_ms: Some(QueryTime { low, high: Some(value), method: QueryTimeMethod::Histogram }),
            ..DatabaseMetrics::default()
        });
        record.basis.insert(QUERY_TIME.to_owned(), basis(BasisKind::Window));
        for indicator in ["web.latency.p95", "web.errorRatio", "database.queryTime.p95", "cache.hitRatio"] {
            let asked = Objective { target, ..below(indicator, if indicator.ends_with("Ratio") { "1%" } else { "1s" }) };
            for result in judge(&record, &[asked], &[]) {
                prop_assert!(result.message.chars().count() <= message::MAX_MESSAGE);
                prop_assert!(result.margin_percent.is_none_or(f64::is_finite));
            }
        }
    }
}
