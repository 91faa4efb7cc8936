//! The operator installed for some namespaces, with a right less, and without the policy on references.

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::Role;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use plimsoll_api::PerformanceBaseline;
use plimsoll_stories::baseline::{RUN, says};
use plimsoll_stories::story::{SYSTEM, Story};
use plimsoll_stories::workload::{Serving, deployment};
use serde_json::json;

use crate::alone;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_of_two_namespaces_serves_these_and_no_other() {
    alone("namespaced", |story: Story| async move {
        let (second, third) = (story.elsewhere("second").await?, story.elsewhere("third").await?);
        let served = [story.namespace.clone(), second.namespace.clone()];
        let operator = story.operator();
        operator
            .with(json!({"scope": "Namespaces", "namespaces": served}), || async {
                // The one that is not served is there first.
                third.baseline("dairy", third.dairy()).await?;
                story.baseline("dairy", story.dairy()).await?;
                second.baseline("dairy", second.dairy()).await?;
                try_join(story.until_ready("dairy"), second.until_ready("dairy")).await?;
                let other = third.api::<PerformanceBaseline>().get("dairy").await?;
                ensure!(other.status.is_none(), "a namespace that is not served: {:?}", other.status);
                without_a_right(&story).await
            })
            .await?;
        third.until_ready("dairy").await?;
        Ok(())
    })
    .await;
}

/// A right that is missing makes that fact unknown and names the rule to add.
async fn without_a_right(story: &Story) -> Result<()> {
    let serving = Serving { name: "shop", replicas: 1, arguments: &["serve", "--role", "odoo"], port: 8069 };
    story.create::<Deployment>(deployment(story, &serving)).await?;
    let roles = story.api::<Role>();
    let name = format!("{SYSTEM}-plimsoll");
    let role = roles.get(&name).await.context("get the operator's role")?;
    let rules = role.rules.unwrap_or_default();
    let is_of_apps = |groups: &Option<Vec<String>>| groups.iter().flatten().any(|group| group == "apps");
    let fewer: Vec<_> = rules.iter().filter(|rule| !is_of_apps(&rule.api_groups)).collect();
    ensure!(fewer.len() + 1 == rules.len(), "one rule is about workloads");
    let set = |rules: serde_json::Value| {
        let (roles, name) = (roles.clone(), name.clone());
        async move { roles.patch(&name, &PatchParams::default(), &Patch::Merge(&json!({"rules": rules}))).await }
    };
    set(json!(fewer)).await?;
    story.baseline("workloads", json!({"sources": {"workloads": {"selector": {}}}})).await?;
    let said = story.until_fails("workloads", "Forbidden", "Give the operator that right").await?;
    let rule = "apiGroups [\"apps\"], resources [\"deployments\"], verbs [\"list\"]";
    ensure!(said.contains(rule), "the rule to add is named: {said}");
    let failed = story.api::<PerformanceBaseline>().get("workloads").await?;
    let facts = story.record(&failed).await?.record.kubernetes.context("facts")?;
    ensure!(!facts.unknown.is_empty(), "{facts:?}");
    set(json!(rules)).await?;
    story.request("workloads", "right-added").await?;
    let ready = story.until_ready("workloads").await?;
    let facts = story.record(&ready).await?.record.kubernetes.context("facts")?;
    ensure!(facts.workloads.iter().any(|workload| workload.name == "shop"), "{facts:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_policys_binding_a_spec_that_names_a_secret_waits_for_it() {
    alone("policy-missing", |story: Story| async move {
        let name = format!("{SYSTEM}-references.plimsoll.dev");
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(story.admin.clone());
        let mut binding = bindings.get(&name).await.context("get the policy's binding")?;
        bindings.delete(&name, &DeleteParams::default()).await?;
        let told = unguarded(&story).await;
        binding.metadata.resource_version = None;
        binding.metadata.uid = None;
        binding.metadata.managed_fields = None;
        bindings
            .create(&PostParams { field_manager: Some("helm".to_owned()), ..PostParams::default() }, &binding)
            .await?;
        told?;
        // It looks again by itself.
        story.until_ready("dairy").await?;
        Ok(())
    })
    .await;
}

async fn unguarded(story: &Story) -> Result<()> {
    story.create::<Secret>(json!({"metadata": {"name": "prom"}, "stringData": {"token": "any"}})).await?;
    let mut spec = story.dairy();
    spec["sources"]["prometheus"]["auth"] =
        json!({"type": "Bearer", "bearer": {"secretKeyRef": {"name": "prom", "key": "token"}}});
    story.baseline("dairy", spec).await?;
    story.until_fails("dairy", "PolicyMissing", "Install the chart plimsoll-cluster").await?;
    let stalled = story.until_says("dairy", "Stalled", "True: PolicyMissing", RUN).await?;
    ensure!(says(&stalled, "Reconciling") == "False: Idle", "{}", says(&stalled, "Reconciling"));
    ensure!(story.jobs().await?.is_empty(), "no Job gets the Secret");
    // What names no Secret is measured all the same.
    story.baseline("open", story.dairy()).await?;
    story.until_ready("open").await?;
    Ok(())
}
