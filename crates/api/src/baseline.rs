//! PerformanceBaseline: how a system performs, recorded.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::Sources;

/// What to record, from where, and when.
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
    doc = "PerformanceBaseline records how a system performs over a window: latency percentiles, request and error rates, endpoints, CPU, memory, network and Kubernetes facts, each figure with the interval, coverage and samples it rests on. Results: status, and one ConfigMap a run with record.json.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether a complete record for the current spec exists."
    ),
    printcolumn(
        name = "Page-P95",
        type_ = "string",
        json_path = ".status.summary.pageP95",
        description = "95th percentile of the page load time."
    ),
    printcolumn(
        name = "API-P95",
        type_ = "string",
        json_path = ".status.summary.apiP95",
        description = "95th percentile of the API's response time."
    ),
    printcolumn(
        name = "Last-Run",
        type_ = "date",
        json_path = ".status.lastRunTime",
        description = "When the last finished run ended reading."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
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
        description = "Failed requests per hundred: web, API.",
        priority = 1
    ),
    printcolumn(
        name = "Coverage",
        type_ = "string",
        json_path = ".status.summary.coverage",
        description = "Least coverage of a judged figure.",
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
        description = "When the schedule starts the next run.",
        priority = 1
    )
)]
#[x_kube(validation = ("!has(self.web) || has(self.sources.prometheus)", "web needs sources.prometheus"))]
#[x_kube(validation = ("!has(self.api) || has(self.sources.prometheus)", "api needs sources.prometheus"))]
#[x_kube(validation = ("!has(self.metrics) || size(self.metrics) == 0 || has(self.sources.prometheus)", "metrics need sources.prometheus"))]
#[x_kube(validation = ("has(self.sources.prometheus) || has(self.sources.workloads)", "at least one source is needed"))]
#[x_kube(validation = ("!has(self.timeZone) || has(self.schedule)", "timeZone needs schedule"))]
pub struct PerformanceBaselineSpec {
    /// How far back each run looks from its evaluation instant, as a Prometheus duration from 1m to 92d, for example
    /// "7d" or "1h30m".
    #[serde(default = "default_window")]
    #[schemars(
        length(min = 2, max = 32),
        regex(pattern = r"^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$")
    )]
    pub window: String,
    /// When to run again: five-field cron, as on a CronJob, for example "0 2 * * 1". Slots that passed while the operator
    /// was away are not made up for, but for the latest. Without a schedule a run starts only when what is measured
    /// changes or when the annotation plimsoll.dev/run gets a new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 128))]
    pub schedule: Option<String>,
    /// IANA time zone of the schedule, for example "Asia/Dhaka". UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"))]
    pub time_zone: Option<String>,
    /// Starts no new run while true; a run under way finishes, and what was recorded stays.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// How many finished runs keep their ConfigMaps. The newest complete one is kept besides.
    #[serde(default = "default_history_limit")]
    #[schemars(range(min = 1, max = 20))]
    pub history_limit: i32,
    /// How long the run's pod may take, in seconds, as on a Job. The process ends itself 30 s earlier, so that what it has
    /// read is kept.
    #[serde(default = "default_deadline")]
    #[schemars(range(min = 60, max = 3600))]
    pub active_deadline_seconds: i64,
    /// How long the Job of a finished run is kept, in seconds, as on a Job. It removes the Job and never the record.
    #[serde(default = "default_ttl")]
    #[schemars(range(min = 0, max = 86400))]
    pub ttl_seconds_after_finished: i32,
    /// Where measurements come from.
    pub sources: Sources,
    /// Web pages: latency percentiles, request rate and error ratio. Not collected when absent; "web: {}" takes the
    /// defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<WebMetricsSpec>,
    /// API endpoints: as web, and the busiest endpoints. Not collected when absent; "api: {}" takes the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiMetricsSpec>,
    /// Queries of your own, at most 30; their results stand under custom_metrics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 30))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".to_owned()]))]
    pub metrics: Vec<CustomMetricSpec>,
}

/// Names of the web metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebMetricsSpec {
    /// Histogram of page load times in seconds, without "_bucket"; classic or native.
    #[serde(default = "default_web_histogram")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub latency_histogram: String,
    /// Counter of requests.
    #[serde(default = "default_web_counter")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub request_counter: String,
    /// Label matchers for both, as between the braces of a selector.
    #[serde(default = "default_web_matchers")]
    #[schemars(length(max = 1024))]
    pub matchers: String,
    /// Label matchers, beside "matchers", that select failed requests of the counter.
    #[serde(default = "default_error_matchers")]
    #[schemars(length(min = 1, max = 1024))]
    pub error_matchers: String,
}

/// Names of the API metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiMetricsSpec {
    /// Histogram of response times in seconds, without "_bucket"; classic or native.
    #[serde(default = "default_api_histogram")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub latency_histogram: String,
    /// Counter of requests.
    #[serde(default = "default_api_counter")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub request_counter: String,
    /// Label matchers for both, as between the braces of a selector. All series when absent.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub matchers: String,
    /// Label matchers, beside "matchers", that select failed requests of the counter.
    #[serde(default = "default_error_matchers")]
    #[schemars(length(min = 1, max = 1024))]
    pub error_matchers: String,
    /// Label that names an endpoint.
    #[serde(default = "default_endpoint_label")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub endpoint_label: String,
    /// How many endpoints to record, busiest first.
    #[serde(default = "default_top")]
    #[schemars(range(min = 1, max = 100))]
    pub top: i32,
}

/// A query of your own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomMetricSpec {
    /// Name of the result under custom_metrics.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// PromQL that gives a scalar or exactly one series at the run's evaluation instant.
    #[schemars(length(min = 1, max = 2048))]
    pub query: String,
    /// What the number means. A Ratio is 0 to 1.
    pub unit: MetricUnit,
}

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MetricUnit {
    /// Seconds.
    Seconds,
    /// A part of one, 0 to 1.
    Ratio,
    /// Bytes.
    Bytes,
    /// A count of things.
    Count,
    /// A rate, per second.
    PerSecond,
}

/// What was recorded, and what is under way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PerformanceBaselineStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled and SourcesAvailable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
    /// What "kubectl get" shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<BaselineSummary>,
    /// When the last finished run ended reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run_time: Option<Time>,
    /// When the schedule starts the next run, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_time: Option<Time>,
    /// The value of the annotation plimsoll.dev/run that was last answered by a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_request_handled: Option<String>,
    /// The run under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_run: Option<CurrentRun>,
    /// The last finished run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<FinishedRun>,
    /// Finished runs whose records are kept, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<KeptRun>,
    /// How each source answered in the last finished run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".to_owned()]))]
    pub sources: Vec<SourceStatus>,
    /// Attempts after a passing failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryStatus>,
    /// Hash of what the last started run measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_spec_hash: Option<String>,
    /// How many runs were started because what is measured changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_runs: Option<i64>,
    /// The schedule's latest slot that was answered by a run or passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_slot: Option<Time>,
}

/// What "kubectl get" shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaselineSummary {
    /// 95th percentile of the page load time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_p95: Option<String>,
    /// 95th percentile of the API's response time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_p95: Option<String>,
    /// Requests a second: web, API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<String>,
    /// Failed requests per hundred: web, API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<String>,
    /// Least coverage of a judged figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<String>,
}

/// The run under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CurrentRun {
    /// Its name: also of its Job and its ConfigMap.
    pub name: String,
    /// Its key: sha256 over UID, spec hash and trigger.
    pub key: String,
    /// What started it: spec/N, slot/TIME, request/VALUE or retry/N/RUN.
    pub trigger: String,
    /// Hash of what it measures.
    pub spec_hash: String,
    /// When it was started.
    pub started_at: Time,
    /// Hash of the request that its Job carries; absent where the run needs no Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<String>,
    /// Which attempt its Job is, from 1; a collection whose result was lost is run once more.
    pub attempt: i32,
    /// Value of the annotation plimsoll.dev/run that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// UID of its Job, once that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_uid: Option<String>,
    /// True once its result stands in lastRun and only its Job is left to clean up.
    #[serde(default, skip_serializing_if = "is_false")]
    pub finished: bool,
}

/// A finished run. Its ConfigMap has the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FinishedRun {
    /// Its name: also of its ConfigMap, where it has a record.
    pub name: String,
    /// Its key.
    pub key: String,
    /// Hash of what it measured.
    pub spec_hash: String,
    /// When it ended reading.
    pub finished_at: Time,
    /// Whether every source was collected.
    pub complete: bool,
    /// SHA-256 of record.json; absent where the run has no record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_sha256: Option<String>,
    /// Why it is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What happened, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A finished run whose record is kept. Its ConfigMap has the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptRun {
    /// Its name: also of its ConfigMap.
    pub name: String,
    /// When it ended reading.
    pub finished_at: Time,
    /// Whether every source was collected.
    pub complete: bool,
    /// SHA-256 of record.json.
    pub record_sha256: String,
}

/// How one source answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// prometheus, kubernetes, ...
    pub name: String,
    /// Collected, Partial or Failed.
    pub state: String,
    /// Why it was not collected whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What failed and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
}

/// Attempts after a passing failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryStatus {
    /// How many attempts were made for the current spec, schedule slot or request.
    pub attempts: i32,
    /// When the next one starts; absent after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Time>,
}

fn default_window() -> String {
    "7d".to_owned()
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

fn default_web_histogram() -> String {
    "http_request_duration_seconds".to_owned()
}

fn default_web_counter() -> String {
    "http_requests_total".to_owned()
}

fn default_web_matchers() -> String {
    "job=\"odoo\"".to_owned()
}

fn default_error_matchers() -> String {
    "status=~\"5..\"".to_owned()
}

fn default_api_histogram() -> String {
    "api_request_duration_seconds".to_owned()
}

fn default_api_counter() -> String {
    "api_requests_total".to_owned()
}

fn default_endpoint_label() -> String {
    "endpoint".to_owned()
}

fn default_top() -> i32 {
    10
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}
