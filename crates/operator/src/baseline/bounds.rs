//! Bounds of what status says (pure): at most 8 KiB, and messages that keep their remedy.

use plimsoll_api::PerformanceBaselineStatus;

/// Most bytes of a message, so that an Event of 1,024 bytes holds it with the run's name.
pub(crate) const MAX_MESSAGE: usize = 900;
/// Most bytes of a status as JSON.
const MAX_STATUS: usize = 8 * 1024 - 1;
/// Bytes of a status that are left for its conditions when a run ends or is judged: six, with some words each.
const FOR_CONDITIONS: usize = 1_600;
/// Bytes that a run under way takes at most.
const FOR_RUN: usize = 720;
/// Bounds of messages that are tried until the whole fits.
const BOUNDS: [usize; 8] = [MAX_MESSAGE, 700, 500, 350, 250, 180, 120, 60];
/// What stands for text that was taken out.
const GAP: &str = " ... ";

/// Text of at most `max` bytes without control characters; the middle is taken out, since what to do stands at the end.
pub(crate) fn cut(text: &str, max: usize) -> String {
    let text: String = text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect();
    if text.len() <= max {
        return text;
    }
    let kept = max.saturating_sub(GAP.len());
    let head = &text[..text.floor_char_boundary(kept / 3)];
    let tail = &text[text.ceil_char_boundary(text.len() - (kept - kept / 3))..];
    format!("{head}{GAP}{tail}")
}

/// A message and what to do, which is never cut.
pub(crate) fn with_remedy(message: &str, remedy: &str) -> String {
    format!("{} {remedy}", cut(message, MAX_MESSAGE.saturating_sub(remedy.len() + 1)))
}

/// Shortens what a run or a judgement has left in a status, so that its conditions and the next run still fit beside it.
/// What is cut stands whole in the ConfigMaps.
pub(crate) fn fit_result(status: &mut PerformanceBaselineStatus) {
    let conditions = std::mem::take(&mut status.conditions);
    let whole = status.clone();
    for squeeze in SQUEEZES {
        if fits(status) {
            break;
        }
        squeeze(status, &whole);
    }
    // The next run's needs may be less; the conditions are cut as far as they must.
    while !fits(status) && drop_objective(status) {}
    status.conditions = conditions;
}

/// What is given up until a status fits, in this order.
const SQUEEZES: [fn(&mut PerformanceBaselineStatus, &PerformanceBaselineStatus); 7] = [
    |status, whole| messages(status, whole, 500),
    |status, whole| {
        messages(status, whole, 250);
        lists(status, 5, 3);
    },
    |status, whole| messages(status, whole, 120),
    |status, _| lists(status, 2, 1),
    |status, _| {
        // Figures since the previous run are taken from the newest complete one only.
        let newest = status.history.iter().position(|run| run.complete);
        let older = status.history.iter_mut().enumerate();
        older.filter(|(index, _)| Some(*index) != newest).for_each(|(_, run)| run.spec_hash = None);
    },
    |status, whole| {
        messages(status, whole, 60);
        status.sources.iter_mut().for_each(|source| source.message = None);
    },
    |status, _| {
        lists(status, 0, 0);
        if let Some(comparison) = &mut status.comparison {
            comparison.record_sha256 = None;
        }
        if let Some(summary) = &mut status.summary {
            (summary.requests, summary.errors, summary.coverage) = (None, None, None);
        }
    },
];

fn messages(status: &mut PerformanceBaselineStatus, whole: &PerformanceBaselineStatus, bound: usize) {
    if let (Some(run), Some(whole)) = (&mut status.last_run, &whole.last_run) {
        run.message = whole.message.as_deref().map(|message| cut(message, bound));
    }
    for (source, whole) in status.sources.iter_mut().zip(&whole.sources) {
        source.message = whole.message.as_deref().map(|message| cut(message, bound / 2));
    }
    if let (Some(rule), Some(whole)) = (&mut status.prometheus_rule, &whole.prometheus_rule) {
        rule.message = whole.message.as_deref().map(|message| cut(message, bound));
    }
}

fn lists(status: &mut PerformanceBaselineStatus, changes: usize, top: usize) {
    if let Some(comparison) = &mut status.comparison {
        comparison.changes.truncate(changes);
    }
    if let Some(judgement) = &mut status.judgement {
        judgement.top.truncate(top);
    }
}

/// Drops the objective that matters least: of those that are met the last, then of the others; false without any.
fn drop_objective(status: &mut PerformanceBaselineStatus) -> bool {
    let of = |word: &str| status.objectives.iter().rposition(|objective| objective.result == word);
    let least = ["Met", "Warning", "Inconclusive"].into_iter().find_map(of);
    match least.or_else(|| status.objectives.len().checked_sub(1)) {
        Some(index) => {
            status.objectives.remove(index);
            true
        }
        None => false,
    }
}

/// Whether a status without its conditions leaves room for them and for a run under way.
fn fits(status: &PerformanceBaselineStatus) -> bool {
    let run = serde_json::to_vec(&status.current_run).map_or(0, |json| json.len());
    size(status) + FOR_RUN.saturating_sub(run) + FOR_CONDITIONS <= MAX_STATUS
}

/// Shortens the messages of conditions until the whole status fits.
pub(crate) fn fit_conditions(status: &mut PerformanceBaselineStatus) {
    let whole = status.conditions.clone();
    for bound in BOUNDS {
        for (condition, whole) in status.conditions.iter_mut().zip(&whole) {
            condition.message = cut(&whole.message, bound);
        }
        if size(status) <= MAX_STATUS {
            return;
        }
    }
}

fn size(status: &PerformanceBaselineStatus) -> usize {
    serde_json::to_vec(status).map_or(usize::MAX, |json| json.len())
}

#[cfg(test)]
#[path = "bounds_tests.rs"]
mod tests;
