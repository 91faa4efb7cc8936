//! Prometheus down, empty, slow: told with what to do, and well once it is mended.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use plimsoll_stories::baseline::{RUN, says};
use plimsoll_stories::gate::{Answer, Gate, closed_address};
use plimsoll_stories::prometheus::Prometheus;
use plimsoll_stories::story::{Story, tell};
use plimsoll_stories::wait;
use serde_json::json;

/// A passing failure is tried again after a minute, by itself.
const OWN_RETRY: Duration = Duration::from_secs(150);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prometheus_that_is_down_is_unreachable_and_is_tried_again_by_itself() {
    tell("down", |story: Story| async move {
        let address = closed_address().await?;
        story.baseline("dairy", story.measuring(&format!("http://{address}"))).await?;
        let message = story.until_fails("dairy", "Unreachable", "Check host and port or URL").await?;
        ensure!(message.contains(&address.to_string()) && message.contains("tried again"), "{message}");
        let failed = story
            .until_baseline("another try is planned", "dairy", RUN, |status| {
                status.retry.as_ref().is_some_and(|retry| retry.attempts == 1 && retry.next_at.is_some())
            })
            .await?;
        ensure!(says(&failed, "Stalled") == "False: AsExpected", "waiting mends it");
        // The remedy: the server comes up at that address. Nobody asks for a run.
        let _gate = Gate::open_at(address, &story.environment.prometheus, Answer::Pass).await?;
        let ready = story.until_ready_within("dairy", OWN_RETRY).await?;
        let status = ready.status.as_ref().context("a status")?;
        ensure!(status.history.len() == 2, "both runs keep their records: {:?}", status.history);
        ensure!(status.retry.is_none(), "nothing is left to try: {:?}", status.retry);
        story.record(&ready).await?;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_prometheus_has_no_data_until_it_scrapes() {
    tell("empty", |story: Story| async move {
        let folder = tempfile::tempdir()?;
        let targets = folder.path().join("targets.json");
        std::fs::write(&targets, "[]")?;
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{"job_name": "odoo", "file_sd_configs": [{"files": [targets], "refresh_interval": "1s"}]}],
        });
        std::fs::write(folder.path().join("prometheus.yml"), config.to_string())?;
        let server = Prometheus::start(folder).await?;
        story.baseline("dairy", story.measuring(&server.url())).await?;
        story.until_fails("dairy", "NoData", "metrics and matchers").await?;
        // The remedy: the server scrapes a pod of the example.
        let odoo = story
            .kubectl_output(&[
                "get", "pods", "--namespace=smart-dairy", "--selector=app=odoo", "--field-selector=status.phase=Running",
                "--output=jsonpath={.items[0].status.podIP}",
            ])
            .await?;
        let found = json!([{"targets": [format!("{odoo}:8069")]}]);
        std::fs::write(&targets, found.to_string())?;
        wait::until("two scrapes", RUN, || async {
            let now = jiff::Timestamp::now();
            let query = "min(count_over_time(http_requests_total[1m]))";
            let scrapes = plimsoll_stories::prometheus::by_label(&server.url(), query, "", now).await?;
            Ok(scrapes.first().filter(|scrapes| scrapes.1 >= 5.0).map(drop))
        })
        .await?;
        story.request("dairy", "scraped").await?;
        let ready = story.until_ready("dairy").await?;
        let web = story.record(&ready).await?.record.web_metrics.context("web metrics")?;
        ensure!(web.requests_per_second.is_some_and(|rate| rate > 0.0), "{web:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prometheus_that_never_answers_times_out_before_its_pod_is_killed() {
    tell("slow", |story: Story| async move {
        let gate = Gate::open(&story.environment.prometheus, Answer::Hold).await?;
        let mut spec = story.measuring(&gate.url());
        spec["activeDeadlineSeconds"] = json!(60);
        story.baseline("dairy", spec).await?;
        story.until_fails("dairy", "Timeout", "slow or overloaded").await?;
        gate.set(Answer::Pass);
        story.request("dairy", "fast-again").await?;
        story.until_ready("dairy").await?;
        Ok(())
    })
    .await;
}
