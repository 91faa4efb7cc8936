//! Many at once.

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use plimsoll_stories::audit::{OPERATOR, calls_of};
use plimsoll_stories::story::{Story, tell};

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
