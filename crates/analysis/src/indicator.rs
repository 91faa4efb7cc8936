//! Indicators: the figures of a record that objectives, comparisons and trends speak of, by one name each.
//!
//! Their unit is always a base unit (seconds, a part of one, bytes), whatever the record's key is in.

use crate::judgement::Better;
use crate::record::{BaselineRecord, Basis, BasisKind, JUDGED_COVERAGE_PERCENT, WebMetrics};
use crate::request::Unit;

/// Prefix of the indicators that are the user's own metrics.
pub const METRICS: &str = "metrics.";

/// One indicator that every record may have.
#[derive(Debug, Clone, Copy)]
pub struct Indicator {
    /// Its name, for example `web.latency.p95`.
    pub name: &'static str,
    /// What it is called in reports, for example `Page load (p95)`.
    pub title: &'static str,
    /// What its values are measured in.
    pub unit: Unit,
    /// Which direction is better; absent where neither is: a load, a use.
    pub better: Option<Better>,
    /// Path of its figure in the record.
    pub path: &'static str,
    /// Key of its slots in [`crate::record::Series`], where it has any, with its quantile where it is one.
    pub series: Option<(&'static str, Option<f64>)>,
    read: fn(&BaselineRecord) -> Option<Value>,
}

/// A value, exact or as an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Value {
    value: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
}

/// What a record says of an indicator.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading<'a> {
    /// Name of the indicator.
    pub name: String,
    /// What it is called in reports.
    pub title: String,
    /// What the values are measured in.
    pub unit: Unit,
    /// Path of the figure in the record.
    pub path: String,
    /// The value; absent where only bounds are known or where the record has none.
    pub value: Option<f64>,
    /// Lower bound, where an interval is known: of the bucket that holds a percentile, or of a query time.
    pub low: Option<f64>,
    /// Upper bound; absent beside a lower one where it is unbounded.
    pub high: Option<f64>,
    /// Where the figure comes from.
    pub basis: Option<&'a Basis>,
}

impl Reading<'_> {
    /// Whether there is a value or a bound.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.value.is_some() || self.low.is_some()
    }

    /// Why the figure may not be judged although it is there: it covers too little of its window, or the whole life of a
    /// server. `None` where it may.
    #[must_use]
    pub fn why_unjudged(&self) -> Option<String> {
        let basis = self.basis?;
        if basis.kind == BasisKind::Lifetime {
            return Some(
                "it counts since the server started or was reset; give sampleDuration more than 0s, or let a second run follow"
                    .to_owned(),
            );
        }
        let percent = basis.coverage_percent.filter(|percent| *percent < JUDGED_COVERAGE_PERCENT)?;
        Some(format!(
            "it covers {} of the window, and less than {JUDGED_COVERAGE_PERCENT:.0}% is not judged; shorten spec.window or wait for more data",
            crate::format::coverage(percent)
        ))
    }
}

/// An indicator in seconds, less being better, from a figure in milliseconds.
const fn latency(
    name: &'static str,
    title: &'static str,
    path: &'static str,
    series: (&'static str, Option<f64>),
    read: fn(&BaselineRecord) -> Option<Value>,
) -> Indicator {
    let better = Some(Better::Lower);
    Indicator { name, title, unit: Unit::Seconds, better, path, series: Some(series), read }
}

/// Every indicator but the user's own metrics, in the order of reports.
pub const INDICATORS: [Indicator; 19] = [
    latency(
        "web.latency.p50",
        "Page load (p50)",
        "web_metrics.page_load_p50_ms",
        ("web.latency", Some(0.5)),
        |record| seconds(web(record)?.page_load_p50_ms),
    ),
    latency(
        "web.latency.p90",
        "Page load (p90)",
        "web_metrics.page_load_p90_ms",
        ("web.latency", Some(0.9)),
        |record| seconds(web(record)?.page_load_p90_ms),
    ),
    latency(
        "web.latency.p95",
        "Page load (p95)",
        "web_metrics.page_load_p95_ms",
        ("web.latency", Some(0.95)),
        |record| seconds(web(record)?.page_load_p95_ms),
    ),
    latency(
        "web.latency.p99",
        "Page load (p99)",
        "web_metrics.page_load_p99_ms",
        ("web.latency", Some(0.99)),
        |record| seconds(web(record)?.page_load_p99_ms),
    ),
    Indicator {
        name: "web.requestRate",
        title: "Page requests",
        unit: Unit::PerSecond,
        better: None,
        path: "web_metrics.requests_per_second",
        series: Some(("web.errorRatio", None)),
        read: |record| exact(web(record)?.requests_per_second),
    },
    Indicator {
        name: "web.errorRatio",
        title: "Page errors",
        unit: Unit::Ratio,
        better: Some(Better::Lower),
        path: "web_metrics.error_rate_percent",
        series: Some(("web.errorRatio", None)),
        read: |record| part(web(record)?.error_rate_percent),
    },
    latency(
        "api.latency.p50",
        "API response (p50)",
        "api_metrics.response_time_p50_ms",
        ("api.latency", Some(0.5)),
        |record| seconds(record.api_metrics.as_ref()?.response_time_p50_ms),
    ),
    latency(
        "api.latency.p90",
        "API response (p90)",
        "api_metrics.response_time_p90_ms",
        ("api.latency", Some(0.9)),
        |record| seconds(record.api_metrics.as_ref()?.response_time_p90_ms),
    ),
    latency(
        "api.latency.p95",
        "API response (p95)",
        "api_metrics.response_time_p95_ms",
        ("api.latency", Some(0.95)),
        |record| seconds(record.api_metrics.as_ref()?.response_time_p95_ms),
    ),
    latency(
        "api.latency.p99",
        "API response (p99)",
        "api_metrics.response_time_p99_ms",
        ("api.latency", Some(0.99)),
        |record| seconds(record.api_metrics.as_ref()?.response_time_p99_ms),
    ),
    Indicator {
        name: "api.requestRate",
        title: "API requests",
        unit: Unit::PerSecond,
        better: None,
        path: "api_metrics.requests_per_second",
        series: Some(("api.errorRatio", None)),
        read: |record| exact(record.api_metrics.as_ref()?.requests_per_second),
    },
    Indicator {
        name: "api.errorRatio",
        title: "API errors",
        unit: Unit::Ratio,
        better: Some(Better::Lower),
        path: "api_metrics.error_rate_percent",
        series: Some(("api.errorRatio", None)),
        read: |record| part(record.api_metrics.as_ref()?.error_rate_percent),
    },
    latency(
        "database.queryTime.p95",
        "Database query (p95)",
        "database_metrics.query_time_p95_ms",
        ("database.queryTime", Some(0.95)),
        |record| {
            let time = record.database_metrics.as_ref()?.query_time_p95_ms?;
            let high = time.high.map(|high| high / 1000.0);
            Some(Value { value: None, low: Some(time.low / 1000.0), high })
        },
    ),
    Indicator {
        name: "database.cacheHitRatio",
        title: "Database buffer hits",
        unit: Unit::Ratio,
        better: Some(Better::Higher),
        path: "database_analysis.cache_hit_ratio",
        series: None,
        read: |record| exact(record.database_analysis.as_ref()?.cache_hit_ratio),
    },
    Indicator {
        name: "database.connectionUse",
        title: "Database connections in use",
        unit: Unit::Ratio,
        better: Some(Better::Lower),
        path: "database_analysis.connection_headroom",
        series: None,
        read: |record| {
            let headroom = record.database_analysis.as_ref()?.connection_headroom?;
            exact((headroom.max > 0).then(|| headroom.used as f64 / headroom.max as f64))
        },
    },
    Indicator {
        name: "cache.hitRatio",
        title: "Cache hits",
        unit: Unit::Ratio,
        better: Some(Better::Higher),
        path: "cache_metrics.hit_rate_window",
        series: None,
        read: |record| part(record.cache_metrics.as_ref()?.hit_rate_window),
    },
    Indicator {
        name: "cache.memory",
        title: "Cache memory",
        unit: Unit::Bytes,
        better: None,
        path: "cache_metrics.used_memory_mb",
        series: None,
        read: |record| exact(record.cache_metrics.as_ref()?.used_memory_mb.map(|mib| mib * MIB)),
    },
    Indicator {
        name: "infrastructure.cpu",
        title: "CPU of all pods (cores)",
        unit: Unit::Count,
        better: None,
        path: "infrastructure_metrics.cpu_usage_by_pod",
        series: Some(("infrastructure.cpu", None)),
        read: |record| {
            let pods = record.infrastructure_metrics.as_ref()?.cpu_usage_by_pod.as_ref()?;
            exact((!pods.is_empty()).then(|| pods.values().sum::<f64>() / 100.0))
        },
    },
    Indicator {
        name: "infrastructure.memory",
        title: "Memory of all pods",
        unit: Unit::Bytes,
        better: None,
        path: "infrastructure_metrics.memory_mb_by_pod",
        series: Some(("infrastructure.memory", None)),
        read: |record| {
            let pods = record.infrastructure_metrics.as_ref()?.memory_mb_by_pod.as_ref()?;
            exact((!pods.is_empty()).then(|| pods.values().sum::<f64>() * MIB))
        },
    },
];

/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;

fn web(record: &BaselineRecord) -> Option<&WebMetrics> {
    record.web_metrics.as_ref()
}

fn exact(value: Option<f64>) -> Option<Value> {
    value.map(|value| Value { value: Some(value), low: None, high: None })
}

fn seconds(milliseconds: Option<f64>) -> Option<Value> {
    exact(milliseconds.map(|value| value / 1000.0))
}

fn part(percent: Option<f64>) -> Option<Value> {
    exact(percent.map(|value| value / 100.0))
}

/// The indicator of a name, but for the user's own metrics.
#[must_use]
pub fn known(name: &str) -> Option<&'static Indicator> {
    INDICATORS.iter().find(|indicator| indicator.name == name)
}

/// What a record says of an indicator, also of one of the user's own metrics; a reading without values where the record
/// has no such figure. `None` for a name that is no indicator's.
#[must_use]
pub fn read<'a>(record: &'a BaselineRecord, name: &str) -> Option<Reading<'a>> {
    if let Some(metric) = name.strip_prefix(METRICS) {
        return Some(custom(record, metric));
    }
    let indicator = known(name)?;
    let found = (indicator.read)(record);
    let basis = record.basis_of(indicator.path);
    // A percentile's bucket bounds it, in milliseconds; a bound above is missing in the last bucket.
    let bucket = basis.filter(|_| matches!(indicator.series, Some((_, Some(_)))));
    let bucket = bucket.and_then(|basis| basis.resolution_ms.as_deref());
    let bound = |index: usize| bucket.and_then(|bounds| bounds.get(index)).map(|bound| bound / 1000.0);
    Some(Reading {
        name: indicator.name.to_owned(),
        title: indicator.title.to_owned(),
        unit: indicator.unit,
        path: indicator.path.to_owned(),
        value: found.and_then(|found| found.value),
        low: found.and_then(|found| found.low.or_else(|| bound(0))),
        high: found.and_then(|found| if found.low.is_some() { found.high } else { bound(1) }),
        basis,
    })
}

fn custom<'a>(record: &'a BaselineRecord, metric: &str) -> Reading<'a> {
    let path = format!("custom_metrics.{metric}");
    let found = record.custom_metrics.as_ref().and_then(|all| all.get(metric));
    Reading {
        name: format!("{METRICS}{metric}"),
        title: metric.to_owned(),
        unit: found.map_or(Unit::Count, |found| found.unit),
        value: found.map(|found| found.value),
        low: None,
        high: None,
        basis: record.basis_of(&path),
        path,
    }
}

/// Every indicator that a record has a value of, in the order of reports, the user's own metrics last.
#[must_use]
pub fn measured(record: &BaselineRecord) -> Vec<Reading<'_>> {
    let metrics = record.custom_metrics.iter().flatten().map(|(name, _)| custom(record, name));
    INDICATORS
        .iter()
        .filter_map(|indicator| read(record, indicator.name))
        .chain(metrics)
        .filter(Reading::is_measured)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{
        CacheMetrics, CustomMetric, DatabaseMetrics, QueryTime, QueryTimeMethod, RecordNames,
    };
    use indexmap::IndexMap;

    fn record() -> BaselineRecord {
        let names = RecordNames { name: "dairy", namespace: "smart", run: "dairy-1", run_key: "sha256:0" };
        let mut record = BaselineRecord::empty(names, 300, "2026-11-24T10:00:00Z".parse().unwrap());
        record.web_metrics = Some(WebMetrics {
            page_load_p95_ms: Some(412.0),
            error_rate_percent: Some(2.0),
            ..WebMetrics::default()
        });
        let time = QueryTime { low: 60.0, high: None, method: QueryTimeMethod::StatementBounds };
        record.database_metrics =
            Some(DatabaseMetrics { query_time_p95_ms: Some(time), ..DatabaseMetrics::default() });
        record.cache_metrics = Some(CacheMetrics { hit_rate: Some(94.0), ..CacheMetrics::default() });
        let metric = CustomMetric { value: 7.0, unit: Unit::Bytes };
        record.custom_metrics = Some(IndexMap::from([("a.b".to_owned(), metric)]));
        record
    }

    fn basis(kind: BasisKind, coverage: f64, resolution: Option<Vec<f64>>) -> Basis {
        let at = "2026-11-24T10:00:00Z".parse().unwrap();
        Basis {
            kind,
            from: at,
            to: at,
            coverage_percent: Some(coverage),
            samples: None,
            resolution_ms: resolution,
            note: None,
        }
    }

    #[test]
    fn values_are_in_base_units() {
        let record = record();
        assert_eq!(read(&record, "web.latency.p95").unwrap().value, Some(0.412));
        assert_eq!(read(&record, "web.errorRatio").unwrap().value, Some(0.02));
        let time = read(&record, "database.queryTime.p95").unwrap();
        assert_eq!((time.value, time.low, time.high), (None, Some(0.06), None));
        let metric = read(&record, "metrics.a.b").unwrap();
        assert_eq!(
            (metric.value, metric.unit, metric.path.as_str()),
            (Some(7.0), Unit::Bytes, "custom_metrics.a.b")
        );
    }

    #[test]
    fn what_the_record_has_not_is_a_reading_without_a_value_and_an_unknown_name_is_none() {
        let record = record();
        assert!(!read(&record, "api.latency.p95").unwrap().is_measured());
        // The rate over a server's life is shown elsewhere: it is not this indicator.
        assert!(!read(&record, "cache.hitRatio").unwrap().is_measured());
        assert!(!read(&record, "metrics.other").unwrap().is_measured());
        assert_eq!(read(&record, "web.latency.p96"), None);
        let names: Vec<String> = measured(&record).into_iter().map(|reading| reading.name).collect();
        assert_eq!(names, ["web.latency.p95", "web.errorRatio", "database.queryTime.p95", "metrics.a.b"]);
    }

    #[test]
    fn a_percentile_carries_the_bounds_of_its_bucket() {
        let mut record = record();
        let path = "web_metrics.page_load_p95_ms".to_owned();
        record.basis.insert(path, basis(BasisKind::Window, 100.0, Some(vec![250.0, 500.0])));
        let reading = read(&record, "web.latency.p95").unwrap();
        assert_eq!((reading.low, reading.high), (Some(0.25), Some(0.5)));
        assert_eq!(reading.why_unjudged(), None);
    }

    #[test]
    fn little_coverage_and_a_servers_lifetime_are_shown_and_not_judged() {
        let mut record = record();
        let path = "web_metrics.page_load_p95_ms".to_owned();
        record.basis.insert(path.clone(), basis(BasisKind::Window, 79.9, None));
        assert!(read(&record, "web.latency.p95").unwrap().why_unjudged().unwrap().contains("80%"));
        record.basis.insert(path, basis(BasisKind::Lifetime, 100.0, None));
        assert!(read(&record, "web.latency.p95").unwrap().why_unjudged().unwrap().contains("sampleDuration"));
    }

    #[test]
    fn names_are_unique_and_each_is_found_by_its_own() {
        for indicator in &INDICATORS {
            assert_eq!(known(indicator.name).unwrap().name, indicator.name);
            assert_eq!(INDICATORS.iter().filter(|other| other.name == indicator.name).count(), 1);
        }
    }
}
