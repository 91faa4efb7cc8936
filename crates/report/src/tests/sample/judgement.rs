//! A record of a system that was made faster, with its series, and what was judged of it.

use indexmap::IndexMap;
use plimsoll_analysis::judgement::{
    Against, Alignment, Better, Change, ChangeVerdict, Comparison, Finding, Impact, Judgement,
    ObjectiveResult, ObjectiveVerdict, SCHEMA, Trend, TrendPoint,
};
use plimsoll_analysis::record::{
    BaselineRecord, HistogramSeries, NumberSeries, QueryTime, QueryTimeMethod, RatioSeries, Series, Window,
};
use plimsoll_analysis::request::Unit;

/// Half hours of a week.
const SLOTS: u32 = 336;

/// A record in which figures and series fit together.
pub(crate) fn record() -> BaselineRecord {
    let mut record = super::full();
    let web = record.web_metrics.as_mut().unwrap();
    web.page_load_p50_ms = Some(704.0);
    web.page_load_p90_ms = Some(1_590.0);
    web.page_load_p95_ms = Some(2_104.0);
    web.page_load_p99_ms = Some(3_890.0);
    let api = record.api_metrics.as_mut().unwrap();
    api.response_time_p50_ms = Some(90.4);
    api.response_time_p90_ms = Some(249.0);
    api.response_time_p95_ms = Some(351.0);
    api.response_time_p99_ms = Some(755.0);
    let time = QueryTime { low: 50.0, high: Some(100.0), method: QueryTimeMethod::Histogram };
    record.database_metrics.as_mut().unwrap().query_time_p95_ms = Some(time);
    for (path, bounds) in [
        ("web_metrics.page_load_p50_ms", [500.0, 1_000.0]),
        ("web_metrics.page_load_p90_ms", [1_500.0, 2_000.0]),
        ("web_metrics.page_load_p95_ms", [2_000.0, 2_500.0]),
        ("web_metrics.page_load_p99_ms", [2_500.0, 5_000.0]),
        ("api_metrics.response_time_p50_ms", [50.0, 100.0]),
        ("api_metrics.response_time_p90_ms", [100.0, 250.0]),
        ("api_metrics.response_time_p95_ms", [250.0, 400.0]),
        ("api_metrics.response_time_p99_ms", [500.0, 1_000.0]),
    ] {
        record.basis.get_mut(path).unwrap().resolution_ms = Some(bounds.to_vec());
    }
    record.cache_metrics.as_mut().unwrap().hit_rate_window = Some(94.0);
    record.series = Some(series());
    record
}

/// How busy a slot is, 0 to 1: mornings and evenings of every day.
fn load(slot: u32) -> f64 {
    let hour = f64::from((slot + 4) % 48) / 2.0;
    let peak = |at: f64| (-(hour - at).powi(2) / 6.0).exp();
    // Steps that repeat after a prime number of slots stand for chance.
    0.12 + peak(6.5) + 0.8 * peak(17.5) + f64::from(slot * 7 % 11) * 0.012
}

/// Slots of the week without those in which nothing was scraped.
fn slots() -> impl Iterator<Item = u32> {
    (0..SLOTS).filter(|slot| !(200..206).contains(slot))
}

/// A log-logistic distribution, slower where it is busy.
fn histogram(bounds: &[f64], median: f64, shape: f64, each: f64) -> HistogramSeries {
    let mut series =
        HistogramSeries { bounds_ms: bounds.to_vec(), slots: slots().collect(), counts: Vec::new() };
    for slot in slots() {
        let median = median * (0.85 + 0.3 * load(slot));
        let below = |bound: f64| 1.0 / (1.0 + (median / bound).powf(shape));
        let mut before = 0.0;
        let shares = bounds.iter().map(|bound| below(*bound)).chain([1.0]);
        let counts = shares.map(|share| {
            let inside = share - before;
            before = share;
            inside * each * load(slot)
        });
        series.counts.push(counts.collect());
    }
    series
}

fn series() -> Series {
    let web = [50.0, 100.0, 250.0, 500.0, 1_000.0, 1_500.0, 2_000.0, 2_500.0, 5_000.0, 10_000.0];
    let api = [5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 400.0, 500.0, 1_000.0, 2_500.0];
    let database = [1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0];
    let ratio = |each: f64, failed: f64| RatioSeries {
        slots: slots().collect(),
        part: slots().map(|slot| each * load(slot) * failed * f64::from(slot * 5 % 13) / 8.0).collect(),
        whole: slots().map(|slot| each * load(slot)).collect(),
    };
    let number = |value: fn(u32) -> f64| NumberSeries {
        slots: slots().collect(),
        values: slots().map(value).collect(),
    };
    Series {
        step_seconds: 1_800,
        slots: SLOTS,
        histograms: IndexMap::from([
            ("web.latency".to_owned(), histogram(&web, 690.0, 2.68, 90_000.0)),
            ("api.latency".to_owned(), histogram(&api, 86.0, 2.16, 88_000.0)),
            ("database.queryTime".to_owned(), histogram(&database, 8.0, 1.31, 400_000.0)),
        ]),
        ratios: IndexMap::from([
            ("web.errorRatio".to_owned(), ratio(90_000.0, 0.0017)),
            ("api.errorRatio".to_owned(), ratio(88_000.0, 0.0)),
        ]),
        numbers: IndexMap::from([
            ("infrastructure.cpu".to_owned(), number(|slot| 0.4 + 1.6 * load(slot))),
            ("infrastructure.memory".to_owned(), number(|slot| (1.8 + 0.3 * load(slot)) * 1_073_741_824.0)),
        ]),
    }
}

/// Four of six objectives met, a change for the better, findings of every impact.
pub(crate) fn judgement() -> Judgement {
    Judgement {
        schema: SCHEMA.to_owned(),
        run: "smart-dairy-3f9c2a71b0".to_owned(),
        record_sha256: None,
        generation: Some(4),
        complete: true,
        objectives: objectives(),
        findings: findings(),
        comparison: Some(comparison()),
        not_compared: None,
        trend: trend(),
    }
}

fn objectives() -> Vec<ObjectiveResult> {
    let result = |name: &str, indicator: &str, target: &str, unit: Unit| ObjectiveResult {
        name: name.to_owned(),
        indicator: indicator.to_owned(),
        target: target.to_owned(),
        value: None,
        low: None,
        high: None,
        unit,
        result: ObjectiveVerdict::Met,
        margin_percent: None,
        path: plimsoll_analysis::indicator::known(indicator).map(|indicator| indicator.path.to_owned()),
        finding: None,
        message: "Page load (p95): 2.1s, below the target of 3s by 29.9%".to_owned(),
    };
    vec![
        ObjectiveResult {
            value: Some(2.104),
            low: Some(2.0),
            high: Some(2.5),
            margin_percent: Some(29.87),
            ..result("page-load", "web.latency.p95", "lessThan 3s", Unit::Seconds)
        },
        ObjectiveResult {
            value: Some(0.351),
            margin_percent: Some(29.8),
            result: ObjectiveVerdict::Warning,
            message: "API response (p95): 351ms, below the target of 500ms by 29.8%, and past the warning at 350ms".to_owned(),
            ..result("api", "api.latency.p95", "lessThan 500ms", Unit::Seconds)
        },
        ObjectiveResult {
            low: Some(0.05),
            high: Some(0.1),
            result: ObjectiveVerdict::Met,
            ..result("database", "database.queryTime.p95", "lessThan 100ms", Unit::Seconds)
        },
        ObjectiveResult {
            value: Some(0.94),
            margin_percent: Some(4.44),
            ..result("cache", "cache.hitRatio", "greaterThan 90%", Unit::Ratio)
        },
        ObjectiveResult {
            value: Some(0.001_234),
            margin_percent: Some(-23.4),
            result: ObjectiveVerdict::Missed,
            finding: Some("restarts: Deployment odoo".to_owned()),
            message: "Page errors: 0.123%, above the target of 0.1% by 23.4%; see the finding restarts: Deployment odoo".to_owned(),
            ..result("page-errors", "web.errorRatio", "lessThan 0.1%", Unit::Ratio)
        },
        ObjectiveResult {
            value: None,
            result: ObjectiveVerdict::Inconclusive,
            message: "the query gave no series within the window; check the metric's name, or leave the objective out"
                .to_owned(),
            ..result("queue", "metrics.queue-length", "lessThan 100", Unit::Count)
        },
    ]
}

fn findings() -> Vec<Finding> {
    let finding = |id: &str, subject: &str, impact: Impact, effect: Option<f64>, said: [&str; 2]| Finding {
        id: id.to_owned(),
        subject: subject.to_owned(),
        impact,
        effect_percent: effect,
        evidence: said[0].to_owned(),
        action: said[1].to_owned(),
        paths: Vec::new(),
        explains: Vec::new(),
    };
    vec![
        Finding {
            paths: vec!["database_analysis.slow_queries".to_owned()],
            explains: vec!["database.queryTime.p95".to_owned(), "api.latency.p95".to_owned()],
            ..finding(
                "slow-statement",
                "Daily summary",
                Impact::High,
                Some(28.4),
                [
                    "it takes 17m3s of 1h of execution time: 1,204 calls of 850ms",
                    "Look at EXPLAIN (ANALYZE, BUFFERS) of it; an index on dairy_collection(date, collection_center_id) or a materialised view spares the scan.",
                ],
            )
        },
        Finding {
            paths: vec!["kubernetes.workloads".to_owned()],
            explains: vec!["web.errorRatio".to_owned()],
            ..finding(
                "restarts",
                "Deployment odoo",
                Impact::High,
                None,
                [
                    "3 restarts of its containers",
                    "Look at kubectl describe pod and at the log of the container before the restart.",
                ],
            )
        },
        Finding {
            paths: vec!["database_analysis.missing_indexes".to_owned()],
            ..finding(
                "sequential-scans",
                "dairy_payment",
                Impact::Medium,
                None,
                [
                    "18,412 whole reads of 104,519 rows each, 12 by an index",
                    "Create an index CONCURRENTLY on the columns that its slow statements filter by.",
                ],
            )
        },
        Finding {
            paths: vec!["database_analysis.unused_indexes".to_owned()],
            ..finding(
                "unused-index",
                "idx_collection_note",
                Impact::Low,
                None,
                [
                    "42MiB, 3 scans since 2026-11-01 00:00:00 UTC",
                    "Drop it CONCURRENTLY if no replica and no yearly report reads by it.",
                ],
            )
        },
    ]
}

fn change(indicator: &str, unit: Unit, better: Option<Better>, values: [f64; 2]) -> Change {
    let [before, after] = values;
    let percent = (after - before) / before * 100.0;
    let is_better = match better {
        Some(Better::Lower) => percent < 0.0,
        _ => percent > 0.0,
    };
    Change {
        indicator: indicator.to_owned(),
        unit,
        better,
        before: Some(before),
        after: Some(after),
        change_percent: Some(percent),
        low_percent: Some(percent - 3.1),
        high_percent: Some(percent + 3.4),
        samples: Some([336, 330]),
        effective_samples: Some([61.3, 58.0]),
        verdict: if is_better { ChangeVerdict::Improved } else { ChangeVerdict::Unchanged },
        rule:
            "the whole interval is on the good side of 0, and the change is at least the 5% that are allowed"
                .to_owned(),
    }
}

fn comparison() -> Comparison {
    let lower = Some(Better::Lower);
    let window =
        Window { from: "2026-11-02T02:00:00Z".parse().unwrap(), to: "2026-11-09T02:00:00Z".parse().unwrap() };
    let errors = change("web.errorRatio", Unit::Ratio, lower, [0.0013, 0.001_234]);
    let memory = change("database.connectionUse", Unit::Ratio, lower, [0.61, 0.628_9]);
    Comparison {
        against: Against {
            name: "smart-dairy-before".to_owned(),
            run: "smart-dairy-before-91c2d4e6f8".to_owned(),
            record_sha256: None,
            window,
        },
        alignment: Alignment::HourOfWeek,
        allowed_change_percent: 5.0,
        confidence_percent: 98.0,
        verdict: ChangeVerdict::Improved,
        indicators: vec![
            change("web.latency.p50", Unit::Seconds, lower, [1.31, 0.704]),
            change("web.latency.p95", Unit::Seconds, lower, [4.2, 2.1]),
            Change { unit: Unit::PerSecond, ..change("web.requestRate", Unit::PerSecond, None, [19.7, 20.1]) },
            Change {
                low_percent: Some(-21.0),
                high_percent: Some(13.0),
                effective_samples: Some([17.7, 14.1]),
                verdict: ChangeVerdict::Inconclusive,
                rule: "the interval allows a change for the better and one for the worse; a longer window would narrow it".to_owned(),
                ..errors
            },
            change("api.latency.p95", Unit::Seconds, lower, [0.8, 0.35]),
            change("database.queryTime.p95", Unit::Seconds, lower, [0.25, 0.085]),
            Change {
                low_percent: Some(1.0),
                high_percent: Some(4.9),
                rule: "the interval's worst end is within the 5% that are allowed".to_owned(),
                ..memory
            },
            change("cache.hitRatio", Unit::Ratio, Some(Better::Higher), [0.72, 0.94]),
        ],
        notes: vec!["6 slots without data were left out on both sides.".to_owned()],
    }
}

fn trend() -> Vec<Trend> {
    let trend = |indicator: &str, unit: Unit, values: &[f64]| Trend {
        indicator: indicator.to_owned(),
        unit,
        points: values
            .iter()
            .zip(["2026-11-02", "2026-11-09", "2026-11-16", "2026-11-23"])
            .map(|(value, day)| TrendPoint {
                run: format!("smart-dairy-{day}"),
                at: format!("{day}T02:00:00Z").parse().unwrap(),
                value: *value,
            })
            .collect(),
    };
    vec![
        trend("web.latency.p95", Unit::Seconds, &[4.2, 4.31, 2.3, 2.104]),
        trend("api.latency.p95", Unit::Seconds, &[0.8, 0.79, 0.36, 0.351]),
        trend("web.errorRatio", Unit::Ratio, &[0.0013, 0.0011, 0.0014, 0.001_234]),
        trend("cache.hitRatio", Unit::Ratio, &[0.72, 0.71, 0.93, 0.94]),
    ]
}

/// A record and a judgement whose every text of the measured world is `text`.
pub(crate) fn saying(text: &str) -> (BaselineRecord, Judgement) {
    let mut record = super::saying(text);
    record.series = Some(series());
    let mut judgement = judgement();
    let own = || text.to_owned();
    judgement.run = own();
    for objective in &mut judgement.objectives {
        (objective.name, objective.message, objective.target) = (own(), own(), own());
        objective.finding = objective.finding.as_ref().map(|_| own());
        objective.indicator = format!("metrics.{text}");
    }
    for finding in &mut judgement.findings {
        (finding.id, finding.subject, finding.evidence, finding.action) = (own(), own(), own(), own());
        finding.paths = vec![own()];
        finding.explains = vec![own()];
    }
    if let Some(comparison) = &mut judgement.comparison {
        (comparison.against.name, comparison.against.run) = (own(), own());
        comparison.notes = vec![own()];
        for change in &mut comparison.indicators {
            change.rule = own();
        }
        comparison.indicators[0].indicator = format!("metrics.{text}");
    }
    for trend in &mut judgement.trend {
        trend.indicator = format!("metrics.{text}");
        for point in &mut trend.points {
            point.run = format!("{text}{}", point.at);
        }
    }
    (record, judgement)
}
