//! `validate` (pure): the spec with its defaults resolved and its meaning checked, or every field that is wrong.
//!
//! CEL decides what the API server can decide cheaply; the rest is decided here, in `plimsoll validate` and in the
//! operator alike.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use plimsoll_analysis::duration;
use plimsoll_analysis::job::{MAX_REQUEST_BYTES, escape_for_environment};
use plimsoll_analysis::promql::{check_matchers, check_query};
use plimsoll_analysis::request::{
    self, ApiRequest, Auth, BaselineRequest, Header, HeaderValue, KeyKind, KeyRef, MetricRequest,
    PrometheusRequest, Unit, WebRequest,
};
use plimsoll_api::PerformanceBaselineSpec;
use plimsoll_api::baseline::{ApiMetricsSpec, CustomMetricSpec, MetricUnit, WebMetricsSpec};
use plimsoll_api::common::{KeySelector, PrometheusAuth, PrometheusSource, TlsClient};

use super::spec_hash::spec_hash;
use crate::schedule::Schedule;

/// Most bytes of a spec in its Job's environment; names and addresses come besides.
const MAX_SPEC_BYTES: usize = MAX_REQUEST_BYTES - 4 * 1024;
/// Shortest and longest window.
const WINDOW: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(92 * 86_400)];

/// A field whose value means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct FieldError {
    /// Path of the field from the object's root, for example `spec.web.matchers`.
    pub path: String,
    /// What is wrong and what is expected.
    pub message: String,
}

/// A spec that means something.
#[derive(Debug, Clone)]
pub struct ValidBaseline {
    /// Length of the window in seconds.
    pub window_seconds: u64,
    /// When to run again.
    pub schedule: Option<Schedule>,
    /// Starts no new run.
    pub suspend: bool,
    /// Finished runs kept, at least 1.
    pub history_limit: usize,
    /// Deadline of the run's pod, seconds.
    pub active_deadline_seconds: i64,
    /// How long a finished run's Job is kept, seconds.
    pub ttl_seconds_after_finished: i32,
    /// The Prometheus source.
    pub prometheus: Option<PrometheusRequest>,
    /// Web figures.
    pub web: Option<WebRequest>,
    /// API figures.
    pub api: Option<ApiRequest>,
    /// The user's own queries.
    pub metrics: Vec<MetricRequest>,
    /// Workloads whose Kubernetes facts are read.
    pub workloads: Option<LabelSelector>,
    /// `v1:` and 16 hexadecimal digits over what is measured.
    pub spec_hash: String,
}

/// Names of one run, for its request.
#[derive(Debug, Clone, Copy)]
pub struct RunNames<'a> {
    /// Name of the resource.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its UID; empty without a cluster.
    pub uid: &'a str,
    /// Name of the run.
    pub run: &'a str,
    /// Key of the run.
    pub run_key: &'a str,
}

/// For a request of which only the rest matters.
const NO_NAMES: RunNames<'static> = RunNames { name: "", namespace: "", uid: "", run: "", run_key: "" };

impl ValidBaseline {
    /// What a Job of this run is asked to measure. `forbidden_addresses` are the API server's.
    #[must_use]
    pub fn request(&self, names: RunNames<'_>, forbidden_addresses: &[String]) -> BaselineRequest {
        BaselineRequest {
            schema: request::SCHEMA.to_owned(),
            name: names.name.to_owned(),
            namespace: names.namespace.to_owned(),
            uid: names.uid.to_owned(),
            run: names.run.to_owned(),
            run_key: names.run_key.to_owned(),
            window_seconds: self.window_seconds,
            to: None,
            sample_seconds: 0,
            prometheus: self.prometheus.clone(),
            postgres: None,
            redis: None,
            web: self.web.clone(),
            api: self.api.clone(),
            database: None,
            cache: None,
            metrics: self.metrics.clone(),
            forbidden_addresses: forbidden_addresses.to_vec(),
        }
    }

    /// Every key that a run reads, also those that may be absent.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyRef> {
        let request = self.request(NO_NAMES, &[]);
        request.keys().into_iter().chain(request.optional_keys()).cloned().collect()
    }

    /// Bytes that the parts of a spec take in the request of its runs, as a Job's environment holds them.
    fn request_bytes(&self) -> usize {
        let request = serde_json::to_string(&self.request(NO_NAMES, &[])).unwrap_or_default();
        let workloads = serde_json::to_string(&self.workloads).unwrap_or_default();
        escape_for_environment(&request).len() + escape_for_environment(&workloads).len()
    }

    /// Whether a Secret is named anywhere.
    #[must_use]
    pub fn names_a_secret(&self) -> bool {
        self.keys().iter().any(|key| key.kind == KeyKind::Secret)
    }
}

/// Checks a spec. `now` serves only to see whether a schedule has a slot ahead.
///
/// # Errors
/// Every field that is wrong, in the order of the schema.
pub fn validate(spec: &PerformanceBaselineSpec, now: Timestamp) -> Result<ValidBaseline, Vec<FieldError>> {
    let mut errors = Errors::default();
    let window_seconds = window(&spec.window, &mut errors);
    let schedule = schedule(spec, now, &mut errors);
    let prometheus = spec.sources.prometheus.as_ref().map(|source| prometheus(source, &mut errors));
    if let Some(workloads) = &spec.sources.workloads {
        selector(&workloads.selector, &mut errors);
    }
    let web = spec.web.as_ref().map(|web| self::web(web, &mut errors));
    let api = spec.api.as_ref().map(|api| self::api(api, &mut errors));
    let metrics: Vec<MetricRequest> =
        spec.metrics.iter().enumerate().map(|(index, metric)| custom(index, metric, &mut errors)).collect();
    sources(spec, &mut errors);
    if !errors.0.is_empty() {
        return Err(errors.0);
    }
    let valid = ValidBaseline {
        window_seconds,
        schedule,
        suspend: spec.suspend,
        history_limit: usize::try_from(spec.history_limit).unwrap_or(1).max(1),
        active_deadline_seconds: spec.active_deadline_seconds,
        ttl_seconds_after_finished: spec.ttl_seconds_after_finished,
        spec_hash: spec_hash(spec, window_seconds),
        prometheus,
        web,
        api,
        metrics,
        workloads: spec.sources.workloads.as_ref().map(|source| source.selector.clone()),
    };
    let bytes = valid.request_bytes();
    if bytes > MAX_SPEC_BYTES {
        let message = format!(
            "it takes {bytes} bytes in its Job's environment, which holds {MAX_SPEC_BYTES}: shorten queries, matchers, headers or selectors"
        );
        return Err(vec![FieldError { path: "spec".to_owned(), message }]);
    }
    Ok(valid)
}

/// The API server's rules say the same; without them such a spec would start runs without an end.
fn sources(spec: &PerformanceBaselineSpec, errors: &mut Errors) {
    let has_prometheus = spec.sources.prometheus.is_some();
    if !has_prometheus && spec.sources.workloads.is_none() {
        errors.add("spec.sources", "at least one source is needed");
    }
    for (path, is_set) in [
        ("spec.web", spec.web.is_some()),
        ("spec.api", spec.api.is_some()),
        ("spec.metrics", !spec.metrics.is_empty()),
    ] {
        if is_set && !has_prometheus {
            errors.add(path, "this needs spec.sources.prometheus");
        }
    }
}

#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError { path: path.into(), message: message.into() });
    }

    fn check<E: std::fmt::Display>(&mut self, path: impl Into<String>, result: Result<(), E>) {
        if let Err(error) = result {
            self.add(path, error.to_string());
        }
    }
}

fn window(text: &str, errors: &mut Errors) -> u64 {
    match duration::parse(text) {
        Err(error) => errors.add("spec.window", error.to_string()),
        Ok(window) if window < WINDOW[0] || window > WINDOW[1] => {
            errors.add("spec.window", format!("{text:?} is not between 1m and 92d"));
        }
        Ok(window) if window.subsec_millis() != 0 => {
            errors.add("spec.window", format!("{text:?} is not whole seconds"));
        }
        Ok(window) => return window.as_secs(),
    }
    0
}

fn schedule(spec: &PerformanceBaselineSpec, now: Timestamp, errors: &mut Errors) -> Option<Schedule> {
    let text = spec.schedule.as_deref()?;
    match Schedule::parse(text, spec.time_zone.as_deref(), now) {
        Ok(schedule) => Some(schedule),
        Err(error) => {
            let path = match error {
                crate::schedule::ScheduleError::Zone { .. } => "spec.timeZone",
                _ => "spec.schedule",
            };
            errors.add(path, error.to_string());
            None
        }
    }
}

fn prometheus(source: &PrometheusSource, errors: &mut Errors) -> PrometheusRequest {
    if source.url.trim_end_matches('/').ends_with("/api/v1") {
        errors.add("spec.sources.prometheus.url", "leave /api/v1 out: it is appended");
    }
    PrometheusRequest {
        url: source.url.clone(),
        auth: source.auth.as_ref().and_then(auth),
        ca: source.tls.as_ref().and_then(ca),
        server_name: source.tls.as_ref().and_then(|tls| tls.server_name.clone()),
        headers: source
            .headers
            .iter()
            .filter_map(|header| {
                let value = match (&header.value, &header.value_from) {
                    (Some(value), _) => HeaderValue::Literal(value.clone()),
                    (None, Some(from)) => HeaderValue::From(key(KeyKind::Secret, &from.secret_key_ref)),
                    (None, None) => return None,
                };
                Some(Header { name: header.name.clone(), value })
            })
            .collect(),
    }
}

fn key(kind: KeyKind, selector: &KeySelector) -> KeyRef {
    KeyRef { kind, name: selector.name.clone(), key: selector.key.clone() }
}

fn auth(auth: &PrometheusAuth) -> Option<Auth> {
    if let Some(bearer) = &auth.bearer {
        return Some(Auth::Bearer(key(KeyKind::Secret, &bearer.secret_key_ref)));
    }
    let basic = auth.basic.as_ref()?;
    let of = |key: &str| KeyRef {
        kind: KeyKind::Secret,
        name: basic.secret_ref.name.clone(),
        key: key.to_owned(),
    };
    Some(Auth::Basic { username: of("username"), password: of("password") })
}

fn ca(tls: &TlsClient) -> Option<KeyRef> {
    let ca = tls.ca.as_ref()?;
    match (&ca.secret_key_ref, &ca.config_map_key_ref) {
        (Some(secret), _) => Some(key(KeyKind::Secret, secret)),
        (None, Some(config_map)) => Some(key(KeyKind::ConfigMap, config_map)),
        (None, None) => None,
    }
}

fn selector(selector: &LabelSelector, errors: &mut Errors) {
    for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let path = format!("spec.sources.workloads.selector.matchExpressions[{index}]");
        let values = expression.values.as_ref().map_or(0, Vec::len);
        match (expression.operator.as_str(), values) {
            ("In" | "NotIn", 0) => errors.add(path, format!("{} needs values", expression.operator)),
            ("In" | "NotIn", _) | ("Exists" | "DoesNotExist", 0) => {}
            ("Exists" | "DoesNotExist", _) => {
                errors.add(path, format!("{} takes no values", expression.operator));
            }
            (other, _) => {
                errors.add(path, format!("operator {other:?} is not one of In, NotIn, Exists, DoesNotExist"));
            }
        }
    }
}

fn web(spec: &WebMetricsSpec, errors: &mut Errors) -> WebRequest {
    errors.check("spec.web.matchers", check_matchers(&spec.matchers));
    errors.check("spec.web.errorMatchers", check_matchers(&spec.error_matchers));
    WebRequest {
        latency_histogram: spec.latency_histogram.clone(),
        request_counter: spec.request_counter.clone(),
        matchers: spec.matchers.clone(),
        error_matchers: spec.error_matchers.clone(),
    }
}

fn api(spec: &ApiMetricsSpec, errors: &mut Errors) -> ApiRequest {
    errors.check("spec.api.matchers", check_matchers(&spec.matchers));
    errors.check("spec.api.errorMatchers", check_matchers(&spec.error_matchers));
    ApiRequest {
        latency_histogram: spec.latency_histogram.clone(),
        request_counter: spec.request_counter.clone(),
        matchers: spec.matchers.clone(),
        error_matchers: spec.error_matchers.clone(),
        endpoint_label: spec.endpoint_label.clone(),
        top: u32::try_from(spec.top).unwrap_or(1).max(1),
    }
}

fn custom(index: usize, spec: &CustomMetricSpec, errors: &mut Errors) -> MetricRequest {
    errors.check(format!("spec.metrics[{index}].query"), check_query(&spec.query));
    let unit = match spec.unit {
        MetricUnit::Seconds => Unit::Seconds,
        MetricUnit::Ratio => Unit::Ratio,
        MetricUnit::Bytes => Unit::Bytes,
        MetricUnit::Count => Unit::Count,
        MetricUnit::PerSecond => Unit::PerSecond,
    };
    MetricRequest { name: spec.name.clone(), query: spec.query.clone(), unit }
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
