//! `observe`: every read that the situation calls for, live from the API server, and no write.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Api;
use kube::api::{ListParams, LogParams};
use plimsoll_analysis::frame::{self, FrameError, MAX_FRAME_BYTES};
use plimsoll_analysis::job::{CONTAINER, MAX_LOG_BYTES};
use plimsoll_analysis::record::Counters;
use plimsoll_api::baseline::CurrentRun;
use plimsoll_api::{KIND_LABEL, OWNER_LABEL};

use super::decide::{due, policy_problem, run_of, trigger_text};
use super::judge::Subject;
use super::judging;
use super::view::{
    FactsRead, Guard, JobSeen, KIND, Leftover, LogSeen, Observed, RecordSeen, StoredRecord, View,
};
use crate::context::Context;
use crate::error::{Error, reading};
use crate::job::build::{JOB_UID_LABEL, run_labels};
use crate::job::state::{self, Expected, Progress};
use crate::record_map;
use crate::run_key::Trigger;
use crate::workloads;

/// Most earlier answers to one value of the annotation that are looked for.
const MAX_ANSWERED: u32 = 50;

/// Reads what the next step depends on.
///
/// # Errors
/// [`Error::Read`] where the API server does not answer as it should.
pub async fn observe(view: &View, context: &Context, now: Timestamp) -> Result<Observed, Error> {
    let mut observed = Observed { nonce: nonce(), ..Observed::default() };
    let Some(run) = view.run() else {
        if let Some(trigger) = due(view, now) {
            observed.guard = Some(guard(view, context).await?);
            observed.answered_before = answered_before(view, &trigger, context).await?;
        }
        if !starts(view, &observed) {
            observed.judging = judging::of_last_run(view, context).await?;
        }
        return Ok(observed);
    };
    if run.finished {
        observed.leftovers = leftovers(view, context).await?;
        return Ok(observed);
    }
    observed.record = record(view, run, context).await?;
    if let RecordSeen::Ours(stored) = &observed.record {
        let (run, key) = (run.name.clone(), run.key.clone());
        let subject = Subject { run, key, sha256: stored.sha256.clone() };
        observed.judging = Some(judging::of_new_record(view, subject, stored, context).await?);
    }
    if !matches!(observed.record, RecordSeen::Absent) {
        return Ok(observed);
    }
    if run.request_hash.is_none() {
        let named = view.spec.sources.workloads.as_ref().map(|source| &source.selector);
        observed.facts = facts(view, named, true, context).await?;
        return Ok(observed);
    }
    observed.job = job(view, run, context, now).await?;
    match &observed.job {
        JobSeen::Absent => observed.guard = Some(guard(view, context).await?),
        JobSeen::Ours { job, log: LogSeen::Read(Ok(envelope)), .. } => {
            let measured = envelope.record.infrastructure_metrics.as_ref();
            let measured = measured.is_some_and(|metrics| metrics.cpu_usage_by_pod.is_some());
            observed.facts = facts(view, job.workloads.as_ref(), !measured, context).await?;
            if envelope.record.counters.is_some() {
                observed.previous = previous(view, run, context).await?;
            }
        }
        _ => {}
    }
    Ok(observed)
}

/// Whether a run begins, as far as what was read tells.
fn starts(view: &View, observed: &Observed) -> bool {
    let (Some(guard), Ok(valid)) = (&observed.guard, &view.valid) else { return false };
    policy_problem(valid, Some(guard)).is_none()
}

/// How often the value of the annotation was answered before, as far as a Job or ConfigMap is left of it. Without
/// this a value that comes back would be answered by what an earlier run has left.
async fn answered_before(view: &View, trigger: &Trigger, context: &Context) -> Result<u32, Error> {
    let (Trigger::Request(_), Ok(valid)) = (trigger, &view.valid) else { return Ok(0) };
    let jobs = Api::<Job>::namespaced(context.client.clone(), &view.namespace);
    let maps = Api::<ConfigMap>::namespaced(context.client.clone(), &view.namespace);
    let mut before = 0;
    while before < MAX_ANSWERED {
        let (_, name) = run_of(view, valid, &trigger_text(trigger, before));
        let is_left = jobs.get_metadata_opt(&name).await.map_err(reading("an earlier Job"))?.is_some()
            || maps.get_metadata_opt(&name).await.map_err(reading("an earlier record"))?.is_some();
        if !is_left {
            break;
        }
        before += 1;
    }
    Ok(before)
}

/// 128 bits from the system's generator, as 32 hexadecimal digits.
fn nonce() -> String {
    format!("{:032x}", rand::random::<u128>())
}

async fn guard(view: &View, context: &Context) -> Result<Guard, Error> {
    let mut addresses = context.settings.api_server.clone();
    let slices = Api::<EndpointSlice>::namespaced(context.client.clone(), "default");
    match slices.get_opt("kubernetes").await {
        Ok(slice) => addresses.extend(slice.iter().flat_map(endpoints)),
        // Without that right the address in our environment still stands.
        Err(kube::Error::Api(status)) if status.code == 403 => {
            tracing::warn!(
                "no right to get endpointslices/kubernetes in namespace default: Jobs are kept from the API server's Service address only"
            );
        }
        Err(source) => return Err(reading("the API server's EndpointSlice")(source)),
    }
    addresses.sort();
    addresses.dedup();
    let names_a_secret = view.valid.as_ref().is_ok_and(super::validate::ValidBaseline::names_a_secret);
    let secrets_allowed =
        !names_a_secret || context.settings.allow_secrets_without_policy || policy_stands(context).await?;
    Ok(Guard { forbidden_addresses: addresses, secrets_allowed })
}

/// `address:port` of each endpoint, IPv6 in brackets.
fn endpoints(slice: &EndpointSlice) -> Vec<String> {
    let ports = slice.ports.iter().flatten().filter_map(|port| port.port);
    let ports: Vec<i32> = ports.collect();
    let addresses = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
    addresses
        .flat_map(|address| {
            let host = if address.contains(':') { format!("[{address}]") } else { address.clone() };
            ports.iter().map(move |port| format!("{host}:{port}"))
        })
        .collect()
}

/// Whether the policy that guards references is there, bound, and refuses.
async fn policy_stands(context: &Context) -> Result<bool, Error> {
    let Some(name) = &context.settings.reference_policy else { return Ok(false) };
    let policies = Api::<ValidatingAdmissionPolicy>::all(context.client.clone());
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(context.client.clone());
    let policy = found(policies.get_opt(name).await)?;
    let binding = found(bindings.get_opt(name).await)?;
    let fails_closed = policy.and_then(|policy| policy.spec).is_some_and(|spec| {
        // Fail is the default.
        spec.failure_policy.as_deref().unwrap_or("Fail") == "Fail"
    });
    let denies = binding.and_then(|binding| binding.spec).is_some_and(|spec| {
        spec.policy_name.as_deref() == Some(name.as_str())
            && spec.validation_actions.iter().flatten().any(|action| action == "Deny")
    });
    Ok(fails_closed && denies)
}

/// A policy that may not be read is not known to stand.
fn found<T>(answer: Result<Option<T>, kube::Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(found),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        Err(source) => Err(reading("the admission policy")(source)),
    }
}

async fn record(view: &View, run: &CurrentRun, context: &Context) -> Result<RecordSeen, Error> {
    let maps = Api::<ConfigMap>::namespaced(context.client.clone(), &view.namespace);
    let Some(map) = maps.get_opt(&run.name).await.map_err(reading("the run's ConfigMap"))? else {
        return Ok(RecordSeen::Absent);
    };
    let stored = record_map::adopt(&map, &view.uid, &run.key, run.request_hash.as_deref())
        .and_then(|()| record_map::read(&map));
    Ok(match stored {
        Ok((record, sha256)) => RecordSeen::Ours(Box::new(StoredRecord { record, sha256 })),
        Err(record_map::RecordError::Foreign(why)) => RecordSeen::Foreign(why),
        Err(_) => RecordSeen::Unreadable,
    })
}

/// Counters that the newest complete run of the same measured spec has left. A record that is gone, is not what status
/// says it was, or holds none, leaves nothing to compare with.
async fn previous(view: &View, run: &CurrentRun, context: &Context) -> Result<Option<Box<Counters>>, Error> {
    let mut kept = view.status.history.iter().filter(|kept| kept.complete && kept.name != run.name);
    let Some(newest) = kept.next().filter(|kept| kept.spec_hash.as_ref() == Some(&run.spec_hash)) else {
        return Ok(None);
    };
    let maps = Api::<ConfigMap>::namespaced(context.client.clone(), &view.namespace);
    let map = maps.get_opt(&newest.name).await.map_err(reading("the previous run's ConfigMap"))?;
    let stored = map.filter(|map| record_map::is_owned(&map.metadata, &view.uid));
    let stored = stored.and_then(|map| record_map::read(&map).ok());
    let trusted = stored.filter(|(_, sha256)| *sha256 == newest.record_sha256);
    Ok(trusted.and_then(|(record, _)| record.counters).map(Box::new))
}

async fn job(view: &View, run: &CurrentRun, context: &Context, now: Timestamp) -> Result<JobSeen, Error> {
    let jobs = Api::<Job>::namespaced(context.client.clone(), &view.namespace);
    let Some(job) = jobs.get_opt(&run.name).await.map_err(reading("the run's Job"))? else {
        return Ok(JobSeen::Absent);
    };
    let expected = Expected {
        owner_uid: &view.uid,
        run_key: &run.key,
        request_hash: run.request_hash.as_deref().unwrap_or_default(),
    };
    let ours = match state::adopt(&job, &expected) {
        Ok(ours) => ours,
        Err(why) => return Ok(JobSeen::Foreign(why)),
    };
    let pods = Api::<Pod>::namespaced(context.client.clone(), &view.namespace);
    let of_job = ListParams::default().labels(&format!("{JOB_UID_LABEL}={}", ours.uid));
    let pods = pods.list(&of_job).await.map_err(reading("the run's pod"))?.items;
    let events = if pods.is_empty() && state::is_podless_for_long(&job, now) {
        events(view, &ours.uid, context).await?
    } else {
        Vec::new()
    };
    let progress = state::progress(&job, &pods, &events);
    let log = match &progress {
        Progress::Ended(ended) => log(view, run, &ours, &ended.pod, context).await?,
        _ => LogSeen::NotRead,
    };
    Ok(JobSeen::Ours { job: Box::new(ours), progress, log })
}

async fn events(view: &View, job_uid: &str, context: &Context) -> Result<Vec<Event>, Error> {
    let events = Api::<Event>::namespaced(context.client.clone(), &view.namespace);
    let about = ListParams::default().fields(&format!("involvedObject.uid={job_uid}")).limit(50);
    Ok(events.list(&about).await.map_err(reading("the events of the run's Job"))?.items)
}

/// What the log of the run's container holds.
async fn log(
    view: &View,
    run: &CurrentRun,
    job: &state::OurJob,
    pod: &str,
    context: &Context,
) -> Result<LogSeen, Error> {
    let pods = Api::<Pod>::namespaced(context.client.clone(), &view.namespace);
    let bytes = i64::try_from(MAX_FRAME_BYTES + MAX_LOG_BYTES + 64 * 1024).unwrap_or(i64::MAX);
    let parameters =
        LogParams { container: Some(CONTAINER.to_owned()), limit_bytes: Some(bytes), ..LogParams::default() };
    let text = match pods.logs(pod, &parameters).await {
        Ok(text) => text,
        // The pod is gone, or its node no longer has the log.
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => return Ok(LogSeen::Gone),
        // The API server asks the kubelet, whose node may be gone for good.
        Err(kube::Error::Api(status)) if status.code >= 500 => return Ok(LogSeen::Unavailable(status.code)),
        // What our process prints is ASCII.
        Err(kube::Error::FromUtf8(_)) => {
            return Ok(LogSeen::Read(Err(FrameError::Malformed("not UTF-8".to_owned()))));
        }
        Err(source) => return Err(reading("the log of the run's pod")(source)),
    };
    let expected =
        frame::Expected { nonce: &job.nonce, uid: &view.uid, run_key: &run.key, job_uid: &job.uid };
    Ok(LogSeen::Read(frame::decode(&text, &expected).map(Box::new)))
}

async fn facts(
    view: &View,
    selector: Option<&LabelSelector>,
    with_usage: bool,
    context: &Context,
) -> Result<Option<FactsRead>, Error> {
    let Some(selector) = selector else { return Ok(None) };
    let facts =
        workloads::read::read(&context.client, &view.namespace, selector, with_usage, &*context.clock).await;
    facts.map(Some).map_err(reading("the workloads"))
}

async fn leftovers(view: &View, context: &Context) -> Result<Vec<Leftover>, Error> {
    let labels = run_labels(KIND, &view.name, "");
    let ours = ListParams::default().labels(&format!(
        "{KIND_LABEL}={KIND},{OWNER_LABEL}={}",
        labels.get(OWNER_LABEL).map_or("", String::as_str)
    ));
    let jobs = Api::<Job>::namespaced(context.client.clone(), &view.namespace);
    let jobs = jobs.list(&ours).await.map_err(reading("the Jobs of this resource"))?;
    let owned = jobs.items.into_iter().filter(|job| {
        let mut owners = job.metadata.owner_references.iter().flatten();
        owners.any(|owner| owner.controller == Some(true) && owner.uid == view.uid)
    });
    Ok(owned
        .map(|job| Leftover {
            finished: state::is_finished(&job),
            has_ttl: job.spec.as_ref().is_some_and(|spec| spec.ttl_seconds_after_finished.is_some()),
            deleting: job.metadata.deletion_timestamp.is_some(),
            name: job.metadata.name.unwrap_or_default(),
            uid: job.metadata.uid.unwrap_or_default(),
        })
        .collect())
}
