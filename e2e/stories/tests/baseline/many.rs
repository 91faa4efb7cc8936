//! Many at once, and many one after another.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use plimsoll_api::PerformanceBaselineStatus;
use plimsoll_stories::audit::{OPERATOR, calls_of};
use plimsoll_stories::story::{Story, tell};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_baselines_at_once_are_each_measured_once() {
    tell("ten", |story: Story| async move {
        let names: Vec<String> = (0..10).map(|number| format!("dairy-{number}")).collect();
        try_join_all(names.iter().map(|name| story.baseline(name, story.dairy()))).await?;
        let ready = try_join_all(names.iter().map(|name| story.until_ready(name))).await?;
        for baseline in &ready {
            let status = baseline.status.as_ref().context("a status")?;
            ensure!(status.history.len() == 1, "{:?}", status.history);
            story.record(baseline).await?;
        }
        let calls = calls_of(&story.admin, OPERATOR).await?;
        let creates = calls.iter().filter(|call| {
            call.object_ref.namespace == story.namespace
                && call.call() == "create batch/jobs"
                && call.response_status.code == 201
        });
        let creates = creates.count();
        ensure!(creates == 10, "{creates} Jobs were made for ten baselines");
        println!("10 baselines, {creates} Jobs by the audit log");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_past_the_limit_go_with_their_reports() {
    tell("history-limit", |story: Story| async move {
        let mut spec = story.dairy();
        spec["historyLimit"] = json!(1);
        story.baseline("dairy", spec).await?;
        let first = story.record(&story.until_ready("dairy").await?).await?.run;
        let second = story.record(&story.request("dairy", "again").await?).await?.run;
        ensure!(first != second, "a new run is made");
        let deadline = Duration::from_secs(30);
        story.until_gone::<ConfigMap>(&first, deadline).await?;
        story.until_gone::<ConfigMap>(&format!("{first}-report"), deadline).await?;
        let only = |status: &PerformanceBaselineStatus| {
            status.history.len() == 1 && status.history[0].name == second
        };
        let rests = story.until_baseline("the old run is forgotten", "dairy", deadline, only).await?;
        story.record(&rests).await?;
        Ok(())
    })
    .await;
}
