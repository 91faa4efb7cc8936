//! What people do while a run is under way: a Prometheus behind a gate holds it open until the story goes on.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, PropagationPolicy};
use plimsoll_api::{PerformanceBaseline, RUN_ANNOTATION};
use plimsoll_stories::audit::{OPERATOR, calls_of};
use plimsoll_stories::baseline::RUN;
use plimsoll_stories::gate::{Answer, Gate};
use plimsoll_stories::story::{Story, tell};
use plimsoll_stories::wait;
use serde_json::json;

/// A gate that holds every answer.
async fn held(story: &Story) -> Result<Gate> {
    Gate::open(&story.environment.prometheus, Answer::Hold).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_baseline_is_edited_finishes_and_the_new_spec_follows() {
    tell("edited", |story: Story| async move {
        let gate = held(&story).await?;
        story.baseline("dairy", story.measuring(&gate.url())).await?;
        let (first, _) = story.until_running("dairy").await?;
        story.edit("dairy", json!({"spec": {"window": "2m"}})).await?;
        gate.set(Answer::Pass);
        let ready = story.until_ready("dairy").await?;
        let status = ready.status.as_ref().context("a status")?;
        let runs: Vec<&str> = status.history.iter().map(|run| run.name.as_str()).collect();
        ensure!(runs.len() == 2 && runs[1] == first, "{runs:?} after {first}");
        let record = story.record(&ready).await?.record;
        let window = record.window.to.duration_since(record.window.from);
        ensure!(window.as_secs() == 120, "the newest record is of the new spec: {window:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_baseline_is_suspended_finishes_and_no_other_starts() {
    tell("suspended", |story: Story| async move {
        let gate = held(&story).await?;
        story.baseline("dairy", story.measuring(&gate.url())).await?;
        let (first, _) = story.until_running("dairy").await?;
        story.edit("dairy", json!({"spec": {"suspend": true}})).await?;
        gate.set(Answer::Pass);
        let ready = story.until_ready("dairy").await?;
        ensure!(
            ready.status.as_ref().and_then(|status| status.last_run.as_ref()).context("a run")?.name == first
        );
        // A new spec and a request are both due, and wait.
        let patch = json!({"metadata": {"annotations": {RUN_ANNOTATION: "now"}}, "spec": {"window": "2m"}});
        story.edit("dairy", patch).await?;
        story.until_says("dairy", "Ready", "False: Suspended", Duration::from_secs(30)).await?;
        ensure!(story.jobs().await?.len() <= 1, "no other Job is made");
        story.edit("dairy", json!({"spec": {"suspend": false}})).await?;
        let ready = story.until_ready("dairy").await?;
        let status = ready.status.context("a status")?;
        ensure!(status.last_request_handled.as_deref() == Some("now"), "one run answers both: {status:?}");
        ensure!(status.history.len() == 2, "{:?}", status.history);
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_baseline_leaves_nothing_behind() {
    tell("deleted", |story: Story| async move {
        let gate = Gate::open(&story.environment.prometheus, Answer::Pass).await?;
        story.baseline("dairy", story.measuring(&gate.url())).await?;
        let ready = story.until_ready("dairy").await?;
        let record = story.record(&ready).await?.run;
        gate.set(Answer::Hold);
        story.edit("dairy", json!({"metadata": {"annotations": {RUN_ANNOTATION: "again"}}})).await?;
        let status = story
            .until_baseline("another run", "dairy", RUN, |status| {
                status.current_run.as_ref().is_some_and(|run| !run.finished && run.name != record)
            })
            .await?
            .status;
        let run = status.and_then(|status| status.current_run).context("a run")?.name;
        let pod = wait::until("the run's pod runs", RUN, || story.running_pod(&run)).await?;
        story.api::<PerformanceBaseline>().delete("dairy", &DeleteParams::default()).await?;
        let deadline = Duration::from_secs(60);
        story.until_gone::<PerformanceBaseline>("dairy", deadline).await?;
        story.until_gone::<Job>(&run, deadline).await?;
        story.until_gone::<Pod>(&pod, deadline).await?;
        story.until_gone::<ConfigMap>(&record, deadline).await?;
        story.until_gone::<ConfigMap>(&format!("{record}-report"), deadline).await?;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_job_is_deleted_is_measured_once_more() {
    tell("job-deleted", |story: Story| async move {
        let gate = held(&story).await?;
        story.baseline("dairy", story.measuring(&gate.url())).await?;
        let (run, pod) = story.until_running("dairy").await?;
        delete_job(&story, &run).await?;
        second_attempt(&story, &run, &pod).await?;
        gate.set(Answer::Pass);
        let ready = story.until_ready("dairy").await?;
        ensure!(story.record(&ready).await?.run == run, "it is the same run");
        ensure!(jobs_made(&story).await? == 2, "two Jobs for one run");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_job_is_deleted_twice_is_lost() {
    tell("job-deleted-twice", |story: Story| async move {
        let gate = held(&story).await?;
        story.baseline("dairy", story.measuring(&gate.url())).await?;
        let (run, pod) = story.until_running("dairy").await?;
        delete_job(&story, &run).await?;
        second_attempt(&story, &run, &pod).await?;
        delete_job(&story, &run).await?;
        story.until_fails("dairy", "ResultLost", "Leave the run's Job and pod alone").await?;
        story.until_says("dairy", "Stalled", "True: ResultLost", Duration::from_secs(5)).await?;
        gate.set(Answer::Pass);
        story.request("dairy", "left-alone").await?;
        story.until_ready("dairy").await?;
        ensure!(jobs_made(&story).await? == 3, "two Jobs for the lost run and one for the request");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_pod_is_killed_is_measured_once_more() {
    tell("pod-killed", |story: Story| async move {
        let gate = held(&story).await?;
        story.baseline("dairy", story.measuring(&gate.url())).await?;
        let (run, pod) = story.until_running("dairy").await?;
        story.api::<Pod>().delete(&pod, &DeleteParams::default().grace_period(0)).await?;
        second_attempt(&story, &run, &pod).await?;
        gate.set(Answer::Pass);
        let ready = story.until_ready("dairy").await?;
        ensure!(story.record(&ready).await?.run == run, "it is the same run");
        Ok(())
    })
    .await;
}

async fn delete_job(story: &Story, run: &str) -> Result<()> {
    let parameters =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    story.api::<Job>().delete(run, &parameters).await?;
    Ok(())
}

/// Waits until another pod than `before` runs for the same run's second attempt.
async fn second_attempt(story: &Story, run: &str, before: &str) -> Result<()> {
    story
        .until_baseline("the run's second attempt", "dairy", RUN, |status| {
            status.current_run.as_ref().is_some_and(|current| {
                current.name == run && current.attempt == 2 && current.job_uid.is_some()
            })
        })
        .await?;
    wait::until("another pod runs", RUN, || async {
        Ok(story.running_pod(run).await?.filter(|pod| pod != before))
    })
    .await?;
    Ok(())
}

async fn jobs_made(story: &Story) -> Result<usize> {
    let calls = calls_of(&story.admin, OPERATOR).await?;
    let made = calls.iter().filter(|call| {
        call.object_ref.namespace == story.namespace
            && call.call() == "create batch/jobs"
            && call.response_status.code == 201
    });
    Ok(made.count())
}
