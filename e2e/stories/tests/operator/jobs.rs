//! What an administrator's settings, the node and the registry may do to a run's pod.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use plimsoll_cluster::{Tool, cache_folder};
use plimsoll_stories::baseline::{RUN, says};
use plimsoll_stories::charts::run;
use plimsoll_stories::gate::{Answer, Gate};
use plimsoll_stories::image::import;
use plimsoll_stories::story::Story;
use serde_json::json;

use crate::alone;

/// Label of a node that there is not.
const LABEL: &str = "plimsoll.dev/story-node";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_selector_that_no_node_has_is_told_and_a_node_that_comes_helps() {
    alone("unschedulable", |story: Story| async move {
        let node = label_node(&story, None).await?;
        let told = story
            .operator()
            .with(json!({"jobs": {"nodeSelector": {LABEL: "here"}}}), || async {
                story.baseline("dairy", story.dairy()).await?;
                let said = story.until_fails("dairy", "Unschedulable", "Add capacity").await?;
                ensure!(said.contains("No node takes the run's pod"), "{said}");
                let waiting = story.until_says("dairy", "Reconciling", "True: Unschedulable", RUN).await?;
                ensure!(says(&waiting, "Stalled") == "False: AsExpected", "a node may come by itself");
                label_node(&story, Some("here")).await?;
                let ready = story.until_ready("dairy").await?;
                let history = ready.status.context("a status")?.history;
                ensure!(history.len() == 1, "the waiting run goes on: {history:?}");
                Ok(())
            })
            .await;
        label_node(&story, None).await.with_context(|| format!("take the label from {node}"))?;
        told
    })
    .await;
}

async fn label_node(story: &Story, value: Option<&str>) -> Result<String> {
    let nodes = Api::<Node>::all(story.admin.clone());
    let node = nodes.list(&ListParams::default()).await?.items.into_iter().next().context("a node")?;
    let name = node.metadata.name.context("its name")?;
    let patch = json!({"metadata": {"labels": {LABEL: value}}});
    nodes.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_passes_its_memory_limit_is_told_and_a_higher_one_helps() {
    alone("memory", |story: Story| async move {
        // Answers that a small limit has no room for.
        let gate = Gate::open(&story.environment.prometheus, Answer::Series(70_000)).await?;
        let amounts = json!({"cpu": "50m", "memory": "16Mi"});
        let small =
            json!({"jobs": {"resources": {"requests": amounts, "limits": {"cpu": "1", "memory": "16Mi"}}}});
        story
            .operator()
            .with(small, || async {
                story.baseline("dairy", story.measuring(&gate.url())).await?;
                story.until_fails("dairy", "OutOfMemory", "Raise jobs.resources.limits.memory").await?;
                story.until_says("dairy", "Stalled", "True: OutOfMemory", RUN).await?;
                Ok(())
            })
            .await?;
        // The chart's own limit has room for the same answers: that they are no histogram is another matter.
        let asked = story.request("dairy", "raised").await?;
        ensure!(says(&asked, "Ready") != "False: OutOfMemory", "{}", says(&asked, "Ready"));
        gate.set(Answer::Pass);
        story.request("dairy", "with-answers").await?;
        story.until_ready("dairy").await?;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_cannot_be_pulled_is_told_and_the_image_helps() {
    alone("image", |story: Story| async move {
        // The operator runs on; only the node has forgotten the image, and there is no registry that has it.
        forget(&story)?;
        let told = async {
            story.baseline("dairy", story.dairy()).await?;
            let said = story.until_fails("dairy", "ImagePullFailed", "jobs.imagePullSecrets").await?;
            ensure!(said.contains("The run's container cannot start"), "{said}");
            story.until_says("dairy", "Stalled", "True: ImagePullFailed", RUN).await?;
            Ok(())
        }
        .await;
        restore(&story)?;
        told?;
        story.until_ready("dairy").await?;
        Ok(())
    })
    .await;
}

fn forget(story: &Story) -> Result<()> {
    let cluster = plimsoll_cluster::find()?;
    let mut ctr = Command::new(plimsoll_cluster::tool(Tool::Ctr, &mut std::io::stderr())?);
    ctr.arg("--address").arg(cluster.state.join("run/containerd.sock")).args(["--namespace", "k8s.io"]);
    run(ctr.args(["image", "rm", "--sync"]).arg(format!("docker.io/library/{}", story.environment.image)))?;
    Ok(())
}

fn restore(story: &Story) -> Result<()> {
    let image = &story.environment.image;
    let (name, tag) = image.rsplit_once(':').context("the image has a tag")?;
    import(&cache_folder().join("images").join(format!("{name}-{tag}.tar")), image)
}
