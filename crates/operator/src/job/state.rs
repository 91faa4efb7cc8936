//! What the Job of a run says about it. Pure: reads happen in `observe`.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use plimsoll_analysis::job::{CONTAINER, ENV_REQUEST};
use plimsoll_analysis::request::{DatabaseRequest, SOURCES};
use plimsoll_api::{ATTEMPT_ANNOTATION, NONCE_ANNOTATION, REQUEST_HASH_ANNOTATION, RUN_KEY_ANNOTATION};

use crate::reason::RunReason;

/// How long after a Job's deadline its end is waited for.
const PATIENCE: SignedDuration = SignedDuration::from_secs(120);
/// Key of a request that holds the selector of the workloads: they are read by the operator, and not by the Job.
pub const WORKLOADS: &str = "workloads";

/// What a Job must say to be this run's.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// UID of the resource.
    pub owner_uid: &'a str,
    /// Key of the run.
    pub run_key: &'a str,
    /// Hash of the request, as the intent in status holds it.
    pub request_hash: &'a str,
}

/// A Job that is this run's.
#[derive(Debug, Clone, PartialEq)]
pub struct OurJob {
    /// Its UID.
    pub uid: String,
    /// Its nonce.
    pub nonce: String,
    /// Which attempt it is.
    pub attempt: i32,
    /// Since when it is being deleted.
    pub deleting_since: Option<Timestamp>,
    /// Whether it is Complete or Failed.
    pub finished: bool,
    /// When it was made, by the API server's clock.
    pub created: Option<Timestamp>,
    /// How long after it was made its own deadline and some patience have passed, so that nobody will end it any
    /// more; `None` for a Job whose time does not run, since it is suspended.
    pub lifetime: Option<SignedDuration>,
    /// The workloads that its request names.
    pub workloads: Option<LabelSelector>,
    /// The sources that its request names.
    pub sources: Vec<&'static str>,
    /// What its request asks of a database.
    pub database: Option<DatabaseRequest>,
}

/// Something to say about a run that does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// One word.
    pub reason: RunReason,
    /// What happened, without the remedy.
    pub message: String,
}

/// How far a run's pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The container has not started; the problem, if there is one, may pass.
    Waiting(Option<Problem>),
    /// The container runs.
    Running,
    /// The container has ended, and its log can be read.
    Ended(Ended),
    /// The Job is over and there is nothing to read.
    Over(Problem),
}

/// A container that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Name of the pod.
    pub pod: String,
    /// What explains a log without a record.
    pub problem: Problem,
}

/// Whether a Job that has the run's name is the run's.
///
/// # Errors
/// What it differs in.
pub fn adopt(job: &Job, expected: &Expected<'_>) -> Result<OurJob, &'static str> {
    let meta = &job.metadata;
    let owned = meta
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.controller == Some(true) && owner.uid == expected.owner_uid);
    let annotation = |name: &str| meta.annotations.as_ref().and_then(|all| all.get(name)).map(String::as_str);
    if !owned {
        return Err("it belongs to another object");
    }
    if annotation(RUN_KEY_ANNOTATION) != Some(expected.run_key) {
        return Err("it is of another run");
    }
    if annotation(REQUEST_HASH_ANNOTATION) != Some(expected.request_hash) {
        return Err("it asks for something else");
    }
    let request = request(job).unwrap_or_default();
    Ok(OurJob {
        uid: meta.uid.clone().unwrap_or_default(),
        nonce: annotation(NONCE_ANNOTATION).unwrap_or_default().to_owned(),
        attempt: annotation(ATTEMPT_ANNOTATION).and_then(|text| text.parse().ok()).unwrap_or(1),
        deleting_since: meta.deletion_timestamp.as_ref().map(|time| time.0),
        finished: is_finished(job),
        created: meta.creation_timestamp.as_ref().map(|time| time.0),
        lifetime: lifetime(job),
        workloads: part(&request, WORKLOADS),
        database: part(&request, "database"),
        sources: SOURCES.into_iter().filter(|name| request.get(name).is_some()).collect(),
    })
}

/// A Job's controller ends it at its deadline, but waits for the kubelet of a node that is lost.
fn lifetime(job: &Job) -> Option<SignedDuration> {
    let deadline = job.spec.as_ref()?.active_deadline_seconds?;
    (!is_suspended(job)).then(|| SignedDuration::from_secs(deadline.clamp(0, 1_000_000)) + PATIENCE)
}

/// The spec may have been edited since: what a run reads stands in its own request.
fn request(job: &Job) -> Option<serde_json::Value> {
    let pod = job.spec.as_ref()?.template.spec.as_ref()?;
    let ours = pod.containers.iter().find(|container| container.name == CONTAINER)?;
    let variable = ours.env.iter().flatten().find(|variable| variable.name == ENV_REQUEST)?;
    serde_json::from_str(variable.value.as_deref()?).ok()
}

fn part<T: serde::de::DeserializeOwned>(request: &serde_json::Value, name: &str) -> Option<T> {
    request.get(name).and_then(|part| serde_json::from_value(part.clone()).ok())
}

fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true))
}

/// How far the run is, from its Job, the Job's pods, and the Events of a Job without a pod.
#[must_use]
pub fn progress(job: &Job, pods: &[Pod], events: &[Event]) -> Progress {
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    let ours = pods.iter().filter(|pod| {
        pod.metadata
            .owner_references
            .iter()
            .flatten()
            .any(|owner| owner.controller == Some(true) && owner.uid == uid)
    });
    if let Some(pod) = ours.max_by_key(|pod| pod.metadata.creation_timestamp.clone()) {
        return of_pod(pod);
    }
    match failed_condition(job) {
        Some((reason, message)) => Progress::Over(job_failure(&reason, &message)),
        None if is_complete(job) => Progress::Over(Problem {
            reason: RunReason::ResultLost,
            message: "The Job is complete and its pod is gone.".to_owned(),
        }),
        None if is_suspended(job) => Progress::Waiting(Some(Problem {
            reason: RunReason::JobSuspended,
            message: "The run's Job is suspended.".to_owned(),
        })),
        None => Progress::Waiting(refusal(events)),
    }
}

/// Whether a Job has stood without a pod long enough to read its Events.
#[must_use]
pub fn is_podless_for_long(job: &Job, now: Timestamp) -> bool {
    let created = job.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
    now.duration_since(created).as_secs() >= 10
}

/// Whether a Job is Complete or Failed.
#[must_use]
pub fn is_finished(job: &Job) -> bool {
    is_complete(job) || failed_condition(job).is_some()
}

fn is_complete(job: &Job) -> bool {
    job.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == "Complete" && condition.status == "True")
}

fn failed_condition(job: &Job) -> Option<(String, String)> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let failed =
        conditions.iter().find(|condition| condition.type_ == "Failed" && condition.status == "True")?;
    Some((failed.reason.clone().unwrap_or_default(), failed.message.clone().unwrap_or_default()))
}

fn job_failure(reason: &str, message: &str) -> Problem {
    match reason {
        "DeadlineExceeded" => Problem {
            reason: RunReason::Unschedulable,
            message: "The Job's pod did not start within the time for scheduling and image pull.".to_owned(),
        },
        _ => Problem {
            reason: RunReason::ResultLost,
            message: format!("The Job failed and its pod is gone: {}", cut(message)),
        },
    }
}

/// Why a Job has no pod, as its newest warning says.
fn refusal(events: &[Event]) -> Option<Problem> {
    let newest = events
        .iter()
        .filter(|event| event.reason.as_deref() == Some("FailedCreate"))
        .max_by_key(|event| event.last_timestamp.clone().map(|time| time.0))?;
    let message = newest.message.clone().unwrap_or_default();
    Some(Problem {
        reason: refusal_reason(&message),
        message: format!("The Job's pod is refused: {}", cut(&message)),
    })
}

/// Whether a quota or another rule refuses an object, as the API server's message says.
#[must_use]
pub fn refusal_reason(message: &str) -> RunReason {
    if message.contains("exceeded quota") || message.contains("failed quota") {
        RunReason::QuotaExceeded
    } else {
        RunReason::PodRefused
    }
}

fn of_pod(pod: &Pod) -> Progress {
    let Some(status) = &pod.status else { return Progress::Waiting(None) };
    let name = pod.metadata.name.clone().unwrap_or_default();
    let ours = status.container_statuses.iter().flatten().find(|container| container.name == CONTAINER);
    let state = ours.and_then(|container| container.state.as_ref());
    if let Some(terminated) = state.and_then(|state| state.terminated.as_ref()) {
        return Progress::Ended(Ended { pod: name, problem: of_end(status.reason.as_deref(), terminated) });
    }
    if status.phase.as_deref() == Some("Failed") {
        let message = status.message.clone().unwrap_or_default();
        let reason = match status.reason.as_deref() {
            Some("DeadlineExceeded") => RunReason::DeadlineExceeded,
            Some("Evicted" | "Preempting" | "NodeShutdown" | "Terminated") => RunReason::Evicted,
            Some("NodeAffinity" | "OutOfcpu" | "OutOfmemory" | "OutOfpods") => RunReason::Unschedulable,
            _ => RunReason::ResultLost,
        };
        return Progress::Over(Problem {
            reason,
            message: format!("The run's pod failed: {}", cut(&message)),
        });
    }
    if state.is_some_and(|state| state.running.is_some()) {
        return Progress::Running;
    }
    Progress::Waiting(waiting(pod, ours))
}

/// What a container's end explains, where its log holds no record.
fn of_end(pod_reason: Option<&str>, end: &ContainerStateTerminated) -> Problem {
    let said = end.message.as_deref().map(str::trim).filter(|message| !message.is_empty());
    let (reason, message) = match (pod_reason, end.reason.as_deref()) {
        (Some("DeadlineExceeded"), _) => {
            (RunReason::DeadlineExceeded, "The run's pod reached its deadline.".to_owned())
        }
        (_, Some("OOMKilled")) => {
            (RunReason::OutOfMemory, "The run's container was killed for its memory limit.".to_owned())
        }
        (Some("Evicted"), _) => (RunReason::Evicted, "The run's pod was evicted from its node.".to_owned()),
        _ => (
            RunReason::ResultLost,
            format!("The run's container ended with exit code {} and left no record.", end.exit_code),
        ),
    };
    match said {
        Some(said) => Problem { reason, message: format!("{message} It said: {}", cut(said)) },
        None => Problem { reason, message },
    }
}

fn waiting(pod: &Pod, ours: Option<&ContainerStatus>) -> Option<Problem> {
    let state = ours.and_then(|container| container.state.as_ref()).and_then(|state| state.waiting.as_ref());
    if let Some(waiting) = state {
        let message = waiting.message.clone().unwrap_or_default();
        let reason = match waiting.reason.as_deref() {
            Some(
                "ErrImagePull"
                | "ImagePullBackOff"
                | "InvalidImageName"
                | "ErrImageNeverPull"
                | "RegistryUnavailable",
            ) => Some(RunReason::ImagePullFailed),
            Some("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") => {
                Some(RunReason::ContainerRefused)
            }
            _ => None,
        };
        if let Some(reason) = reason {
            return Some(Problem {
                reason,
                message: format!("The run's container cannot start: {}", cut(&message)),
            });
        }
    }
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref())?;
    let unscheduled = conditions.iter().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    })?;
    Some(Problem {
        reason: RunReason::Unschedulable,
        message: format!(
            "No node takes the run's pod: {}",
            cut(unscheduled.message.as_deref().unwrap_or_default())
        ),
    })
}

/// Text of others, bounded and without control characters.
#[must_use]
pub fn cut(text: &str) -> String {
    text.chars().filter(|character| !character.is_control() || *character == ' ').take(500).collect()
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
