//! A cluster in memory for the pure steps: what `observe` would read and `act` would write, without a server.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use plimsoll_analysis::frame::{Envelope, FrameError};
use plimsoll_analysis::record::{BaselineRecord, KubernetesFacts, SourceReason};
use plimsoll_analysis::request::SOURCES;
use plimsoll_api::PerformanceBaseline;
use plimsoll_testkit::fixtures::{self, BaselineFixture as _, PROMETHEUS, baseline, fail_source};

use super::decide::{CleanUp, Step, decide, due, refused, run_of, trigger_text};
use super::judge::{self, Material, Need, RECORD_MISSING, Subject, Target, Unavailable};
use super::status::next_status;
use super::view::{FactsRead, Guard, JobSeen, Leftover, LogSeen, Observed, RecordSeen, StoredRecord, View};
use crate::job::build::request_hash;
use crate::job::state::{Ended, OurJob, Problem, Progress};
use crate::reason::RunReason;
use crate::run_key::Trigger;

/// How far a Job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    Waits(Option<RunReason>),
    Runs,
    /// Ended with a record, complete or with a failing source.
    Delivers(Option<SourceReason>),
    /// Ended, and its log holds something else.
    Prints(FrameError),
    /// Ended, and the kubelet does not answer.
    Unreadable,
    /// Ended, and the log is gone.
    Silent,
    /// Over without a pod.
    Over(RunReason),
}

/// A Job.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) uid: String,
    pub(super) attempt: i32,
    pub(super) request_hash: String,
    pub(super) stage: Stage,
    pub(super) finished: bool,
    pub(super) has_ttl: bool,
    pub(super) created: Timestamp,
    pub(super) deleting_since: Option<Timestamp>,
    pub(super) suspended: bool,
    /// Whether something keeps it when it is deleted.
    pub(super) held: bool,
}

/// A resource, its Jobs and ConfigMaps, and the time.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) baseline: PerformanceBaseline,
    pub(super) now: Timestamp,
    pub(super) jobs: BTreeMap<String, Job>,
    pub(super) maps: BTreeMap<String, BaselineRecord>,
    /// What the API server says to a create.
    pub(super) refusal: Option<RunReason>,
    pub(super) secrets_allowed: bool,
    /// How often each Job was made.
    pub(super) made: BTreeMap<String, u32>,
    numbers: u32,
}

pub(super) fn dairy() -> PerformanceBaseline {
    baseline("dairy").prometheus(PROMETHEUS).window("5m").web()
}

impl World {
    pub(super) fn new(baseline: PerformanceBaseline) -> Self {
        Self {
            baseline,
            now: "2026-11-24T10:00:00Z".parse().unwrap(),
            jobs: BTreeMap::new(),
            maps: BTreeMap::new(),
            refusal: None,
            secrets_allowed: true,
            made: BTreeMap::new(),
            numbers: 0,
        }
    }

    pub(super) fn view(&self) -> View {
        View::new(&self.baseline, self.now)
    }

    pub(super) fn advance(&mut self, seconds: i64) {
        self.now = self.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    pub(super) fn edit(&mut self, change: impl FnOnce(&mut PerformanceBaseline)) {
        change(&mut self.baseline);
        *self.baseline.metadata.generation.as_mut().unwrap() += 1;
    }

    pub(super) fn request(&mut self, value: &str) {
        let annotations = self.baseline.metadata.annotations.get_or_insert_default();
        annotations.insert("plimsoll.dev/run".to_owned(), value.to_owned());
    }

    /// The Job of the run under way.
    pub(super) fn job(&mut self) -> Option<&mut Job> {
        let name = self.baseline.status.as_ref()?.current_run.as_ref()?.name.clone();
        self.jobs.get_mut(&name)
    }

    pub(super) fn step(&self) -> Step {
        let view = self.view();
        decide(&view, &self.observe(&view), self.now)
    }

    /// What `observe` reads.
    pub(super) fn observe(&self, view: &View) -> Observed {
        let mut observed = Observed { nonce: "0".repeat(32), ..Observed::default() };
        let guard = Guard {
            forbidden_addresses: vec!["10.96.0.1:443".to_owned()],
            secrets_allowed: self.secrets_allowed,
        };
        let Some(run) = view.run() else {
            if let Some(trigger) = due(view, self.now) {
                observed.guard = Some(guard);
                observed.answered_before = self.answered_before(view, &trigger);
            }
            let subject = judge::subject(&view.status).filter(|_| judge::need(view) == Need::Yes);
            observed.judging = subject.map(|subject| self.material(view, subject));
            return observed;
        };
        if run.finished {
            let leftover = |(name, job): (&String, &Job)| Leftover {
                name: name.clone(),
                uid: job.uid.clone(),
                finished: job.finished,
                has_ttl: job.has_ttl,
                deleting: job.deleting_since.is_some(),
            };
            observed.leftovers = self.jobs.iter().map(leftover).collect();
            return observed;
        }
        observed.record = match self.maps.get(&run.name) {
            Some(record) => {
                RecordSeen::Ours(Box::new(StoredRecord { record: record.clone(), sha256: "a".repeat(64) }))
            }
            None => RecordSeen::Absent,
        };
        if let RecordSeen::Ours(stored) = &observed.record {
            let (run, key) = (run.name.clone(), run.key.clone());
            observed.judging = Some(self.material(view, Subject { run, key, sha256: stored.sha256.clone() }));
        }
        if !matches!(observed.record, RecordSeen::Absent) {
            return observed;
        }
        if run.request_hash.is_none() {
            observed.facts = view.spec.sources.workloads.as_ref().map(|_| no_facts());
            return observed;
        }
        observed.job = match self.jobs.get(&run.name) {
            None => JobSeen::Absent,
            Some(job) if Some(&job.request_hash) != run.request_hash.as_ref() => {
                JobSeen::Foreign("it asks for something else")
            }
            Some(job) => seen(job, view, &run.key),
        };
        if matches!(observed.job, JobSeen::Absent) {
            observed.guard = Some(guard);
        }
        observed
    }

    /// What a judgement is made from, with the run before it where the spec compares with that.
    fn material(&self, view: &View, subject: Subject) -> Material {
        let stored = |run: &str| {
            let record = self.maps.get(run).cloned();
            let gone = || Unavailable { reason: RECORD_MISSING, message: format!("{run} is gone.") };
            record.map(|record| StoredRecord { record, sha256: "a".repeat(64) }).ok_or_else(gone)
        };
        let asked = view.valid.as_ref().is_ok_and(|valid| valid.comparison.is_some());
        let target =
            if asked { judge::previous_run(&view.status.history, &subject) } else { Target::NotAsked };
        Material {
            hash: judge::hash(view, &target),
            record: stored(&subject.run),
            older: Vec::new(),
            before: match target {
                Target::Run { run, .. } => Some(stored(&run)),
                Target::Missing(why) => Some(Err(why)),
                Target::NotAsked | Target::Exported(_) => None,
            },
            subject,
        }
    }

    fn answered_before(&self, view: &View, trigger: &Trigger) -> u32 {
        let (Trigger::Request(_), Ok(valid)) = (trigger, &view.valid) else { return 0 };
        let is_left = |before: &u32| {
            let (_, name) = run_of(view, valid, &trigger_text(trigger, *before));
            self.jobs.contains_key(&name) || self.maps.contains_key(&name)
        };
        u32::try_from((0..50).take_while(is_left).count()).unwrap()
    }

    /// What `act` writes.
    fn act(&mut self, step: Step) -> Step {
        let view = self.view();
        let name = view.run().map(|run| run.name.clone()).unwrap_or_default();
        let writes = matches!(step, Step::CreateJob { .. } | Step::Record(_) | Step::Judge(_));
        if let (true, Some(reason)) = (writes, self.refusal) {
            return refused(&step, Problem { reason, message: "refused".to_owned() });
        }
        match &step {
            Step::CreateJob { request, .. } => {
                self.numbers += 1;
                *self.made.entry(name.clone()).or_default() += 1;
                let job = Job {
                    uid: format!("job-{}", self.numbers),
                    attempt: view.run().unwrap().attempt,
                    request_hash: request_hash(request),
                    stage: Stage::Waits(None),
                    finished: false,
                    has_ttl: false,
                    created: self.now,
                    deleting_since: None,
                    suspended: false,
                    held: false,
                };
                assert!(self.jobs.insert(name, job).is_none(), "a Job is never made twice at once");
            }
            Step::DeleteJob { uid } => self.delete(&name, uid),
            Step::Record(record) => drop(self.maps.insert(name, (**record).clone())),
            Step::CleanUp(steps) => {
                for step in steps {
                    match step {
                        CleanUp::SetTtl { name, .. } => self.jobs.get_mut(name).unwrap().has_ttl = true,
                        CleanUp::Delete { name, uid } => self.delete(name, uid),
                    }
                }
            }
            Step::Prune(runs) => self.maps.retain(|name, _| !runs.contains(name)),
            _ => {}
        }
        step
    }

    fn delete(&mut self, name: &str, uid: &str) {
        let now = self.now;
        if let Some(job) = self.jobs.get_mut(name).filter(|job| job.uid == uid) {
            if job.held {
                job.deleting_since.get_or_insert(now);
            } else {
                self.jobs.remove(name);
            }
        }
    }

    /// One reconcile, as [`super::reconcile`] does it; the steps that it took, the last one being a rest.
    pub(super) fn reconcile(&mut self) -> Result<Vec<Step>, Vec<Step>> {
        let mut steps = Vec::new();
        for _ in 0..super::MAX_STEPS {
            let step = self.step();
            let step = self.act(step);
            let view = self.view();
            self.baseline.status = Some(next_status(&view, &step, self.now));
            let rests = step.wake().is_some();
            steps.push(step);
            if rests {
                return Ok(steps);
            }
        }
        Err(steps)
    }
}

fn seen(job: &Job, view: &View, run_key: &str) -> JobSeen {
    let problem = |reason: RunReason| Problem { reason, message: "said".to_owned() };
    let ended = |reason| Progress::Ended(Ended { pod: "pod".to_owned(), problem: problem(reason) });
    let (progress, log) = match &job.stage {
        _ if job.suspended => (Progress::Waiting(Some(problem(RunReason::JobSuspended))), LogSeen::NotRead),
        Stage::Waits(reason) => (Progress::Waiting(reason.map(problem)), LogSeen::NotRead),
        Stage::Runs => (Progress::Running, LogSeen::NotRead),
        Stage::Delivers(failure) => {
            let mut record = fixtures::record();
            if let Some(reason) = failure {
                fail_source(&mut record, *reason, "refused");
            }
            let envelope = Envelope {
                uid: view.uid.clone(),
                run_key: run_key.to_owned(),
                job_uid: job.uid.clone(),
                record,
            };
            (ended(RunReason::ResultLost), LogSeen::Read(Ok(Box::new(envelope))))
        }
        Stage::Prints(error) => (ended(RunReason::ResultLost), LogSeen::Read(Err(error.clone()))),
        Stage::Unreadable => (ended(RunReason::ResultLost), LogSeen::Unavailable(500)),
        Stage::Silent => (ended(RunReason::ResultLost), LogSeen::Gone),
        Stage::Over(reason) => (Progress::Over(problem(*reason)), LogSeen::NotRead),
    };
    let ours = OurJob {
        uid: job.uid.clone(),
        nonce: "0".repeat(32),
        attempt: job.attempt,
        deleting_since: job.deleting_since,
        finished: job.finished,
        created: Some(job.created),
        lifetime: (!job.suspended).then(|| SignedDuration::from_secs(1_320)),
        workloads: None,
        sources: vec![SOURCES[0]],
        database: None,
    };
    JobSeen::Ours { job: Box::new(ours), progress, log }
}

pub(super) fn no_facts() -> FactsRead {
    FactsRead { facts: KubernetesFacts::default(), duration_ms: 1, queries: 6, reason: None, dropped: 0 }
}
