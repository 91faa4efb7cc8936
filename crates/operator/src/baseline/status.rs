//! `status` (pure): what a step means for the resource's status. Nothing in it changes when nothing happened, so that
//! a resource at rest is never written.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plimsoll_analysis::judgement::Judgement;
use plimsoll_analysis::record::{BaselineRecord, Source, SourceReason, SourceState};
use plimsoll_api::PerformanceBaselineStatus;
use plimsoll_api::baseline::{
    AppliedPolicy, BaselineSummary, CurrentRun, FinishedRun, KeptRun, RetryStatus, SourceStatus,
};

use super::assemble::KUBERNETES;
use super::bounds::{self, MAX_MESSAGE, cut, with_remedy};
use super::conditions::{self, Situation};
use super::decide::Step;
use super::retention;
use super::slots;
use super::verdicts;
use super::view::{StoredRecord, View};
use crate::job::state::Problem;
use crate::reason::source_remedy;

/// After how many minutes a run that failed for a passing reason is tried again.
const RETRY_MINUTES: [i64; 3] = [1, 5, 15];
/// Most sources that status tells of.
const MAX_SOURCES: usize = 16;
/// Most bytes of a source's name and of a figure in status.
const MAX_WORD: usize = 64;
/// What a person does after a failure that is not tried again.
const ASK_AGAIN: &str = "Then request a run: give the annotation plimsoll.dev/run a new value.";

/// The status after a step. `now` is when the step was taken.
#[must_use]
pub fn next_status(view: &View, step: &Step, now: Timestamp) -> PerformanceBaselineStatus {
    let mut status = view.status.clone();
    slots::settle(view, &mut status, now);
    status.observed_generation = Some(view.generation);
    let mut situation = Situation::default();
    let mut said = None;
    match step {
        Step::Idle { blocked, .. } => situation.blocked = blocked.as_ref(),
        Step::Begin(run) => begin(&mut status, view, run, now),
        Step::Abandon => abandon(&mut status, view, now),
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
                run.started_at = Time(slots::whole_second(now));
                run.job_uid = None;
            }
        }
        Step::Finish(stored, judged) => {
            finish(&mut status, stored, now);
            said = judged.as_ref().map(|judged| verdicts::write(&mut status, view, judged));
            bounds::fit_result(&mut status);
        }
        Step::Judge(judged) => {
            said = Some(verdicts::write(&mut status, view, judged));
            bounds::fit_result(&mut status);
        }
        Step::Fail(problem) => fail(&mut status, problem, now),
        // Nothing of the run's changes: what its conditions say stays as it is.
        Step::ChangePolicy => return with_policy(view, AppliedPolicy::Changing),
        Step::ApplyPolicy(_) => return with_policy(view, retention::applied(view)),
        Step::RulesWritten(rules) => {
            let prometheus_rule = rules.as_deref().cloned();
            let mut status = PerformanceBaselineStatus { prometheus_rule, ..view.status.clone() };
            bounds::fit_result(&mut status);
            bounds::fit_conditions(&mut status);
            return status;
        }
        Step::Prune(runs) => status.history.retain(|kept| !runs.contains(&kept.name)),
        // Nothing is known yet: the next look tells.
        Step::CreateJob { .. }
        | Step::DeleteJob { .. }
        | Step::Record(_)
        | Step::CleanUp(_)
        | Step::WriteRules => {
            return view.status.clone();
        }
    }
    conditions::set_all(view, &mut status, &situation, now);
    verdicts::set(&mut status, said, view, now);
    bounds::fit_conditions(&mut status);
    status
}

fn with_policy(view: &View, policy: AppliedPolicy) -> PerformanceBaselineStatus {
    PerformanceBaselineStatus { deletion_policy: Some(policy), ..view.status.clone() }
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
    slots::answer(view, status, now);
}

/// Drops an intent as if it had never been: what it would have measured is still to be measured.
fn abandon(status: &mut PerformanceBaselineStatus, view: &View, now: Timestamp) {
    let Some(run) = status.current_run.take() else { return };
    if run.trigger.starts_with("spec/") {
        status.started_spec_hash = None;
    }
    if let (true, Some(retry)) = (run.trigger.starts_with("retry/"), &mut status.retry) {
        retry.next_at = Some(Time(slots::whole_second(now)));
    }
    slots::reopen(view, status, &run.trigger);
}

fn finish(status: &mut PerformanceBaselineStatus, stored: &StoredRecord, now: Timestamp) {
    let record = &stored.record;
    let Some(run) = &mut status.current_run else { return };
    run.finished = true;
    let run = run.clone();
    let failing: Vec<&Source> =
        record.sources.iter().filter(|source| source.state != SourceState::Collected).collect();
    // Counted here, and not taken from the record's own word for it: without a source nothing was measured.
    let complete = failing.is_empty() && !record.sources.is_empty();
    let is_transient = |source: &&Source| source.reason.is_some_and(SourceReason::is_transient);
    let transient = !failing.is_empty() && failing.iter().all(is_transient);
    let retry = next_retry(status, !complete && transient, now);
    let finished = FinishedRun {
        name: run.name.clone(),
        key: run.key.clone(),
        spec_hash: run.spec_hash.clone(),
        finished_at: Time(within(record.collection_date, run.started_at.0, now)),
        complete,
        record_sha256: Some(stored.sha256.clone()),
        reason: failing.iter().find_map(|source| source.reason).map(|reason| format!("{reason:?}")),
        message: (!complete).then(|| failure(&failing, retry.as_ref())),
    };
    status.history.retain(|kept| kept.name != finished.name);
    status.history.insert(
        0,
        KeptRun {
            name: finished.name.clone(),
            finished_at: finished.finished_at.clone(),
            complete,
            record_sha256: stored.sha256.clone(),
            spec_hash: Some(finished.spec_hash.clone()),
        },
    );
    status.sources = sources(&record.sources);
    // The judgement of an earlier run beside the figures of this one would mislead.
    verdicts::forget(status);
    status.summary = Some(summary(record, None));
    end(status, &run, finished, retry);
}

fn fail(status: &mut PerformanceBaselineStatus, problem: &Problem, now: Timestamp) {
    let Some(run) = &mut status.current_run else { return };
    run.finished = true;
    let run = run.clone();
    let retry = next_retry(status, problem.reason.is_transient(), now);
    let remedy = format!("{} {}", problem.reason.remedy(), what_next(retry.as_ref()));
    let finished = FinishedRun {
        name: run.name.clone(),
        key: run.key.clone(),
        spec_hash: run.spec_hash.clone(),
        finished_at: Time(slots::whole_second(now)),
        complete: false,
        record_sha256: None,
        reason: Some(problem.reason.as_str().to_owned()),
        message: Some(with_remedy(&problem.message, &remedy)),
    };
    // Figures of an older run beside the time of this one would mislead.
    status.sources = Vec::new();
    status.summary = None;
    verdicts::forget(status);
    end(status, &run, finished, retry);
    bounds::fit_result(status);
}

fn end(
    status: &mut PerformanceBaselineStatus,
    run: &CurrentRun,
    finished: FinishedRun,
    retry: Option<RetryStatus>,
) {
    if let Some(request) = run.request.clone() {
        status.last_request_handled = Some(request);
    }
    status.retry = retry;
    status.last_run_time = Some(finished.finished_at.clone());
    status.last_run = Some(finished);
}

/// Another try, where waiting can mend what failed. Its delay is by our clock: the Job's may be wrong.
fn next_retry(status: &PerformanceBaselineStatus, transient: bool, now: Timestamp) -> Option<RetryStatus> {
    if !transient {
        return None;
    }
    let attempts = status.retry.as_ref().map_or(0, |retry| retry.attempts) + 1;
    let minutes = usize::try_from(attempts - 1).ok().and_then(|index| RETRY_MINUTES.get(index));
    let next_at = minutes
        .and_then(|minutes| slots::whole_second(now).checked_add(SignedDuration::from_mins(*minutes)).ok())
        .map(Time);
    Some(RetryStatus { attempts, next_at })
}

/// A time of the Job's clock, which may be wrong, held between the start of the run and now.
fn within(time: Timestamp, start: Timestamp, now: Timestamp) -> Timestamp {
    slots::whole_second(time.min(now).max(start.min(now)))
}

fn sources(sources: &[Source]) -> Vec<SourceStatus> {
    let mut told: Vec<SourceStatus> = Vec::new();
    for source in sources {
        let name = cut(&source.name, MAX_WORD);
        // The list is keyed by name: a second entry of a name would make the whole status unacceptable.
        if told.len() < MAX_SOURCES && told.iter().all(|other| other.name != name) {
            told.push(SourceStatus {
                name,
                state: format!("{:?}", source.state),
                reason: source.reason.map(|reason| format!("{reason:?}")),
                message: source.message.as_deref().map(|message| cut(message, MAX_MESSAGE / 2)),
                duration_ms: source.duration_ms.and_then(|duration| i64::try_from(duration).ok()),
            });
        }
    }
    told
}

/// The columns of `kubectl get`.
pub(super) fn summary(record: &BaselineRecord, judgement: Option<&Judgement>) -> BaselineSummary {
    let word = |text: Option<String>| text.map(|text| cut(&text, MAX_WORD));
    let summary = plimsoll_report::summary(record, judgement);
    BaselineSummary {
        objectives: word(summary.objectives),
        change: word(summary.change),
        page_p95: word(summary.page_p95),
        api_p95: word(summary.api_p95),
        db_p95: word(summary.db_p95),
        cache_hit: word(summary.cache_hit),
        requests: word(summary.requests),
        errors: word(summary.errors),
        coverage: word(summary.coverage),
    }
}

/// What the failing sources said, and what to do about it.
fn failure(failing: &[&Source], retry: Option<&RetryStatus>) -> String {
    let next = what_next(retry);
    if failing.is_empty() {
        return format!("The record names no source. {next}");
    }
    let shown = &failing[..failing.len().min(4)];
    let share = MAX_MESSAGE.saturating_sub(next.len() + 1) / shown.len() - 1;
    let said: Vec<String> = shown.iter().map(|source| said(source, share)).collect();
    format!("{} {next}", said.join(" "))
}

/// What a failing source said and what to do about it, in at most `max` bytes.
fn said(source: &Source, max: usize) -> String {
    let message = source.message.as_deref().unwrap_or("it was not collected whole");
    let remedy = match source.reason {
        Some(SourceReason::Forbidden) if source.name == KUBERNETES => {
            ". Give the operator that right.".to_owned()
        }
        Some(reason) => format!(". {}", source_remedy(reason)),
        None => ".".to_owned(),
    };
    let message = format!("{}: {}", cut(&source.name, MAX_WORD), message.trim_end_matches(['.', ' ']));
    format!("{}{remedy}", cut(&message, max.saturating_sub(remedy.len())))
}

fn what_next(retry: Option<&RetryStatus>) -> String {
    match retry.and_then(|retry| retry.next_at.as_ref()) {
        Some(Time(next)) => format!("Then it is tried again by itself, at {next}."),
        None => ASK_AGAIN.to_owned(),
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
