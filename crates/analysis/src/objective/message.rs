//! What is said of an objective, in words.

use super::{Decision, Known, shown};
use crate::format::{milliseconds_between, number, quantity};
use crate::indicator::Reading;
use crate::judgement::{Bound, Objective, ObjectiveVerdict};
use crate::request::Unit;

/// Longest message, characters.
pub(super) const MAX_MESSAGE: usize = 480;

/// A figure of so many targets is said as a multiple.
const FAR: f64 = 2.0;

/// The bound's side, as the spec writes it.
pub(super) fn bound(comparison: Bound) -> &'static str {
    match comparison {
        Bound::LessThan => "lessThan",
        Bound::GreaterThan => "greaterThan",
    }
}

/// At most that many characters, the last one an ellipsis where something is missing.
pub(super) fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A message of bounded length.
pub(super) fn cut(message: String) -> String {
    if message.len() <= MAX_MESSAGE { message } else { shorten(&message, MAX_MESSAGE) }
}

/// An interval as people read it.
pub(super) fn between(low: f64, high: Option<f64>, unit: Unit) -> String {
    match (unit, high) {
        (Unit::Seconds, _) => milliseconds_between(low * 1_000.0, high.map(|high| high * 1_000.0)),
        (_, None) => format!(">{}", quantity(low, unit)),
        (_, Some(high)) => format!("{} to {}", quantity(low, unit), quantity(high, unit)),
    }
}

/// The message of a verdict: figure, target, margin, and what a reader must know beside.
pub(super) fn decided(
    objective: &Objective,
    title: &str,
    decision: &Decision,
    finding: Option<&str>,
) -> String {
    let figure = shown(decision.known, objective.unit);
    let mut text = format!("{title}: {figure}, {}", relation(objective, decision));
    if let (ObjectiveVerdict::Warning, Some(warning)) = (decision.verdict, objective.warning) {
        text.push_str(&format!(", and past the warning at {}", quantity(warning, objective.unit)));
    }
    if let Known::Exact { bucket: Some((low, high)), .. } = decision.known
        && low < objective.target
        && objective.target < high
    {
        text.push_str(&format!(
            "; not certain: the histogram says {} and no more, a bucket bound at {} would",
            between(low, Some(high), objective.unit),
            objective.target_text
        ));
    }
    if let Some(finding) = finding {
        text.push_str(&format!("; see the finding {finding}"));
    }
    cut(text)
}

/// Where the figure is as seen from the target.
fn relation(objective: &Objective, decision: &Decision) -> String {
    let (target, unit) = (objective.target, objective.unit);
    let side = if decision.decided_by < target { "below" } else { "above" };
    let is_interval = matches!(decision.known, Known::Between { .. });
    if decision.decided_by == target {
        // A bucket that ends at its target keeps it; a figure that equals it does not.
        return match (is_interval, decision.verdict.is_met(), objective.comparison) {
            (true, true, Bound::LessThan) => format!("at most the target of {}", objective.target_text),
            (true, true, Bound::GreaterThan) => format!("above the target of {}", objective.target_text),
            (true, false, Bound::LessThan) => format!("above the target of {}", objective.target_text),
            (true, false, Bound::GreaterThan) => format!("at most the target of {}", objective.target_text),
            (false, _, Bound::LessThan) => format!("not below the target of {}", objective.target_text),
            (false, _, Bound::GreaterThan) => format!("not above the target of {}", objective.target_text),
        };
    }
    if !is_interval && quantity(decision.decided_by, unit) == quantity(target, unit) {
        return format!("just {side} the target of {}", objective.target_text);
    }
    let at_least = if is_interval { "at least " } else { "" };
    let times = decision.decided_by / target;
    if times.is_finite() && times >= FAR {
        return format!("{at_least}{} times the target of {}", number(times), objective.target_text);
    }
    // A percentage of a percentage would be read as its points.
    let distance = match unit {
        Unit::Ratio => Some(format!("{} points", number((decision.decided_by - target).abs() * 100.0))),
        _ => super::margin(objective, decision.decided_by).map(|margin| format!("{}%", number(margin.abs()))),
    };
    match distance {
        Some(distance) => format!("{side} the target of {} by {at_least}{distance}", objective.target_text),
        None => format!("{side} the target of {}", objective.target_text),
    }
}

/// Why an interval with the target inside is no verdict, and what to do.
pub(super) fn straddling(objective: &Objective, is_histogram: bool) -> String {
    let remedy = if is_histogram {
        format!("give the histogram a bucket bound at {}", objective.target_text)
    } else {
        "measure it with a histogram that spec.database.latencyHistogram names".to_owned()
    };
    format!("the target of {} lies within; {remedy}", objective.target_text)
}

/// The message where there is no verdict.
pub(super) fn undecided(reading: &Reading<'_>, unit: Unit, why: &str) -> String {
    let figure = match (reading.value, reading.low) {
        (Some(value), _) if reading.unit == unit => format!(" {}, but", quantity(value, unit)),
        (None, Some(low)) if reading.unit == unit => format!(" {}, but", between(low, reading.high, unit)),
        _ => String::new(),
    };
    cut(format!("{}:{figure} {why}", reading.title))
}
