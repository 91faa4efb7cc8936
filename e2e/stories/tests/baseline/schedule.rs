//! Runs by the clock and by request.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use plimsoll_stories::charts::run;
use plimsoll_stories::story::{Story, tell};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_starts_a_run_on_the_minute_and_suspend_stops_it() {
    tell("schedule", |story: Story| async move {
        let mut spec = story.dairy();
        spec["schedule"] = json!("* * * * *");
        spec["timeZone"] = json!("Asia/Dhaka");
        story.baseline("dairy", spec).await?;
        story.until_ready("dairy").await?;
        let slot = |status: &plimsoll_api::PerformanceBaselineStatus| {
            status.current_run.as_ref().is_some_and(|run| run.trigger.starts_with("slot/"))
        };
        let begun = story.until_baseline("a run for a slot", "dairy", Duration::from_secs(90), slot).await?;
        let run = begun.status.and_then(|status| status.current_run).context("a run")?;
        let late = run.started_at.0.as_second() % 60;
        ensure!(late <= 8, "the run started {late} s after the minute: {run:?}");
        story.edit("dairy", json!({"spec": {"suspend": true}})).await?;
        let rests = story
            .until_baseline(
                "the run is done and no other is planned",
                "dairy",
                Duration::from_secs(60),
                |status| status.next_run_time.is_none() && status.current_run.is_none(),
            )
            .await?;
        let last = rests.status.and_then(|status| status.last_run).context("a finished run")?;
        ensure!(last.name == run.name && last.complete, "{last:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_asks_for_a_run_and_waits_for_its_answer() {
    tell("command-line", |story: Story| async move {
        story.baseline("dairy", story.dairy()).await?;
        let before = story.record(&story.until_ready("dairy").await?).await?.run;
        let (binary, kubeconfig) = (&story.environment.binary, &story.environment.kubeconfig);
        let mut command = std::process::Command::new(binary);
        command.env("KUBECONFIG", kubeconfig).args(["run", "baseline/dairy", "--wait", "--timeout", "90s"]);
        command.args(["--namespace", &story.namespace]);
        let said = tokio::task::spawn_blocking(move || run(&mut command)).await??;
        let after = story.record(&story.until_ready("dairy").await?).await?.run;
        ensure!(after != before, "a new run was made");
        ensure!(said.contains("Ready"), "{said}");
        let mut report = std::process::Command::new(binary);
        report.env("KUBECONFIG", kubeconfig).args(["report", "baseline/dairy", "--output", "markdown"]);
        report.args(["--namespace", &story.namespace]);
        let report = tokio::task::spawn_blocking(move || run(&mut report)).await??;
        ensure!(report.contains(&after), "the report is of the new run: {report}");
        Ok(())
    })
    .await;
}
