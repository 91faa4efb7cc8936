//! Eight days of history whose truth is known.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use plimsoll_stories::charts::run;
use plimsoll_stories::environment::Environment;
use plimsoll_stories::prometheus::{Prometheus, number};
use plimsoll_stories::story::{Story, tell};
use serde_json::json;

const DAY: i64 = 86_400;
/// Seconds between scrapes.
const SCRAPE: i64 = 120;
/// Upper bounds of the buckets, in seconds, as Prometheus writes them.
const BOUNDS: [(&str, f64); 7] = [
    ("0.1", 0.1),
    ("0.25", 0.25),
    ("0.5", 0.5),
    ("1.0", 1.0),
    ("2.5", 2.5),
    ("5.0", 5.0),
    ("+Inf", f64::INFINITY),
];

/// What really happened in the eight days.
struct Truth {
    /// Every latency, in seconds.
    latencies: Vec<f64>,
    /// Those of failed requests.
    failed: usize,
    first: i64,
    last: i64,
}

impl Truth {
    /// The latency below which a share of requests lies, in milliseconds.
    fn quantile_ms(&self, q: f64) -> f64 {
        let rank = (q * self.latencies.len() as f64).ceil() as usize;
        self.latencies[rank.clamp(1, self.latencies.len()) - 1] * 1000.0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_baseline_of_eight_days_is_right() {
    tell("history", |story: Story| async move {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("prometheus.yml"), "{}\n")?;
        let path = folder.path().to_owned();
        let now = Timestamp::now().as_second();
        let truth = tokio::task::spawn_blocking(move || backfill(&path, now)).await??;
        let server = Prometheus::start(folder).await?;
        let mut spec = story.measuring(&server.url());
        spec["window"] = json!("8d");
        story.baseline("dairy", spec).await?;
        let ready = story.until_ready("dairy").await?;
        let recorded = story.record(&ready).await?;
        let (record, web) = (&recorded.record, recorded.record.web_metrics.as_ref().context("web metrics")?);
        ensure!((record.period_days - 8.0).abs() < 1e-9, "{}", record.period_days);

        // Rates over the time from the first to the last scrape; the first scrape's own requests are in no increase.
        let seconds = (truth.last - truth.first) as f64;
        let rate = truth.latencies.len() as f64 / seconds;
        let errors = truth.failed as f64 / truth.latencies.len() as f64 * 100.0;
        let (have_rate, have_errors) =
            (web.requests_per_second.context("a rate")?, web.error_rate_percent.context("a share")?);
        println!(
            "requests a second: {have_rate}, in truth {rate}; failed: {have_errors} %, in truth {errors} %"
        );
        ensure!((have_rate / rate - 1.0).abs() < 0.001, "{have_rate} and {rate}");
        ensure!((have_errors - errors).abs() < 0.01, "{have_errors} and {errors}");

        for (q, have, path) in [
            (0.5, web.page_load_p50_ms, "web_metrics.page_load_p50_ms"),
            (0.9, web.page_load_p90_ms, "web_metrics.page_load_p90_ms"),
            (0.95, web.page_load_p95_ms, "web_metrics.page_load_p95_ms"),
            (0.99, web.page_load_p99_ms, "web_metrics.page_load_p99_ms"),
        ] {
            let have = have.context("a percentile")?;
            let buckets = "sum by (le) (rate(http_request_duration_seconds_bucket{job=\"odoo\"}[8d]))";
            let query = format!("histogram_quantile({q}, {buckets}) * 1000");
            let direct = number(&server.url(), &query, record.window.to).await?;
            ensure!((have / direct - 1.0).abs() < 0.001, "{path}: {have} and {direct}");
            let basis = record.basis.get(path).context("a basis")?;
            let bounds = basis.resolution_ms.as_ref().context("a resolution")?;
            let truth = truth.quantile_ms(q);
            println!("{path}: {have}, in truth {truth}, within {bounds:?}");
            ensure!(bounds[0] <= truth && truth <= bounds[1], "the true {truth} lies outside {bounds:?}");
            ensure!(basis.coverage_percent.is_some_and(|percent| percent > 99.0), "{basis:?}");
        }
        Ok(())
    })
    .await;
}

/// Writes blocks of two pods over the last eight days, one of which restarts in the middle, under `data`.
fn backfill(folder: &Path, now: i64) -> Result<Truth> {
    let last = now - now % SCRAPE;
    let first = last - 8 * DAY + 2 * SCRAPE;
    let pods = [pod("odoo-0", first, last, 1, Some(first + 3 * DAY)), pod("odoo-1", first, last, 2, None)];
    let mut text = String::new();
    for (family, kind) in [("http_requests", "counter"), ("http_request_duration_seconds", "histogram")] {
        writeln!(text, "# TYPE {family} {kind}")?;
        for pod in &pods {
            text.push_str(if kind == "counter" { &pod.requests } else { &pod.durations });
        }
    }
    text.push_str("# EOF\n");
    let input = folder.join("history.txt");
    std::fs::write(&input, text)?;
    let mut promtool = Command::new(&Environment::get()?.promtool);
    promtool.args(["tsdb", "create-blocks-from", "openmetrics", "--quiet"]);
    run(promtool.arg(&input).arg(folder.join("data")))?;
    let mut latencies: Vec<f64> = pods.iter().flat_map(|pod| pod.latencies.iter().copied()).collect();
    latencies.sort_by(f64::total_cmp);
    let failed = pods.iter().map(|pod| pod.failed).sum();
    Ok(Truth { latencies, failed, first, last })
}

struct Pod {
    requests: String,
    durations: String,
    latencies: Vec<f64>,
    failed: usize,
}

/// The scrapes of one pod: as many requests in each interval as its number and the hour say.
fn pod(name: &str, first: i64, last: i64, number: u64, restart: Option<i64>) -> Pod {
    let mut pod = Pod { requests: String::new(), durations: String::new(), latencies: Vec::new(), failed: 0 };
    let (mut good, mut bad, mut buckets, mut sum) = (0_u64, 0_u64, [0_u64; 7], 0.0);
    let mut random = number;
    for time in (first..=last).step_by(SCRAPE as usize) {
        let mut restarted = false;
        if restart.is_some_and(|at| (at..at + SCRAPE).contains(&time)) {
            (good, bad, buckets, sum, restarted) = (0, 0, [0; 7], 0.0, true);
        }
        let requests = if time == first { 0 } else { 4 + number + (time / 3600 % 6) as u64 };
        for _ in 0..requests {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let share = (random >> 11) as f64 / (1_u64 << 53) as f64;
            // Exponential with a mean of 300 ms, so that every bucket but the last has its part.
            let latency = -0.3 * (1.0 - share).ln();
            if (random >> 33).is_multiple_of(50) {
                bad += 1;
                pod.failed += 1;
            } else {
                good += 1;
            }
            sum += latency;
            pod.latencies.push(latency);
            for (count, (_, bound)) in buckets.iter_mut().zip(BOUNDS) {
                *count += u64::from(latency <= bound);
            }
        }
        // What is counted between a restart and the next scrape shows, since counters begin at 0.
        debug_assert!(!restarted || good + bad == requests);
        scraped(&mut pod, name, time, (good, bad), &buckets, sum);
    }
    pod
}

fn scraped(pod: &mut Pod, name: &str, time: i64, (good, bad): (u64, u64), buckets: &[u64; 7], sum: f64) {
    let labels = format!("job=\"odoo\",pod=\"{name}\"");
    for (status, count) in [("200", good), ("503", bad)] {
        pod.requests
            .push_str(&format!("http_requests_total{{{labels},status=\"{status}\"}} {count} {time}\n"));
    }
    for ((bound, _), count) in BOUNDS.iter().zip(buckets) {
        let line =
            format!("http_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {count} {time}\n");
        pod.durations.push_str(&line);
    }
    let total = buckets[6];
    pod.durations.push_str(&format!("http_request_duration_seconds_sum{{{labels}}} {sum} {time}\n"));
    pod.durations.push_str(&format!("http_request_duration_seconds_count{{{labels}}} {total} {time}\n"));
}
