//! A workload and its traffic in the story's own namespace: what the workload counts is what the record says, and
//! stopping the traffic changes the record.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{DeleteParams, ListParams};
use plimsoll_analysis::record::{Basis, WebMetrics};
use plimsoll_stories::baseline::{RUN, Recorded};
use plimsoll_stories::gate::http_client;
use plimsoll_stories::prometheus::{by_label, number};
use plimsoll_stories::story::{Story, tell};
use plimsoll_stories::wait;
use plimsoll_stories::workload::{Serving, deployment};
use serde_json::{Value, json};

/// Requests a second.
const RATE: &str = "20";
/// How often the workload is asked what it has counted.
const LOOK: Duration = Duration::from_millis(250);
/// Requests by which two counts of the same time may differ: those of one look at either end.
const ALLOWED: f64 = 10.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_is_what_the_workload_counts_and_without_traffic_it_is_another() {
    tell("traffic", |story: Story| async move {
        let shop = story.namespace.clone();
        serve(&story, &shop).await?;
        let counts = Counts::watch(&story, &shop).await?;
        let sending = ["traffic", "--target=http://shop:8069", "--mix=odoo", "--rate", RATE];
        let traffic = Serving { name: "traffic", replicas: 1, arguments: &sending, port: 0 };
        story.create::<Deployment>(deployment(&story, &traffic)).await?;
        let matchers = format!("job=\"{shop}\"");
        let scrapes = format!("sum(increase(http_requests_total{{{matchers}}}[25s])) > 450");
        seen(&story, &scrapes, RUN).await?;
        let spec = json!({
            "window": "1m",
            "sources": {"prometheus": {"url": story.environment.prometheus}},
            "web": {"matchers": matchers},
        });
        story.baseline("shop", spec).await?;
        let busy = story.record(&story.until_ready("shop").await?).await?;
        compare(&busy, &counts)?;

        story.api::<Deployment>().delete("traffic", &DeleteParams::default()).await?;
        let quiet = format!("sum(increase(http_requests_total{{{matchers}}}[1m])) == 0");
        seen(&story, &quiet, Duration::from_secs(120)).await?;
        story.request("shop", "traffic-stopped").await?;
        let idle = story.record(&story.until_ready("shop").await?).await?;
        let (before, after) = (web(&busy)?, web(&idle)?);
        println!("with traffic: {before:?}\nwithout: {after:?}");
        ensure!(after.requests_per_second == Some(0.0), "{after:?}");
        ensure!(after.error_rate_percent.is_none(), "no share of no requests: {after:?}");
        ensure!(before.page_load_p95_ms.is_some() && after.page_load_p95_ms.is_none(), "{after:?}");
        Ok(())
    })
    .await;
}

fn web(recorded: &Recorded) -> Result<&WebMetrics> {
    recorded.record.web_metrics.as_ref().context("web metrics")
}

/// The record's rate against what the workload counted between the same two instants.
fn compare(recorded: &Recorded, counts: &Counts) -> Result<()> {
    let per_second = web(recorded)?.requests_per_second.context("a rate")?;
    let basis: &Basis =
        recorded.record.basis.get("web_metrics.requests_per_second").context("the rate's basis")?;
    let seconds = basis.to.duration_since(basis.from).as_secs_f64();
    let counted = counts.at(basis.to)? - counts.at(basis.from)?;
    let recorded = per_second * seconds;
    println!("over {seconds:.3} s the record has {recorded:.1} requests, the workload counted {counted:.1}");
    ensure!((recorded - counted).abs() <= ALLOWED, "{recorded} and {counted}");
    Ok(())
}

/// Waits until a query of the cluster's Prometheus has a result.
async fn seen(story: &Story, query: &str, deadline: Duration) -> Result<()> {
    wait::until(query, deadline, || async {
        let found = by_label(&story.environment.prometheus, query, "", Timestamp::now()).await?;
        Ok((!found.is_empty()).then_some(()))
    })
    .await
}

/// The web application under a job of its own.
async fn serve(story: &Story, job: &str) -> Result<()> {
    let serving = Serving { name: job, replicas: 1, arguments: &["serve", "--role", "odoo"], port: 8069 };
    story.create::<Deployment>(deployment(story, &serving)).await?;
    story
        .create::<Service>(json!({
            "metadata": {"name": "shop"},
            "spec": {"selector": {"app": job}, "ports": [{"port": 8069}]},
        }))
        .await?;
    let ready = |deployment: &Deployment| {
        deployment.status.as_ref().and_then(|status| status.ready_replicas) == Some(1)
    };
    story.until("the workload is ready", job, RUN, ready).await?;
    // Counted from the first scrape on: what came before it is in no increase.
    let query = format!("sum(http_requests_total{{job=\"{job}\"}})");
    wait::until("the workload is scraped", RUN, || async {
        Ok(number(&story.environment.prometheus, &query, Timestamp::now()).await.ok())
    })
    .await?;
    Ok(())
}

/// What the workload says that it has counted, over time.
struct Counts {
    looks: Arc<Mutex<Vec<(f64, f64)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Counts {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Counts {
    async fn watch(story: &Story, job: &str) -> Result<Self> {
        let pods = story.api::<Pod>().list(&ListParams::default().labels(&format!("app={job}"))).await?;
        let pod = pods.items.into_iter().next().context("a pod")?;
        let address = pod.status.and_then(|status| status.pod_ip).context("a pod's address")?;
        let (client, url) = (http_client()?, format!("http://{address}:8069/stats"));
        let looks: Arc<Mutex<Vec<(f64, f64)>>> = Arc::default();
        let kept = Arc::clone(&looks);
        // Our times run on a monotonic clock that is tied to the wall's once.
        let (wall, start) = (Timestamp::now(), Instant::now());
        let task = tokio::spawn(async move {
            loop {
                let before = start.elapsed();
                if let Ok(answer) = client.get(&url).send().await
                    && let Ok(text) = answer.text().await
                    && let Ok(stats) = serde_json::from_str::<Value>(&text)
                {
                    let middle = (before + start.elapsed()).as_secs_f64() / 2.0;
                    let time = wall.as_millisecond() as f64 / 1000.0 + middle;
                    let requests = stats["requests"].as_f64().unwrap_or_default();
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push((time, requests));
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        Ok(Self { looks, task })
    }

    /// The count at a time, on the line between the looks around it.
    fn at(&self, time: Timestamp) -> Result<f64> {
        let time = time.as_millisecond() as f64 / 1000.0;
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let after = looks.iter().position(|look| look.0 >= time).context("a look after it")?;
        let (later, before) = (looks[after], after.checked_sub(1).map_or((time, 0.0), |index| looks[index]));
        let span = later.0 - before.0;
        let part = if span > 0.0 { (time - before.0) / span } else { 1.0 };
        Ok(before.1 + (later.1 - before.1) * part)
    }
}
