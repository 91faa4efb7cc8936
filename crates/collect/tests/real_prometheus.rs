//! The collector against real Prometheus servers, version 2 and 3, with eight days of data whose truth is known.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

mod support;

use jiff::Timestamp;
use plimsoll_analysis::record::{BaselineRecord, BasisKind, QueryTimeMethod, SourceState};
use plimsoll_analysis::request::{BaselineRequest, DatabaseRequest, MetricRequest, Unit};
use support::data::{
    API_START, DAY, END, FRESH, FRESH_LATE, GAP, HOUR, IDLE_CORES, IDLE_PODS, MINUTE, PODS, RECEIVED,
    series_of, true_increase, world,
};
use support::real::{Prometheus, Version, loaded};
use support::{message, request, run, source};

const WEEK: i64 = 7 * DAY;

fn wanted(server: &Prometheus, window: i64) -> BaselineRequest {
    let mut wanted = request(&server.url());
    wanted.window_seconds = (window / 1000) as u64;
    wanted.to = Some(Timestamp::from_millisecond(END).unwrap());
    wanted
}

async fn baseline(server: &Prometheus, window: i64) -> BaselineRecord {
    let record = run(&wanted(server, window)).await;
    assert_eq!(source(&record).state, SourceState::Collected, "{}", message(&record));
    record
}

fn end() -> String {
    format!("{}.{:03}", END / 1000, END % 1000)
}

fn close(found: f64, expected: f64, relative: f64, what: &str) {
    let difference = (found - expected).abs() / expected.abs().max(1e-12);
    assert!(difference <= relative, "{what}: {found} and not {expected} ({difference:e})");
}

/// The nearest-rank quantile of what was observed after the window's first scrape.
fn true_quantile(observations: &[(i64, f64)], from: i64, q: f64) -> f64 {
    let mut values: Vec<f64> =
        observations.iter().filter(|(time, _)| *time > from).map(|observed| observed.1).collect();
    values.sort_by(f64::total_cmp);
    values[((q * values.len() as f64).ceil() as usize).max(1) - 1]
}

fn percentiles(record: &BaselineRecord) -> [(f64, &'static str, f64); 8] {
    let (web, api) = (record.web_metrics.as_ref().unwrap(), record.api_metrics.as_ref().unwrap());
    [
        (0.5, "web_metrics.page_load_p50_ms", web.page_load_p50_ms.unwrap()),
        (0.9, "web_metrics.page_load_p90_ms", web.page_load_p90_ms.unwrap()),
        (0.95, "web_metrics.page_load_p95_ms", web.page_load_p95_ms.unwrap()),
        (0.99, "web_metrics.page_load_p99_ms", web.page_load_p99_ms.unwrap()),
        (0.5, "api_metrics.response_time_p50_ms", api.response_time_p50_ms.unwrap()),
        (0.9, "api_metrics.response_time_p90_ms", api.response_time_p90_ms.unwrap()),
        (0.95, "api_metrics.response_time_p95_ms", api.response_time_p95_ms.unwrap()),
        (0.99, "api_metrics.response_time_p99_ms", api.response_time_p99_ms.unwrap()),
    ]
}

async fn percentiles_are_the_servers_own_and_the_truth_is_in_the_bucket(server: &Prometheus) {
    for window in [HOUR, DAY, WEEK] {
        let record = baseline(server, window).await;
        let range = format!("[{}s]", window / 1000);
        for (q, path, value) in percentiles(&record) {
            let selector = if path.starts_with("web") {
                "http_request_duration_seconds_bucket{job=\"odoo\"}"
            } else {
                "api_request_duration_seconds_bucket"
            };
            for function in ["increase", "rate"] {
                let query = format!("histogram_quantile({q}, sum by (le) ({function}({selector}{range})))");
                close(value, server.number(&query, &end()) * 1000.0, 0.001, &query);
            }
            let basis = &record.basis[path];
            let bounds = basis.resolution_ms.as_ref().unwrap();
            let observations = if path.starts_with("web") { &world().web } else { &world().api };
            // Observations that the gap hid are in the increase as well: the counter went on.
            let truth = true_quantile(observations, END - window + MINUTE, q) * 1000.0;
            assert!(
                bounds[0] <= truth && truth <= bounds[1],
                "{path} over {range}: {truth} not in {bounds:?}"
            );
            assert!(bounds[0] <= value && value <= bounds[1], "{path}: {value} not in {bounds:?}");
            assert_eq!(basis.kind, BasisKind::Window);
            assert!(basis.samples.unwrap() > 100, "{path}: {basis:?}");
        }
    }
}

async fn rates_are_what_was_counted_over_the_time_covered(server: &Prometheus) {
    for window in [HOUR, DAY, WEEK] {
        let record = baseline(server, window).await;
        let web = record.web_metrics.as_ref().unwrap();
        let (from, basis) = (END - window, &record.basis["web_metrics.requests_per_second"]);
        let seconds = (basis.to.as_millisecond() - basis.from.as_millisecond()) as f64 / 1000.0;
        let total: f64 = series_of("http_requests_total", ("job", "odoo"))
            .map(|series| true_increase(&series.points, from, END))
            .sum();
        let failed: f64 = series_of("http_requests_total", ("job", "odoo"))
            .filter(|series| series.labels.iter().any(|label| label.1 == "500"))
            .map(|series| true_increase(&series.points, from, END))
            .sum();
        // Two targets are not scraped at the same moment: an hour has sixty scrapes, so that a part of one is 1 %.
        let relative = (1.5 * MINUTE as f64 / window as f64).max(0.0005);
        close(web.requests_per_second.unwrap(), total / seconds, relative, "requests");
        close(web.error_rate_percent.unwrap(), failed / total * 100.0, 3.0 * relative, "errors");
        let api = record.api_metrics.as_ref().unwrap();
        assert_eq!(api.error_rate_percent, Some(0.0), "requests and no series that matches the errors");
    }
}

async fn one_target_alone_is_exact(server: &Prometheus) {
    let mut wanted = wanted(server, WEEK);
    wanted.web.as_mut().unwrap().matchers = "job=\"odoo\",pod=\"odoo-a\"".to_owned();
    let record = run(&wanted).await;
    let total: f64 = series_of("http_requests_total", ("pod", "odoo-a"))
        .map(|series| true_increase(&series.points, END - WEEK, END))
        .sum();
    let basis = &record.basis["web_metrics.requests_per_second"];
    let seconds = (basis.to.as_millisecond() - basis.from.as_millisecond()) as f64 / 1000.0;
    let first = series_of("http_requests_total", ("pod", "odoo-a"))
        .flat_map(|series| &series.points)
        .map(|point| point.0)
        .filter(|time| *time > END - WEEK)
        .min()
        .unwrap();
    // The grid's step is two minutes for a week: the first sample is found to within it.
    assert!((basis.from.as_millisecond() - first).abs() <= 2 * MINUTE, "{basis:?}");
    let found = record.web_metrics.unwrap().requests_per_second.unwrap();
    let from = basis.from.as_millisecond() - 1;
    let exact: f64 = series_of("http_requests_total", ("pod", "odoo-a"))
        .map(|series| true_increase(&series.points, from, END))
        .sum();
    close(found, exact / seconds, 1e-6, "requests of one target");
    close(exact, total, 0.001, "what lies before the first sample found");
    assert_eq!(basis.note.as_deref(), Some("1 gap without samples"));
    let hidden = (GAP.1 - GAP.0) as f64 / WEEK as f64 * 100.0;
    assert!((basis.coverage_percent.unwrap() - (100.0 - hidden)).abs() < 0.1, "{basis:?}");
    let scrapes = (WEEK - (GAP.1 - GAP.0)) / MINUTE;
    assert!((basis.samples.unwrap() as i64 - scrapes).abs() <= 2, "{basis:?}");
}

async fn short_windows_are_right_too(server: &Prometheus) {
    for window in [MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE] {
        let mut wanted = wanted(server, window);
        wanted.web.as_mut().unwrap().matchers = "job=\"fresh\"".to_owned();
        wanted.api = None;
        let record = run(&wanted).await;
        let basis = &record.basis["web_metrics.requests_per_second"];
        let extent = (basis.to.as_millisecond() - basis.from.as_millisecond()) as f64;
        let late = (END - FRESH_LATE) as f64;
        let expected = FRESH[0] + FRESH[1] + FRESH[2] * (late / extent).min(1.0);
        // A counter's restart and start lie between two scrapes, and what was counted there is lost.
        let relative = if window <= 2 * MINUTE { 0.001 } else { 0.02 };
        let found = record.web_metrics.as_ref().unwrap().requests_per_second.unwrap();
        close(found, expected, relative, &format!("{window} ms"));
        assert_eq!(basis.coverage_percent, Some(100.0), "{window} ms");
        assert!(record.is_judged("web_metrics.requests_per_second"));
    }
}

async fn a_week_over_two_days_of_data_divides_by_two_days(server: &Prometheus) {
    let record = baseline(server, WEEK).await;
    let api = record.api_metrics.as_ref().unwrap();
    let basis = &record.basis["api_metrics.requests_per_second"];
    let percent = (END - API_START) as f64 / WEEK as f64 * 100.0;
    assert!((basis.coverage_percent.unwrap() - percent).abs() < 0.1, "{basis:?}");
    assert!(!record.is_judged("api_metrics.requests_per_second"));
    let points = series_of("api_requests_total", ("job", "api")).next().unwrap().points.len() as f64;
    let total: f64 = series_of("api_requests_total", ("job", "api"))
        .map(|series| true_increase(&series.points, 0, END))
        .sum();
    close(api.requests_per_second.unwrap(), total / ((points - 1.0) * 60.0), 0.001, "requests");

    let top = api.top_endpoints.as_ref().unwrap();
    let names: Vec<&str> = top.keys().map(String::as_str).collect();
    let expected: Vec<String> = (2..12).rev().map(|index| format!("/v1/endpoint-{index:02}")).collect();
    assert_eq!(names, expected);
    let busiest = series_of("api_requests_total", ("endpoint", "/v1/endpoint-11")).next().unwrap();
    let rate = true_increase(&busiest.points, 0, END) / ((points - 1.0) * 60.0);
    close(top["/v1/endpoint-11"], rate, 0.001, "busiest endpoint");

    let share = api.time_share_percent.as_ref().unwrap();
    let time = |endpoint: &str| {
        let sums = series_of("api_request_duration_seconds_sum", ("endpoint", endpoint));
        sums.map(|series| true_increase(&series.points, 0, END)).sum::<f64>()
    };
    let all: f64 = (0..3).map(|index| time(&format!("/v1/endpoint-{index:02}"))).sum();
    assert_eq!(share.len(), 1, "only the endpoints in top_endpoints: {share:?}");
    close(share["/v1/endpoint-02"], time("/v1/endpoint-02") / all * 100.0, 0.001, "time share");
}

async fn pods_are_measured_over_their_own_time(server: &Prometheus) {
    let record = baseline(server, WEEK).await;
    let found = record.infrastructure_metrics.as_ref().unwrap();
    let cpu = found.cpu_usage_by_pod.as_ref().unwrap();
    for (pod, cores, start, end) in PODS {
        // A pod of six minutes has six samples, whose ends are known to within one.
        let relative = if end - start < HOUR { 0.15 } else { 0.002 };
        close(cpu[pod], cores * 100.0, relative, pod);
    }
    let names: Vec<&str> = cpu.keys().map(String::as_str).take(4).collect();
    assert_eq!(names, ["report-xyz", "api-1", "young-0", "odoo-0"]);
    let others = (PODS.len() + IDLE_PODS - 50) as u64;
    assert_eq!((cpu.len(), found.pods_summed), (51, Some(others)));
    close(cpu["(others)"], IDLE_CORES * 100.0 * others as f64, 0.02, "others");

    let throttled = found.cpu_throttled_percent_by_pod.as_ref().unwrap();
    for (pod, cores, _, _) in PODS {
        close(throttled[pod], cores * 100.0, 0.001, pod);
    }
    assert_eq!(
        (throttled.len(), throttled.values().last()),
        (50, Some(&0.0)),
        "pods that are never throttled"
    );
    let basis = &record.basis["infrastructure_metrics.cpu_throttled_percent_by_pod"];
    assert_eq!(
        basis.note.as_deref(),
        Some("1 gap without samples; 14 more pods, throttled less, are left out")
    );

    let memory = found.memory_mb_by_pod.as_ref().unwrap();
    close(memory["odoo-0"], 0.12e9 / 1024.0 / 1024.0, 1e-9, "memory");
    assert!(!memory.contains_key("api-1") && !memory.contains_key("report-xyz"), "pods that ended");
    assert_eq!(record.basis["infrastructure_metrics.memory_mb_by_pod"].kind, BasisKind::Instant);

    let received = found.network_receive_mib_per_second.unwrap();
    close(received, RECEIVED / 1024.0 / 1024.0, 0.0005, "network, one row of two");
    assert_eq!(found.network_receive_mbps, Some(received));
}

async fn queries_of_ones_own_give_a_number_or_a_note(server: &Prometheus) {
    let mut wanted = wanted(server, HOUR);
    (wanted.web, wanted.api) = (None, None);
    wanted.metrics = [
        ("scalar", "scalar(vector(0.25))"),
        ("one", "sum(up or vector(3))"),
        ("many", "http_requests_total{job=\"odoo\"}"),
        ("none", "no_such_metric"),
        ("nan", "vector(0) / 0"),
        ("range", "http_requests_total{job=\"odoo\"}[5m]"),
        ("histogram", "native_request_duration_seconds"),
        ("text", "\"hello\""),
    ]
    .map(|(name, query)| MetricRequest { name: name.to_owned(), query: query.to_owned(), unit: Unit::Count })
    .to_vec();
    let record = run(&wanted).await;
    assert_eq!(source(&record).state, SourceState::Collected, "{}", message(&record));
    let metrics = record.custom_metrics.as_ref().unwrap();
    assert_eq!(
        metrics.iter().map(|(name, metric)| (name.as_str(), metric.value)).collect::<Vec<_>>(),
        [("scalar", 0.25), ("one", 3.0)]
    );
    for (name, note) in [
        ("many", "4 series; aggregate"),
        ("none", "no series at the evaluation instant"),
        ("nan", "NaN"),
        ("range", "avg_over_time"),
        ("histogram", "native histogram"),
        ("text", "a string"),
    ] {
        let basis = record.basis_of(&format!("custom_metrics.{name}")).unwrap();
        assert!(basis.note.as_ref().unwrap().contains(note), "{name}: {basis:?}");
    }
}

async fn native_histograms_are_read_as_the_server_reads_them(server: &Prometheus) {
    for (name, is_native) in
        [("native_request_duration_seconds", true), ("moving_request_duration_seconds", false)]
    {
        let mut wanted = wanted(server, DAY);
        let web = wanted.web.as_mut().unwrap();
        web.latency_histogram = name.to_owned();
        let record = run(&wanted).await;
        assert_eq!(source(&record).state, SourceState::Collected, "{}", message(&record));
        let found = record.web_metrics.as_ref().unwrap();
        let values = [
            (0.5, "web_metrics.page_load_p50_ms", found.page_load_p50_ms.unwrap()),
            (0.95, "web_metrics.page_load_p95_ms", found.page_load_p95_ms.unwrap()),
            (0.99, "web_metrics.page_load_p99_ms", found.page_load_p99_ms.unwrap()),
        ];
        for (q, path, value) in values {
            let inner = if is_native {
                format!("sum(increase({name}{{job=\"odoo\"}}[1d]))")
            } else {
                format!("sum by (le) (increase({name}_bucket{{job=\"odoo\"}}[1d]))")
            };
            let query = format!("histogram_quantile({q}, {inner})");
            close(value, server.number(&query, &end()) * 1000.0, 0.001, &query);
            let basis = &record.basis[path];
            let bounds = basis.resolution_ms.as_ref().unwrap();
            let truth = true_quantile(&world().native, END - DAY + MINUTE, q) * 1000.0;
            assert!(bounds[0] <= truth && truth <= bounds[1], "{path}: {truth} not in {bounds:?}");
            // Schema 3 has eight buckets to a doubling.
            assert_eq!(is_native, bounds[1] / bounds[0] < 1.1, "{bounds:?}");
            close(basis.samples.unwrap() as f64, 14_400.0, 0.001, "observations of a day");
            assert_eq!(basis.coverage_percent, Some(100.0));
        }
    }
}

async fn a_window_without_data_has_none(server: &Prometheus) {
    let mut wanted = wanted(server, HOUR);
    wanted.to = Some(Timestamp::from_millisecond(END - 30 * DAY).unwrap());
    let record = run(&wanted).await;
    assert_eq!(source(&record).state, SourceState::Failed);
    assert!(message(&record).contains("holds no series"), "{}", message(&record));
    assert!(record.infrastructure_metrics.is_none());
}

async fn the_query_time_is_the_bucket_that_holds_the_truth(server: &Prometheus) {
    let mut wanted = wanted(server, DAY);
    let database = |histogram: &str| DatabaseRequest {
        top_tables: 10,
        top_queries: 10,
        slow_query_threshold_ms: 100,
        latency_histogram: Some(histogram.to_owned()),
        matchers: String::new(),
        statements: Vec::new(),
    };
    wanted.database = Some(database("api_request_duration_seconds"));
    let record = run(&wanted).await;
    let found = record.database_metrics.as_ref().unwrap().query_time_p95_ms.unwrap();
    assert_eq!(found.method, QueryTimeMethod::Histogram);
    let truth = true_quantile(&world().api, END - DAY + MINUTE, 0.95) * 1000.0;
    assert!(found.low < found.high.unwrap(), "{found:?}");
    assert!(found.low <= truth && truth <= found.high.unwrap(), "{truth} not in {found:?}");
    let basis = &record.basis["database_metrics.query_time_p95_ms"];
    assert_eq!(basis.resolution_ms.as_deref(), Some(&[found.low, found.high.unwrap()][..]));
    wanted.database = Some(database("no_such_seconds"));
    let record = run(&wanted).await;
    assert_eq!(record.database_metrics, None);
    let note = record.basis["database_metrics.query_time_p95_ms"].note.as_deref().unwrap();
    assert!(note.contains("no_such_seconds"), "{note}");
}

/// Each check as a test for each version.
macro_rules! on_both {
    ($($check:ident),+ $(,)?) => {
        mod prometheus_2 {
            $(#[tokio::test]
            async fn $check() {
                if let Some(server) = super::loaded(super::Version::V2) {
                    super::$check(server).await;
                }
            })+
        }
        mod prometheus_3 {
            $(#[tokio::test]
            async fn $check() {
                if let Some(server) = super::loaded(super::Version::V3) {
                    super::$check(server).await;
                }
            })+
        }
    };
}

on_both!(
    percentiles_are_the_servers_own_and_the_truth_is_in_the_bucket,
    rates_are_what_was_counted_over_the_time_covered,
    one_target_alone_is_exact,
    short_windows_are_right_too,
    a_week_over_two_days_of_data_divides_by_two_days,
    pods_are_measured_over_their_own_time,
    queries_of_ones_own_give_a_number_or_a_note,
    native_histograms_are_read_as_the_server_reads_them,
    a_window_without_data_has_none,
    the_query_time_is_the_bucket_that_holds_the_truth,
);
