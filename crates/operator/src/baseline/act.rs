//! `act`: the writes of a step, each safe to repeat.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use plimsoll_analysis::record::BaselineRecord;
use plimsoll_analysis::request::KeyRef;
use plimsoll_api::baseline::RuleStatus;
use serde_json::json;

use super::alerts;
use super::decide::{CleanUp, Step};
use super::judge::Judged;
use super::retention;
use super::view::{KIND, View};
use crate::apply::{FIELD_MANAGER, if_absent, if_gone};
use crate::context::Context;
use crate::error::{Error, reading, writing};
use crate::job::build::{self, JobPlan};
use crate::job::state::{Problem, cut, refusal_reason};
use crate::reason::RunReason;
use crate::record_map::{self, RecordOwner};

/// What came of a step's writes.
#[derive(Debug)]
pub enum Acted {
    /// They are done.
    Done,
    /// They are done, and this is what became of the alerts.
    Ruled(Option<Box<RuleStatus>>),
    /// A rule of the cluster or somebody else's object stands against one, which a person must be told.
    Refused(Problem),
}

/// Does what a step says beside status. Steps that only change status do nothing here.
///
/// # Errors
/// [`Error::Write`] where the API server does not take a write.
pub async fn act(view: &View, step: &Step, context: &Context) -> Result<Acted, Error> {
    match step {
        Step::CreateJob { request, keys, nonce } => create_job(view, request, keys, nonce, context).await,
        Step::DeleteJob { uid } => {
            let name = view.run().map(|run| run.name.clone()).unwrap_or_default();
            delete_job(view, &name, uid, context).await?;
            Ok(Acted::Done)
        }
        Step::Record(record) => write_record(view, record, context).await,
        Step::Finish(_, Some(judged)) | Step::Judge(judged) => write_report(view, judged, context).await,
        Step::CleanUp(steps) => {
            for step in steps {
                match step {
                    CleanUp::SetTtl { name, uid } => set_ttl(view, name, uid, context).await?,
                    CleanUp::Delete { name, uid } => delete_job(view, name, uid, context).await?,
                }
            }
            Ok(Acted::Done)
        }
        Step::WriteRules => Ok(Acted::Ruled(alerts::write(view, context).await?.map(Box::new))),
        Step::ApplyPolicy(runs) => retention::apply(view, runs, context).await,
        Step::Prune(runs) => {
            for run in runs {
                delete_map(view, run, context).await?;
                delete_map(view, &format!("{run}-report"), context).await?;
            }
            Ok(Acted::Done)
        }
        Step::ChangePolicy
        | Step::RulesWritten(_)
        | Step::Idle { .. }
        | Step::Begin(_)
        | Step::Abandon
        | Step::Wait { .. }
        | Step::Finish(_, None)
        | Step::Fail(_)
        | Step::NextAttempt(_)
        | Step::EndRun => Ok(Acted::Done),
    }
}

async fn create_job(
    view: &View,
    request: &str,
    keys: &[KeyRef],
    nonce: &str,
    context: &Context,
) -> Result<Acted, Error> {
    let Some(run) = view.run() else { return Ok(Acted::Done) };
    let plan = JobPlan {
        run: run.name.clone(),
        namespace: view.namespace.clone(),
        owner: view.owner.clone(),
        kind: KIND,
        run_key: run.key.clone(),
        attempt: run.attempt,
        nonce: nonce.to_owned(),
        request: request.to_owned(),
        keys: keys.to_vec(),
        active_deadline_seconds: view.spec.active_deadline_seconds,
        image: context.settings.image.clone(),
        settings: context.settings.jobs.clone(),
    };
    let jobs = Api::<Job>::namespaced(context.client.clone(), &view.namespace);
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    // A Job that is there already is looked at in the next round, and adopted only if it is this run's.
    let made = if_absent(jobs.create(&parameters, &build::job(&plan)).await);
    or_refused(made, &format!("Job {}", run.name)).map_err(writing("the run's Job"))
}

/// Takes a refusal apart from a failure: repeating it does not help before a person has acted.
pub(super) fn or_refused<T>(answer: Result<T, kube::Error>, what: &str) -> Result<Acted, kube::Error> {
    match answer {
        Ok(_) => Ok(Acted::Done),
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 413 | 422) => {
            Ok(Acted::Refused(Problem {
                reason: refusal_reason(&status.message),
                message: format!("The {what} is refused: {}", cut(&status.message)),
            }))
        }
        Err(error) => Err(error),
    }
}

async fn write_record(view: &View, record: &BaselineRecord, context: &Context) -> Result<Acted, Error> {
    let Some(run) = view.run() else { return Ok(Acted::Done) };
    let names = owner(view, &run.name, &run.key, run.request_hash.clone());
    let map = match record_map::to_config_map(record, &names) {
        Ok(map) => retention::owned(view, map),
        Err(error) => {
            let message = format!("The record of run {} cannot be kept: {error}.", run.name);
            return Ok(Acted::Refused(Problem { reason: RunReason::ResultInvalid, message }));
        }
    };
    let maps = Api::<ConfigMap>::namespaced(context.client.clone(), &view.namespace);
    // Once the record is there, the run counts as recorded: what stands in the way of its report is told before.
    let name = record_map::report_name(&run.name);
    let there = maps.get_metadata_opt(&name).await.map_err(reading("the run's report"))?;
    if there.is_some_and(|there| record_map::belongs(&there.metadata, &view.uid, &run.key).is_err()) {
        return Ok(Acted::Refused(collision(&name)));
    }
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let made = if_absent(maps.create(&parameters, &map).await);
    or_refused(made, &format!("ConfigMap {}", run.name)).map_err(writing("the run's record"))
}

/// Writes what is said of a record beside it, where it does not stand there yet.
async fn write_report(view: &View, judged: &Judged, context: &Context) -> Result<Acted, Error> {
    let Ok(opinion) = &judged.opinion else { return Ok(Acted::Done) };
    let names = owner(view, &judged.subject.run, &judged.subject.key, None);
    let report = retention::owned(view, record_map::report_map(&opinion.record, &opinion.judgement, &names));
    let maps = Api::<ConfigMap>::namespaced(context.client.clone(), &view.namespace);
    let name = record_map::report_name(&names.run);
    let there = maps.get_opt(&name).await.map_err(reading("the run's report"))?;
    if let Some(there) = there {
        if record_map::belongs(&there.metadata, &view.uid, &names.run_key).is_err() {
            return Ok(Acted::Refused(collision(&name)));
        }
        if record_map::says_the_same(&there, &report) {
            return Ok(Acted::Done);
        }
    }
    let apply = PatchParams::apply(FIELD_MANAGER).force();
    let applied = maps.patch(&name, &apply, &Patch::Apply(&report)).await;
    or_refused(applied, &format!("ConfigMap {name}")).map_err(writing("the run's report"))
}

fn collision(name: &str) -> Problem {
    let message = format!("A ConfigMap named {name} is there and not this run's.");
    Problem { reason: RunReason::NameCollision, message }
}

fn owner(view: &View, run: &str, run_key: &str, request_hash: Option<String>) -> RecordOwner {
    RecordOwner {
        run: run.to_owned(),
        namespace: view.namespace.clone(),
        owner: view.owner.clone(),
        labels: retention::labels(view, run),
        run_key: run_key.to_owned(),
        request_hash,
    }
}

async fn set_ttl(view: &View, name: &str, uid: &str, context: &Context) -> Result<(), Error> {
    let jobs = Api::<Job>::namespaced(context.client.clone(), &view.namespace);
    let seconds = view.spec.ttl_seconds_after_finished;
    let patch = json!({"metadata": {"uid": uid}, "spec": {"ttlSecondsAfterFinished": seconds}});
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    if_gone(jobs.patch(name, &parameters, &Patch::Merge(&patch)).await)
        .map_err(writing("the time to live of a Job"))
}

async fn delete_job(view: &View, name: &str, uid: &str, context: &Context) -> Result<(), Error> {
    let jobs = Api::<Job>::namespaced(context.client.clone(), &view.namespace);
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
        ..DeleteParams::default()
    };
    if_gone(jobs.delete(name, &parameters).await).map_err(writing("the end of a Job"))
}

/// Deletes a ConfigMap where it is this resource's, and that very one.
async fn delete_map(view: &View, name: &str, context: &Context) -> Result<(), Error> {
    let maps = Api::<ConfigMap>::namespaced(context.client.clone(), &view.namespace);
    let Some(map) = maps.get_metadata_opt(name).await.map_err(reading("an old record"))? else {
        return Ok(());
    };
    if !record_map::is_owned(&map.metadata, &view.uid) {
        return Ok(());
    }
    let parameters = DeleteParams {
        preconditions: Some(Preconditions { uid: map.metadata.uid.clone(), resource_version: None }),
        ..DeleteParams::default()
    };
    if_gone(maps.delete(name, &parameters).await).map_err(writing("the end of an old record"))
}
