//! What to record of each source: a section of the spec for each part of a system.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::rule;

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

/// What to record of a PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule("!has(self.matchers) || self.matchers == '' || has(self.latencyHistogram)", "matchers need latencyHistogram", ".matchers"))]
pub struct DatabaseSpec {
    /// How many tables to list by size, the largest first.
    #[serde(default = "default_top")]
    #[schemars(range(min = 1, max = 100))]
    pub top_tables: i32,
    /// How many statements to list by mean execution time, the slowest first and whatever their mean.
    #[serde(default = "default_top")]
    #[schemars(range(min = 1, max = 100))]
    pub top_queries: i32,
    /// Mean execution time above which a statement is recorded as slow, with its calls, rows and text: whole numbers with
    /// the units h, m, s and ms, for example "100ms" or "1s500ms". At most 1h.
    #[serde(default = "default_slow_query_threshold")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"))]
    pub slow_query_threshold: String,
    /// Name of a Prometheus histogram of query times, in seconds, from which their 95th percentile is taken: without
    /// "_bucket" where it is a classic one. When absent, the percentile is an interval that the means and deviations of
    /// pg_stat_statements allow. Needs sources.prometheus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub latency_histogram: Option<String>,
    /// Label matchers that select the series of latencyHistogram, as between the braces of a PromQL selector, for example
    /// db="smartdairy". All series when empty. Needs latencyHistogram.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub matchers: String,
    /// Names for statements, shown beside their numbers in record and report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["queryId".to_owned()]))]
    pub statements: Vec<StatementLabelSpec>,
}

/// A name for one statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatementLabelSpec {
    /// The statement's queryid in pg_stat_statements, a signed 64-bit number, in quotes: for example
    /// "-3416356442043621232". Reports show it. It stays the same until a major upgrade of the server or until a table of
    /// the statement is made anew.
    #[schemars(length(min = 1, max = 20), regex(pattern = r"^(0|-?[1-9][0-9]{0,18})$"))]
    pub query_id: String,
    /// What to call it, for example "Daily summary".
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[^\x00-\x1F\x7F]+$"))]
    pub label: String,
}

/// What to record of a Redis or Valkey server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CacheSpec {
    /// How to look at the keys: how many, for how long, and where their prefixes end. The defaults of its fields when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyspace: Option<KeyspaceSpec>,
    /// How the keys of sessions begin; those keys are counted and 100 of them measured. Write "" to count none.
    #[serde(default = "default_session_prefix")]
    #[schemars(length(max = 128))]
    pub session_prefix: String,
}

/// How to look at the keys of a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyspaceSpec {
    /// How many keys to sample for type, memory and expiry, from which the totals by prefix are estimated. 0 samples none.
    #[serde(default = "default_sample_keys")]
    #[schemars(range(min = 0, max = 100000))]
    pub sample_keys: i64,
    /// How long sampling keys and counting sessions may take in all: whole numbers with the units m, s and ms, for example
    /// "10s". From 100ms to 5m. What it leaves out is estimated, and the record says so.
    #[serde(default = "default_max_duration")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"))]
    pub max_duration: String,
    /// What ends the prefix of a key: keys are grouped by what stands before it, and nothing behind it is recorded.
    #[serde(default = "default_delimiter")]
    #[schemars(length(min = 1, max = 8))]
    pub delimiter: String,
}

impl Default for KeyspaceSpec {
    fn default() -> Self {
        Self {
            sample_keys: default_sample_keys(),
            max_duration: default_max_duration(),
            delimiter: default_delimiter(),
        }
    }
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
    /// Which direction is better, Lower or Higher, for the comparison with another run. When absent, a change of it is
    /// shown and not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub better: Option<Better>,
}

/// Which direction is better, Lower or Higher, for the comparison with another run. When absent, a change of it is shown
/// and not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
}

/// What a number counts, and so how it is shown: Seconds, Ratio (a part of one, 0.25 for 25 %), Bytes, Count, or PerSecond.
/// An objective has it exactly with query.
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

fn default_slow_query_threshold() -> String {
    "100ms".to_owned()
}

fn default_session_prefix() -> String {
    "session:".to_owned()
}

fn default_sample_keys() -> i64 {
    1000
}

fn default_max_duration() -> String {
    "10s".to_owned()
}

fn default_delimiter() -> String {
    ":".to_owned()
}
