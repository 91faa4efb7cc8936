//! What is said of a record: objectives, the comparison with an earlier record, and alerts.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sections::MetricUnit;
use crate::common::{ObjectName, rule};

/// A bound that a figure must keep: the one threshold type of every kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.indicator) != has(self.query)", "exactly one of indicator and query is set"))]
#[x_kube(validation = ("has(self.query) == has(self.unit)", "unit is set exactly with query"))]
#[x_kube(validation = ("has(self.lessThan) != has(self.greaterThan)", "exactly one of lessThan and greaterThan is set"))]
pub struct ObjectiveSpec {
    /// Name of the objective: lower-case letters, digits and "-", for example "page-load".
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Figure that is judged: web.latency.p50, p90, p95 or p99, web.requestRate, web.errorRatio, the same of api,
    /// database.queryTime.p95, database.cacheHitRatio, database.connectionUse, cache.hitRatio, cache.memory,
    /// infrastructure.cpu (cores), infrastructure.memory, or metrics.NAME for one of spec.metrics. Its section or source is
    /// needed. Exactly one of indicator and query is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 80),
        regex(
            pattern = r"^((web|api)\.(latency\.p(50|90|95|99)|requestRate|errorRatio)|database\.(queryTime\.p95|cacheHitRatio|connectionUse)|cache\.(hitRatio|memory)|infrastructure\.(cpu|memory)|metrics\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)$"
        )
    )]
    pub indicator: Option<String>,
    /// PromQL of your own that gives one number at the moment of the run, as in spec.metrics; record.json has it under
    /// custom_metrics by the objective's name. Adding or changing it starts a run. Exactly one of indicator and query is
    /// set. Needs unit and sources.prometheus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub query: Option<String>,
    /// What the query's number counts. Set exactly with query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<MetricUnit>,
    /// Met below this bound, which is written with its unit: "3s" or "500ms" for a time, "1%" for a ratio, "512Mi" for
    /// bytes, "100" for a count, "20/s" for a rate. Exactly one of lessThan and greaterThan is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub less_than: Option<String>,
    /// Met above this bound, written as lessThan, for example "90%". Exactly one of lessThan and greaterThan is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub greater_than: Option<String>,
    /// Bound on the good side of the target: between the two the result is Warning, which counts as met. Written as the
    /// target, for example "2s" with lessThan "3s". No warning when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub warning: Option<String>,
    /// How long the bound must be broken before the alert of spec.prometheusRule fires: whole numbers with the units d, h,
    /// m and s. It does not change how a run is judged.
    #[serde(default = "default_for")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"))]
    pub r#for: String,
}

/// What a finished run is compared with; the member that "type" names is set and no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule("(self.type == 'Baseline') == has(self.baseline)", "baseline is set exactly when type is Baseline", ".baseline"))]
#[x_kube(validation = rule("(self.type == 'Record') == has(self.record)", "record is set exactly when type is Record", ".record"))]
pub struct CompareToSpec {
    /// PreviousRun: the complete run of this baseline before the one that is judged. Baseline: the newest complete run of
    /// another baseline of this namespace, or the run of it that is named. Record: a record that was exported and applied
    /// as a ConfigMap, for example from Git.
    pub r#type: CompareType,
    /// Baseline of this namespace. Set exactly when type is Baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineRun>,
    /// ConfigMap of this namespace with the key record.json, as "kubectl plimsoll export" writes it. Whoever creates or
    /// edits this object must be allowed to get that ConfigMap. Set exactly when type is Record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordRef>,
    /// Change for the worse that is allowed, in percent of the value before: an indicator is Regressed only where its
    /// whole interval lies beyond, for example "5%".
    #[serde(default = "default_allowed_change")]
    #[schemars(length(min = 2, max = 16), regex(pattern = r"^[0-9]{1,3}(\.[0-9]{1,4})?%$"))]
    pub allowed_change: String,
    /// Confidence of the whole comparison: with "98%", 2 of 100 comparisons of equal systems find a change. From 80% to
    /// 99.9%.
    #[serde(default = "default_confidence")]
    #[schemars(length(min = 3, max = 16), regex(pattern = r"^[0-9]{2}(\.[0-9]{1,4})?%$"))]
    pub confidence: String,
    /// None: all of one window against all of the other. HourOfWeek: only the same hours of the week (UTC) of both windows
    /// are compared, hour by hour, so that a Monday is not measured against a Sunday.
    #[serde(default)]
    pub alignment: Alignment,
}

/// Kind of thing that a run is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CompareType {
    /// The complete run before.
    PreviousRun,
    /// Another baseline.
    Baseline,
    /// An exported record.
    Record,
}

/// A baseline of this namespace, or one run of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaselineRun {
    /// Name of the baseline.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
    /// Name of one of its runs whose record is kept (status.history). Its newest complete run when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub run: Option<String>,
}

/// An exported record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordRef {
    /// ConfigMap of this namespace with the key record.json.
    pub config_map_ref: ObjectName,
}

/// How the slots of two windows are paired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Alignment {
    /// Not at all.
    #[default]
    None,
    /// By hour of the week.
    HourOfWeek,
}

/// What becomes of the records when the baseline is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They are deleted with it.
    #[default]
    Delete,
    /// They stay.
    Retain,
}

/// Alerts for the objectives, as a PrometheusRule of this namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusRuleSpec {
    /// Whether to write the rules. Where the cluster has no PrometheusRule (monitoring.coreos.com/v1), they stand only as
    /// rules.yaml in the ConfigMap of the report.
    #[serde(default)]
    pub enabled: bool,
    /// Labels of the PrometheusRule, by which a Prometheus selects it, for example release: prometheus.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub labels: BTreeMap<String, String>,
    /// Label matchers that select this system's series among those of postgres_exporter and redis_exporter, as between the
    /// braces of a PromQL selector, for example namespace="smart-dairy". All their series when empty, and so an alert for
    /// each server that Prometheus sees.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub exporter_matchers: String,
}

fn default_for() -> String {
    "5m".to_owned()
}

fn default_allowed_change() -> String {
    "5%".to_owned()
}

fn default_confidence() -> String {
    "98%".to_owned()
}
