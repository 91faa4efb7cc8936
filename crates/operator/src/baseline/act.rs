//! `act`: the writes of a step, each safe to repeat.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use plimsoll_analysis::record::BaselineRecord;
use plimsoll_analysis::request::KeyRef;
use plimsoll_api::baseline::CurrentRun;
use serde_json::json;

use super::decide::{CleanUp, Step};
use super::view::{KIND, View};
use crate::apply::{FIELD_MANAGER, if_absent, if_gone};
use crate::context::Context;
use crate::error::{Error, writing};
use crate::job::build::{self, JobPlan, run_labels};
use crate::record_map::{self, RecordOwner};

/// Does what a step says beside status. Steps that only change status do nothing here.
///
/// # Errors
/// [`Error::Write`] where the API server does not take a write.
pub async fn act(view: &View, step: &Step, context: &Context) -> Result<(), Error> {
    match step {
        Step::CreateJob { request, keys, nonce } => create_job(view, request, keys, nonce, context).await,
        Step::DeleteJob { uid } => {
            let name = view.run().map(|run| run.name.clone()).unwrap_or_default();
            delete_job(view, &name, uid, context).await
        }
        Step::Record(record) => write_record(view, record, context).await,
        Step::CleanUp(steps) => {
            for step in steps {
                match step {
                    CleanUp::SetTtl { name, uid } => set_ttl(view, name, uid, context).await?,
                    CleanUp::Delete { name, uid } => delete_job(view, name, uid, context).await?,
                }
            }
            Ok(())
        }
        Step::Prune(runs) => {
            for run in runs {
                delete_map(view, run, context).await?;
                delete_map(view, &format!("{run}-report"), context).await?;
            }
            Ok(())
        }
        Step::Idle { .. }
        | Step::Begin(_)
        | Step::Abandon
        | Step::Wait { .. }
        | Step::Finish(_)
        | Step::Fail(_)
        | Step::NextAttempt(_)
        | Step::EndRun => Ok(()),
    }
}

async fn create_job(
    view: &View,
    request: &str,
    keys: &[KeyRef],
    nonce: &str,
    context: &Context,
) -> Result<(), Error> {
    let Some(run) = view.run() else { return Ok(()) };
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
    if_absent(jobs.create(&parameters, &build::job(&plan)).await).map_err(writing("the run's Job"))
}

async fn write_record(view: &View, record: &BaselineRecord, context: &Context) -> Result<(), Error> {
    let Some(run) = view.run() else { return Ok(()) };
    let names = owner(view, run);
    let map = record_map::to_config_map(record, &names)?;
    let (stored, sha256) = record_map::read(&map)?;
    let report = record_map::report_map(&stored, &sha256, view.generation, &names);
    let maps = Api::<ConfigMap>::namespaced(context.client.clone(), &view.namespace);
    let name = report.metadata.name.clone().unwrap_or_default();
    let apply = PatchParams::apply(FIELD_MANAGER).force();
    // The report first: once the record is there, the run counts as recorded.
    maps.patch(&name, &apply, &Patch::Apply(&report)).await.map_err(writing("the run's report"))?;
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    if_absent(maps.create(&parameters, &map).await).map_err(writing("the run's record"))
}

fn owner(view: &View, run: &CurrentRun) -> RecordOwner {
    RecordOwner {
        run: run.name.clone(),
        namespace: view.namespace.clone(),
        owner: view.owner.clone(),
        labels: run_labels(KIND, &view.name, &run.name),
        run_key: run.key.clone(),
        request_hash: run.request_hash.clone(),
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
    let Some(map) = maps.get_metadata_opt(name).await.map_err(crate::error::reading("an old record"))? else {
        return Ok(());
    };
    let mut owners = map.metadata.owner_references.iter().flatten();
    if !owners.any(|owner| owner.controller == Some(true) && owner.uid == view.uid) {
        return Ok(());
    }
    let parameters = DeleteParams {
        preconditions: Some(Preconditions { uid: map.metadata.uid.clone(), resource_version: None }),
        ..DeleteParams::default()
    };
    if_gone(maps.delete(name, &parameters).await).map_err(writing("the end of an old record"))
}
