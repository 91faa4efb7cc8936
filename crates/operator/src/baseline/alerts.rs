//! The alerts of a baseline: whether they are to be written (pure), and the writes.
//!
//! They stand as `rules.yaml` in the report of the last run and, where the cluster has that kind, as a PrometheusRule that
//! belongs to the baseline. A cluster without it, or without the right to it, is a fact that status tells: no run fails of it.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::GroupVersionKind;
use plimsoll_analysis::hash::sha256_hex;
use plimsoll_api::baseline::RuleStatus;
use serde_json::{Value, json};

use super::bounds::cut;
use super::decide::Step;
use super::view::View;
use crate::apply::{FIELD_MANAGER, if_gone};
use crate::context::Context;
use crate::error::{Error, reading, writing};
use crate::record_map;
use crate::rules::{self, Rules, Whose, object_name};

/// Plural of the kind.
const PLURAL: &str = "prometheusrules";
/// Most bytes of what status says of the alerts.
const MAX_MESSAGE: usize = 400;
/// What a person does where the cluster knows no PrometheusRule.
const NO_KIND: &str = "The cluster has no PrometheusRule (monitoring.coreos.com/v1): give rules.yaml of the report to Prometheus as a rule file.";

/// What a baseline's spec asks for.
struct Wanted {
    rules: Rules,
    object: Value,
    hash: String,
}

/// The alerts that the spec asks for; `None` where they are not enabled or the spec means nothing.
fn wanted(view: &View) -> Option<Wanted> {
    let spec = view.spec.prometheus_rule.as_ref().filter(|rule| rule.enabled)?;
    view.valid.as_ref().ok()?;
    let whose = Whose { name: &view.name, namespace: &view.namespace };
    let rules = rules::rules(whose, &view.spec);
    let object = rules.object(whose, &view.owner, &spec.labels);
    let hash = sha256_hex(object.to_string().as_bytes())[..16].to_owned();
    Some(Wanted { rules, object, hash })
}

/// The last finished run, where it has a report.
fn reported(view: &View) -> Option<&str> {
    let last = view.status.last_run.as_ref().filter(|run| run.record_sha256.is_some());
    last.map(|run| run.name.as_str())
}

/// The next step towards what the spec asks for.
pub(crate) fn next(view: &View) -> Option<Step> {
    let told = view.status.prometheus_rule.as_ref();
    let enabled = view.spec.prometheus_rule.as_ref().is_some_and(|rule| rule.enabled);
    let due = match (told, enabled.then(|| wanted(view)).flatten()) {
        (Some(told), Some(wanted)) => told.hash != wanted.hash || told.run.as_deref() != reported(view),
        (None, Some(_)) => true,
        // A spec that means nothing leaves what an earlier one asked for.
        (Some(_), None) => !enabled,
        (None, None) => false,
    };
    due.then_some(Step::WriteRules)
}

/// Writes the alerts, or takes them away where they are not enabled, and says what became of them.
pub(crate) async fn write(view: &View, context: &Context) -> Result<Option<RuleStatus>, Error> {
    let Some(wanted) = wanted(view) else {
        if has_kind(context).await? {
            remove(view, context).await?;
        }
        put_file(view, None, context).await?;
        return Ok(None);
    };
    let refused = if has_kind(context).await? {
        put_object(view, &wanted.object, context).await?
    } else {
        Some(NO_KIND.to_owned())
    };
    let yaml = wanted.rules.yaml();
    let no_file = put_file(view, Some(&yaml), context).await?;
    let name = refused.is_none().then(|| object_name(&view.name));
    let left_out = &wanted.rules.left_out;
    let left_out = (!left_out.is_empty()).then(|| format!("No alert for {}.", left_out.join("; ")));
    let said: Vec<String> = refused.into_iter().chain(no_file).chain(left_out).collect();
    Ok(Some(RuleStatus {
        name,
        alerts: i32::try_from(wanted.rules.group.rules.len()).unwrap_or(i32::MAX),
        hash: wanted.hash,
        run: reported(view).map(str::to_owned),
        message: (!said.is_empty()).then(|| cut(&said.join(" "), MAX_MESSAGE)),
    }))
}

/// Whether the API server serves PrometheusRules.
async fn has_kind(context: &Context) -> Result<bool, Error> {
    match context.client.list_api_group_resources(rules::API_VERSION).await {
        Ok(list) => Ok(list.resources.iter().any(|resource| resource.name == PLURAL)),
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => Ok(false),
        Err(source) => Err(reading("which kinds there are")(source)),
    }
}

fn api(view: &View, context: &Context) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("monitoring.coreos.com", "v1", "PrometheusRule");
    let resource = ApiResource::from_gvk_with_plural(&gvk, PLURAL);
    Api::namespaced_with(context.client.clone(), &view.namespace, &resource)
}

/// Applies the PrometheusRule; what stands against it, if anything does.
async fn put_object(view: &View, object: &Value, context: &Context) -> Result<Option<String>, Error> {
    let (api, name) = (api(view, context), object_name(&view.name));
    let there = match api.get_metadata_opt(&name).await {
        Ok(there) => there,
        Err(kube::Error::Api(status)) if status.code == 403 => return Ok(Some(no_right(&status.message))),
        Err(source) => return Err(reading("the PrometheusRule")(source)),
    };
    if there.is_some_and(|there| !record_map::is_owned(&there.metadata, &view.uid)) {
        return Ok(Some(format!(
            "A PrometheusRule named {name} is there and not this baseline's: delete or rename it."
        )));
    }
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    match api.patch(&name, &parameters, &Patch::Apply(object)).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Some(no_right(&status.message))),
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404 | 413 | 422) => {
            Ok(Some(format!("The PrometheusRule {name} is refused: {}", status.message)))
        }
        Err(source) => Err(writing("the PrometheusRule")(source)),
    }
}

fn no_right(message: &str) -> String {
    format!(
        "The operator may not write PrometheusRules here: {message}. Give it that right, or use rules.yaml of the report."
    )
}

/// Deletes the PrometheusRule where it is this baseline's, and that very one.
async fn remove(view: &View, context: &Context) -> Result<(), Error> {
    let (api, name) = (api(view, context), object_name(&view.name));
    let there = match api.get_metadata_opt(&name).await {
        Ok(there) => there,
        // What cannot be seen was not written either; with the baseline it goes anyway.
        Err(kube::Error::Api(status)) if status.code == 403 => None,
        Err(source) => return Err(reading("the PrometheusRule")(source)),
    };
    let Some(there) = there.filter(|there| record_map::is_owned(&there.metadata, &view.uid)) else {
        return Ok(());
    };
    let parameters = DeleteParams {
        preconditions: Some(Preconditions { uid: there.metadata.uid, resource_version: None }),
        ..DeleteParams::default()
    };
    match if_gone(api.delete(&name, &parameters).await) {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
        other => other.map_err(writing("the end of the PrometheusRule")),
    }
}

/// Puts the rule file into the report of the last run, or takes it out; what stands against it, if anything does.
async fn put_file(view: &View, yaml: Option<&str>, context: &Context) -> Result<Option<String>, Error> {
    let Some(run) = reported(view) else { return Ok(None) };
    let name = format!("{run}-report");
    let maps = Api::<ConfigMap>::namespaced(context.client.clone(), &view.namespace);
    let there = maps.get_metadata_opt(&name).await.map_err(reading("the run's report"))?;
    let Some(there) = there.filter(|there| record_map::is_owned(&there.metadata, &view.uid)) else {
        return Ok(None);
    };
    // Another UID is another object of the same name.
    let patch = json!({"metadata": {"uid": there.metadata.uid}, "data": {rules::FILE: yaml}});
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match if_gone(maps.patch(&name, &parameters, &Patch::Merge(&patch)).await) {
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 413 | 422) => {
            Ok(Some(format!("{} is not in ConfigMap {name}: {}", rules::FILE, status.message)))
        }
        other => other.map(|()| None).map_err(writing("the rules of the run's report")),
    }
}
