//! What a reconcile works on: the resource as it was read, and what was read beside it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource as _;
use plimsoll_analysis::frame::{Envelope, FrameError};
use plimsoll_analysis::record::{BaselineRecord, Counters, KubernetesFacts, SourceReason};
use plimsoll_api::baseline::CurrentRun;
use plimsoll_api::{PerformanceBaseline, PerformanceBaselineSpec, PerformanceBaselineStatus, RUN_ANNOTATION};

use super::judge::Material;
use super::validate::{FieldError, ValidBaseline, validate};
use crate::job::state::{OurJob, Progress};

/// Kind of the resource in lower case, as labels and metrics name it.
pub const KIND: &str = "performancebaseline";
/// Most bytes of the run annotation that count: status holds the value up to three times.
const MAX_REQUEST_BYTES: usize = 128;

/// The resource as it was read.
#[derive(Debug, Clone)]
pub struct View {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its UID.
    pub uid: String,
    /// Its resource version.
    pub resource_version: Option<String>,
    /// Generation of its spec.
    pub generation: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Value of the run annotation, at most 128 bytes.
    pub requested: Option<String>,
    /// Its spec.
    pub spec: PerformanceBaselineSpec,
    /// What the spec means, or why it means nothing.
    pub valid: Result<ValidBaseline, Vec<FieldError>>,
    /// Its status.
    pub status: PerformanceBaselineStatus,
    /// The reference that its children carry.
    pub owner: OwnerReference,
}

impl View {
    /// Reads the resource; `now` serves only to see whether a schedule has a slot ahead.
    #[must_use]
    pub fn new(baseline: &PerformanceBaseline, now: Timestamp) -> Self {
        let meta = &baseline.metadata;
        let requested = meta.annotations.as_ref().and_then(|all| all.get(RUN_ANNOTATION));
        Self {
            name: meta.name.clone().unwrap_or_default(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone(),
            generation: meta.generation.unwrap_or(0),
            deleting: meta.deletion_timestamp.is_some(),
            requested: requested
                .map(|value| value[..value.floor_char_boundary(MAX_REQUEST_BYTES)].to_owned())
                .filter(|value| !value.is_empty()),
            spec: baseline.spec.clone(),
            valid: validate(meta.name.as_deref().unwrap_or_default(), &baseline.spec, now),
            status: baseline.status.clone().unwrap_or_default(),
            owner: baseline.controller_owner_ref(&()).unwrap_or_default(),
        }
    }

    /// Namespace and name.
    #[must_use]
    pub fn key(&self) -> (String, String) {
        (self.namespace.clone(), self.name.clone())
    }

    /// The run under way.
    #[must_use]
    pub fn run(&self) -> Option<&CurrentRun> {
        self.status.current_run.as_ref()
    }

    /// The request of the annotation that no run has answered.
    #[must_use]
    pub fn pending_request(&self) -> Option<&str> {
        self.requested.as_deref().filter(|value| self.status.last_request_handled.as_deref() != Some(value))
    }
}

/// What was read beside the resource; `None` or `NotRead` where the situation did not call for it.
#[derive(Debug, Default)]
pub struct Observed {
    /// What must be known before a Job is made.
    pub guard: Option<Guard>,
    /// The Job that has the run's name.
    pub job: JobSeen,
    /// The ConfigMap that has the run's name.
    pub record: RecordSeen,
    /// Facts of the workloads, read when the record is made.
    pub facts: Option<FactsRead>,
    /// Counters of the newest complete run of the same measured spec, read when the record has counters of its own.
    pub previous: Option<Box<Counters>>,
    /// What a judgement is made from, read when the last record is to be judged.
    pub judging: Option<Material>,
    /// Jobs of this resource, read when there is something to clean up.
    pub leftovers: Vec<Leftover>,
    /// A delimiter, should a Job be made.
    pub nonce: String,
    /// How often the value of the run annotation that is due was answered before, as far as anything is left of it.
    pub answered_before: u32,
}

/// What must be known before a Job is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The API server's addresses, each `address:port`, sorted.
    pub forbidden_addresses: Vec<String>,
    /// Whether Secrets may be named: the admission policy is there, or an administrator allowed to do without.
    pub secrets_allowed: bool,
}

/// The Job that has the run's name.
#[derive(Debug, Default)]
pub enum JobSeen {
    /// Not read.
    #[default]
    NotRead,
    /// There is none.
    Absent,
    /// It is not this run's.
    Foreign(&'static str),
    /// It is this run's.
    Ours {
        /// The Job.
        job: Box<OurJob>,
        /// How far its pod is.
        progress: Progress,
        /// What its log holds, where its container has ended.
        log: LogSeen,
    },
}

/// The log of the run's container.
#[derive(Debug, Default)]
pub enum LogSeen {
    /// Not read: the container has not ended.
    #[default]
    NotRead,
    /// Gone, with its pod or its node.
    Gone,
    /// The API server could not read it now, and answered with this code.
    Unavailable(u16),
    /// What it holds.
    Read(Result<Box<Envelope>, FrameError>),
}

/// The ConfigMap that has the run's name.
#[derive(Debug, Default)]
pub enum RecordSeen {
    /// Not read.
    #[default]
    NotRead,
    /// There is none.
    Absent,
    /// It is not this run's.
    Foreign(&'static str),
    /// It is this run's, and holds no record.
    Unreadable,
    /// It is this run's.
    Ours(Box<StoredRecord>),
}

/// A record as its ConfigMap holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRecord {
    /// The measurements.
    pub record: BaselineRecord,
    /// SHA-256 of record.json.
    pub sha256: String,
}

/// Facts of the workloads as they were read, and how long that took.
#[derive(Debug, Clone, PartialEq)]
pub struct FactsRead {
    /// The facts.
    pub facts: KubernetesFacts,
    /// Milliseconds.
    pub duration_ms: u64,
    /// Requests to the API server.
    pub queries: u64,
    /// Why not all of them were read.
    pub reason: Option<SourceReason>,
    /// How many workloads were left out, beyond those that are recorded.
    pub dropped: u64,
}

/// A Job of this resource, while cleaning up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Whether it is Complete or Failed.
    pub finished: bool,
    /// Whether its time to live is set.
    pub has_ttl: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
}
