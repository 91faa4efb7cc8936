//! The conditions of a status (pure): Ready, Reconciling, Stalled, SourcesAvailable.

use jiff::Timestamp;
use plimsoll_api::PerformanceBaselineStatus;
use plimsoll_api::baseline::SourceStatus;
use plimsoll_api::condition::{self, Said, Truth, types};

use super::bounds::{MAX_MESSAGE, cut, with_remedy};
use super::view::View;
use crate::job::state::Problem;
use crate::reason::RunReason;

/// The problem that status says a waiting run has, for when the Job's deadline has deleted the pod that had it.
#[must_use]
pub(crate) fn waiting_problem(view: &View) -> Option<Problem> {
    use strum::IntoEnumIterator as _;
    let told = condition::get(&view.status.conditions, types::RECONCILING)?;
    let reason = RunReason::iter().find(|reason| reason.as_str() == told.reason)?;
    let message = told.message.strip_suffix(reason.remedy()).unwrap_or(&told.message).trim().to_owned();
    Some(Problem { reason, message })
}

/// What keeps a run, now.
#[derive(Debug, Default)]
pub(crate) struct Situation<'a> {
    /// From starting.
    pub(crate) blocked: Option<&'a Problem>,
    /// From going on.
    pub(crate) waiting: Option<&'a Problem>,
}

fn told(problem: &Problem) -> String {
    with_remedy(&problem.message, problem.reason.remedy())
}

/// Sets every condition.
pub(crate) fn set_all(
    view: &View,
    status: &mut PerformanceBaselineStatus,
    situation: &Situation<'_>,
    now: Timestamp,
) {
    let mut said = vec![
        ready(view, status, situation),
        reconciling(status, situation),
        stalled(view, status, situation),
    ];
    said.extend(sources_available(status));
    for said in said {
        condition::set(&mut status.conditions, said, view.generation, now);
    }
}

fn is_true(type_: &'static str, reason: &str, message: String) -> Said {
    Said { type_, status: Truth::True, reason: reason.to_owned(), message }
}

fn is_false(type_: &'static str, reason: &str, message: String) -> Said {
    Said { type_, status: Truth::False, reason: reason.to_owned(), message }
}

fn ready(view: &View, status: &PerformanceBaselineStatus, situation: &Situation<'_>) -> Said {
    let no = |reason: &str, message: String| is_false(types::READY, reason, message);
    let valid = match &view.valid {
        Err(_) => return no(RunReason::InvalidSpec.as_str(), invalid(view)),
        Ok(valid) => valid,
    };
    let last = status.last_run.as_ref().filter(|run| run.spec_hash == valid.spec_hash);
    match last {
        Some(run) if run.complete => is_true(
            types::READY,
            "Recorded",
            format!("Run {} recorded every source; its ConfigMap has the same name.", run.name),
        ),
        Some(run) => no(
            run.reason.as_deref().unwrap_or("Incomplete"),
            run.message.clone().unwrap_or_else(|| format!("Run {} is not complete.", run.name)),
        ),
        None => match (situation.blocked.or(situation.waiting), &status.current_run) {
            (Some(problem), _) => no(problem.reason.as_str(), told(problem)),
            (None, Some(run)) if run.spec_hash == valid.spec_hash && !run.finished => {
                no("Collecting", format!("Run {} is the first for this spec.", run.name))
            }
            (None, _) if valid.suspend => {
                no("Suspended", "No run was made for this spec, and spec.suspend is true.".to_owned())
            }
            (None, Some(run)) => {
                let message =
                    format!("Run {} is of the spec before the last edit; another follows it.", run.name);
                no("Pending", message)
            }
            (None, None) => no("Pending", "No run was made for this spec yet.".to_owned()),
        },
    }
}

fn reconciling(status: &PerformanceBaselineStatus, situation: &Situation<'_>) -> Said {
    match status.current_run.as_ref().filter(|run| !run.finished) {
        Some(run) => {
            let (reason, message) = match situation.waiting {
                Some(problem) => (problem.reason.as_str(), told(problem)),
                None => {
                    ("Collecting", format!("Run {} ({}), attempt {}.", run.name, run.trigger, run.attempt))
                }
            };
            is_true(types::RECONCILING, reason, message)
        }
        None => is_false(types::RECONCILING, "Idle", "No run is under way.".to_owned()),
    }
}

fn stalled(view: &View, status: &PerformanceBaselineStatus, situation: &Situation<'_>) -> Said {
    let yes = |reason: &str, message: String| is_true(types::STALLED, reason, message);
    let no = || is_false(types::STALLED, "AsExpected", "No person is needed.".to_owned());
    let Ok(valid) = &view.valid else {
        return yes(RunReason::InvalidSpec.as_str(), invalid(view));
    };
    // What may pass needs nobody: a pod that no node takes finds one when the cluster grows by itself.
    let waits_for_a_person =
        situation.waiting.filter(|problem| !problem.reason.is_transient()).or(situation.blocked);
    if let Some(problem) = waits_for_a_person {
        return yes(problem.reason.as_str(), told(problem));
    }
    if status.current_run.as_ref().is_some_and(|run| !run.finished) {
        return no();
    }
    let retried = status.retry.as_ref().is_some_and(|retry| retry.next_at.is_some());
    let failed = status.last_run.as_ref().filter(|run| run.spec_hash == valid.spec_hash && !run.complete);
    match failed {
        Some(run) if !retried => yes(
            run.reason.as_deref().unwrap_or("Incomplete"),
            run.message.clone().unwrap_or_else(|| format!("Run {} is not complete.", run.name)),
        ),
        _ => no(),
    }
}

fn sources_available(status: &PerformanceBaselineStatus) -> Option<Said> {
    let run = status.last_run.as_ref()?;
    if status.sources.is_empty() {
        let reason = run.reason.clone().unwrap_or_else(|| "NoRecord".to_owned());
        let message = format!("Run {} has no record.", run.name);
        return Some(is_false(types::SOURCES_AVAILABLE, &reason, message));
    }
    let failing: Vec<&SourceStatus> =
        status.sources.iter().filter(|source| source.state != "Collected").collect();
    let names = |sources: &[&SourceStatus]| {
        sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    match failing.first() {
        None => {
            let all: Vec<&SourceStatus> = status.sources.iter().collect();
            let message = format!("Collected: {}.", names(&all));
            Some(is_true(types::SOURCES_AVAILABLE, "Collected", message))
        }
        Some(first) => {
            let reason = first.reason.clone().unwrap_or_else(|| first.state.clone());
            let message = format!("Not collected whole: {}.", names(&failing));
            Some(is_false(types::SOURCES_AVAILABLE, &reason, message))
        }
    }
}

fn invalid(view: &View) -> String {
    let errors = view.valid.as_ref().err().map(Vec::as_slice).unwrap_or_default();
    cut(&errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "), MAX_MESSAGE)
}
