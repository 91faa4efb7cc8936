//! What the operator says of a baseline.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_false;

/// What was recorded last, what is under way, and what stands in the way. Written by the operator alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PerformanceBaselineStatus {
    /// The metadata.generation that this status speaks of; while it is behind, the operator has not seen the latest edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: a complete record for the current spec exists. Reconciling: a run is under way. Stalled: a person is needed,
    /// waiting alone will not mend it. SourcesAvailable: the last finished run could read every source.
    /// ObjectivesMet: every objective is met; Unknown where one cannot be judged and none is missed. Regressed: the last
    /// finished run is worse than the one it is compared with; False where it is better or as good, Unknown where the data
    /// do not allow to say. Reason and message say why and what to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
    /// The figures that "kubectl get" shows, as text with units, of the last finished run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<BaselineSummary>,
    /// When the last finished run ended reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run_time: Option<Time>,
    /// When the schedule starts the next run, in UTC. Absent without a schedule and while suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_time: Option<Time>,
    /// The value of the annotation plimsoll.dev/run whose run finished last: a request is answered once its value stands
    /// here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_request_handled: Option<String>,
    /// The run under way; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_run: Option<CurrentRun>,
    /// The last finished run, complete or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<FinishedRun>,
    /// Finished runs whose records are kept, newest first; at most historyLimit, and the newest complete one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<KeptRun>,
    /// How each objective came out in the last finished run, in the spec's order. Where status would pass 8 KiB, those that
    /// are met are left out first; judgement.json has all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".to_owned()]))]
    pub objectives: Vec<ObjectiveStatus>,
    /// How the last finished run compares with another; absent where the spec asks for none or there is nothing to compare
    /// with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<ComparisonStatus>,
    /// Of what objectives, comparison and findings speak; judgement.json of the ConfigMap NAME-report has them whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<JudgementStatus>,
    /// What became of spec.prometheusRule; absent where it is not enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus_rule: Option<RuleStatus>,
    /// How each source answered in the last finished run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".to_owned()]))]
    pub sources: Vec<SourceStatus>,
    /// New runs after one that failed for a reason which may pass by itself, such as a server that did not answer: after
    /// 1, 5 and 15 minutes, and then not before the next scheduled time, request or edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryStatus>,
    /// Whether the kept runs' ConfigMaps stay when this object is deleted, as they are now: spec.deletionPolicy once they
    /// follow it, Changing until then. Delete when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<AppliedPolicy>,
    /// Hash of the measured part of the spec when a run was last started; a run starts when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_spec_hash: Option<String>,
    /// How many runs were started because the measured part of the spec was new or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_runs: Option<i64>,
    /// The scheduled time for which a run was last started, or that was last passed over, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_slot: Option<Time>,
}

/// Whether the kept runs' ConfigMaps stay when the object is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AppliedPolicy {
    /// They are deleted with it.
    Delete,
    /// They stay.
    Retain,
    /// Some of them may follow the policy before the last edit still.
    Changing,
}

/// How one objective came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectiveStatus {
    /// Name of the objective.
    pub name: String,
    /// Met, Warning (met, and past the warning), Missed, or Inconclusive (no data, too little coverage, or an interval on
    /// both sides of the target).
    pub result: String,
    /// The value with its unit, for example "412ms"; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The target with its unit, for example "lessThan 3s".
    pub target: String,
}

/// How the last finished run compares with another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComparisonStatus {
    /// Name of the run that it is compared with.
    pub against: String,
    /// SHA-256 of that run's record, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_sha256: Option<String>,
    /// Regressed where any judged figure is, else Improved where any is, else Inconclusive where any is, else Unchanged.
    pub verdict: String,
    /// The figures that are Regressed, Improved or Inconclusive, in this order; at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangeStatus>,
}

/// How one figure changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeStatus {
    /// Which figure, for example web.latency.p95.
    pub indicator: String,
    /// Improved, Regressed or Inconclusive.
    pub verdict: String,
    /// Before, after, change and its interval as text, for example "151ms -> 13ms (-91%, -93% to -89%)".
    pub change: String,
}

/// What became of the alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleStatus {
    /// Name of the PrometheusRule; absent where there is none, and then message says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many alerts there are.
    pub alerts: i32,
    /// Hash of what was written; when the spec asks for something else, it is written again.
    pub hash: String,
    /// Name of the run in whose report, ConfigMap NAME-report, they stand as rules.yaml.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Why there is no PrometheusRule, and which objectives have no alert and why. Both are looked at again with each run
    /// and each edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Of what the judgement speaks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JudgementStatus {
    /// Name of the run that was judged.
    pub run: String,
    /// Hash of what it was judged by: the objectives, the comparison and the record compared with; when it changes, the
    /// record is judged again.
    pub hash: String,
    /// How many findings there are.
    pub findings: i32,
    /// The findings with the largest expected effect, as "rule: subject"; at most three.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<String>,
}

/// The figures that "kubectl get" shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaselineSummary {
    /// How many objectives are met, of how many, for example "4/5"; a Warning counts as met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objectives: Option<String>,
    /// How the run compares with the one it is compared with: Improved, Unchanged, Regressed or Inconclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// 95th percentile of the page load time, for example "412ms"; ">2.5s" where it lies past the histogram's last bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_p95: Option<String>,
    /// 95th percentile of the API's response time, written as pageP95.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_p95: Option<String>,
    /// 95th percentile of the database's query time: "60-240ms" where only its bounds are known, "<=240ms" or ">60ms" where
    /// one of them is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db_p95: Option<String>,
    /// Cache hits in percent of all lookups, for example "94.2%": since the previous run or between two looks, else over
    /// the server's lifetime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_hit: Option<String>,
    /// Requests a second: web, then API, for example "20.1/s, 19.8/s".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<String>,
    /// Failed requests in percent of all: web, then API, for example "0.12%, 0%".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<String>,
    /// The least part of the window, in percent, for which a web, API or custom figure has data; below 80% a figure is
    /// shown and not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<String>,
}

/// The run under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CurrentRun {
    /// Name of the run: also of its Job and its ConfigMap.
    pub name: String,
    /// Identity of the run; its record.json has the same run_key.
    pub key: String,
    /// What started it: spec/N (the spec's N-th measured change), slot/TIME (the schedule), request/VALUE (the annotation),
    /// retry/N/RUN (the N-th new run after that one failed).
    pub trigger: String,
    /// Hash of the measured part of the spec that it measures.
    pub spec_hash: String,
    /// When it was started, in UTC.
    pub started_at: Time,
    /// Hash of what its Job is asked to read; absent where the run needs no Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<String>,
    /// Which attempt this is, from 1: where the Job of a run is lost with its result, it is made once more.
    pub attempt: i32,
    /// The value of the annotation plimsoll.dev/run that it answers, if it answers one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// UID of its Job, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_uid: Option<String>,
    /// True once its result stands in lastRun and only its Job is left to be cleaned up.
    #[serde(default, skip_serializing_if = "is_false")]
    pub finished: bool,
}

/// A finished run. Its ConfigMap has the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FinishedRun {
    /// Name of the run: also of its ConfigMap with record.json, where it has a record.
    pub name: String,
    /// Identity of the run; its record.json has the same run_key.
    pub key: String,
    /// Hash of the measured part of the spec that it measured.
    pub spec_hash: String,
    /// When it ended reading, in UTC.
    pub finished_at: Time,
    /// Whether every source could be read whole.
    pub complete: bool,
    /// SHA-256 of record.json, in hexadecimal digits; absent where the run has no record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_sha256: Option<String>,
    /// Why it is not complete, in one word, for example Unreachable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What happened and what to do, where it is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A finished run whose record is kept. Its ConfigMap has the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptRun {
    /// Name of the run: also of its ConfigMap with record.json.
    pub name: String,
    /// When it ended reading, in UTC.
    pub finished_at: Time,
    /// Whether every source could be read whole.
    pub complete: bool,
    /// SHA-256 of record.json, in hexadecimal digits.
    pub record_sha256: String,
    /// Hash of the measured part of the spec that it measured: figures since the previous run are taken between two runs
    /// with the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_hash: Option<String>,
}

/// How one source answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Which source: prometheus, postgres, redis, or kubernetes for the facts of workloads.
    pub name: String,
    /// Collected: everything was read. Partial: some of it. Failed: nothing.
    pub state: String,
    /// Why it was not read whole, in one word, for example Unreachable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What failed and what to do, where it was not read whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long reading it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
}

/// New runs after one that failed for a reason which may pass by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryStatus {
    /// How many runs failed so in a row, the first one counted; a new one starts after each of the first three.
    pub attempts: i32,
    /// When the next one starts, in UTC; absent after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Time>,
}
