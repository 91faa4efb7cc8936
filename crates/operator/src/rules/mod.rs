//! Alerts for a baseline's objectives and its cache, as rules of Prometheus (pure).
//!
//! An alert watches the figure that an objective names as it is now, over five minutes, and between runs; the objective
//! itself is judged over the window of a run. docs/alerts.md has every alert with what to do.

mod expression;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use plimsoll_analysis::hash::sha256_hex;
use plimsoll_analysis::request::Unit;
use plimsoll_analysis::{indicator, threshold};
use plimsoll_api::PerformanceBaselineSpec;
use plimsoll_api::baseline::ObjectiveSpec;
use serde::Serialize;
use serde_json::{Value, json};

use crate::baseline::validate;
use expression::{Assumes, Figure, checked, exporter_matchers, figure, hit_ratio, own, selector};

/// Key of the rules in the ConfigMap of the report.
pub const FILE: &str = "rules.yaml";
/// API version of a PrometheusRule.
pub const API_VERSION: &str = "monitoring.coreos.com/v1";
/// Where each alert is explained.
const RUNBOOK: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/alerts.md");
/// Most characters of a baseline's name in that of its PrometheusRule.
const MAX_NAME: usize = 200;

/// One alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Its name.
    pub alert: String,
    /// When it fires.
    pub expr: String,
    /// For how long that must hold.
    #[serde(rename = "for")]
    pub hold: String,
    /// Labels: severity, and whose it is.
    pub labels: BTreeMap<String, String>,
    /// Texts for people.
    pub annotations: BTreeMap<String, String>,
}

/// The alerts of one baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its name, the same in no other namespace.
    pub name: String,
    /// Its alerts.
    pub rules: Vec<Alert>,
}

/// The rules of a baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The one group.
    pub group: Group,
    /// Objectives without an alert, each with the reason.
    pub left_out: Vec<String>,
}

/// Whose rules they are.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// Name of the baseline.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
}

/// The rules of a valid spec. What no rule can be made of is left out, with the reason.
#[must_use]
pub fn rules(whose: Whose<'_>, spec: &PerformanceBaselineSpec) -> Rules {
    let mut alerts = Vec::new();
    let mut left_out = Vec::new();
    for objective in &spec.objectives {
        match of_objective(whose, spec, objective) {
            Ok(of_objective) => alerts.extend(of_objective),
            Err(why) => left_out.push(format!("{}: {why}", objective.name)),
        }
    }
    if spec.sources.redis.is_some() {
        match of_cache(whose, spec) {
            Ok(of_cache) => alerts.extend(of_cache),
            Err(why) => left_out.push(format!("cache: {why}")),
        }
    }
    Rules {
        group: Group { name: format!("plimsoll.{}.{}", whose.namespace, whose.name), rules: alerts },
        left_out,
    }
}

impl Rules {
    /// As a rule file of Prometheus.
    #[must_use]
    pub fn yaml(&self) -> String {
        let file = json!({"groups": [self.group]});
        serde_yaml::to_string(&file).expect("texts have YAML")
    }

    /// As a PrometheusRule that belongs to the baseline. Labels that Plimsoll knows its objects by are its own.
    #[must_use]
    pub fn object(
        &self,
        whose: Whose<'_>,
        owner: &OwnerReference,
        labels: &BTreeMap<String, String>,
    ) -> Value {
        let mut labels = labels.clone();
        labels.extend(crate::job::build::run_labels(crate::baseline::view::KIND, whose.name, ""));
        labels.retain(|name, value| name != plimsoll_api::RUN_LABEL || !value.is_empty());
        json!({
            "apiVersion": API_VERSION,
            "kind": "PrometheusRule",
            "metadata": {
                "name": object_name(whose.name),
                "namespace": whose.namespace,
                "labels": labels,
                "ownerReferences": [owner],
            },
            "spec": {"groups": [self.group]},
        })
    }
}

/// Name of a baseline's PrometheusRule: `plimsoll-` and its own, where it is not too long.
#[must_use]
pub fn object_name(baseline: &str) -> String {
    if baseline.len() <= MAX_NAME {
        return format!("plimsoll-{baseline}");
    }
    // Two long names that share their head must not share a rule.
    let head = baseline[..MAX_NAME].trim_end_matches(['.', '-']);
    format!("plimsoll-{head}-{}", &sha256_hex(baseline.as_bytes())[..10])
}

/// The alerts of an objective: one for its target and, where it has a warning, one for that.
fn of_objective(
    whose: Whose<'_>,
    spec: &PerformanceBaselineSpec,
    objective: &ObjectiveSpec,
) -> Result<Vec<Alert>, String> {
    let (Figure { expr, assumes }, unit, what) = match (&objective.indicator, &objective.query) {
        (Some(name), _) => (figure(spec, whose.namespace, name)?, unit_of(spec, name)?, title(name)),
        (None, Some(query)) => {
            let unit = objective.unit.ok_or("unit is not set")?;
            (own(query)?, validate::unit_of(unit), objective.name.clone())
        }
        (None, None) => return Err("neither indicator nor query is set".to_owned()),
    };
    let (bound, broken, word) = match (&objective.less_than, &objective.greater_than) {
        (Some(bound), _) => (bound, ">=", "lessThan"),
        (None, Some(bound)) => (bound, "<=", "greaterThan"),
        (None, None) => return Err("neither lessThan nor greaterThan is set".to_owned()),
    };
    let bounds = [
        Some(("PlimsollObjectiveMissed", "critical", bound)),
        objective.warning.as_ref().map(|warning| ("PlimsollObjectiveWarning", "warning", warning)),
    ];
    let mut alerts = Vec::new();
    for (alert, severity, bound) in bounds.into_iter().flatten() {
        let limit = threshold::parse(bound, unit).map_err(|error| error.to_string())?;
        let mut made = Alert {
            alert: alert.to_owned(),
            expr: checked(format!("{expr} {broken} {limit}"), assumes)?.expr,
            hold: objective.r#for.clone(),
            labels: labels(whose, severity),
            annotations: annotations(
                alert,
                assumes,
                format!("{what} of {}/{} is {}, bound {bound}", whose.namespace, whose.name, value(unit)),
                format!(
                    "Objective {} ({word} {bound}): {what} has been {} over the last 5 minutes, for {} or longer.",
                    objective.name,
                    value(unit),
                    objective.r#for
                ),
            ),
        };
        made.labels.insert("objective".to_owned(), objective.name.clone());
        alerts.push(made);
    }
    Ok(alerts)
}

/// What every cache is watched for: the bounds are those of the findings on a cache.
fn of_cache(whose: Whose<'_>, spec: &PerformanceBaselineSpec) -> Result<Vec<Alert>, String> {
    let ours = exporter_matchers(spec);
    let of = |metric: &str| selector(metric, &[ours]);
    let (used, most) = (of("redis_memory_used_bytes")?, of("redis_memory_max_bytes")?);
    let (evicted, fragmented) = (of("redis_evicted_keys_total")?, of("redis_mem_fragmentation_ratio")?);
    let hit_ratio = hit_ratio(spec)?.expr;
    let judged =
        spec.objectives.iter().any(|objective| objective.indicator.as_deref() == Some("cache.hitRatio"));
    let mut rules = vec![
        (
            "PlimsollCacheMemoryHigh",
            format!("{used} / ({most} > 0) > 0.9"),
            "15m",
            "memory in use is {{ $value | humanizePercentage }} of maxmemory, bound 90%",
        ),
        (
            "PlimsollCacheEvictionsRising",
            format!("rate({evicted}[15m]) > rate({evicted}[15m] offset 1h)"),
            "15m",
            "it evicts {{ $value | humanize }} keys a second, more than an hour ago",
        ),
        (
            "PlimsollCacheFragmented",
            // Below 64 MiB the server's own code and buffers make up the ratio.
            format!("{fragmented} > 1.5 and {used} >= 67108864"),
            "1h",
            "resident memory is {{ $value | humanize }} times the memory in use, bound 1.5",
        ),
    ];
    // An objective on it has a bound and an alert of its own.
    if !judged {
        rules.insert(
            0,
            (
                "PlimsollCacheHitRatioLow",
                format!("{hit_ratio} < 0.9"),
                "15m",
                "{{ $value | humanizePercentage }} of lookups hit, bound 90%",
            ),
        );
    }
    let made = rules.into_iter().map(|(alert, expr, hold, says)| {
        let summary = format!("Cache of {}/{}: {says}", whose.namespace, whose.name);
        let description = format!("{summary}, for {hold} or longer; server {{{{ $labels.instance }}}}.");
        Ok(Alert {
            alert: alert.to_owned(),
            expr: checked(expr, Assumes::RedisExporter)?.expr,
            hold: hold.to_owned(),
            labels: labels(whose, "warning"),
            annotations: annotations(alert, Assumes::RedisExporter, summary, description),
        })
    });
    made.collect()
}

/// Names are those of Kubernetes objects, so that no label or text holds what Prometheus takes for a template.
fn labels(whose: Whose<'_>, severity: &str) -> BTreeMap<String, String> {
    let labels = [("severity", severity), ("namespace", whose.namespace), ("baseline", whose.name)];
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn annotations(
    alert: &str,
    assumes: Assumes,
    summary: String,
    description: String,
) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::from([
        ("summary".to_owned(), summary),
        ("description".to_owned(), description),
        ("runbook_url".to_owned(), format!("{RUNBOOK}#{}", alert.to_lowercase())),
    ]);
    if let Some(text) = assumes.text() {
        annotations.insert("assumes".to_owned(), text.to_owned());
    }
    annotations
}

/// The alert's value as people read it, in the language of Prometheus' templates.
fn value(unit: Unit) -> &'static str {
    match unit {
        Unit::Seconds => "{{ $value | humanizeDuration }}",
        Unit::Ratio => "{{ $value | humanizePercentage }}",
        Unit::Bytes => "{{ $value | humanize1024 }}B",
        Unit::Count => "{{ $value | humanize }}",
        Unit::PerSecond => "{{ $value | humanize }}/s",
    }
}

fn title(name: &str) -> String {
    indicator::known(name).map_or_else(|| name.to_owned(), |known| known.title.to_owned())
}

/// What an indicator's bound is measured in.
fn unit_of(spec: &PerformanceBaselineSpec, name: &str) -> Result<Unit, String> {
    if let Some(known) = indicator::known(name) {
        return Ok(known.unit);
    }
    let metric = name.strip_prefix(indicator::METRICS);
    let metric = metric.and_then(|name| spec.metrics.iter().find(|metric| metric.name == name));
    metric.map(|metric| validate::unit_of(metric.unit)).ok_or_else(|| format!("{name} is not known"))
}

/// What an objective's bound is measured in; `None` where the spec does not tell.
#[must_use]
pub fn unit_of_objective(spec: &PerformanceBaselineSpec, objective: &ObjectiveSpec) -> Option<Unit> {
    match (&objective.indicator, objective.unit) {
        (Some(name), _) => unit_of(spec, name).ok(),
        (None, unit) => unit.map(validate::unit_of),
    }
}

#[cfg(test)]
mod tests;
