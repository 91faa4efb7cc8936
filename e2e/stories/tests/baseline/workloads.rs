//! A baseline of workloads alone needs no Job.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use plimsoll_analysis::record::SourceState;
use plimsoll_stories::baseline::RUN;
use plimsoll_stories::story::{Story, tell};
use plimsoll_stories::workload::{Serving, deployment};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workloads_alone_are_read_without_a_job() {
    tell("workloads", |story: Story| async move {
        autoscaled(&story).await?;
        story
            .baseline(
                "dairy",
                json!({"sources": {"workloads": {"selector": {"matchLabels": {"app": "shop"}}}}}),
            )
            .await?;
        let ready = story.until_ready("dairy").await?;
        let recorded = story.record(&ready).await?;
        let facts = recorded.record.kubernetes.as_ref().context("facts")?;
        ensure!(facts.unknown.iter().all(|fact| fact.fact == "usage"), "{:?}", facts.unknown);
        ensure!(recorded.record.sources[0].state == SourceState::Collected || !facts.unknown.is_empty());
        let [shop] = facts.workloads.as_slice() else { anyhow::bail!("{:?}", facts.workloads) };
        ensure!((shop.kind.as_str(), shop.name.as_str()) == ("Deployment", "shop"), "{shop:?}");
        ensure!((shop.replicas.desired, shop.replicas.ready) == (2, 2), "{:?}", shop.replicas);
        ensure!(shop.restarts == Some(0), "{:?}", shop.restarts);
        ensure!(shop.containers[0].requests["cpu"] == "10m", "{:?}", shop.containers);
        ensure!(shop.containers[0].limits["memory"] == "64Mi", "{:?}", shop.containers);
        let autoscaler = shop.autoscaler.as_ref().context("an autoscaler")?;
        ensure!((autoscaler.min_replicas, autoscaler.max_replicas) == (2, 3), "{autoscaler:?}");
        ensure!(autoscaler.metrics[0].target == "70%", "{autoscaler:?}");
        ensure!(story.jobs().await?.is_empty(), "the Kubernetes API is the operator's to read");
        Ok(())
    })
    .await;
}

/// A Deployment of two pods, scaled by an autoscaler.
async fn autoscaled(story: &Story) -> Result<()> {
    let serving = Serving { name: "shop", replicas: 2, arguments: &["serve", "--role", "odoo"], port: 8069 };
    story.create::<Deployment>(deployment(story, &serving)).await?;
    story
        .create::<HorizontalPodAutoscaler>(json!({
            "metadata": {"name": "shop"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
                "minReplicas": 2, "maxReplicas": 3,
                "metrics": [{"type": "Resource", "resource": {
                    "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}],
            },
        }))
        .await?;
    let ready = |deployment: &Deployment| {
        deployment.status.as_ref().and_then(|status| status.ready_replicas) == Some(2)
    };
    story.until("both pods are ready", "shop", RUN, ready).await?;
    Ok(())
}
