//! `status` (pure): what a step means for the resource's status. Nothing in it changes when nothing happened, so that
//! a resource at rest is never written.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plimsoll_analysis::record::{Source, SourceReason, SourceState};
use plimsoll_api::PerformanceBaselineStatus;
use plimsoll_api::baseline::{BaselineSummary, CurrentRun, FinishedRun, KeptRun, RetryStatus, SourceStatus};

use super::conditions;
use super::decide::Step;
use super::view::{StoredRecord, View};
use crate::job::state::Problem;
use crate::reason::source_remedy;

/// After how many minutes a run that failed for a passing reason is tried again.
const RETRY_MINUTES: [i64; 3] = [1, 5, 15];
/// Most characters of a message in status.
const MAX_MESSAGE: usize = 1024;

/// The status after a step. `now` is when the step was taken.
#[must_use]
pub fn next_status(view: &View, step: &Step, now: Timestamp) -> PerformanceBaselineStatus {
    let mut status = view.status.clone();
    settle_schedule(view, &mut status, now);
    status.observed_generation = Some(view.generation);
    let mut situation = Situation::default();
    match step {
        Step::Idle { blocked, .. } => situation.blocked = blocked.as_ref(),
        Step::Begin(run) => begin(&mut status, view, run, now),
        Step::Abandon => abandon(&mut status),
        Step::EndRun => status.current_run = None,
        Step::Wait { job_uid, problem, .. } => {
            if let (Some(run), Some(uid)) = (&mut status.current_run, job_uid) {
                run.job_uid = Some(uid.clone());
            }
            situation.waiting = problem.as_ref();
        }
        Step::NextAttempt(_) => {
            if let Some(run) = &mut status.current_run {
                run.attempt += 1;
                run.job_uid = None;
            }
        }
        Step::Finish(stored) => finish(&mut status, stored),
        Step::Fail(problem) => fail(&mut status, problem, now),
        Step::Prune(runs) => status.history.retain(|kept| !runs.contains(&kept.name)),
        // Nothing is known yet: the next look tells.
        Step::CreateJob { .. } | Step::DeleteJob { .. } | Step::Record(_) | Step::CleanUp(_) => {
            return view.status.clone();
        }
    }
    conditions::set_all(view, &mut status, &situation, now);
    status
}

/// What keeps a run, now.
#[derive(Default)]
pub(crate) struct Situation<'a> {
    /// From starting.
    pub(crate) blocked: Option<&'a Problem>,
    /// From going on.
    pub(crate) waiting: Option<&'a Problem>,
}

/// Slots count from when a schedule is first seen, and an edit answers those that have passed.
fn settle_schedule(view: &View, status: &mut PerformanceBaselineStatus, now: Timestamp) {
    let Ok(valid) = &view.valid else { return };
    let Some(schedule) = &valid.schedule else {
        status.last_slot = None;
        status.next_run_time = None;
        return;
    };
    if status.last_slot.is_none() || status.observed_generation != Some(view.generation) {
        let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let passed = schedule.latest_at(now).unwrap_or(second);
        status.last_slot = Some(Time(status.last_slot.as_ref().map_or(passed, |old| old.0.max(passed))));
    }
    // Counted from the answered slot, so that it does not move while nothing happens.
    let answered = status.last_slot.as_ref().map_or(now, |slot| slot.0);
    status.next_run_time = (!valid.suspend).then(|| schedule.next_after(answered)).flatten().map(Time);
}

fn begin(status: &mut PerformanceBaselineStatus, view: &View, run: &CurrentRun, now: Timestamp) {
    let is_new = status.current_run.as_ref().is_none_or(|old| old.name != run.name);
    status.current_run = Some(run.clone());
    if !is_new {
        return;
    }
    if run.trigger.starts_with("spec/") {
        status.spec_runs = Some(status.spec_runs.unwrap_or(0) + 1);
    }
    status.started_spec_hash = Some(run.spec_hash.clone());
    if run.trigger.starts_with("retry/") {
        if let Some(retry) = &mut status.retry {
            retry.next_at = None;
        }
    } else {
        status.retry = None;
    }
    // Whatever slot has passed is answered by this run, which starts after it.
    let schedule = view.valid.as_ref().ok().and_then(|valid| valid.schedule.as_ref());
    if let Some(slot) = schedule.and_then(|schedule| schedule.latest_at(now)) {
        status.last_slot = Some(Time(status.last_slot.as_ref().map_or(slot, |old| old.0.max(slot))));
        settle_schedule(view, status, now);
    }
}

/// Drops an intent as if it had never been: what it would have measured is still to be measured.
fn abandon(status: &mut PerformanceBaselineStatus) {
    if status.current_run.take().is_some_and(|run| run.trigger.starts_with("spec/")) {
        status.started_spec_hash = None;
    }
}

fn finish(status: &mut PerformanceBaselineStatus, stored: &StoredRecord) {
    let record = &stored.record;
    let failing: Vec<&Source> =
        record.sources.iter().filter(|source| source.state != SourceState::Collected).collect();
    let reason = failing.iter().find_map(|source| source.reason).map(|reason| format!("{reason:?}"));
    let transient = failing.iter().all(|source| source.reason.is_some_and(SourceReason::is_transient));
    let message = (!record.complete)
        .then(|| cut(&failing.iter().map(|source| said(source)).collect::<Vec<_>>().join(" ")));
    let Some(run) = &mut status.current_run else { return };
    run.finished = true;
    let finished = FinishedRun {
        name: run.name.clone(),
        key: run.key.clone(),
        spec_hash: run.spec_hash.clone(),
        finished_at: Time(record.collection_date),
        complete: record.complete,
        record_sha256: Some(stored.sha256.clone()),
        reason,
        message,
    };
    if let Some(request) = run.request.clone() {
        status.last_request_handled = Some(request);
    }
    status.history.retain(|kept| kept.name != finished.name);
    status.history.insert(
        0,
        KeptRun {
            name: finished.name.clone(),
            finished_at: finished.finished_at.clone(),
            complete: finished.complete,
            record_sha256: stored.sha256.clone(),
        },
    );
    status.sources = record.sources.iter().map(source_status).collect();
    let summary = plimsoll_report::summary(record);
    status.summary = Some(BaselineSummary {
        page_p95: summary.page_p95,
        api_p95: summary.api_p95,
        requests: summary.requests,
        errors: summary.errors,
        coverage: summary.coverage,
    });
    end(status, finished, transient);
}

fn fail(status: &mut PerformanceBaselineStatus, problem: &Problem, now: Timestamp) {
    let Some(run) = &mut status.current_run else { return };
    run.finished = true;
    let finished = FinishedRun {
        name: run.name.clone(),
        key: run.key.clone(),
        spec_hash: run.spec_hash.clone(),
        finished_at: Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
        complete: false,
        record_sha256: None,
        reason: Some(problem.reason.as_str().to_owned()),
        message: Some(with_remedy(problem)),
    };
    if let Some(request) = run.request.clone() {
        status.last_request_handled = Some(request);
    }
    status.sources = Vec::new();
    end(status, finished, problem.reason.is_transient());
}

/// Keeps the finished run, and plans another try where waiting can mend what failed.
fn end(status: &mut PerformanceBaselineStatus, finished: FinishedRun, transient: bool) {
    status.retry = if !finished.complete && transient {
        let attempts = status.retry.as_ref().map_or(0, |retry| retry.attempts) + 1;
        let minutes = usize::try_from(attempts - 1).ok().and_then(|index| RETRY_MINUTES.get(index));
        let next_at = minutes
            .and_then(|minutes| finished.finished_at.0.checked_add(SignedDuration::from_mins(*minutes)).ok())
            .map(Time);
        Some(RetryStatus { attempts, next_at })
    } else {
        None
    };
    status.last_run_time = Some(finished.finished_at.clone());
    status.last_run = Some(finished);
}

fn source_status(source: &Source) -> SourceStatus {
    SourceStatus {
        name: source.name.clone(),
        state: format!("{:?}", source.state),
        reason: source.reason.map(|reason| format!("{reason:?}")),
        message: source.message.as_deref().map(cut),
        duration_ms: source.duration_ms.and_then(|duration| i64::try_from(duration).ok()),
    }
}

/// What a failing source said, and what to do about it.
fn said(source: &Source) -> String {
    let message = source.message.as_deref().unwrap_or("it was not collected whole");
    let message = message.trim_end_matches(['.', ' ']);
    match source.reason {
        Some(reason) => format!("{}: {message}. {}", source.name, source_remedy(reason)),
        None => format!("{}: {message}.", source.name),
    }
}

pub(crate) fn with_remedy(problem: &Problem) -> String {
    cut(&format!("{} {}", problem.message, problem.reason.remedy()))
}

pub(crate) fn cut(text: &str) -> String {
    text.chars().take(MAX_MESSAGE).collect()
}
