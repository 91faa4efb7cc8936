//! The record's `api_metrics`: as the web's, and the busiest endpoints.

use indexmap::IndexMap;
use plimsoll_analysis::ranking::largest_first;
use plimsoll_analysis::record::ApiMetrics;
use plimsoll_analysis::request::ApiRequest;

use super::latency::{Wanted, latency};
use super::queries::{self, Selector};
use super::requests::{Counted, Counter, requests};
use super::session::{Session, Unread, add_note};

/// How many steps the section has, for progress.
pub(crate) const STEPS: usize = 3;

const PERCENTILES: [Wanted<'static>; 4] = [
    (0.5, "api_metrics.response_time_p50_ms"),
    (0.9, "api_metrics.response_time_p90_ms"),
    (0.95, "api_metrics.response_time_p95_ms"),
    (0.99, "api_metrics.response_time_p99_ms"),
];
const TOP: &str = "api_metrics.top_endpoints";
const SHARE: &str = "api_metrics.time_share_percent";

/// Reads the section; `None` where none of its figures could be had.
pub(crate) async fn collect(session: &mut Session<'_>, request: &ApiRequest) -> Option<ApiMetrics> {
    session.begin("api latency");
    let latency = latency(session, &request.latency_histogram, &request.matchers, PERCENTILES).await;
    session.plan.histogram("api.latency", &latency);
    let [p50, p90, p95, p99] = latency.percentiles_ms;
    session.begin("api requests");
    let counter = Counter {
        name: &request.request_counter,
        matchers: &request.matchers,
        error_matchers: &request.error_matchers,
    };
    let found = requests(session, counter, "api_metrics").await;
    session.plan.ratio("api.errorRatio", &found, counter);
    session.begin("api endpoints");
    let mut metrics = ApiMetrics {
        response_time_p50_ms: p50,
        response_time_p90_ms: p90,
        response_time_p95_ms: p95,
        response_time_p99_ms: p99,
        requests_per_second: found.per_second,
        error_rate_percent: found.error_percent,
        ..ApiMetrics::default()
    };
    if let Some(counted) = &found.counted {
        metrics.top_endpoints = top_endpoints(session, request, counted).await.ok();
    }
    if let Some(top) = metrics.top_endpoints.as_ref().filter(|top| !top.is_empty()) {
        metrics.time_share_percent =
            time_share(session, request, top, latency.is_native).await.ok().flatten();
    }
    (metrics != ApiMetrics::default()).then_some(metrics)
}

/// Requests a second of the busiest endpoints. Series without the label are no endpoint; a note gives their share.
async fn top_endpoints(
    session: &mut Session<'_>,
    request: &ApiRequest,
    counted: &Counted,
) -> Result<IndexMap<String, f64>, Unread> {
    let label = &request.endpoint_label;
    let query = queries::increase_by(&counted.counter, counted.range, label);
    let increases = session.by_label(query, label).await?;
    let total: f64 = increases.iter().map(|(_, increase)| increase).sum();
    let (unlabelled, labelled): (Vec<_>, Vec<_>) =
        increases.into_iter().partition(|(endpoint, _)| endpoint.is_empty());
    let mut basis = session.window_basis(Some(&counted.coverage));
    basis.samples = counted.samples;
    if let Some((_, without)) = unlabelled.first().filter(|_| total > 0.0) {
        let note = format!("{:.1} % of the requests have no label {label}", without / total * 100.0);
        add_note(&mut basis, &note);
    }
    session.set_basis(TOP, basis);
    let rates = labelled.into_iter().map(|(endpoint, increase)| (endpoint, increase / counted.seconds));
    Ok(largest_first(rates).into_iter().take(request.top as usize).collect())
}

/// Share of the total response time of the endpoints in `top`, in percent of all endpoints'.
async fn time_share(
    session: &mut Session<'_>,
    request: &ApiRequest,
    top: &IndexMap<String, f64>,
    is_native: bool,
) -> Result<Option<IndexMap<String, f64>>, Unread> {
    let label = &request.endpoint_label;
    let histogram = session.built(Selector::new(request.latency_histogram.clone(), &[&request.matchers]))?;
    let (query, selector) = if is_native {
        (queries::native_total_by(&histogram, session.whole(), label), histogram)
    } else {
        let sum = histogram.suffixed("_sum");
        (queries::increase_by(&sum, session.whole(), label), sum)
    };
    let times = session.by_label(query, label).await?;
    let coverage = session.seen(&selector).await?;
    let total: f64 = times.iter().map(|(_, time)| time).sum();
    let of_top = times.into_iter().filter(|(endpoint, _)| top.contains_key(endpoint));
    let shares = largest_first(of_top.map(|(endpoint, time)| (endpoint, time / total * 100.0)));
    if shares.is_empty() {
        let note = format!("the histogram has no time by the label {label}; check endpointLabel");
        session.absent(SHARE, coverage.as_ref(), &note);
        return Ok(None);
    }
    let basis = session.window_basis(coverage.as_ref());
    session.set_basis(SHARE, basis);
    Ok(Some(shares.into_iter().collect()))
}
