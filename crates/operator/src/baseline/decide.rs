//! `decide` (pure): the one next step, from the resource, what was read beside it, and the time.
//!
//! The order of writes of a run is: intent in status, Job, ConfigMap, status, time to live of the Job, end in status.
//! Each step can be read back, so that a crash between any two leads here again and to the same next step.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plimsoll_analysis::record::BaselineRecord;
use plimsoll_analysis::request::KeyRef;
use plimsoll_api::baseline::{CurrentRun, RuleStatus};
use serde_json::json;

use super::advance::advance;
use super::alerts;
use super::judge::{self, Judged};
use super::retention;
use super::slots;
use super::validate::{RunNames, ValidBaseline};
use super::view::{Guard, Leftover, Observed, StoredRecord, View};
use crate::job::build::request_hash;
use crate::job::state::{Problem, WORKLOADS};
use crate::reason::RunReason;
use crate::run_key::{Trigger, run_key, run_name};

/// How long an injected container may hold a finished run's Job before the Job is deleted.
const HELD_OPEN: Duration = Duration::from_secs(20);
/// How soon to look again at a run that does not go on, or at a Job that is ending.
pub(crate) const SOON: Duration = Duration::from_secs(3);
/// How soon to look again whether a missing policy was installed, or whether what was refused is allowed now.
pub(crate) const BLOCKED: Duration = Duration::from_secs(30);
/// How soon to look again for a ConfigMap to compare with that is not there: nothing tells when it comes.
const AWAITED: Duration = Duration::from_secs(60);
/// How soon to look again at a resource at rest.
const IDLE: Duration = Duration::from_secs(3600);

/// The next step.
#[derive(Debug)]
pub enum Step {
    /// Nothing to do until `wake`.
    Idle {
        /// When to look again.
        wake: Duration,
        /// Why a run that is due does not start.
        blocked: Option<Problem>,
    },
    /// Write the intent of a run into status.
    Begin(Box<CurrentRun>),
    /// Drop an intent that never became a Job.
    Abandon,
    /// Make the run's Job.
    CreateJob {
        /// The request as JSON.
        request: String,
        /// The Secrets and ConfigMaps it names.
        keys: Vec<KeyRef>,
        /// Delimiter of the frame.
        nonce: String,
    },
    /// Delete the Job of an earlier attempt.
    DeleteJob {
        /// Its UID.
        uid: String,
    },
    /// Wait for the Job.
    Wait {
        /// UID of the Job.
        job_uid: Option<String>,
        /// What keeps it.
        problem: Option<Problem>,
        /// When to look again.
        wake: Duration,
    },
    /// Write the record.
    Record(Box<BaselineRecord>),
    /// The record is written: write what is said of it, and finish the run in status.
    Finish(Box<StoredRecord>, Option<Box<Judged>>),
    /// What the last record is judged by has changed: write what is said of it now.
    Judge(Box<Judged>),
    /// The run ends without a record.
    Fail(Problem),
    /// The record is lost: measure once more.
    NextAttempt(Problem),
    /// Clean up after a finished run.
    CleanUp(Vec<CleanUp>),
    /// Nothing is left to clean up: end the run in status.
    EndRun,
    /// Note in status that the ConfigMaps of these runs are about to follow an edit of `deletionPolicy`.
    ChangePolicy,
    /// Let the ConfigMaps of these runs follow `deletionPolicy`, and note in status that they do.
    ApplyPolicy(Vec<String>),
    /// Write the alerts, or take them away.
    WriteRules,
    /// They are written; `None` where they are gone.
    RulesWritten(Option<Box<RuleStatus>>),
    /// Delete the records of old runs, and drop them from status.
    Prune(Vec<String>),
}

/// What to do with a leftover Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CleanUp {
    /// Set its time to live.
    SetTtl {
        /// Name of the Job.
        name: String,
        /// UID of the Job.
        uid: String,
    },
    /// Delete it: something else in its pod holds it open.
    Delete {
        /// Name of the Job.
        name: String,
        /// UID of the Job.
        uid: String,
    },
}

/// Whether a run is due, and for what.
#[must_use]
pub fn due(view: &View, now: Timestamp) -> Option<Trigger> {
    let valid = view.valid.as_ref().ok()?;
    if view.deleting || valid.suspend || view.run().is_some() {
        return None;
    }
    if view.status.started_spec_hash.as_ref() != Some(&valid.spec_hash) {
        return Some(Trigger::Spec(view.status.spec_runs.unwrap_or(0) + 1));
    }
    if let Some(request) = view.pending_request() {
        return Some(Trigger::Request(request.to_owned()));
    }
    if let (Some(retry), Some(last)) = (&view.status.retry, &view.status.last_run)
        && retry.next_at.as_ref().is_some_and(|next| next.0 <= now)
    {
        return Some(Trigger::Retry { attempt: retry.attempts, of: last.name.clone() });
    }
    slots::due(view, valid.schedule.as_ref()?, now).map(Trigger::Slot)
}

/// What starts the run that is due, as its key and status have it. A value of the annotation that comes back gets a
/// number, so that nothing that is left of its earlier run is taken for the new one's.
#[must_use]
pub fn trigger_text(trigger: &Trigger, answered_before: u32) -> String {
    match (trigger, answered_before) {
        (Trigger::Request(_), 1..) => format!("{trigger}/{}", answered_before + 1),
        _ => trigger.to_string(),
    }
}

/// Key and name of the run that a trigger starts.
#[must_use]
pub fn run_of(view: &View, valid: &ValidBaseline, trigger: &str) -> (String, String) {
    let key = run_key(&view.uid, &valid.spec_hash, trigger);
    let name = run_name(&view.name, &key);
    (key, name)
}

/// What a step comes to where the API server refuses its write.
#[must_use]
pub fn refused(step: &Step, problem: Problem) -> Step {
    match problem.reason {
        // No run is under way that could wait or fail.
        _ if matches!(step, Step::Judge(_)) => Step::Idle { wake: BLOCKED, blocked: Some(problem) },
        RunReason::NameCollision | RunReason::ResultInvalid => Step::Fail(problem),
        _ => Step::Wait { job_uid: None, problem: Some(problem), wake: BLOCKED },
    }
}

/// The next step.
#[must_use]
pub fn decide(view: &View, observed: &Observed, now: Timestamp) -> Step {
    if view.deleting {
        return Step::Idle { wake: IDLE, blocked: None };
    }
    if let Some(step) = retention::next(view).or_else(|| alerts::next(view)) {
        return step;
    }
    if let Some(run) = view.run() {
        return if run.finished { clean_up(view, observed, now) } else { advance(view, run, observed, now) };
    }
    let surplus = surplus(view);
    if !surplus.is_empty() {
        return Step::Prune(surplus);
    }
    match (due(view, now), &view.valid) {
        (Some(trigger), Ok(valid)) => match begin(view, valid, &trigger, observed, now) {
            // The run that starts is judged when it ends; where none can, the last one still is.
            Step::Idle { wake, blocked } => judge(view, observed, wake, blocked),
            begins => begins,
        },
        _ => judge(view, observed, rest(view, now), None),
    }
}

/// Judges the last record where that is to be done, and rests otherwise.
fn judge(view: &View, observed: &Observed, wake: Duration, blocked: Option<Problem>) -> Step {
    match &observed.judging {
        Some(material) => Step::Judge(Box::new(judge::judge(view, material))),
        None => Step::Idle { wake, blocked },
    }
}

/// Starts a run, where its Secrets may be used.
fn begin(view: &View, valid: &ValidBaseline, trigger: &Trigger, observed: &Observed, now: Timestamp) -> Step {
    if let Some(problem) = policy_problem(valid, observed.guard.as_ref()) {
        return Step::Idle { wake: BLOCKED, blocked: Some(problem) };
    }
    let text = trigger_text(trigger, observed.answered_before);
    let (key, name) = run_of(view, valid, &text);
    let request_hash =
        request(view, valid, &name, &key, observed.guard.as_ref()).map(|text| request_hash(&text));
    Step::Begin(Box::new(CurrentRun {
        name,
        key,
        trigger: text,
        spec_hash: valid.spec_hash.clone(),
        started_at: Time(slots::whole_second(now)),
        request_hash,
        attempt: 1,
        request: view.pending_request().map(str::to_owned),
        job_uid: None,
        finished: false,
    }))
}

pub(crate) fn policy_problem(valid: &ValidBaseline, guard: Option<&Guard>) -> Option<Problem> {
    let allowed = guard.is_none_or(|guard| guard.secrets_allowed);
    (valid.names_a_secret() && !allowed).then(|| Problem {
        reason: RunReason::PolicyMissing,
        message:
            "The spec names a Secret, and the admission policy that checks who may use it is not installed."
                .to_owned(),
    })
}

/// The request of a run as JSON; `None` where the run needs no Job.
pub(crate) fn request(
    view: &View,
    valid: &ValidBaseline,
    run: &str,
    run_key: &str,
    guard: Option<&Guard>,
) -> Option<String> {
    if !valid.needs_a_job() {
        return None;
    }
    let names = RunNames { name: &view.name, namespace: &view.namespace, uid: &view.uid, run, run_key };
    let forbidden = guard.map(|guard| guard.forbidden_addresses.as_slice()).unwrap_or_default();
    let request = valid.request(names, forbidden);
    let mut request = serde_json::to_value(request).expect("a request has only string keys");
    // Not for the Job: the spec may be edited while it runs, and its run reads what its own spec named.
    if let Some(selector) = &valid.workloads {
        request[WORKLOADS] = json!(selector);
    }
    Some(request.to_string())
}

fn clean_up(view: &View, observed: &Observed, now: Timestamp) -> Step {
    let finished_at = view.status.last_run.as_ref().map_or(now, |run| run.finished_at.0);
    let held = now.duration_since(finished_at).unsigned_abs() >= HELD_OPEN;
    let current = view.run().map(|run| run.name.as_str()).unwrap_or_default();
    let mut steps = Vec::new();
    let mut waiting = false;
    for Leftover { name, uid, finished, has_ttl, deleting } in observed.leftovers.iter().cloned() {
        match (finished, has_ttl, deleting) {
            (_, _, true) | (true, true, _) => {}
            (true, false, _) => steps.push(CleanUp::SetTtl { name, uid }),
            (false, _, _) if name != current || held => steps.push(CleanUp::Delete { name, uid }),
            (false, _, _) => waiting = true,
        }
    }
    if !steps.is_empty() {
        return Step::CleanUp(steps);
    }
    if waiting {
        return Step::Wait {
            job_uid: view.run().and_then(|run| run.job_uid.clone()),
            problem: None,
            wake: SOON,
        };
    }
    Step::EndRun
}

/// Runs whose records pass the limit; kept besides are the newest complete one, and the one that the last run is compared
/// with, so that an edit of an objective does not end the comparison.
fn surplus(view: &View) -> Vec<String> {
    let limit = usize::try_from(view.spec.history_limit).unwrap_or(1).max(1);
    let newest_complete = view.status.history.iter().position(|run| run.complete);
    let surplus = view.status.history.iter().enumerate().skip(limit);
    let compared = view.status.comparison.as_ref().map(|comparison| &comparison.against);
    surplus
        .filter(|(index, run)| Some(*index) != newest_complete && Some(&run.name) != compared)
        .map(|(_, run)| run.name.clone())
        .collect()
}

/// How long a resource at rest may be left alone.
fn rest(view: &View, now: Timestamp) -> Duration {
    let Ok(valid) = &view.valid else { return IDLE };
    let idle = if judge::awaits_a_record(view) { AWAITED } else { IDLE };
    if valid.suspend {
        return idle;
    }
    let slot = valid.schedule.as_ref().and_then(|schedule| schedule.next_after(now));
    let retry = view.status.retry.as_ref().and_then(|retry| retry.next_at.as_ref()).map(|next| next.0);
    let next = slot.into_iter().chain(retry).min();
    next.map_or(idle, |next| {
        // A slot is reached, never just missed: timers may fire a little early.
        Duration::try_from(next.duration_since(now)).unwrap_or(Duration::ZERO) + Duration::from_millis(50)
    })
    .min(idle)
}

impl Step {
    /// Whether to look again at once, and otherwise when.
    #[must_use]
    pub fn wake(&self) -> Option<Duration> {
        match self {
            Self::Idle { wake, .. } => Some(*wake),
            Self::Wait { wake, .. } => (!wake.is_zero()).then_some(*wake),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
