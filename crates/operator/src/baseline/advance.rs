//! The next step of a run under way (pure).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use plimsoll_analysis::frame::{Envelope, FrameError};
use plimsoll_analysis::since::since_previous;
use plimsoll_api::baseline::CurrentRun;

use super::assemble::{self, facts_only};
use super::decide::{BLOCKED, SOON, Step, policy_problem, request};
use super::judge;
use super::view::{JobSeen, LogSeen, Observed, RecordSeen, View};
use crate::job::build::request_hash;
use crate::job::state::{Ended, OurJob, Problem, Progress};
use crate::reason::RunReason;

/// Most times that the Job of one run is made.
const MAX_ATTEMPTS: i32 = 2;
/// How soon to look again at a pod that runs; its end is also an event of its Job.
const RUNNING: Duration = Duration::from_secs(15);
/// How long a Job that is being deleted may take to go.
const GOING: SignedDuration = SignedDuration::from_secs(60);

/// The next step of a run under way.
pub(crate) fn advance(view: &View, run: &CurrentRun, observed: &Observed, now: Timestamp) -> Step {
    match &observed.record {
        RecordSeen::Ours(stored) => {
            let judged = observed.judging.as_ref().map(|material| Box::new(judge::judge(view, material)));
            return Step::Finish(stored.clone(), judged);
        }
        RecordSeen::Foreign(why) => return Step::Fail(collision("ConfigMap", &run.name, why)),
        RecordSeen::Unreadable => {
            return Step::Fail(Problem {
                reason: RunReason::ResultInvalid,
                message: format!("The ConfigMap {} holds no readable record.", run.name),
            });
        }
        RecordSeen::Absent | RecordSeen::NotRead => {}
    }
    if run.request_hash.is_none() {
        return without_job(view, run, observed, now);
    }
    match &observed.job {
        JobSeen::NotRead => Step::Wait { job_uid: run.job_uid.clone(), problem: None, wake: SOON },
        JobSeen::Foreign(why) => Step::Fail(collision("Job", &run.name, why)),
        JobSeen::Absent => absent_job(view, run, observed),
        JobSeen::Ours { job, progress, log } => {
            let present = Present { job, progress, log };
            present_job(view, run, &present, observed, now)
        }
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
    if valid.spec_hash != run.spec_hash || valid.suspend {
        return Step::Abandon;
    }
    if let Some(problem) = policy_problem(valid, observed.guard.as_ref()) {
        return Step::Wait { job_uid: None, problem: Some(problem), wake: BLOCKED };
    }
    let Some(request) = request(view, valid, &run.name, &run.key, observed.guard.as_ref()) else {
        return Step::Abandon;
    };
    let hash = request_hash(&request);
    if run.request_hash.as_ref() != Some(&hash) {
        return Step::Begin(Box::new(CurrentRun { request_hash: Some(hash), ..run.clone() }));
    }
    Step::CreateJob { request, keys: valid.keys(), nonce: observed.nonce.clone() }
}

/// The Job of a run, as it was read.
struct Present<'a> {
    job: &'a OurJob,
    progress: &'a Progress,
    log: &'a LogSeen,
}

fn present_job(
    view: &View,
    run: &CurrentRun,
    present: &Present<'_>,
    observed: &Observed,
    now: Timestamp,
) -> Step {
    let Present { job, progress, log } = present;
    let wait = |problem: Option<Problem>, wake: Duration| Step::Wait {
        job_uid: Some(job.uid.clone()),
        problem,
        wake,
    };
    if job.attempt != run.attempt {
        return match job.deleting_since {
            Some(since) => {
                Step::Wait { job_uid: None, problem: stuck(run, since, now), wake: patience(run, now) }
            }
            None => Step::DeleteJob { uid: job.uid.clone() },
        };
    }
    // Its UID is kept before anything is concluded, so that a Job that vanishes later is known to have been there.
    if run.job_uid.as_ref() != Some(&job.uid) && !matches!(progress, Progress::Ended(_)) {
        return wait(None, Duration::ZERO);
    }
    let overdue = is_overdue(run, job, now);
    match progress {
        Progress::Waiting(_) | Progress::Running if overdue => lost(run, overdue_problem(run, progress)),
        Progress::Waiting(problem) => {
            let stuck = job.deleting_since.and_then(|since| stuck(run, since, now));
            wait(stuck.or_else(|| problem.clone()), patience(run, now))
        }
        Progress::Running => wait(None, RUNNING),
        Progress::Ended(ended) => match log {
            LogSeen::Read(Ok(envelope)) => recorded(view, run, job, envelope, observed),
            LogSeen::Read(Err(error)) => undelivered(run, ended, error),
            LogSeen::Unavailable(_) if overdue => lost(run, overdue_problem(run, progress)),
            LogSeen::Unavailable(code) => wait(
                Some(Problem {
                    reason: RunReason::LogUnavailable,
                    message: format!(
                        "The log of pod {} cannot be read: the API server answers {code}.",
                        ended.pod
                    ),
                }),
                patience(run, now),
            ),
            LogSeen::Gone | LogSeen::NotRead => lost(
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

fn recorded(view: &View, run: &CurrentRun, job: &OurJob, envelope: &Envelope, observed: &Observed) -> Step {
    // A record without a word of a source that was asked for would pass as complete.
    let told = &envelope.record.sources;
    let silent = job.sources.iter().find(|asked| told.iter().all(|source| source.name != **asked));
    let fault = match silent {
        Some(name) => Some(format!("The record of run {} does not name the source {name}.", run.name)),
        None if job.sources.is_empty() => {
            Some(format!("The Job {} does not say what it was asked to read.", run.name))
        }
        None => None,
    };
    if let Some(message) = fault {
        return Step::Fail(Problem { reason: RunReason::ResultInvalid, message });
    }
    let mut record = envelope.record.clone();
    if let Some(previous) = &observed.previous {
        since_previous(&mut record, previous, job.database.as_ref());
    }
    Step::Record(Box::new(assemble::with_facts(record, view, run, observed.facts.as_ref())))
}

/// Whether nobody will end the Job any more: by our own clock since the attempt began, and by the API server's since
/// the Job was made, so that neither a clock that is wrong nor a Job that was made late ends a run early.
fn is_overdue(run: &CurrentRun, job: &OurJob, now: Timestamp) -> bool {
    let passed = |start: Timestamp, lifetime| now.duration_since(start) >= lifetime;
    job.lifetime.is_some_and(|lifetime| {
        passed(run.started_at.0, lifetime) && job.created.is_some_and(|created| passed(created, lifetime))
    })
}

/// How soon to look again at a run that does not go on: less often the longer it takes.
fn patience(run: &CurrentRun, now: Timestamp) -> Duration {
    let waited = Duration::try_from(now.duration_since(run.started_at.0)).unwrap_or(Duration::ZERO);
    (waited / 10).clamp(SOON, BLOCKED)
}

/// A Job takes a moment to go; after that somebody's finalizer keeps it.
fn stuck(run: &CurrentRun, since: Timestamp, now: Timestamp) -> Option<Problem> {
    (now.duration_since(since) >= GOING).then(|| Problem {
        reason: RunReason::JobStuck,
        message: format!("The Job {} is being deleted and does not go.", run.name),
    })
}

fn overdue_problem(run: &CurrentRun, progress: &Progress) -> Problem {
    match progress {
        Progress::Waiting(Some(problem)) => problem.clone(),
        _ => Problem {
            reason: RunReason::NodeLost,
            message: format!(
                "The Job {} passed its deadline and its pod did not end or cannot be read.",
                run.name
            ),
        },
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
