//! Objectives: whether a record keeps the bounds that its owner set.
//!
//! A verdict needs a figure that covers enough of its window, rests on enough observations and is known well enough to
//! lie on one side of the bound. Whatever is missing of that makes it Inconclusive, with what to do: never a pass.

mod absent;
mod message;
mod samples;
#[cfg(test)]
mod tests;

use crate::format::quantity;
use crate::indicator::{self, Reading};
use crate::judgement::{Bound, Finding, Objective, ObjectiveResult, ObjectiveVerdict};
use crate::record::BaselineRecord;

pub(crate) use samples::requests;

/// Judges each objective, in their order. `findings` are those of the record, the most important first: a missed
/// objective names the first of them that explains its indicator.
#[must_use]
pub fn judge(
    record: &BaselineRecord,
    objectives: &[Objective],
    findings: &[Finding],
) -> Vec<ObjectiveResult> {
    objectives.iter().map(|objective| judge_one(record, objective, findings)).collect()
}

/// What is known of a figure, in its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Known {
    /// The figure; where it is a percentile, beside the bounds of the bucket in which it was interpolated.
    Exact { value: f64, bucket: Option<(f64, f64)> },
    /// It lies between these, the upper one included; nothing bounds it above where that is absent.
    Between { low: f64, high: Option<f64> },
}

/// A verdict, and what it rests on.
#[derive(Debug, Clone, PartialEq)]
struct Decision {
    verdict: ObjectiveVerdict,
    known: Known,
    /// The figure, or the end of the interval that decided: the margin is that of this one.
    decided_by: f64,
}

fn judge_one(record: &BaselineRecord, objective: &Objective, findings: &[Finding]) -> ObjectiveResult {
    let mut result = ObjectiveResult {
        name: objective.name.clone(),
        indicator: objective.indicator.clone(),
        target: format!("{} {}", message::bound(objective.comparison), objective.target_text),
        value: None,
        low: None,
        high: None,
        unit: objective.unit,
        result: ObjectiveVerdict::Inconclusive,
        margin_percent: None,
        path: None,
        finding: None,
        message: String::new(),
    };
    let Some(reading) = indicator::read(record, &objective.indicator) else {
        result.message = message::cut(format!(
            "{} is no indicator of a baseline; see the field's description for those there are",
            objective.indicator
        ));
        return result;
    };
    result.path = Some(reading.path.clone());
    match decide(record, objective, &reading) {
        Ok(decision) => {
            result.result = decision.verdict;
            result.margin_percent = margin(objective, decision.decided_by);
            if decision.verdict == ObjectiveVerdict::Missed {
                result.finding = explanation(findings, &objective.indicator);
            }
            result.message =
                message::decided(objective, &reading.title, &decision, result.finding.as_deref());
        }
        Err(why) => result.message = message::undecided(&reading, objective.unit, &why),
    }
    // What was measured in another unit is no value of this one.
    if reading.is_measured() && reading.unit == objective.unit {
        (result.value, result.low, result.high) = (reading.value, reading.low, reading.high);
    }
    result
}

/// The verdict, or why there is none and what to do.
fn decide(record: &BaselineRecord, objective: &Objective, reading: &Reading<'_>) -> Result<Decision, String> {
    if !reading.is_measured() {
        return Err(absent::why(record, reading));
    }
    if reading.unit != objective.unit {
        return Err(format!(
            "it was measured as {:?} and the target is one of {:?}; a run after the last edit of the spec mends it",
            reading.unit, objective.unit
        ));
    }
    let numbers = [reading.value, reading.low, reading.high];
    if numbers.into_iter().flatten().any(|number| !number.is_finite()) {
        return Err("the record holds no finite number of it; run the baseline again".to_owned());
    }
    let Some(basis) = reading.basis else {
        return Err("the record does not say what time it covers; run the baseline again".to_owned());
    };
    if let Some(why) = reading.why_unjudged() {
        return Err(why);
    }
    let decision = match known(reading) {
        Known::Exact { value, bucket } => by_value(objective, value, bucket),
        Known::Between { low, high } => by_interval(objective, low, high)
            .ok_or_else(|| message::straddling(objective, basis.resolution_ms.is_some()))?,
    };
    samples::enough(record, objective, reading, decision.verdict)?;
    Ok(decision)
}

/// What a reading that holds anything knows.
fn known(reading: &Reading<'_>) -> Known {
    match (reading.value, reading.low, reading.high) {
        (Some(value), Some(low), Some(high)) => Known::Exact { value, bucket: Some((low, high)) },
        // Above the histogram's highest bound the "value" is that bound: the true one may be any larger number.
        (Some(value), Some(low), None) => Known::Between { low: low.max(value), high: None },
        (Some(value), None, _) => Known::Exact { value, bucket: None },
        (None, low, high) => Known::Between { low: low.unwrap_or(f64::NEG_INFINITY), high },
    }
}

/// Whether a value lies on the good side of a bound.
fn is_good(comparison: Bound, value: f64, bound: f64) -> bool {
    match comparison {
        Bound::LessThan => value < bound,
        Bound::GreaterThan => value > bound,
    }
}

/// The verdict of a figure that is known. Where its bucket holds the target too the verdict is that of the value inside
/// the bucket, and the message says so.
fn by_value(objective: &Objective, value: f64, bucket: Option<(f64, f64)>) -> Decision {
    let good = |bound| is_good(objective.comparison, value, bound);
    let verdict = match objective.warning {
        _ if !good(objective.target) => ObjectiveVerdict::Missed,
        Some(warning) if !good(warning) => ObjectiveVerdict::Warning,
        _ => ObjectiveVerdict::Met,
    };
    Decision { verdict, known: Known::Exact { value, bucket }, decided_by: value }
}

/// The verdict of a figure of which only bounds are known; `None` where the target lies between them.
///
/// A bucket's upper bound belongs to it and its lower one does not, so a bucket that ends at the target meets `lessThan`,
/// and one that begins there meets `greaterThan`: a bucket bound at the target makes every objective decidable.
fn by_interval(objective: &Objective, low: f64, high: Option<f64>) -> Option<Decision> {
    let (target, known) = (objective.target, Known::Between { low, high });
    let is_below = |bound: f64| high.is_some_and(|high| high <= bound);
    let is_above = |bound: f64| low >= bound;
    let (is_met, is_missed, is_past_warning) = match objective.comparison {
        Bound::LessThan => {
            (is_below(target), is_above(target), objective.warning.is_some_and(|bound| !is_below(bound)))
        }
        Bound::GreaterThan => {
            (is_above(target), is_below(target), objective.warning.is_some_and(|bound| !is_above(bound)))
        }
    };
    let (worst, best) = match objective.comparison {
        Bound::LessThan => (high, Some(low)),
        Bound::GreaterThan => (Some(low), high),
    };
    // An interval that only touches the warning may have passed it.
    let (verdict, decided_by) = match (is_met, is_missed) {
        (true, _) if is_past_warning => (ObjectiveVerdict::Warning, worst?),
        (true, _) => (ObjectiveVerdict::Met, worst?),
        (false, true) => (ObjectiveVerdict::Missed, best?),
        (false, false) => return None,
    };
    Some(Decision { verdict, known, decided_by })
}

/// How far a value is from the target on its good side, percent of the target.
fn margin(objective: &Objective, value: f64) -> Option<f64> {
    let room = match objective.comparison {
        Bound::LessThan => objective.target - value,
        Bound::GreaterThan => value - objective.target,
    };
    Some(room / objective.target * 100.0).filter(|percent| percent.is_finite())
}

/// Which finding explains that an indicator is bad.
fn explanation(findings: &[Finding], indicator: &str) -> Option<String> {
    let first = findings.iter().find(|finding| finding.explains.iter().any(|name| name == indicator))?;
    Some(format!("{}: {}", first.id, first.subject))
}

/// A figure as people read it.
fn shown(known: Known, unit: crate::request::Unit) -> String {
    match known {
        Known::Exact { value, .. } => quantity(value, unit),
        Known::Between { low, high } => message::between(low, high, unit),
    }
}
