//! What is Plimsoll's and what is not: ConfigMaps with an owner and without, and PrometheusRules.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use plimsoll_api::{PerformanceBaseline, RUN_KEY_ANNOTATION, UID_LABEL};
use plimsoll_operator::job::build::run_labels;
use plimsoll_stories::access::{Identity, as_identity};
use plimsoll_stories::bare::{Bare, FARM, OBJECTS, POLICY_DEADLINE, refusal};
use plimsoll_stories::value::put;
use plimsoll_stories::wait::until;
use serde_json::{Value, json};

use super::{api, dry, merge, owner};

/// ConfigMaps of others are neither changed, nor taken over, nor deleted, and none is made that is not Plimsoll's.
pub(super) async fn config_maps(bare: &Bare) -> Result<()> {
    let (operator, admin) = (api::<ConfigMap>(&bare.operator), api::<ConfigMap>(&bare.admin));
    let mut ours = ConfigMap {
        data: Some(BTreeMap::from([("record.json".to_owned(), "{}".to_owned())])),
        ..ConfigMap::default()
    };
    ours.metadata.name = Some("record".to_owned());
    ours.metadata.labels = Some(run_labels("performancebaseline", "dairy", "record"));
    ours.metadata.owner_references = Some(vec![owner()]);
    let mut foreign = ours.clone();
    foreign.metadata.name = Some("settings".to_owned());
    foreign.metadata.owner_references = None;
    foreign.metadata.labels = None;
    admin.create(&PostParams::default(), &foreign).await?;
    let (operator, foreign) = (&operator, &foreign);
    until("the policy on objects is enforced", POLICY_DEADLINE, || async move {
        refusal(OBJECTS, operator.create(&dry(), foreign).await.or_else(already_there))
    })
    .await?;

    operator.create(&PostParams::default(), &ours).await?;
    let applied = PatchParams::apply("plimsoll").force();
    let report = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"report.md": "x"}, "metadata": {
        "name": "record-report", "labels": ours.metadata.labels, "ownerReferences": [owner()]}});
    operator.patch("record-report", &applied, &Patch::Apply(&report)).await?;

    let mut departure = report.clone();
    departure["metadata"]["name"] = json!("departure");
    for (pointer, new) in [
        ("/metadata/labels/app.kubernetes.io~1managed-by", Value::Null),
        ("/metadata/ownerReferences", Value::Null),
        ("/metadata/ownerReferences/0/apiVersion", json!("apps/v1")),
        ("/metadata/ownerReferences/0/kind", json!("Other")),
        ("/metadata/ownerReferences/0/controller", json!(false)),
    ] {
        let mut value = departure.clone();
        put(&mut value, pointer, new);
        let result = operator.patch("departure", &applied, &Patch::Apply(&value)).await;
        ensure!(refusal(OBJECTS, result)?.is_some(), "a ConfigMap with another {pointer} passed");
    }
    let mut taken = report.clone();
    taken["metadata"]["name"] = json!("settings");
    let result = operator.patch("settings", &applied, &Patch::Apply(&taken)).await;
    ensure!(refusal(OBJECTS, result)?.is_some(), "a foreign ConfigMap was taken over");
    let result =
        operator.patch("settings", &PatchParams::default(), &merge(json!({"data": {"a": "b"}}))).await;
    ensure!(refusal(OBJECTS, result)?.is_some(), "a foreign ConfigMap was changed");
    ensure!(
        refusal(OBJECTS, operator.delete("settings", &DeleteParams::default()).await)?.is_some(),
        "a foreign ConfigMap was deleted"
    );
    operator.delete("record", &DeleteParams::default()).await?;
    Ok(())
}

/// Until a policy is enforced, a create of what is there says so.
fn already_there(error: kube::Error) -> Result<ConfigMap, kube::Error> {
    match error {
        kube::Error::Api(status) if status.code == 409 => Ok(ConfigMap::default()),
        error => Err(error),
    }
}

/// A run's ConfigMap as `deletionPolicy: Retain` leaves it.
fn kept(name: &str) -> Value {
    let mut labels = run_labels("performancebaseline", "dairy", "record");
    labels.insert(UID_LABEL.to_owned(), owner().uid);
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"record.json": "{}"}, "immutable": true, "metadata": {
        "name": name, "labels": labels,
        "annotations": {RUN_KEY_ANNOTATION: format!("sha256:{}", "0".repeat(64))}}})
}

/// A ConfigMap without an owner passes only with everything that says whose it is, which cannot be changed.
pub(super) async fn kept_config_maps(bare: &Bare) -> Result<()> {
    let (operator, admin) = (api::<ConfigMap>(&bare.operator), api::<ConfigMap>(&bare.admin));
    let map = |value: Value| -> Result<ConfigMap> { Ok(serde_json::from_value(value)?) };
    operator.create(&PostParams::default(), &map(kept("kept"))?).await.context("a kept ConfigMap")?;
    let managed = "/metadata/labels/app.kubernetes.io~1managed-by";
    let mut tried = 0;
    for (pointer, new) in [
        (managed, Value::Null),
        (managed, json!("Helm")),
        ("/metadata/labels/plimsoll.dev~1owner-uid", Value::Null),
        ("/metadata/labels/plimsoll.dev~1owner-uid", json!("")),
        ("/metadata/labels/plimsoll.dev~1owner-uid", json!("dairy")),
        ("/metadata/labels/plimsoll.dev~1owner-uid", json!("9C2C7A4E-0B3F-4F5E-9A44-000000000001")),
        ("/metadata/labels/plimsoll.dev~1kind", Value::Null),
        ("/metadata/labels/plimsoll.dev~1kind", json!("deployment")),
        ("/metadata/annotations/plimsoll.dev~1run-key", Value::Null),
        ("/metadata/annotations/plimsoll.dev~1run-key", json!("sha256:0")),
        (
            "/metadata/ownerReferences",
            json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "settings", "uid": "1"}]),
        ),
    ] {
        let mut value = kept("departure");
        put(&mut value, pointer, new.clone());
        let said = refusal(OBJECTS, operator.create(&dry(), &map(value)?).await)?;
        ensure!(said.is_some(), "a ConfigMap with {pointer} {new} passed");
        tried += 1;
    }
    println!("0 of {tried} ConfigMaps without an owner passed");
    // An immutable one follows the policy back and forth.
    for owners in [json!([owner()]), Value::Null] {
        let patch = merge(json!({"metadata": {"ownerReferences": owners}}));
        operator.patch("kept", &PatchParams::default(), &patch).await.context("the policy is followed")?;
    }
    let other = "9c2c7a4e-0b3f-4f5e-9a44-000000000002";
    for labels in [json!({UID_LABEL: other}), json!({UID_LABEL: null})] {
        let patch = merge(json!({"metadata": {"labels": labels, "ownerReferences": [owner()]}}));
        let said = refusal(OBJECTS, operator.patch("kept", &PatchParams::default(), &patch).await)?;
        ensure!(said.is_some(), "another owner was given: {labels}");
    }
    // Somebody else's without an owner is not taken over by labels.
    let mut foreign = kept("others");
    put(&mut foreign, "/metadata/labels", Value::Null);
    put(&mut foreign, "/metadata/annotations", Value::Null);
    put(&mut foreign, "/immutable", Value::Null);
    admin.create(&PostParams::default(), &map(foreign)?).await?;
    let patch = merge(json!({"metadata": kept("others")["metadata"]}));
    let said = refusal(OBJECTS, operator.patch("others", &PatchParams::default(), &patch).await)?;
    ensure!(said.is_some(), "a foreign ConfigMap was taken over by labels");
    operator.delete("kept", &DeleteParams::default()).await.context("a kept ConfigMap is pruned")?;
    Ok(())
}

/// A definition of PrometheusRules that takes any spec: the policies look at metadata alone.
fn definition() -> Result<CustomResourceDefinition> {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    Ok(serde_json::from_value(json!({
        "metadata": {"name": "prometheusrules.monitoring.coreos.com",
            "annotations": {"api-approved.kubernetes.io": "unapproved, a test"}},
        "spec": {"group": "monitoring.coreos.com", "scope": "Namespaced",
            "names": {"kind": "PrometheusRule", "plural": "prometheusrules", "singular": "prometheusrule"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
    }))?)
}

/// The PrometheusRule of a baseline, written as the operator writes it; none that outlives it, and none of others.
pub(super) async fn rules(bare: &Bare) -> Result<()> {
    Api::<CustomResourceDefinition>::all(bare.admin.clone())
        .create(&PostParams::default(), &definition()?)
        .await?;
    let gvk = GroupVersionKind::gvk("monitoring.coreos.com", "v1", "PrometheusRule");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "prometheusrules");
    let api = |client: &kube::Client| Api::<DynamicObject>::namespaced_with(client.clone(), FARM, &resource);
    let (operator, admin) = (api(&bare.operator), api(&bare.admin));
    let rule = |name: &str, metadata: &Value| {
        let mut value = json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
            "metadata": metadata, "spec": {"groups": []}});
        value["metadata"]["name"] = json!(name);
        value
    };
    let ours = json!({"labels": {"app.kubernetes.io/managed-by": "plimsoll", "release": "prometheus"},
        "ownerReferences": [owner()]});
    let applied = PatchParams::apply("plimsoll").force();
    // Served a moment after its definition is made.
    let (operator, first) = (&operator, &rule("ours", &ours));
    let applied = &applied;
    until("the PrometheusRule is taken", POLICY_DEADLINE, || async move {
        match operator.patch("ours", applied, &Patch::Apply(first)).await {
            Ok(_) => Ok(Some(())),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await?;
    let kept = kept("departure")["metadata"].clone();
    let mut unlabelled = ours.clone();
    put(&mut unlabelled, "/labels", Value::Null);
    for metadata in [&kept, &unlabelled] {
        let value = rule("departure", metadata);
        let result = operator.patch("departure", applied, &Patch::Apply(&value)).await;
        ensure!(refusal(OBJECTS, result)?.is_some(), "a PrometheusRule with {metadata} passed");
    }
    let foreign: DynamicObject = serde_json::from_value(rule("others", &json!({})))?;
    admin.create(&PostParams::default(), &foreign).await?;
    let taken = operator.patch("others", applied, &Patch::Apply(&rule("others", &ours))).await;
    ensure!(refusal(OBJECTS, taken)?.is_some(), "a foreign PrometheusRule was taken over");
    let deleted = operator.delete("others", &DeleteParams::default()).await;
    ensure!(refusal(OBJECTS, deleted)?.is_some(), "a foreign PrometheusRule was deleted");
    operator.delete("ours", &DeleteParams::default()).await.context("the own PrometheusRule goes")?;
    Ok(())
}

/// Alerts are enabled by those alone who may write PrometheusRules themselves.
pub(super) async fn alerts_of_tenants(bare: &Bare) -> Result<()> {
    const RULES: &str = "plimsoll-system-rules.plimsoll.dev";
    let rule = |group: &str, resource: &str, verbs: &[&str]| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(ToString::to_string).collect(),
        ..PolicyRule::default()
    };
    let metadata = || ObjectMeta { name: Some("alerts".to_owned()), ..ObjectMeta::default() };
    let mut role = Role {
        metadata: metadata(),
        rules: Some(vec![rule("plimsoll.dev", "*", &["get", "create", "update", "patch", "delete"])]),
    };
    let binding = RoleBinding {
        metadata: metadata(),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: "alerts".to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "User".to_owned(),
            name: "alerts".to_owned(),
            ..Subject::default()
        }]),
    };
    let roles = Api::<Role>::namespaced(bare.admin.clone(), FARM);
    roles.create(&PostParams::default(), &role).await?;
    Api::namespaced(bare.admin.clone(), FARM).create(&PostParams::default(), &binding).await?;
    let tenant = as_identity(&bare.server.kubeconfig, &Identity::user("alerts")).await?;
    let baseline = |enabled: Value| -> Result<PerformanceBaseline> {
        Ok(serde_json::from_value(json!({
            "apiVersion": "plimsoll.dev/v1alpha1", "kind": "PerformanceBaseline", "metadata": {"name": "alerts"},
            "spec": {"sources": {"prometheus": {"url": "http://prometheus:9090"}}, "prometheusRule": enabled},
        }))?)
    };
    let (on, off) = (baseline(json!({"enabled": true}))?, baseline(Value::Null)?);
    let (by_tenant, by_admin) =
        (api::<PerformanceBaseline>(&tenant), api::<PerformanceBaseline>(&bare.admin));
    let said = refusal(RULES, by_tenant.create(&dry(), &on).await)?;
    ensure!(said.is_some_and(|said| said.contains("prometheusrules")), "a tenant enabled alerts");
    ensure!(refusal(RULES, by_tenant.create(&dry(), &off).await)?.is_none());
    // An object of the administrator's that has them: its label may be changed and its queries may not.
    by_admin.create(&PostParams::default(), &on).await?;
    for (change, is_refused) in [
        (json!({"metadata": {"labels": {"team": "sre"}}}), false),
        (json!({"spec": {"prometheusRule": {"exporterMatchers": "a=\"b\""}}}), true),
        (json!({"spec": {"suspend": true}}), true),
    ] {
        let result = by_tenant.patch("alerts", &PatchParams::default(), &merge(change.clone())).await;
        ensure!(refusal(RULES, result)?.is_some() == is_refused, "{change}");
    }
    role.rules.get_or_insert_default().push(rule("monitoring.coreos.com", "prometheusrules", &["create"]));
    roles.replace("alerts", &PostParams::default(), &role).await?;
    let suspend = merge(json!({"spec": {"suspend": true}}));
    let (by_tenant, suspend) = (&by_tenant, &suspend);
    until("who may write PrometheusRules may enable alerts", POLICY_DEADLINE, || async move {
        let result = by_tenant.patch("alerts", &PatchParams::default(), suspend).await;
        Ok(refusal(RULES, result)?.is_none().then_some(()))
    })
    .await
}
