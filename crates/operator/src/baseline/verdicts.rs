//! What a judgement means for status (pure): objectives, comparison, their conditions.

use plimsoll_analysis::judgement::{
    Change, ChangeVerdict, Comparison, Judgement, ObjectiveResult, ObjectiveVerdict,
};
use plimsoll_analysis::request::Unit;
use plimsoll_api::PerformanceBaselineStatus;
use plimsoll_api::baseline::{ChangeStatus, ComparisonStatus, JudgementStatus, ObjectiveStatus};
use plimsoll_api::condition::{self, Said, Truth, types};
use plimsoll_report::format;

use super::bounds::{MAX_MESSAGE, cut};
use super::judge::{Judged, Unavailable, is_of, spec_part};
use super::status::summary;
use super::view::View;

/// Most changes that status tells of.
const MAX_CHANGES: usize = 10;
/// Most findings that status tells of.
const MAX_TOP: usize = 3;
/// Most bytes of a change or a finding in status.
const MAX_LINE: usize = 120;
/// Most bytes of what one objective or figure says in a condition.
const MAX_PART: usize = 300;
/// Conditions of the judgement; they stay as they are while nothing is judged.
pub(crate) const CONDITIONS: [&str; 2] = [types::OBJECTIVES_MET, types::REGRESSED];

/// Writes a judgement into a status, and returns what its conditions say.
pub(crate) fn write(status: &mut PerformanceBaselineStatus, view: &View, judged: &Judged) -> Vec<Said> {
    let mut told = JudgementStatus {
        run: judged.subject.run.clone(),
        hash: judged.hash.clone(),
        ..JudgementStatus::default()
    };
    let said = match &judged.opinion {
        Ok(opinion) => {
            let judgement = &opinion.judgement;
            told.findings = i32::try_from(judgement.findings.len()).unwrap_or(i32::MAX);
            let top = judgement.findings.iter().take(MAX_TOP);
            told.top = top.map(|one| cut(&format!("{}: {}", one.id, one.subject), MAX_LINE)).collect();
            status.objectives = judgement.objectives.iter().map(objective).collect();
            status.comparison = judgement.comparison.as_ref().map(comparison);
            status.summary = Some(summary(&opinion.record, Some(judgement)));
            let compared = match (&judgement.comparison, &judged.not_compared) {
                (Some(comparison), _) => Some(compared(comparison)),
                (None, Some(why)) => Some(unknown(types::REGRESSED, why)),
                (None, None) => None,
            };
            objectives_met(judgement).into_iter().chain(compared).collect()
        }
        Err(why) => {
            forget(status);
            unjudged(view, why)
        }
    };
    status.judgement = Some(told);
    said
}

/// Takes a judgement out of a status.
pub(crate) fn forget(status: &mut PerformanceBaselineStatus) {
    status.objectives = Vec::new();
    status.comparison = None;
    status.judgement = None;
    if let Some(summary) = &mut status.summary {
        (summary.objectives, summary.change) = (None, None);
    }
}

/// What the conditions say after a run without a record.
fn no_record(status: &PerformanceBaselineStatus, view: &View) -> Option<Vec<Said>> {
    let last = status.last_run.as_ref().filter(|last| last.record_sha256.is_none())?;
    let why = Unavailable { reason: "NoRecord", message: format!("Run {} has no record.", last.name) };
    Some(unjudged(view, &why))
}

/// What the conditions say where there is nothing to judge.
fn unjudged(view: &View, why: &Unavailable) -> Vec<Said> {
    let objectives = (!view.spec.objectives.is_empty()).then(|| unknown(types::OBJECTIVES_MET, why));
    let compared = view.spec.compare_to.as_ref().map(|_| unknown(types::REGRESSED, why));
    objectives.into_iter().chain(compared).collect()
}

fn unknown(type_: &'static str, why: &Unavailable) -> Said {
    said(type_, Truth::Unknown, why.reason, cut(&why.message, MAX_MESSAGE))
}

fn said(type_: &'static str, status: Truth, reason: &str, message: String) -> Said {
    Said { type_, status, reason: reason.to_owned(), message }
}

/// Whether the objectives are met; `None` without any.
fn objectives_met(judgement: &Judgement) -> Option<Said> {
    let all = &judgement.objectives;
    let of = |verdict: ObjectiveVerdict| -> Vec<&ObjectiveResult> {
        all.iter().filter(|one| one.result == verdict).collect()
    };
    let (missed, warned, open) =
        (of(ObjectiveVerdict::Missed), of(ObjectiveVerdict::Warning), of(ObjectiveVerdict::Inconclusive));
    if all.is_empty() {
        return None;
    }
    let (status, reason) = match (missed.is_empty(), open.is_empty()) {
        (false, _) => (Truth::False, "ObjectivesMissed"),
        (true, false) => (Truth::Unknown, "Inconclusive"),
        (true, true) => (Truth::True, "AllMet"),
    };
    let met = all.len() - missed.len() - open.len();
    let mut message = format!("{met} of {} met.", all.len());
    for (title, some) in [("Missed", &missed), ("Inconclusive", &open), ("Warning", &warned)] {
        let parts: Vec<String> =
            some.iter().map(|one| cut(&format!("{}: {}", one.name, one.message), MAX_PART)).collect();
        if !parts.is_empty() {
            message.push_str(&format!(" {title}: {}.", parts.join("; ").trim_end_matches('.')));
        }
    }
    Some(said(types::OBJECTIVES_MET, status, reason, shortened(&message)))
}

/// Whether the run is worse than the one that it is compared with.
fn compared(comparison: &Comparison) -> Said {
    let (status, reason) = match comparison.verdict {
        ChangeVerdict::Regressed => (Truth::True, "Regressed"),
        ChangeVerdict::Improved => (Truth::False, "Improved"),
        ChangeVerdict::Unchanged => (Truth::False, "Unchanged"),
        ChangeVerdict::Inconclusive => (Truth::Unknown, "Inconclusive"),
    };
    let against = &comparison.against;
    let mut message = format!("Against run {} of {}:", cut(&against.run, 64), cut(&against.name, 64));
    let told = changes(comparison);
    let judged = comparison.indicators.iter().filter(|change| change.better.is_some()).count();
    if told.is_empty() {
        message.push_str(&format!(" all of {judged} judged figures are unchanged."));
    }
    for (index, change) in told.iter().enumerate() {
        let verdict = &change.verdict;
        let separator = if index == 0 { "" } else { ";" };
        message.push_str(&format!("{separator} {} {verdict:?}", change.indicator));
        match change.verdict {
            ChangeVerdict::Inconclusive => message.push_str(&format!(" ({})", cut(&change.rule, MAX_PART))),
            _ => message.push_str(&format!(" {}", numbers(change))),
        }
    }
    for note in comparison.notes.iter().take(2) {
        message.push_str(&format!(" {}", cut(note, MAX_PART)));
    }
    said(types::REGRESSED, status, reason, shortened(&message))
}

/// The first part of a message: what matters most stands first.
fn shortened(message: &str) -> String {
    const END: &str = " ... (judgement.json has the rest)";
    let clean = cut(message, usize::MAX);
    if clean.len() <= MAX_MESSAGE {
        return clean;
    }
    format!("{}{END}", &clean[..clean.floor_char_boundary(MAX_MESSAGE - END.len())])
}

/// Judged figures that are not unchanged, the regressed ones first.
fn changes(comparison: &Comparison) -> Vec<&Change> {
    let order = |verdict| match verdict {
        ChangeVerdict::Regressed => 0,
        ChangeVerdict::Improved => 1,
        ChangeVerdict::Inconclusive => 2,
        ChangeVerdict::Unchanged => 3,
    };
    let judged = comparison.indicators.iter().filter(|change| change.better.is_some());
    let mut changes: Vec<&Change> =
        judged.filter(|change| change.verdict != ChangeVerdict::Unchanged).collect();
    changes.sort_by_key(|change| order(change.verdict));
    changes
}

fn objective(result: &ObjectiveResult) -> ObjectiveStatus {
    ObjectiveStatus {
        name: result.name.clone(),
        result: format!("{:?}", result.result),
        value: value(result).map(|value| cut(&value, 64)),
        target: cut(&result.target, 64),
    }
}

/// A value or an interval with its unit, as `kubectl get` shows it.
fn value(result: &ObjectiveResult) -> Option<String> {
    match (result.value, result.low, result.high) {
        // Past the last bucket of a histogram, its bound is all that is known.
        (Some(value), Some(low), None) => Some(format!(">{}", format::quantity(value.max(low), result.unit))),
        (Some(value), _, _) => Some(format::quantity(value, result.unit)),
        (None, Some(low), high) => Some(match (result.unit, high) {
            (Unit::Seconds, _) => {
                format::milliseconds_between(low * 1_000.0, high.map(|high| high * 1_000.0))
            }
            (unit, None) => format!(">{}", format::quantity(low, unit)),
            (unit, Some(high)) => {
                format!("{} to {}", format::quantity(low, unit), format::quantity(high, unit))
            }
        }),
        (None, None, _) => None,
    }
}

fn comparison(comparison: &Comparison) -> ComparisonStatus {
    ComparisonStatus {
        against: cut(&comparison.against.run, 253),
        record_sha256: comparison.against.record_sha256.clone(),
        verdict: format!("{:?}", comparison.verdict),
        changes: changes(comparison)
            .into_iter()
            .take(MAX_CHANGES)
            .map(|change| ChangeStatus {
                indicator: cut(&change.indicator, 80),
                verdict: format!("{:?}", change.verdict),
                change: cut(&numbers(change), MAX_LINE),
            })
            .collect(),
    }
}

/// `151ms -> 13ms (-91%, -93% to -89%)`.
fn numbers(change: &Change) -> String {
    let shown = |value: Option<f64>| {
        value.map_or_else(|| "none".to_owned(), |value| format::quantity(value, change.unit))
    };
    let signed =
        |percent: f64| format!("{}{}%", if percent > 0.0 { "+" } else { "" }, format::number(percent));
    let mut text = format!("{} -> {}", shown(change.before), shown(change.after));
    let interval = change.low_percent.zip(change.high_percent);
    let interval = interval.map(|(low, high)| format!("{} to {}", signed(low), signed(high)));
    let parts: Vec<String> = change.change_percent.map(signed).into_iter().chain(interval).collect();
    if !parts.is_empty() {
        text.push_str(&format!(" ({})", parts.join(", ")));
    }
    text
}

/// Sets the conditions of a judgement where something was judged; else those that there are keep what they say, and
/// speak of the spec as it is now only where it was judged by it.
pub(crate) fn set(
    status: &mut PerformanceBaselineStatus,
    said: Option<Vec<Said>>,
    view: &View,
    now: jiff::Timestamp,
) {
    let Some(said) = said.or_else(|| no_record(status, view)) else {
        let part = spec_part(view);
        let is_current = status.judgement.as_ref().is_none_or(|judged| is_of(&judged.hash, &part));
        let ours = status.conditions.iter_mut().filter(|one| CONDITIONS.contains(&one.type_.as_str()));
        for condition in ours.filter(|_| is_current) {
            condition.observed_generation = Some(view.generation);
        }
        return;
    };
    status.conditions.retain(|one| {
        !CONDITIONS.contains(&one.type_.as_str()) || said.iter().any(|said| said.type_ == one.type_)
    });
    for said in said {
        condition::set(&mut status.conditions, said, view.generation, now);
    }
}

#[cfg(test)]
#[path = "verdicts_tests.rs"]
mod tests;
