//! Bounds of what status says (pure): at most 8 KiB, and messages that keep their remedy.

use plimsoll_api::PerformanceBaselineStatus;

/// Most bytes of a message, so that an Event of 1,024 bytes holds it with the run's name.
pub(crate) const MAX_MESSAGE: usize = 900;
/// Most bytes of a status as JSON.
const MAX_STATUS: usize = 8 * 1024 - 1;
/// Bytes of a status that are left for its conditions when a run ends.
const FOR_CONDITIONS: usize = 1_800;
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

/// Shortens what the end of a run has left in a status, so that its conditions still fit beside it.
pub(crate) fn fit_result(status: &mut PerformanceBaselineStatus) {
    let conditions = std::mem::take(&mut status.conditions);
    let whole = status.clone();
    for bound in BOUNDS {
        if let (Some(run), Some(whole)) = (&mut status.last_run, &whole.last_run) {
            run.message = whole.message.as_deref().map(|message| cut(message, bound));
        }
        for (source, whole) in status.sources.iter_mut().zip(&whole.sources) {
            source.message = whole.message.as_deref().map(|message| cut(message, bound / 2));
        }
        if size(status) + FOR_CONDITIONS <= MAX_STATUS {
            break;
        }
    }
    if size(status) + FOR_CONDITIONS > MAX_STATUS {
        for source in &mut status.sources {
            source.message = None;
        }
    }
    status.conditions = conditions;
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
