//! The record of a run: measurements only, never judgements. Keys and meanings are a contract with users' scripts.
//!
//! A value that could not be had is absent: no null, no 0, no empty object. A list or map that was read and is
//! empty is `[]` or `{}`. Times are RFC 3339 in UTC. Readers allow unknown keys.

mod cache;
mod counters;
mod database;
mod kubernetes;
mod series;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::request::Unit;

pub use cache::{
    CacheAnalysis, CacheConfig, CacheMetrics, CacheRecommendation, CacheServer, GiantKey, KeyPattern,
    Keyspace, PrefixEstimate,
};
pub use counters::{CacheCounters, Counters, DatabaseCounters, StatementCounter, TableCounter};
pub use database::{
    ConnectionHeadroom, Connections, DatabaseAnalysis, DatabaseMetrics, DatabaseServer, DeadTuples,
    DuplicateIndex, InvalidIndex, MAX_TOP_STATEMENTS, MissingIndex, QueryTime, QueryTimeMethod,
    SlowStatement, StaleStatistics, StatementMean, TableSize, UnusedIndex,
};
pub use kubernetes::{
    Autoscaler, AutoscalerMetric, Container, KubernetesFacts, Replicas, UnknownFact, Usage, Workload,
};

pub use series::{HistogramSeries, MAX_SLOTS, NumberSeries, RatioSeries, Series};

/// Version of the record's meaning.
pub const SCHEMA: &str = "plimsoll.dev/baseline-record/v1";

/// One run of a PerformanceBaseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineRecord {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Name of the resource.
    pub name: String,
    /// Namespace of the resource.
    pub namespace: String,
    /// Name of the run.
    pub run: String,
    /// Run key of the run.
    pub run_key: String,
    /// When the run ended reading.
    pub collection_date: Timestamp,
    /// The window asked for, in days; fractions for windows shorter than a day.
    pub period_days: f64,
    /// The window; `to` is the one evaluation instant of every query.
    pub window: Window,
    /// Whether every configured source was collected.
    pub complete: bool,
    /// One entry a source.
    pub sources: Vec<Source>,
    /// Web figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_metrics: Option<WebMetrics>,
    /// API figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_metrics: Option<ApiMetrics>,
    /// Figures of a PostgreSQL database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_metrics: Option<DatabaseMetrics>,
    /// What the database's statistics say that somebody should look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_analysis: Option<DatabaseAnalysis>,
    /// Figures of a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_metrics: Option<CacheMetrics>,
    /// Usage, keyspace, configuration and sessions of a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_analysis: Option<CacheAnalysis>,
    /// Figures of pods, from Prometheus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infrastructure_metrics: Option<InfrastructureMetrics>,
    /// Facts that the operator read from the Kubernetes API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesFacts>,
    /// Results of the user's own queries, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_metrics: Option<IndexMap<String, CustomMetric>>,
    /// The window slot by slot, for comparisons and charts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
    /// Cumulative counters as this run left them, for the next run's figures `SincePreviousRun`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counters>,
    /// Where each figure comes from, by its path in the record.
    #[serde(default)]
    pub basis: BTreeMap<String, Basis>,
    /// What was cut to fit, each a path with the number of entries dropped.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub truncated: BTreeMap<String, u64>,
}

/// A time range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its start, exclusive.
    pub from: Timestamp,
    /// Its end, inclusive: the evaluation instant.
    pub to: Timestamp,
}

/// How one source answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// `prometheus`, `postgres`, `redis` or `kubernetes`.
    pub name: String,
    /// Whether it was collected.
    pub state: SourceState,
    /// Why not, where it was not collected whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<SourceReason>,
    /// What failed, where, and what to do; at most 1,024 characters, never a secret or an answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// What it cost the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Warnings that the source itself gave, at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Whether a source was collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceState {
    /// Everything asked for was read (a metric without series was read, and is absent).
    Collected,
    /// It answered, but a part could not be read.
    Partial,
    /// Nothing could be read.
    Failed,
}

/// Why a source was not collected whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceReason {
    /// The credentials were refused.
    AuthenticationFailed,
    /// The credentials lack a right.
    Forbidden,
    /// No connection: unknown name, refused, reset, or an address that may not be contacted.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The server's certificate could not be verified, or TLS failed.
    TLSFailed,
    /// An answer that is not what the protocol says: HTML, a redirect, cut JSON, too large.
    BadAnswer,
    /// The server says that it cannot answer now (5xx, 429).
    Unavailable,
    /// A Secret or ConfigMap that the spec names does not exist.
    SecretMissing,
    /// A key that the spec names does not exist in its Secret or ConfigMap.
    KeyMissing,
    /// An extension of a database is missing; the message says how to install it.
    ExtensionMissing,
    /// The source holds nothing of what was asked for.
    NoData,
}

impl SourceReason {
    /// Whether waiting can mend it: such a failure starts a new run after 1, 5 and 15 minutes.
    #[must_use]
    pub fn is_transient(self) -> bool {
        match self {
            Self::Unreachable | Self::Timeout | Self::Unavailable | Self::NoData => true,
            Self::AuthenticationFailed
            | Self::Forbidden
            | Self::TLSFailed
            | Self::BadAnswer
            | Self::SecretMissing
            | Self::KeyMissing
            | Self::ExtensionMissing => false,
        }
    }
}

/// What reading a source cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Requests sent: HTTP queries, SQL statements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queries: Option<u64>,
    /// Bytes of answers after decompression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Redis commands sent, each command of a pipeline counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<u64>,
    /// Rows received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Time that the server itself spent on us, microseconds: as PostgreSQL says it; of Redis, which does not, an upper
    /// bound, the waits for its answers less the shortest of them each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_time_us: Option<u64>,
}

/// Web figures; the seed's keys. Milliseconds, requests a second, percent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WebMetrics {
    /// Median of the page load time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_load_p50_ms: Option<f64>,
    /// 90th percentile of the page load time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_load_p90_ms: Option<f64>,
    /// 95th percentile of the page load time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_load_p95_ms: Option<f64>,
    /// 99th percentile of the page load time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_load_p99_ms: Option<f64>,
    /// Requests a second over the time covered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<f64>,
    /// Failed requests per hundred; 0 with requests and no failed one, absent without requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate_percent: Option<f64>,
}

/// API figures; the seed's keys. Milliseconds, requests a second, percent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ApiMetrics {
    /// Median of the response time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_time_p50_ms: Option<f64>,
    /// 90th percentile of the response time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_time_p90_ms: Option<f64>,
    /// 95th percentile of the response time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_time_p95_ms: Option<f64>,
    /// 99th percentile of the response time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_time_p99_ms: Option<f64>,
    /// Requests a second over the time covered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<f64>,
    /// Failed requests per hundred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate_percent: Option<f64>,
    /// Requests a second by endpoint, highest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_endpoints: Option<IndexMap<String, f64>>,
    /// Share of the total response time by endpoint, percent, of the endpoints in `top_endpoints`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_share_percent: Option<IndexMap<String, f64>>,
}

/// Figures of the namespace's pods; the seed's keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InfrastructureMetrics {
    /// Percent of a core by pod: sum of its containers, increase over the time the pod was seen; highest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_usage_by_pod: Option<IndexMap<String, f64>>,
    /// Percent of the CFS periods in which a pod was throttled at its CPU limit, by pod; only pods with a limit; highest
    /// first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_throttled_percent_by_pod: Option<IndexMap<String, f64>>,
    /// MiB by pod at the evaluation instant: sum of its containers; only pods alive then; highest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mb_by_pod: Option<IndexMap<String, f64>>,
    /// MiB a second received; the seed's name for it, which says megabits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_receive_mbps: Option<f64>,
    /// MiB a second received, summed over pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_receive_mib_per_second: Option<f64>,
    /// How many pods beyond the 50 listed are summed in the entry `(others)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods_summed: Option<u64>,
}

/// Result of a query of the user's own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CustomMetric {
    /// The number.
    pub value: f64,
    /// What it means.
    pub unit: Unit,
}

/// Where a figure comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Basis {
    /// What the figure covers.
    pub kind: BasisKind,
    /// First sample within the window, or the instant.
    pub from: Timestamp,
    /// Last sample within the window, or the instant.
    pub to: Timestamp,
    /// Time really seen per hundred of the window; below 80 a figure is given and not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage_percent: Option<f64>,
    /// Observations for latency, scrapes otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u64>,
    /// Bounds of the histogram bucket that holds the percentile, in milliseconds; the upper one is absent in the last bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution_ms: Option<Vec<f64>>,
    /// What a reader should know: why the figure is absent, a counter reset, a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a figure covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BasisKind {
    /// The window of the run.
    Window,
    /// From the previous run's snapshot to this one's.
    SincePreviousRun,
    /// Between two snapshots of this run.
    Sampled,
    /// Since the server started or its statistics were reset.
    Lifetime,
    /// One instant.
    Instant,
}

/// Coverage in percent below which a figure is shown and not judged.
pub const JUDGED_COVERAGE_PERCENT: f64 = 80.0;

/// Names of a run, as its record carries them.
#[derive(Debug, Clone, Copy)]
pub struct RecordNames<'a> {
    /// Name of the resource.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Name of the run.
    pub run: &'a str,
    /// Key of the run.
    pub run_key: &'a str,
}

impl BaselineRecord {
    /// A record in which nothing is measured yet, over the `window_seconds` before `to`; `collection_date` is `to`.
    #[must_use]
    pub fn empty(names: RecordNames<'_>, window_seconds: u64, to: Timestamp) -> Self {
        let length = SignedDuration::from_secs(i64::try_from(window_seconds).unwrap_or(i64::MAX));
        Self {
            schema: SCHEMA.to_owned(),
            name: names.name.to_owned(),
            namespace: names.namespace.to_owned(),
            run: names.run.to_owned(),
            run_key: names.run_key.to_owned(),
            collection_date: to,
            period_days: length.as_secs_f64() / 86_400.0,
            window: Window { from: to.saturating_sub(length).unwrap_or(Timestamp::MIN), to },
            complete: false,
            sources: Vec::new(),
            web_metrics: None,
            api_metrics: None,
            database_metrics: None,
            database_analysis: None,
            cache_metrics: None,
            cache_analysis: None,
            infrastructure_metrics: None,
            kubernetes: None,
            custom_metrics: None,
            series: None,
            counters: None,
            basis: BTreeMap::new(),
            truncated: BTreeMap::new(),
        }
    }

    /// Sets `complete` from the sources: true where each was collected whole.
    pub fn settle(&mut self) {
        self.complete = self.sources.iter().all(|source| source.state == SourceState::Collected);
    }

    /// The basis of a figure, by its path, for example `web_metrics.page_load_p95_ms`; a map or list has one basis
    /// as a whole, which serves its leaves.
    #[must_use]
    pub fn basis_of(&self, path: &str) -> Option<&Basis> {
        // A key of a map may hold dots itself, so every prefix that ends at one counts, the longest first.
        let prefixes = path.rmatch_indices('.').map(|(end, _)| &path[..end]);
        std::iter::once(path).chain(prefixes).find_map(|prefix| self.basis.get(prefix))
    }

    /// Whether coverage allows the figure to be judged.
    #[must_use]
    pub fn is_judged(&self, path: &str) -> bool {
        self.basis_of(path).is_some_and(|basis| {
            basis.coverage_percent.is_none_or(|percent| percent >= JUDGED_COVERAGE_PERCENT)
        })
    }
}
