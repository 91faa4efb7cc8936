//! PerformanceBaseline: how a system performs, recorded.

use std::fmt::Debug;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

mod judge;
mod sections;
mod status;

pub use judge::{
    Alignment, BaselineRun, CompareToSpec, CompareType, DeletionPolicy, ObjectiveSpec, PrometheusRuleSpec,
    RecordRef,
};
pub use sections::{
    ApiMetricsSpec, Better, CacheSpec, CustomMetricSpec, DatabaseSpec, KeyspaceSpec, MetricUnit,
    StatementLabelSpec, WebMetricsSpec,
};
pub use status::{
    AppliedPolicy, BaselineSummary, ChangeStatus, ComparisonStatus, CurrentRun, FinishedRun, JudgementStatus,
    KeptRun, ObjectiveStatus, PerformanceBaselineStatus, RetryStatus, RuleStatus, SourceStatus,
};

use crate::common::{Sources, rule};

/// What to record, from where, and when. A run starts when what is measured changes: window, sampleDuration, sources (but
/// for auth, credentials and tls), web, api, database, cache or metrics. Other edits start none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "plimsoll.dev",
    version = "v1alpha1",
    kind = "PerformanceBaseline",
    plural = "performancebaselines",
    singular = "performancebaseline",
    shortname = "baseline",
    shortname = "baselines",
    shortname = "pbl",
    category = "plimsoll",
    namespaced,
    status = "PerformanceBaselineStatus",
    derive = "PartialEq",
    doc = "PerformanceBaseline records how a system performs over a window: latency percentiles, request and error rates, endpoints, slow statements, tables and indexes of PostgreSQL, hit rates and keys of Redis, CPU, memory, network and Kubernetes facts, each figure with the interval, coverage and samples it rests on. Results: status, and for each run a ConfigMap of this namespace with record.json (status.lastRun.name) and one with report.md (the same name and -report). A run starts when the spec's measured part is new or changed, when the schedule says so, and when the annotation plimsoll.dev/run gets a new value.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether a complete record for the current spec exists."
    ),
    printcolumn(
        name = "Objectives",
        type_ = "string",
        json_path = ".status.summary.objectives",
        description = "How many objectives are met, of how many."
    ),
    printcolumn(
        name = "Page-P95",
        type_ = "string",
        json_path = ".status.summary.pageP95",
        description = "95th percentile of the page load time, as text with its unit."
    ),
    printcolumn(
        name = "API-P95",
        type_ = "string",
        json_path = ".status.summary.apiP95",
        description = "95th percentile of the API's response time, as text with its unit."
    ),
    printcolumn(
        name = "DB-P95",
        type_ = "string",
        json_path = ".status.summary.dbP95",
        description = "95th percentile of the database's query time, as text with its unit; an interval where only its bounds are known."
    ),
    printcolumn(
        name = "Cache-Hit",
        type_ = "string",
        json_path = ".status.summary.cacheHit",
        description = "Cache hits in percent of all lookups."
    ),
    printcolumn(
        name = "Change",
        type_ = "string",
        json_path = ".status.summary.change",
        description = "How the last finished run compares with the one it is compared with: Improved, Unchanged, Regressed or Inconclusive."
    ),
    printcolumn(
        name = "Last-Run",
        type_ = "date",
        json_path = ".status.lastRunTime",
        description = "How long ago the last finished run ended reading."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "How long ago the object was made."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it is or is not ready.",
        priority = 1
    ),
    printcolumn(
        name = "Requests",
        type_ = "string",
        json_path = ".status.summary.requests",
        description = "Requests a second: web, API.",
        priority = 1
    ),
    printcolumn(
        name = "Errors",
        type_ = "string",
        json_path = ".status.summary.errors",
        description = "Failed requests in percent: web, API.",
        priority = 1
    ),
    printcolumn(
        name = "Coverage",
        type_ = "string",
        json_path = ".status.summary.coverage",
        description = "Least part of the window, in percent, for which a figure has data.",
        priority = 1
    ),
    printcolumn(
        name = "Record",
        type_ = "string",
        json_path = ".status.lastRun.name",
        description = "ConfigMap with the record of the last finished run.",
        priority = 1
    ),
    printcolumn(
        name = "Next-Run",
        type_ = "string",
        json_path = ".status.nextRunTime",
        description = "When the schedule starts the next run, in UTC.",
        priority = 1
    )
)]
#[x_kube(validation = rule("!has(self.web) || has(self.sources.prometheus)", "web needs sources.prometheus", ".web"))]
#[x_kube(validation = rule("!has(self.api) || has(self.sources.prometheus)", "api needs sources.prometheus", ".api"))]
#[x_kube(validation = rule("!has(self.metrics) || size(self.metrics) == 0 || has(self.sources.prometheus)", "metrics need sources.prometheus", ".metrics"))]
#[x_kube(validation = rule("!has(self.database) || has(self.sources.postgres) || (has(self.database.latencyHistogram) && has(self.sources.prometheus))", "database needs sources.postgres, or latencyHistogram and sources.prometheus", ".database"))]
#[x_kube(validation = rule("!has(self.database) || !has(self.database.latencyHistogram) || has(self.sources.prometheus)", "latencyHistogram needs sources.prometheus", ".database.latencyHistogram"))]
#[x_kube(validation = rule("!has(self.sources.postgres) || has(self.database)", "sources.postgres needs database; write 'database: {}' to record it with every default", ".database"))]
#[x_kube(validation = rule("!has(self.cache) || has(self.sources.redis)", "cache needs sources.redis", ".cache"))]
#[x_kube(validation = rule("!has(self.sources.redis) || has(self.cache)", "sources.redis needs cache; write 'cache: {}' to record it with every default", ".cache"))]
#[x_kube(validation = rule("has(self.sources.prometheus) || has(self.sources.workloads) || has(self.sources.postgres) || has(self.sources.redis)", "at least one source is needed", ".sources"))]
#[x_kube(validation = rule("!has(self.objectives) || has(self.sources.prometheus) || self.objectives.all(one, !has(one.query))", "an objective's query needs sources.prometheus", ".objectives"))]
#[x_kube(validation = rule("!has(self.timeZone) || has(self.schedule)", "timeZone needs schedule", ".timeZone"))]
pub struct PerformanceBaselineSpec {
    /// How far back each run looks, from the moment at which it asks: whole numbers with the units y, w, d, h, m and s,
    /// largest first, for example "7d" or "1h30m". From 1m to 92d, and at most what Prometheus keeps: less is shown as
    /// coverage.
    #[serde(default = "default_window")]
    #[schemars(
        length(min = 2, max = 32),
        regex(pattern = r"^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$")
    )]
    pub window: String,
    /// How long to watch the counters of PostgreSQL and Redis, which count since their server started: figures are the
    /// difference between two looks that far apart, or since the previous run where there is one. Whole numbers with the
    /// units m and s, for example "60s", from 0s to 10m; it must leave 60 seconds of activeDeadlineSeconds. With 0s there
    /// is one look, and the first run's figures are those of the server's lifetime, which are shown and not judged.
    #[serde(default = "default_sample_duration")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+m)?([0-9]+s)?$"))]
    pub sample_duration: String,
    /// When to measure again: cron with five fields (minute, hour, day of month, month, day of week), as on a CronJob, for
    /// example "0 2 * * 1" for Mondays at 02:00. Of the times that pass while no run can start, only the latest is made up
    /// for. When absent, a run starts only when the measured part of the spec changes or when the annotation
    /// plimsoll.dev/run gets a new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 128))]
    pub schedule: Option<String>,
    /// Time zone of the schedule, by its IANA name, for example "Asia/Dhaka". UTC when absent. Needs schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"))]
    pub time_zone: Option<String>,
    /// While true, no new run starts; a run under way finishes, and what was recorded stays. False when absent.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// How many finished runs keep their ConfigMaps; those of older runs are deleted. The newest complete run keeps its
    /// own in any case, and so does the run that the last one is compared with.
    #[serde(default = "default_history_limit")]
    #[schemars(range(min = 1, max = 20))]
    pub history_limit: i32,
    /// How long a run may take once its pod is on a node, in seconds. Reading ends 30 seconds earlier, so that what was
    /// read until then is recorded. For finding a node and pulling the image a run has 10 minutes more.
    #[serde(default = "default_deadline")]
    #[schemars(range(min = 60, max = 3600))]
    pub active_deadline_seconds: i64,
    /// How long the Job of a finished run is kept, in seconds, for whoever wants to read its log; then it is deleted with
    /// its pod. Records stay (see historyLimit).
    #[serde(default = "default_ttl")]
    #[schemars(range(min = 0, max = 86400))]
    pub ttl_seconds_after_finished: i32,
    /// Where measurements come from: at least one source.
    pub sources: Sources,
    /// Web pages: percentiles 50, 90, 95 and 99 of the page load time, requests a second, failed requests in percent.
    /// Not collected when absent; "web: {}" takes every default. Needs sources.prometheus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<WebMetricsSpec>,
    /// API: percentiles 50, 90, 95 and 99 of the response time, requests a second, failed requests in percent, and the
    /// busiest endpoints with their share of the response time. Not collected when absent; "api: {}" takes every default.
    /// Needs sources.prometheus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiMetricsSpec>,
    /// PostgreSQL: connections, tables by size, slow statements, missing, unused, duplicate and invalid indexes, old
    /// statistics, settings. Not collected when absent; "database: {}" takes every default. Needs sources.postgres; for the
    /// query time alone, latencyHistogram and sources.prometheus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseSpec>,
    /// Redis or Valkey: hit rate, memory, keys by prefix, sessions, configuration and what to change in it. Not collected
    /// when absent; "cache: {}" takes every default. Needs sources.redis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheSpec>,
    /// Figures by PromQL queries of your own; record.json has them under custom_metrics. Needs sources.prometheus.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 30))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".to_owned()]))]
    pub metrics: Vec<CustomMetricSpec>,
    /// Bounds that figures must keep. Each run says of each whether it is Met, Missed or, where the data do not allow to
    /// say, Inconclusive; the condition ObjectivesMet says it of all. An edit judges the last record again and starts no
    /// run, but for a query of your own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 30))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".to_owned()]))]
    pub objectives: Vec<ObjectiveSpec>,
    /// Another run that each finished one is compared with: each figure is then Improved, Unchanged, Regressed or
    /// Inconclusive, with its change and the interval of it. No comparison when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_to: Option<CompareToSpec>,
    /// What becomes of the records and reports when this object is deleted: Delete removes them with it, Retain lets them
    /// stay.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Alerts for the objectives, as rules of Prometheus. None are written when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus_rule: Option<PrometheusRuleSpec>,
}

fn default_window() -> String {
    "7d".to_owned()
}

fn default_sample_duration() -> String {
    "60s".to_owned()
}

fn default_history_limit() -> i32 {
    3
}

fn default_deadline() -> i64 {
    600
}

fn default_ttl() -> i32 {
    600
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}
