//! `validate` (pure): the spec with its defaults resolved and its meaning checked, or every field that is wrong.
//!
//! CEL decides what the API server can decide cheaply; the rest is decided here, in `plimsoll validate` and in the
//! operator alike.

mod judging;
mod sections;
mod sources;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use plimsoll_analysis::duration;
use plimsoll_analysis::job::{MAX_REQUEST_BYTES, escape_for_environment};
use plimsoll_analysis::judgement::Objective;
use plimsoll_analysis::request::{
    self, ApiRequest, BaselineRequest, CacheRequest, DatabaseRequest, KeyKind, KeyRef, MetricRequest,
    PostgresRequest, PrometheusRequest, RedisRequest, WebRequest,
};
use plimsoll_api::PerformanceBaselineSpec;

pub use judging::{CompareWith, ValidComparison};
pub(crate) use sections::unit_of;

use super::spec_hash::spec_hash;
use crate::schedule::Schedule;

/// Most bytes of a spec in its Job's environment; names and addresses come besides.
const MAX_SPEC_BYTES: usize = MAX_REQUEST_BYTES - 4 * 1024;
/// Shortest and longest window.
const WINDOW: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(92 * 86_400)];
/// Shortest and longest time between two looks at counters.
const SAMPLE: [Duration; 2] = [Duration::ZERO, Duration::from_secs(600)];
/// What the time between two looks must leave of a run's deadline, seconds: for reading itself.
const READING_SECONDS: u64 = 60;

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
    /// Time between two looks at counters, seconds; 0 where there is one look, or no source with counters.
    pub sample_seconds: u64,
    /// The Prometheus source.
    pub prometheus: Option<PrometheusRequest>,
    /// The PostgreSQL source.
    pub postgres: Option<PostgresRequest>,
    /// The Redis source.
    pub redis: Option<RedisRequest>,
    /// Web figures.
    pub web: Option<WebRequest>,
    /// API figures.
    pub api: Option<ApiRequest>,
    /// Database figures.
    pub database: Option<DatabaseRequest>,
    /// Cache figures.
    pub cache: Option<CacheRequest>,
    /// The user's own queries, those of objectives behind them.
    pub metrics: Vec<MetricRequest>,
    /// Workloads whose Kubernetes facts are read.
    pub workloads: Option<LabelSelector>,
    /// Bounds that figures must keep.
    pub objectives: Vec<Objective>,
    /// What a finished run is compared with, and how.
    pub comparison: Option<ValidComparison>,
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
            sample_seconds: self.sample_seconds,
            prometheus: self.prometheus.clone(),
            postgres: self.postgres.clone(),
            redis: self.redis.clone(),
            web: self.web.clone(),
            api: self.api.clone(),
            database: self.database.clone(),
            cache: self.cache.clone(),
            metrics: self.metrics.clone(),
            forbidden_addresses: forbidden_addresses.to_vec(),
        }
    }

    /// Whether a run needs a Job: whether anything is read but the Kubernetes API.
    #[must_use]
    pub fn needs_a_job(&self) -> bool {
        self.prometheus.is_some() || self.postgres.is_some() || self.redis.is_some()
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

/// Checks the spec of the baseline `name`. `now` serves only to see whether a schedule has a slot ahead.
///
/// # Errors
/// Every field that is wrong, in the order of the schema.
pub fn validate(
    name: &str,
    spec: &PerformanceBaselineSpec,
    now: Timestamp,
) -> Result<ValidBaseline, Vec<FieldError>> {
    let mut errors = Errors::default();
    let window_seconds = seconds("spec.window", &spec.window, WINDOW, "1m and 92d", &mut errors);
    let sample_seconds = sample(spec, &mut errors);
    let schedule = schedule(spec, now, &mut errors);
    let prometheus = spec.sources.prometheus.as_ref().map(|source| sources::prometheus(source, &mut errors));
    let postgres = spec.sources.postgres.as_ref().and_then(|source| sources::postgres(source, &mut errors));
    let redis = spec.sources.redis.as_ref().and_then(|source| sources::redis(source, &mut errors));
    if let Some(workloads) = &spec.sources.workloads {
        sources::selector(&workloads.selector, &mut errors);
    }
    let web = spec.web.as_ref().map(|web| sections::web(web, &mut errors));
    let api = spec.api.as_ref().map(|api| sections::api(api, &mut errors));
    let database = spec.database.as_ref().map(|database| sections::database(database, &mut errors));
    let cache = spec.cache.as_ref().map(|cache| sections::cache(cache, &mut errors));
    let mut metrics: Vec<MetricRequest> = spec
        .metrics
        .iter()
        .enumerate()
        .map(|(index, metric)| sections::custom(index, metric, &mut errors))
        .collect();
    let (objectives, queries) = judging::objectives(spec, &mut errors);
    metrics.extend(queries);
    let comparison = judging::comparison(name, spec, &mut errors);
    judging::rule_labels(spec, &mut errors);
    sources::together(spec, &mut errors);
    if !errors.0.is_empty() {
        return Err(errors.0);
    }
    let counts = postgres.is_some() || redis.is_some();
    let valid = ValidBaseline {
        window_seconds,
        schedule,
        suspend: spec.suspend,
        history_limit: usize::try_from(spec.history_limit).unwrap_or(1).max(1),
        active_deadline_seconds: spec.active_deadline_seconds,
        ttl_seconds_after_finished: spec.ttl_seconds_after_finished,
        spec_hash: spec_hash(spec, window_seconds),
        sample_seconds: if counts { sample_seconds } else { 0 },
        prometheus,
        postgres,
        redis,
        web,
        api,
        database,
        cache,
        metrics,
        objectives,
        comparison,
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

/// A duration in whole seconds between two bounds, which `bounds` names; 0 where it is none.
fn seconds(path: &str, text: &str, range: [Duration; 2], bounds: &str, errors: &mut Errors) -> u64 {
    match within(text, range, bounds) {
        Ok(length) if length.subsec_millis() == 0 => return length.as_secs(),
        Ok(_) => errors.add(path, format!("{text:?} is not whole seconds")),
        Err(message) => errors.add(path, message),
    }
    0
}

/// A duration between two bounds, which `bounds` names, or what is wrong with it.
fn within(text: &str, [least, most]: [Duration; 2], bounds: &str) -> Result<Duration, String> {
    match duration::parse(text) {
        Err(error) => Err(error.to_string()),
        Ok(length) if length < least || length > most => Err(format!("{text:?} is not between {bounds}")),
        Ok(length) => Ok(length),
    }
}

/// The time between two looks at counters, which must leave the run time to read.
fn sample(spec: &PerformanceBaselineSpec, errors: &mut Errors) -> u64 {
    let path = "spec.sampleDuration";
    let sample = seconds(path, &spec.sample_duration, SAMPLE, "0s and 10m", errors);
    let counts = spec.sources.postgres.is_some() || spec.sources.redis.is_some();
    let deadline = u64::try_from(spec.active_deadline_seconds).unwrap_or(0);
    if counts && sample + READING_SECONDS > deadline {
        errors.add(
            path,
            format!(
                "{:?} leaves less than {READING_SECONDS} seconds of activeDeadlineSeconds, {deadline}: shorten it, or raise activeDeadlineSeconds to {} or more",
                spec.sample_duration,
                sample + READING_SECONDS
            ),
        );
    }
    sample
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

#[cfg(test)]
mod tests;
