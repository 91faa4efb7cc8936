//! The record's `web_metrics`.

use plimsoll_analysis::record::WebMetrics;
use plimsoll_analysis::request::WebRequest;

use super::latency::{Wanted, latency};
use super::requests::{Counter, requests};
use super::session::Session;

/// Names of the steps, for progress.
pub(crate) const STEPS: usize = 2;

const PERCENTILES: [Wanted<'static>; 4] = [
    (0.5, "web_metrics.page_load_p50_ms"),
    (0.9, "web_metrics.page_load_p90_ms"),
    (0.95, "web_metrics.page_load_p95_ms"),
    (0.99, "web_metrics.page_load_p99_ms"),
];

/// Reads the section; `None` where none of its figures could be had.
pub(crate) async fn collect(session: &mut Session<'_>, request: &WebRequest) -> Option<WebMetrics> {
    session.begin("web latency");
    let found = latency(session, &request.latency_histogram, &request.matchers, PERCENTILES).await;
    session.plan.histogram("web.latency", &found);
    let [p50, p90, p95, p99] = found.percentiles_ms;
    session.begin("web requests");
    let counter = Counter {
        name: &request.request_counter,
        matchers: &request.matchers,
        error_matchers: &request.error_matchers,
    };
    let found = requests(session, counter, "web_metrics").await;
    session.plan.ratio("web.errorRatio", &found, counter);
    let metrics = WebMetrics {
        page_load_p50_ms: p50,
        page_load_p90_ms: p90,
        page_load_p95_ms: p95,
        page_load_p99_ms: p99,
        requests_per_second: found.per_second,
        error_rate_percent: found.error_percent,
    };
    (metrics != WebMetrics::default()).then_some(metrics)
}
