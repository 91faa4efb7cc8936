//! What keeps a run's pod from being: told while it waits, and over once it is mended.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::api::{Patch, PatchParams};
use plimsoll_api::RUN_LABEL;
use plimsoll_stories::baseline::says;
use plimsoll_stories::policy::Refusal;
use plimsoll_stories::story::{Story, tell};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_without_room_is_told_and_raising_it_lets_the_run_go_on() {
    tell("quota", |story: Story| async move {
        quota(&story, "pods", "0").await?;
        story.baseline("dairy", story.dairy()).await?;
        let message =
            story.until_fails("dairy", "QuotaExceeded", "Raise the namespace's ResourceQuota").await?;
        ensure!(message.contains("small"), "it names the quota: {message}");
        let waiting =
            story.until_says("dairy", "Stalled", "True: QuotaExceeded", Duration::from_secs(5)).await?;
        ensure!(says(&waiting, "Reconciling") == "True: QuotaExceeded", "{}", says(&waiting, "Reconciling"));
        let patch = json!({"spec": {"hard": {"pods": "5"}}});
        let quotas = story.api::<ResourceQuota>();
        quotas.patch("small", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        let ready = story.until_ready("dairy").await?;
        let history = ready.status.context("a status")?.history;
        ensure!(history.len() == 1, "the waiting run goes on, and no other is made: {history:?}");
        Ok(())
    })
    .await;
}

/// The Job itself may be refused too, before there is any pod.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_on_jobs_is_told_and_raising_it_lets_the_run_go_on() {
    tell("job-quota", |story: Story| async move {
        quota(&story, "count/jobs.batch", "0").await?;
        story.baseline("dairy", story.dairy()).await?;
        story.until_fails("dairy", "QuotaExceeded", "Raise the namespace's ResourceQuota").await?;
        let patch = json!({"spec": {"hard": {"count/jobs.batch": "5"}}});
        let quotas = story.api::<ResourceQuota>();
        quotas.patch("small", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        story.until_ready("dairy").await?;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_refuses_the_pod_is_told_and_without_it_the_run_goes_on() {
    tell("policy", |story: Story| async move {
        refuse_pods_of_runs(&story).await?;
        story.baseline("dairy", story.dairy()).await?;
        let message = story.until_fails("dairy", "PodRefused", "Ask who runs the cluster").await?;
        ensure!(message.contains("no measuring here"), "it says what the policy said: {message}");
        story.allow("pods").await?;
        story.until_ready("dairy").await?;
        Ok(())
    })
    .await;
}

/// A quota that the API server has begun to enforce.
async fn quota(story: &Story, resource: &str, hard: &str) -> Result<()> {
    let quota = json!({"metadata": {"name": "small"}, "spec": {"hard": {resource: hard}}});
    story.create::<ResourceQuota>(quota).await?;
    let enforced = |quota: &ResourceQuota| {
        quota
            .status
            .as_ref()
            .and_then(|status| status.hard.as_ref())
            .is_some_and(|hard| hard.contains_key(resource))
    };
    story.until("the quota is enforced", "small", Duration::from_secs(30), enforced).await?;
    Ok(())
}

/// A policy in this namespace on pods of runs, once it is enforced.
async fn refuse_pods_of_runs(story: &Story) -> Result<()> {
    story
        .refuse(&Refusal {
            name: "pods",
            group: "",
            version: "v1",
            resource: "pods",
            operation: "CREATE",
            when: &format!("'{RUN_LABEL}' in object.metadata.?labels.orValue({{}})"),
            message: "no measuring here",
        })
        .await?;
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"generateName": "probe-", "labels": {RUN_LABEL: "probe"}},
        "spec": {"containers": [{"name": "x", "image": "x", "securityContext": {
            "allowPrivilegeEscalation": false, "runAsNonRoot": true,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}}]},
    }))?;
    story.until_refused(&pod, "no measuring here").await
}
