//! What objectives, compareTo and prometheusRule mean: by what a record is judged.

use std::time::Duration;

use plimsoll_analysis::indicator::{self, METRICS};
use plimsoll_analysis::judgement::{self, Bound, CompareOptions, Objective};
use plimsoll_analysis::promql::{check_matchers, check_query};
use plimsoll_analysis::request::{MetricRequest, Unit};
use plimsoll_analysis::threshold;
use plimsoll_api::PerformanceBaselineSpec;
use plimsoll_api::baseline::{Alignment, Better, CompareToSpec, CompareType, ObjectiveSpec};

use super::sections::unit_of;
use super::sources::NO_LABEL_NAME;
use super::{Errors, within};
use crate::workloads::labels::{is_label_name, is_label_value};

/// Shortest and longest time that a bound must be broken before its alert fires.
const FOR: [Duration; 2] = [Duration::ZERO, Duration::from_secs(92 * 86_400)];
/// Lowest and highest confidence of a comparison, percent.
const CONFIDENCE: [f64; 2] = [0.8, 0.999];

/// What a finished run is compared with, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidComparison {
    /// With what.
    pub with: CompareWith,
    /// How.
    pub options: CompareOptions,
}

/// What a finished run is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompareWith {
    /// The complete run of this baseline before the one that is judged.
    PreviousRun,
    /// A run of a baseline of this namespace.
    Baseline {
        /// Name of the baseline.
        name: String,
        /// Name of the run; its newest complete one when absent.
        run: Option<String>,
    },
    /// A record in a ConfigMap of this namespace.
    Record {
        /// Name of the ConfigMap.
        config_map: String,
    },
}

/// The objectives with their bounds parsed, and the queries among them as metrics by the objectives' names.
pub(super) fn objectives(
    spec: &PerformanceBaselineSpec,
    errors: &mut Errors,
) -> (Vec<Objective>, Vec<MetricRequest>) {
    let (mut objectives, mut queries) = (Vec::new(), Vec::new());
    for (index, objective) in spec.objectives.iter().enumerate() {
        let path = format!("spec.objectives[{index}]");
        let name = &objective.name;
        if spec.objectives[..index].iter().any(|earlier| earlier.name == *name) {
            errors.add(format!("{path}.name"), format!("{name:?} is the name of another objective"));
        }
        errors.check(format!("{path}.for"), within(&objective.r#for, FOR, "0s and 92d").map(drop));
        let Some((indicator, unit)) = subject(spec, objective, &path, &mut queries, errors) else { continue };
        objectives.extend(bounded(objective, &path, indicator, unit, errors));
    }
    if !queries.is_empty() && spec.sources.prometheus.is_none() {
        errors.add("spec.objectives", "an objective's query needs spec.sources.prometheus");
    }
    (objectives, queries)
}

/// What an objective is about and the unit of it; `None` where it is about nothing, which is an error then.
fn subject(
    spec: &PerformanceBaselineSpec,
    objective: &ObjectiveSpec,
    path: &str,
    queries: &mut Vec<MetricRequest>,
    errors: &mut Errors,
) -> Option<(String, Unit)> {
    let name = &objective.name;
    match (&objective.indicator, &objective.query, objective.unit) {
        (Some(indicator), None, None) => {
            let unit = indicator_unit(spec, indicator, &format!("{path}.indicator"), errors)?;
            Some((indicator.clone(), unit))
        }
        (None, Some(query), Some(unit)) => {
            errors.check(format!("{path}.query"), check_query(query));
            if spec.metrics.iter().any(|metric| metric.name == *name) {
                errors.add(
                    format!("{path}.name"),
                    format!("{name:?} is the name of one of spec.metrics; judge that by indicator: {METRICS}{name}, or choose another name"),
                );
            }
            let unit = unit_of(unit);
            queries.push(MetricRequest { name: name.clone(), query: query.clone(), unit });
            Some((format!("{METRICS}{name}"), unit))
        }
        (None, Some(_), None) => {
            errors.add(path, "query needs unit: Seconds, Ratio, Bytes, Count or PerSecond");
            None
        }
        (Some(_), None, Some(_)) => {
            errors.add(path, "an indicator has its own unit; leave unit out");
            None
        }
        _ => {
            errors.add(path, "exactly one of indicator and query is set");
            None
        }
    }
}

/// The unit of an indicator whose figure this spec records.
fn indicator_unit(
    spec: &PerformanceBaselineSpec,
    name: &str,
    path: &str,
    errors: &mut Errors,
) -> Option<Unit> {
    if let Some(metric) = name.strip_prefix(METRICS) {
        let found = spec.metrics.iter().find(|own| own.name == metric);
        if found.is_none() {
            errors.add(path, format!("spec.metrics has no {metric:?}; add it, or write query and unit here"));
        }
        return found.map(|metric| unit_of(metric.unit));
    }
    let Some(indicator) = indicator::known(name) else {
        let known: Vec<&str> = indicator::INDICATORS.iter().map(|indicator| indicator.name).collect();
        errors.add(path, format!("{name:?} is none of {}, {METRICS}NAME", known.join(", ")));
        return None;
    };
    if let Some(missing) = missing_for(spec, name) {
        errors.add(path, format!("{name} needs {missing}"));
    }
    Some(indicator.unit)
}

/// What a spec lacks so that an indicator is recorded.
fn missing_for(spec: &PerformanceBaselineSpec, name: &str) -> Option<&'static str> {
    let (tier, rest) = name.split_once('.')?;
    let missing = match tier {
        "web" => (spec.web.is_none(), "spec.web; add 'web: {}'"),
        "api" => (spec.api.is_none(), "spec.api; add 'api: {}'"),
        "database" if rest == "queryTime.p95" => {
            (spec.database.is_none(), "spec.database; add 'database: {}'")
        }
        "database" => (spec.sources.postgres.is_none(), "spec.sources.postgres and spec.database"),
        "cache" => (spec.cache.is_none(), "spec.sources.redis and spec.cache"),
        _ => (spec.sources.prometheus.is_none(), "spec.sources.prometheus"),
    };
    missing.0.then_some(missing.1)
}

/// The objective, where its bounds can be read and can be met at all.
fn bounded(
    objective: &ObjectiveSpec,
    path: &str,
    indicator: String,
    unit: Unit,
    errors: &mut Errors,
) -> Option<Objective> {
    let (comparison, field, text) = match (&objective.less_than, &objective.greater_than) {
        (Some(bound), None) => (Bound::LessThan, "lessThan", bound),
        (None, Some(bound)) => (Bound::GreaterThan, "greaterThan", bound),
        _ => {
            errors.add(path, "exactly one of lessThan and greaterThan is set");
            return None;
        }
    };
    let mut read = |field: &str, text: &str| match threshold::parse(text, unit) {
        Ok(bound) => Some(bound),
        Err(error) => {
            errors.add(format!("{path}.{field}"), error.to_string());
            None
        }
    };
    let target = read(field, text);
    let warning = objective.warning.as_deref().map(|text| read("warning", text));
    let target = target?;
    // A figure of ours has known ends; what a query of the user's own returns may lie beyond.
    let fault = match (comparison, unit) {
        _ if indicator.starts_with(METRICS) => None,
        (Bound::LessThan, _) if target <= 0.0 => Some("no value lies below it"),
        (Bound::GreaterThan, Unit::Ratio) if target >= 1.0 => Some("no value lies above it"),
        (Bound::LessThan, Unit::Ratio) if target > 1.0 => Some("every value lies below it"),
        _ => None,
    };
    if let Some(fault) = fault {
        errors.add(format!("{path}.{field}"), format!("{text:?}: {fault}"));
    }
    let warning = match warning {
        None => None,
        Some(warning) => Some(warning?),
    };
    let on_the_good_side = warning.is_none_or(|warning| match comparison {
        Bound::LessThan => warning < target,
        Bound::GreaterThan => warning > target,
    });
    if !on_the_good_side {
        let side = if comparison == Bound::LessThan { "below" } else { "above" };
        errors.add(
            format!("{path}.warning"),
            format!("it must lie {side} {field}, {text:?}: between the two the result is Warning"),
        );
    }
    let target_text = text.clone();
    Some(Objective {
        name: objective.name.clone(),
        indicator,
        unit,
        comparison,
        target,
        warning,
        target_text,
    })
}

/// What runs of the baseline `own` are compared with.
pub(super) fn comparison(
    own: &str,
    spec: &PerformanceBaselineSpec,
    errors: &mut Errors,
) -> Option<ValidComparison> {
    const PATH: &str = "spec.compareTo";
    let compare = spec.compare_to.as_ref()?;
    let allowed_change = percent(&format!("{PATH}.allowedChange"), &compare.allowed_change, errors);
    let confidence = percent(&format!("{PATH}.confidence"), &compare.confidence, errors);
    let [least, most] = CONFIDENCE;
    // Whoever writes a bound means it, whatever its binary fraction is.
    if confidence.is_some_and(|confidence| confidence < least - 1e-9 || confidence > most + 1e-9) {
        let message = format!("{:?} is not between 80% and 99.9%", compare.confidence);
        errors.add(format!("{PATH}.confidence"), message);
    }
    let with = with(own, compare, PATH, errors)?;
    let alignment = match compare.alignment {
        Alignment::None => judgement::Alignment::None,
        Alignment::HourOfWeek => judgement::Alignment::HourOfWeek,
    };
    let metrics = spec.metrics.iter().filter_map(|metric| {
        let better = match metric.better? {
            Better::Lower => judgement::Better::Lower,
            Better::Higher => judgement::Better::Higher,
        };
        Some((metric.name.clone(), better))
    });
    // What should stay below a bound is better lower.
    let queries = spec.objectives.iter().filter(|objective| objective.query.is_some()).map(|objective| {
        let better =
            if objective.less_than.is_some() { judgement::Better::Lower } else { judgement::Better::Higher };
        (objective.name.clone(), better)
    });
    let better = metrics.chain(queries).collect();
    let options =
        CompareOptions { allowed_change: allowed_change?, confidence: confidence?, alignment, better };
    Some(ValidComparison { with, options })
}

fn with(own: &str, compare: &CompareToSpec, path: &str, errors: &mut Errors) -> Option<CompareWith> {
    match (compare.r#type, &compare.baseline, &compare.record) {
        (CompareType::PreviousRun, None, None) => Some(CompareWith::PreviousRun),
        (CompareType::Baseline, Some(other), None) => {
            if other.name == own && other.run.is_none() {
                errors.add(
                    format!("{path}.baseline.name"),
                    "this is the baseline itself: use type: PreviousRun, or name one of its runs",
                );
            }
            Some(CompareWith::Baseline { name: other.name.clone(), run: other.run.clone() })
        }
        (CompareType::Record, None, Some(record)) => {
            Some(CompareWith::Record { config_map: record.config_map_ref.name.clone() })
        }
        (CompareType::Baseline, None, _) => {
            errors.add(format!("{path}.baseline"), "type Baseline needs it");
            None
        }
        (CompareType::Record, _, None) => {
            errors.add(format!("{path}.record"), "type Record needs it");
            None
        }
        (_, Some(_), _) if compare.r#type != CompareType::Baseline => {
            errors.add(format!("{path}.baseline"), "it is set only with type Baseline");
            None
        }
        _ => {
            errors.add(format!("{path}.record"), "it is set only with type Record");
            None
        }
    }
}

/// A percentage as a part of one.
fn percent(path: &str, text: &str, errors: &mut Errors) -> Option<f64> {
    match threshold::parse(text, Unit::Ratio) {
        Ok(part) => Some(part),
        Err(error) => {
            errors.add(path, error.to_string());
            None
        }
    }
}

/// The labels of the PrometheusRule, which must be labels, and the matchers of its exporters.
pub(super) fn rule_labels(spec: &PerformanceBaselineSpec, errors: &mut Errors) {
    if let Some(rule) = &spec.prometheus_rule {
        errors.check("spec.prometheusRule.exporterMatchers", check_matchers(&rule.exporter_matchers));
    }
    for (name, value) in spec.prometheus_rule.iter().flat_map(|rule| &rule.labels) {
        let path = format!("spec.prometheusRule.labels[{name:?}]");
        if !is_label_name(name) {
            errors.add(path.clone(), NO_LABEL_NAME);
        }
        if !is_label_value(value) {
            errors.add(
                path,
                format!("{value:?} is no value of a label: at most 63 letters, digits, \"-\", \"_\" and \".\", of which the first and the last are letters or digits"),
            );
        }
    }
}

#[cfg(test)]
#[path = "judging_tests.rs"]
mod tests;
