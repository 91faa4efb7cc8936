//! `deletionPolicy` of the ConfigMaps of kept runs: what is next (pure), and the writes.
//!
//! An edit is noted in status as `Changing` before the first ConfigMap follows it. So one that is taken back midway, or
//! that a crash cuts in two, is worked through once more and leaves none behind.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use plimsoll_api::UID_LABEL;
use plimsoll_api::baseline::{AppliedPolicy, DeletionPolicy};
use std::collections::BTreeMap;

use super::act::{Acted, or_refused};
use super::decide::Step;
use super::view::{KIND, View};
use crate::apply::{FIELD_MANAGER, if_gone};
use crate::context::Context;
use crate::error::{Error, reading, writing};
use crate::job::build::run_labels;
use crate::{record_map, retain};

/// The next step towards the policy; `None` where the ConfigMaps follow it.
pub(crate) fn next(view: &View) -> Option<Step> {
    match view.status.deletion_policy {
        Some(AppliedPolicy::Changing) => Some(Step::ApplyPolicy(runs(view))),
        applied if applied.unwrap_or(AppliedPolicy::Delete) == self::applied(view) => None,
        _ => Some(Step::ChangePolicy),
    }
}

/// What status says once the ConfigMaps follow the spec.
pub(crate) fn applied(view: &View) -> AppliedPolicy {
    match view.spec.deletion_policy {
        DeletionPolicy::Delete => AppliedPolicy::Delete,
        DeletionPolicy::Retain => AppliedPolicy::Retain,
    }
}

/// Every run that may have ConfigMaps: those kept, and the one under way.
fn runs(view: &View) -> Vec<String> {
    let current = view.run().map(|run| run.name.clone());
    let mut runs: Vec<String> = view.status.history.iter().map(|kept| kept.name.clone()).collect();
    runs.extend(current.filter(|name| !runs.contains(name)));
    runs
}

/// Labels of a run's ConfigMaps.
pub(crate) fn labels(view: &View, run: &str) -> BTreeMap<String, String> {
    let mut labels = run_labels(KIND, &view.name, run);
    labels.insert(UID_LABEL.to_owned(), view.uid.clone());
    labels
}

/// A new ConfigMap of a run, as the policy wants it.
pub(crate) fn owned(view: &View, mut map: ConfigMap) -> ConfigMap {
    if view.spec.deletion_policy == DeletionPolicy::Retain {
        map.metadata.owner_references = None;
    }
    map
}

/// Lets the ConfigMaps of these runs follow the policy. What is gone, or somebody else's, is left alone.
pub(crate) async fn apply(view: &View, runs: &[String], context: &Context) -> Result<Acted, Error> {
    let maps = Api::<ConfigMap>::namespaced(context.client.clone(), &view.namespace);
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let retain = view.spec.deletion_policy == DeletionPolicy::Retain;
    for name in runs.iter().flat_map(|run| [run.clone(), format!("{run}-report")]) {
        let Some(map) = maps.get_metadata_opt(&name).await.map_err(reading("a kept record"))? else {
            continue;
        };
        if !record_map::is_owned(&map.metadata, &view.uid) {
            continue;
        }
        let Some(patch) = retain::change(&map.metadata, &view.owner, retain) else { continue };
        let patched = if_gone(maps.patch_metadata(&name, &parameters, &Patch::Merge(&patch)).await);
        let patched = or_refused(patched, &format!("ConfigMap {name}"));
        if let Acted::Refused(problem) = patched.map_err(writing("the owner of a kept record"))? {
            return Ok(Acted::Refused(problem));
        }
    }
    Ok(Acted::Done)
}
