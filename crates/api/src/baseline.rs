//! PerformanceBaseline: how a system performs, recorded.

use std::fmt::Debug;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod status;

pub use status::{
    BaselineSummary, CurrentRun, FinishedRun, KeptRun, PerformanceBaselineStatus, RetryStatus, SourceStatus,
};

use crate::common::{Sources, rule};

/// What to record, from where, and when. A run starts when what is measured changes: window, sources (but for auth and tls),
/// web, api or metrics. Other edits start none.
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
    doc = "PerformanceBaseline records how a system performs over a window: latency percentiles, request and error rates, endpoints, CPU, memory, network and Kubernetes facts, each figure with the interval, coverage and samples it rests on. Results: status, and for each run a ConfigMap of this namespace with record.json (status.lastRun.name) and one with report.md (the same name and -report). A run starts when the spec's measured part is new or changed, when the schedule says so, and when the annotation plimsoll.dev/run gets a new value.",
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
        description = "95th percentile of the page load time, as text with its unit."
    ),
    printcolumn(
        name = "API-P95",
        type_ = "string",
        json_path = ".status.summary.apiP95",
        description = "95th percentile of the API's response time, as text with its unit."
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
#[x_kube(validation = rule("has(self.sources.prometheus) || has(self.sources.workloads)", "at least one source is needed", ".sources"))]
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
    /// own in any case.
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
    /// Figures by PromQL queries of your own; record.json has them under custom_metrics. Needs sources.prometheus.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 30))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".to_owned()]))]
    pub metrics: Vec<CustomMetricSpec>,
}

/// Which metrics say how the web pages perform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebMetricsSpec {
    /// Name of the histogram of page load times, in seconds: without "_bucket" where it is a classic one; native
    /// histograms work too.
    #[serde(default = "default_web_histogram")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub latency_histogram: String,
    /// Name of the counter of page requests.
    #[serde(default = "default_web_counter")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub request_counter: String,
    /// Label matchers that select the series of both metrics, as between the braces of a PromQL selector, for example
    /// job="odoo",env="prod". Write "" for all series.
    #[serde(default = "default_web_matchers")]
    #[schemars(length(max = 1024))]
    pub matchers: String,
    /// Label matchers that, together with matchers, select the failed requests among those counted.
    #[serde(default = "default_error_matchers")]
    #[schemars(length(min = 1, max = 1024))]
    pub error_matchers: String,
}

/// Which metrics say how the API performs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiMetricsSpec {
    /// Name of the histogram of response times, in seconds: without "_bucket" where it is a classic one; native
    /// histograms work too.
    #[serde(default = "default_api_histogram")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub latency_histogram: String,
    /// Name of the counter of API requests.
    #[serde(default = "default_api_counter")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub request_counter: String,
    /// Label matchers that select the series of both metrics, as between the braces of a PromQL selector, for example
    /// job="api". All series when empty.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub matchers: String,
    /// Label matchers that, together with matchers, select the failed requests among those counted.
    #[serde(default = "default_error_matchers")]
    #[schemars(length(min = 1, max = 1024))]
    pub error_matchers: String,
    /// Label, of both metrics, whose value names an endpoint.
    #[serde(default = "default_endpoint_label")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub endpoint_label: String,
    /// How many endpoints to record, those with the most requests first.
    #[serde(default = "default_top")]
    #[schemars(range(min = 1, max = 100))]
    pub top: i32,
}

/// A figure by a PromQL query of your own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomMetricSpec {
    /// Name of the figure in the record and the report: lower-case letters, digits and "-", for example
    /// "odoo-workers-busy".
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// PromQL that gives one number at the moment of the run: a scalar, or a vector of exactly one series. What spans a
    /// time says which, for example rate(x_total[7d]): spec.window is not put in. An empty or longer answer, and NaN, is
    /// no figure; the record then says why.
    #[schemars(length(min = 1, max = 2048))]
    pub query: String,
    /// What the number counts, and so how it is shown: Seconds, Ratio (a part of one, 0.25 for 25 %), Bytes, Count, or
    /// PerSecond.
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
