//! What each section means: which figures are asked for.

use std::time::Duration;

use plimsoll_analysis::promql::{check_matchers, check_query};
use plimsoll_analysis::request::{
    ApiRequest, CacheRequest, DatabaseRequest, MetricRequest, StatementLabel, Unit, WebRequest,
};
use plimsoll_api::baseline::{
    ApiMetricsSpec, CacheSpec, CustomMetricSpec, DatabaseSpec, MetricUnit, WebMetricsSpec,
};

use super::{Errors, within};

/// Lowest and highest threshold of a slow statement.
const SLOW: [Duration; 2] = [Duration::ZERO, Duration::from_secs(3600)];
/// Shortest and longest time for looking at keys.
const LOOKING: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(300)];

pub(super) fn web(spec: &WebMetricsSpec, errors: &mut Errors) -> WebRequest {
    errors.check("spec.web.matchers", check_matchers(&spec.matchers));
    errors.check("spec.web.errorMatchers", check_matchers(&spec.error_matchers));
    WebRequest {
        latency_histogram: spec.latency_histogram.clone(),
        request_counter: spec.request_counter.clone(),
        matchers: spec.matchers.clone(),
        error_matchers: spec.error_matchers.clone(),
    }
}

pub(super) fn api(spec: &ApiMetricsSpec, errors: &mut Errors) -> ApiRequest {
    errors.check("spec.api.matchers", check_matchers(&spec.matchers));
    errors.check("spec.api.errorMatchers", check_matchers(&spec.error_matchers));
    ApiRequest {
        latency_histogram: spec.latency_histogram.clone(),
        request_counter: spec.request_counter.clone(),
        matchers: spec.matchers.clone(),
        error_matchers: spec.error_matchers.clone(),
        endpoint_label: spec.endpoint_label.clone(),
        top: count(spec.top),
    }
}

pub(super) fn database(spec: &DatabaseSpec, errors: &mut Errors) -> DatabaseRequest {
    errors.check("spec.database.matchers", check_matchers(&spec.matchers));
    if spec.latency_histogram.is_none() && !spec.matchers.is_empty() {
        errors.add("spec.database.matchers", "they need latencyHistogram");
    }
    let mut statements: Vec<StatementLabel> = Vec::new();
    for (index, statement) in spec.statements.iter().enumerate() {
        let path = format!("spec.database.statements[{index}].queryId");
        let id = &statement.query_id;
        if id.parse::<i64>().is_ok_and(|number| number.to_string() == *id) {
            if statements.iter().any(|earlier| earlier.query_id == *id) {
                errors.add(path, format!("{id} has a label already"));
            }
        } else {
            errors
                .add(path, format!("{id:?} is no signed 64-bit number as pg_stat_statements shows queryid"));
        }
        statements.push(StatementLabel { query_id: id.clone(), label: statement.label.clone() });
    }
    DatabaseRequest {
        top_tables: count(spec.top_tables),
        top_queries: count(spec.top_queries),
        slow_query_threshold_ms: milliseconds(
            "spec.database.slowQueryThreshold",
            within(&spec.slow_query_threshold, SLOW, "0s and 1h"),
            errors,
        ),
        latency_histogram: spec.latency_histogram.clone(),
        matchers: spec.matchers.clone(),
        statements,
    }
}

pub(super) fn cache(spec: &CacheSpec, errors: &mut Errors) -> CacheRequest {
    let keyspace = spec.keyspace.clone().unwrap_or_default();
    if keyspace.delimiter.is_empty() {
        errors.add("spec.cache.keyspace.delimiter", "it is empty");
    }
    CacheRequest {
        sample_keys: u64::try_from(keyspace.sample_keys).unwrap_or(0),
        max_duration_ms: milliseconds(
            "spec.cache.keyspace.maxDuration",
            within(&keyspace.max_duration, LOOKING, "100ms and 5m"),
            errors,
        ),
        delimiter: keyspace.delimiter,
        session_prefix: spec.session_prefix.clone(),
        duty_percent: CacheRequest::DEFAULT_DUTY_PERCENT,
    }
}

fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(1).max(1)
}

fn milliseconds(path: &str, length: Result<Duration, String>, errors: &mut Errors) -> u64 {
    match length {
        Ok(length) => u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
        Err(message) => {
            errors.add(path, message);
            0
        }
    }
}

pub(super) fn custom(index: usize, spec: &CustomMetricSpec, errors: &mut Errors) -> MetricRequest {
    errors.check(format!("spec.metrics[{index}].query"), check_query(&spec.query));
    MetricRequest { name: spec.name.clone(), query: spec.query.clone(), unit: unit_of(spec.unit) }
}

/// The unit, as requests name it.
pub(crate) fn unit_of(unit: MetricUnit) -> Unit {
    match unit {
        MetricUnit::Seconds => Unit::Seconds,
        MetricUnit::Ratio => Unit::Ratio,
        MetricUnit::Bytes => Unit::Bytes,
        MetricUnit::Count => Unit::Count,
        MetricUnit::PerSecond => Unit::PerSecond,
    }
}
