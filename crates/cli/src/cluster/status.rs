//! `kubectl plimsoll status`: conditions, runs, objectives, change and sources of a baseline, readable at a glance.

use std::io::Write;

use jiff::Timestamp;
use plimsoll_api::condition::types;
use plimsoll_api::{PerformanceBaseline, PerformanceBaselineStatus, RUN_ANNOTATION, condition};

use super::{ObjectRef, Place, Target, one_line};
use crate::failure::Failure;

/// Widest line of a wrapped message.
const WIDTH: usize = 100;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kubectl plimsoll status baseline/smart-dairy -n smart-dairy")]
pub(crate) struct StatusArgs {
    /// Which object, for example baseline/smart-dairy.
    #[arg(value_name = "KIND/NAME")]
    object: ObjectRef,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Runs the command.
///
/// # Errors
/// The object is not there or may not be read.
pub(crate) async fn run(
    args: &StatusArgs,
    place: &Place,
    now: Timestamp,
    out: &mut dyn Write,
) -> Result<u8, Failure> {
    let baseline = place.baseline(&args.object.name).await?;
    out.write_all(block(&baseline, now).as_bytes())?;
    Ok(0)
}

/// Whether the baseline has a complete record for its spec.
pub(crate) fn is_ready(baseline: &PerformanceBaseline) -> bool {
    baseline.status.as_ref().is_some_and(|status| condition::is_true(&status.conditions, types::READY))
}

/// Whether the operator has not looked at the last edit.
pub(crate) fn is_behind(baseline: &PerformanceBaseline) -> bool {
    baseline.status.as_ref().is_some_and(|status| baseline.metadata.generation > status.observed_generation)
}

/// The status as text, ending in a newline. `now` serves to say how long ago something was.
pub(crate) fn block(baseline: &PerformanceBaseline, now: Timestamp) -> String {
    let meta = &baseline.metadata;
    let mut lines = vec![format!(
        "PerformanceBaseline {}, namespace {}",
        meta.name.as_deref().unwrap_or_default(),
        meta.namespace.as_deref().unwrap_or_default()
    )];
    let Some(status) = &baseline.status else {
        lines.push("  No status yet: the operator has not looked at it. Is it running, and does it serve this namespace?".to_owned());
        return finished(&lines);
    };
    if is_behind(baseline) {
        lines.push("  The operator has not looked at the last edit yet.".to_owned());
    }
    conditions(status, &mut lines);
    runs(baseline, status, now, &mut lines);
    objectives(status, &mut lines);
    change(status, &mut lines);
    if !status.sources.is_empty() {
        lines.extend([String::new(), "Sources of the last run".to_owned()]);
        let widths = [width(status.sources.iter().map(|source| source.name.as_str())), 9];
        for source in &status.sources {
            let duration = source.duration_ms.map_or_else(String::new, |millis| format!("{millis} ms"));
            let reason = source.reason.as_deref().unwrap_or_default();
            lines.push(format!(
                "  {:<name$}  {:<state$}  {}",
                source.name,
                source.state,
                [reason, &duration]
                    .into_iter()
                    .filter(|text| !text.is_empty())
                    .collect::<Vec<_>>()
                    .join(", "),
                name = widths[0],
                state = widths[1],
            ));
            lines.extend(wrapped(source.message.as_deref().unwrap_or_default(), "    "));
        }
    }
    finished(&lines)
}

fn conditions(status: &PerformanceBaselineStatus, lines: &mut Vec<String>) {
    lines.extend([String::new(), "Conditions".to_owned()]);
    if status.conditions.is_empty() {
        lines.push("  none yet".to_owned());
    }
    let name = width(status.conditions.iter().map(|condition| condition.type_.as_str()));
    for condition in &status.conditions {
        lines.push(format!("  {:<name$}  {:<5}  {}", condition.type_, condition.status, condition.reason));
        lines.extend(wrapped(&condition.message, "    "));
    }
}

fn runs(
    baseline: &PerformanceBaseline,
    status: &PerformanceBaselineStatus,
    now: Timestamp,
    lines: &mut Vec<String>,
) {
    lines.extend([String::new(), "Runs".to_owned()]);
    let under_way = status.current_run.as_ref().filter(|run| !run.finished);
    lines.push(match under_way {
        Some(run) => format!(
            "  Under way  {}, for {}, attempt {}, since {}",
            run.name,
            run.trigger,
            run.attempt,
            time(run.started_at.0, now)
        ),
        None => "  Under way  none".to_owned(),
    });
    let requested = baseline.metadata.annotations.as_ref().and_then(|all| all.get(RUN_ANNOTATION));
    let waiting = requested
        .filter(|value| status.last_request_handled.as_ref() != Some(value))
        .filter(|value| under_way.is_none_or(|run| run.request.as_ref() != Some(value)));
    if let Some(value) = waiting {
        lines.push(format!("  Requested  {value}, not started yet"));
    }
    match &status.last_run {
        Some(run) => {
            let outcome = if run.complete { "complete" } else { "not complete" };
            lines.push(format!("  Last       {}, {outcome}, {}", run.name, time(run.finished_at.0, now)));
            if let Some(reason) = &run.reason {
                let message = run.message.as_deref().unwrap_or_default();
                lines.extend(wrapped(&format!("{reason}: {message}"), "             "));
            }
        }
        None => lines.push("  Last       none has finished".to_owned()),
    }
    if let Some(next) = status.retry.as_ref().and_then(|retry| retry.next_at.as_ref()) {
        lines.push(format!("  Retry      {}", time(next.0, now)));
    }
    lines.push(match &status.next_run_time {
        Some(next) => format!("  Next       {}", time(next.0, now)),
        None if baseline.spec.suspend => "  Next       none: spec.suspend is true".to_owned(),
        None => "  Next       on an edit or a request; there is no schedule".to_owned(),
    });
    for (index, kept) in status.history.iter().enumerate() {
        let title = if index == 0 { "Kept" } else { "" };
        let outcome = if kept.complete { "complete" } else { "not complete" };
        lines.push(format!("  {title:<9}  {}, {outcome}, {}", kept.name, time(kept.finished_at.0, now)));
    }
}

/// How each objective came out, and what it speaks of.
fn objectives(status: &PerformanceBaselineStatus, lines: &mut Vec<String>) {
    if status.objectives.is_empty() {
        return;
    }
    lines.extend([String::new(), "Objectives of the last run".to_owned()]);
    let all = &status.objectives;
    let name = width(all.iter().map(|one| one.name.as_str()));
    let result = width(all.iter().map(|one| one.result.as_str()));
    let value = width(all.iter().map(|one| one.value.as_deref().unwrap_or_default()));
    for one in all {
        let shown = one.value.as_deref().unwrap_or_default();
        lines
            .push(format!("  {:<name$}  {:<result$}  {shown:<value$}  {}", one.name, one.result, one.target));
    }
}

/// How the last run compares with another.
fn change(status: &PerformanceBaselineStatus, lines: &mut Vec<String>) {
    let Some(comparison) = &status.comparison else { return };
    lines.extend([String::new(), "Change".to_owned()]);
    lines.push(format!("  {} against {}", comparison.verdict, comparison.against));
    let changes = &comparison.changes;
    let indicator = width(changes.iter().map(|one| one.indicator.as_str()));
    let verdict = width(changes.iter().map(|one| one.verdict.as_str()));
    for one in changes {
        lines.push(format!("  {:<indicator$}  {:<verdict$}  {}", one.indicator, one.verdict, one.change));
    }
}

/// A time in UTC, and how far it is from now.
fn time(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(time).as_secs();
    let (count, unit) = match seconds.abs() {
        seconds @ 0..120 => (seconds, "s"),
        seconds @ 120..7_200 => (seconds / 60, "m"),
        seconds @ 7_200..172_800 => (seconds / 3_600, "h"),
        seconds => (seconds / 86_400, "d"),
    };
    let second = Timestamp::from_second(time.as_second()).unwrap_or(time);
    if seconds < 0 { format!("{second} (in {count}{unit})") } else { format!("{second} ({count}{unit} ago)") }
}

fn width<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

/// A message broken at its spaces.
fn wrapped(text: &str, indent: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    lines
}

/// Every text of the cluster is cleaned here: a line of ours has no control characters.
fn finished(lines: &[String]) -> String {
    lines.iter().map(|line| one_line(line).trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
