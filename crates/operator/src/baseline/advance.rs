//! The next step of a run under way (pure).

use std::time::Duration;

use jiff::Timestamp;
use plimsoll_analysis::frame::{Envelope, FrameError};
use plimsoll_api::baseline::CurrentRun;

use super::assemble::{self, facts_only};
use super::decide::{SOON, Step, policy_problem, request};
use super::view::{JobSeen, Observed, RecordSeen, View};
use crate::job::build::request_hash;
use crate::job::state::{Ended, OurJob, Problem, Progress};
use crate::reason::RunReason;

/// Most times that the Job of one run is made.
const MAX_ATTEMPTS: i32 = 2;
/// How soon to look again at a pod that runs; its end is also an event of its Job.
const RUNNING: Duration = Duration::from_secs(15);

/// The next step of a run under way.
pub(crate) fn advance(view: &View, run: &CurrentRun, observed: &Observed, now: Timestamp) -> Step {
    match &observed.record {
        RecordSeen::Ours(stored) => return Step::Finish(stored.clone()),
        RecordSeen::Foreign(why) => return Step::Fail(collision("ConfigMap", &run.name, why)),
        RecordSeen::Absent | RecordSeen::NotRead => {}
    }
    if run.request_hash.is_none() {
        return without_job(view, run, observed, now);
    }
    match &observed.job {
        JobSeen::NotRead => Step::Wait { job_uid: run.job_uid.clone(), problem: None, wake: SOON },
        JobSeen::Foreign(why) => Step::Fail(collision("Job", &run.name, why)),
        JobSeen::Absent => absent_job(view, run, observed),
        JobSeen::Ours { job, progress, log } => present_job(view, run, job, progress, log.as_ref(), observed),
    }
}

/// A run that reads nothing but the Kubernetes API needs no Job.
fn without_job(view: &View, run: &CurrentRun, observed: &Observed, now: Timestamp) -> Step {
    match (&view.valid, &observed.facts) {
        (Ok(valid), Some(facts)) if valid.spec_hash == run.spec_hash => {
            Step::Record(Box::new(facts_only(view, valid, run, facts, now)))
        }
        _ => Step::Abandon,
    }
}

fn absent_job(view: &View, run: &CurrentRun, observed: &Observed) -> Step {
    if run.job_uid.is_some() {
        return lost(
            run,
            Problem {
                reason: RunReason::ResultLost,
                message: format!("The Job {} was deleted before its record was read.", run.name),
            },
        );
    }
    // The Job was never made, so what it would measure may still change.
    let Ok(valid) = &view.valid else { return Step::Abandon };
    if valid.spec_hash != run.spec_hash
        || valid.suspend
        || policy_problem(valid, observed.guard.as_ref()).is_some()
    {
        return Step::Abandon;
    }
    let Some(request) = request(view, valid, &run.name, &run.key, observed.guard.as_ref()) else {
        return Step::Abandon;
    };
    let hash = request_hash(&request);
    if run.request_hash.as_ref() != Some(&hash) {
        return Step::Begin(Box::new(CurrentRun { request_hash: Some(hash), ..run.clone() }));
    }
    let keys = valid.prometheus.iter().flat_map(|source| source.keys()).cloned().collect();
    Step::CreateJob { request, keys, nonce: observed.nonce.clone() }
}

fn present_job(
    view: &View,
    run: &CurrentRun,
    job: &OurJob,
    progress: &Progress,
    log: Option<&Result<Box<Envelope>, FrameError>>,
    observed: &Observed,
) -> Step {
    let wait = |problem: Option<Problem>, wake: Duration| Step::Wait {
        job_uid: Some(job.uid.clone()),
        problem,
        wake,
    };
    if job.attempt != run.attempt {
        return if job.deleting {
            Step::Wait { job_uid: None, problem: None, wake: SOON }
        } else {
            Step::DeleteJob { uid: job.uid.clone() }
        };
    }
    // Its UID is kept before anything is concluded, so that a Job that vanishes later is known to have been there.
    if run.job_uid.as_ref() != Some(&job.uid) && !matches!(progress, Progress::Ended(_)) {
        return wait(None, Duration::ZERO);
    }
    match progress {
        Progress::Waiting(problem) => wait(problem.clone(), SOON),
        Progress::Running => wait(None, RUNNING),
        Progress::Ended(ended) => match log {
            Some(Ok(envelope)) => Step::Record(Box::new(assemble::with_facts(
                envelope.record.clone(),
                view,
                run,
                observed.facts.as_ref(),
            ))),
            Some(Err(error)) => undelivered(run, ended, error),
            None => lost(
                run,
                Problem {
                    reason: RunReason::ResultLost,
                    message: format!("The log of pod {} is gone.", ended.pod),
                },
            ),
        },
        Progress::Over(problem) => over(view, run, problem),
    }
}

/// A container that ended, and whose log does not hold the record.
fn undelivered(run: &CurrentRun, ended: &Ended, error: &FrameError) -> Step {
    match error {
        FrameError::Missing | FrameError::Cut | FrameError::Checksum => match ended.problem.reason {
            RunReason::ResultLost => lost(
                run,
                Problem {
                    reason: RunReason::ResultLost,
                    message: format!("{} ({error})", ended.problem.message),
                },
            ),
            _ => Step::Fail(ended.problem.clone()),
        },
        FrameError::Doubled | FrameError::Foreign(_) | FrameError::TooLarge | FrameError::Malformed(_) => {
            Step::Fail(Problem {
                reason: RunReason::ResultInvalid,
                message: format!("The log of pod {} is not to be trusted: {error}.", ended.pod),
            })
        }
    }
}

/// A Job that is over without anything to read.
fn over(view: &View, run: &CurrentRun, problem: &Problem) -> Step {
    match problem.reason {
        RunReason::ResultLost => lost(run, problem.clone()),
        // The Job's deadline has deleted the pod and with it the reason, which status still tells.
        RunReason::Unschedulable => {
            Step::Fail(super::conditions::waiting_problem(view).unwrap_or_else(|| problem.clone()))
        }
        _ => Step::Fail(problem.clone()),
    }
}

fn lost(run: &CurrentRun, problem: Problem) -> Step {
    if run.attempt < MAX_ATTEMPTS { Step::NextAttempt(problem) } else { Step::Fail(problem) }
}

fn collision(kind: &str, name: &str, why: &str) -> Problem {
    Problem {
        reason: RunReason::NameCollision,
        message: format!("A {kind} named {name} is there and not this run's: {why}."),
    }
}
