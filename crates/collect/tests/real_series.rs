//! The window slot by slot, against real Prometheus servers, version 2 and 3, with data whose truth is known.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

mod support;

use jiff::Timestamp;
use plimsoll_analysis::histogram::{Bucket, ClassicHistogram};
use plimsoll_analysis::record::{
    BaselineRecord, HistogramSeries, NumberSeries, RatioSeries, Series, SourceState,
};
use plimsoll_analysis::request::{BaselineRequest, MetricRequest, Unit};
use support::data::{
    API_START, DAY, END, FRESH, GAP, HOUR, IDLE_CORES, IDLE_PODS, LATE, MINUTE, PODS, RESTART, world,
};
use support::real::{Prometheus, Version, loaded};
use support::{message, request, run, source};

const WEEK: i64 = 7 * DAY;
/// Slots of a week, in milliseconds.
const STEP: i64 = 30 * MINUTE;

fn wanted(server: &Prometheus, window: i64) -> BaselineRequest {
    let mut wanted = request(&server.url());
    wanted.window_seconds = (window / 1000) as u64;
    wanted.to = Some(Timestamp::from_millisecond(END).unwrap());
    wanted
}

async fn collected(wanted: &BaselineRequest) -> BaselineRecord {
    let record = run(wanted).await;
    let found = source(&record);
    assert_eq!((found.state, &found.warnings), (SourceState::Collected, &Vec::new()), "{}", message(&record));
    record
}

fn series(record: &BaselineRecord) -> &Series {
    record.series.as_ref().unwrap()
}

fn close(found: f64, expected: f64, relative: f64, what: &str) {
    let difference = (found - expected).abs() / expected.abs().max(1e-12);
    assert!(difference <= relative, "{what}: {found} and not {expected} ({difference:e})");
}

/// The end of a slot in milliseconds since the epoch.
fn end_of(series: &Series, slot: u32) -> i64 {
    series.end_of(slot, Timestamp::from_millisecond(END).unwrap()).unwrap().as_millisecond()
}

/// All slots as one histogram.
fn merged(histogram: &HistogramSeries) -> ClassicHistogram {
    let mut cumulative = 0.0;
    let bounds = histogram.bounds_ms.iter().copied().chain([f64::INFINITY]).enumerate();
    let buckets = bounds.map(|(index, upper_bound)| {
        cumulative += histogram.counts.iter().map(|counts| counts[index]).sum::<f64>();
        Bucket { upper_bound, cumulative }
    });
    ClassicHistogram::new(buckets.collect()).unwrap()
}

/// Whether nothing, or only a part of it, was scraped in the slot that ends so.
fn is_at_gap(end: i64) -> bool {
    end > GAP.0 && end - STEP < GAP.1 + MINUTE
}

async fn the_slots_of_a_week_are_its_histogram(server: &Prometheus) {
    let record = collected(&wanted(server, WEEK)).await;
    let found = series(&record);
    assert_eq!((found.step_seconds, found.slots), (1_800, 336));
    for (key, path, q) in [
        ("web.latency", "web_metrics.page_load_p50_ms", 0.5),
        ("web.latency", "web_metrics.page_load_p95_ms", 0.95),
        ("web.latency", "web_metrics.page_load_p99_ms", 0.99),
        ("api.latency", "api_metrics.response_time_p95_ms", 0.95),
    ] {
        let histogram = &found.histograms[key];
        let basis = &record.basis[path];
        let all = merged(histogram);
        close(all.observations(), basis.samples.unwrap() as f64, 0.02, key);
        let value = all.quantile(q).unwrap().value;
        let bounds = basis.resolution_ms.as_ref().unwrap();
        assert!(bounds[0] <= value && value <= bounds[1], "{path}: {value} not in {bounds:?}");
        let expected = bounds[1] - bounds[0];
        let recorded = record.web_metrics.as_ref().unwrap().page_load_p95_ms.unwrap();
        if path.ends_with("page_load_p95_ms") {
            assert!((value - recorded).abs() < 0.05 * expected, "{value} and not {recorded}");
        }
        assert_eq!(histogram.bounds_ms.len(), 11, "{:?}", histogram.bounds_ms);
    }
}

async fn each_slot_has_what_was_observed_in_it_across_a_restart(server: &Prometheus) {
    let record = collected(&wanted(server, WEEK)).await;
    let found = series(&record);
    let histogram = &found.histograms["web.latency"];
    let restarted = (END - RESTART) / STEP;
    for (slot, counts) in histogram.slots.iter().zip(&histogram.counts) {
        let end = end_of(found, *slot);
        if is_at_gap(end) {
            continue;
        }
        let inside = |time: &i64| end - STEP < *time && *time <= end;
        let observed = world().web.iter().filter(|(time, _)| inside(time)).count() as f64;
        // Extrapolated from 29 or 59 intervals of random length; of the one with the restart a part is lost.
        let is_odd = i64::from(335 - slot) == restarted || inside(&(LATE + MINUTE));
        close(counts.iter().sum(), observed, if is_odd { 0.15 } else { 0.08 }, &format!("slot {slot}"));
    }
}

async fn a_gap_stays_a_gap_and_what_began_late_begins_late(server: &Prometheus) {
    let record = collected(&wanted(server, WEEK)).await;
    let found = series(&record);
    let ends = |slots: &[u32]| slots.iter().map(|slot| end_of(found, *slot)).collect::<Vec<i64>>();
    let hidden = |end: &i64| *end - STEP >= GAP.0 && *end <= GAP.1;
    for (key, slots) in [
        ("web.latency", &found.histograms["web.latency"].slots),
        ("web.errorRatio", &found.ratios["web.errorRatio"].slots),
        ("infrastructure.cpu", &found.numbers["infrastructure.cpu"].slots),
        ("infrastructure.memory", &found.numbers["infrastructure.memory"].slots),
    ] {
        let ends = ends(slots);
        assert_eq!(ends.iter().filter(|end| hidden(end)).count(), 0, "{key}");
        assert!(ends.len() >= 323 && ends.len() <= 325, "{key}: {}", ends.len());
        assert!(slots.is_sorted(), "{key}");
    }
    for slots in [&found.histograms["api.latency"].slots, &found.ratios["api.errorRatio"].slots] {
        let ends = ends(slots);
        assert_eq!((ends.len(), ends[0]), (96, API_START + STEP));
    }
}

async fn ratios_have_failed_and_all_requests(server: &Prometheus) {
    let record = collected(&wanted(server, WEEK)).await;
    let RatioSeries { slots, part, whole } = &series(&record).ratios["web.errorRatio"];
    assert_eq!((part.len(), whole.len()), (slots.len(), slots.len()));
    let ratio = part.iter().sum::<f64>() / whole.iter().sum::<f64>();
    let recorded = record.web_metrics.as_ref().unwrap().error_rate_percent.unwrap();
    close(ratio * 100.0, recorded, 0.02, "errors");
    // Requests and no series that matches the errors.
    let api = &series(&record).ratios["api.errorRatio"];
    assert!(api.part.iter().all(|part| *part == 0.0) && api.whole.iter().all(|whole| *whole > 100.0));
}

async fn numbers_are_of_all_pods_and_of_each_query_at_the_ends_of_the_slots(server: &Prometheus) {
    let mut wanted = wanted(server, WEEK);
    wanted.metrics = [
        ("constant", "sum(up or vector(1234567.8))"),
        ("sometimes", "sum(api_requests_total) >= 0"),
        ("several", "http_requests_total{job=\"odoo\"}"),
        ("nan", "vector(0) / 0"),
        ("text", "\"hello\""),
        ("range", "http_requests_total{job=\"odoo\"}[5m]"),
    ]
    .map(|(name, query)| MetricRequest { name: name.to_owned(), query: query.to_owned(), unit: Unit::Count })
    .to_vec();
    let record = collected(&wanted).await;
    let found = series(&record);
    let value_at = |key: &str, before: i64| {
        let NumberSeries { slots, values } = &found.numbers[key];
        let place = slots.iter().position(|slot| end_of(found, *slot) == END - before).unwrap();
        values[place]
    };
    let [odoo, api, _, young] = PODS.map(|pod| pod.1);
    let idle = IDLE_PODS as f64 * IDLE_CORES;
    close(value_at("infrastructure.cpu", 6 * DAY), odoo, 0.001, "one pod");
    close(value_at("infrastructure.cpu", 2 * DAY), odoo + api, 0.001, "two pods");
    close(value_at("infrastructure.cpu", 2 * HOUR), odoo + idle, 0.01, "pods that idle");
    close(value_at("infrastructure.memory", 2 * DAY), (odoo + api) * 1e9, 1e-5, "memory of two pods");
    close(value_at("infrastructure.memory", 0), (odoo + young + idle) * 1e9, 1e-5, "memory at the end");
    assert_eq!(found.numbers["metrics.constant"].values, [1_234_570.0; 336]);
    let sometimes = &found.numbers["metrics.sometimes"];
    assert!((96..=97).contains(&sometimes.slots.len()), "{}", sometimes.slots.len());
    let keys: Vec<&str> = found.numbers.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["infrastructure.cpu", "infrastructure.memory", "metrics.constant", "metrics.sometimes"]
    );
}

async fn slots_of_short_windows_have_four_scrapes(server: &Prometheus) {
    // The window, how often it is scraped, and the slots.
    for (job, window, expected) in [
        ("fresh", 5 * MINUTE, (60, 5)),
        ("fresh", 15 * MINUTE, (60, 15)),
        ("odoo", HOUR, (300, 12)),
        ("odoo", DAY, (300, 288)),
    ] {
        let mut wanted = wanted(server, window);
        wanted.web.as_mut().unwrap().matchers = format!("job=\"{job}\"");
        wanted.api = None;
        let record = collected(&wanted).await;
        let found = series(&record);
        assert_eq!((found.step_seconds, found.slots), expected, "{job} over {window} ms");
        let whole = &found.ratios["web.errorRatio"].whole;
        assert_eq!(whole.len(), expected.1 as usize, "{job} over {window} ms");
        if job == "fresh" {
            let per_second = whole.last().unwrap() / 60.0;
            close(per_second, FRESH.iter().sum(), 0.01, "steady requests");
        }
    }
    let mut wanted = wanted(server, 2 * MINUTE);
    wanted.api = None;
    assert_eq!(collected(&wanted).await.series, None, "two scrapes make no slot");
}

async fn native_histograms_have_slots_too(server: &Prometheus) {
    for (name, is_native) in
        [("native_request_duration_seconds", true), ("moving_request_duration_seconds", false)]
    {
        let mut wanted = wanted(server, DAY);
        wanted.web.as_mut().unwrap().latency_histogram = name.to_owned();
        let record = collected(&wanted).await;
        let found = series(&record);
        let histogram = &found.histograms["web.latency"];
        assert_eq!((found.slots, histogram.slots.len()), (288, 288));
        let all = merged(histogram);
        close(all.observations(), 14_400.0, 0.02, name);
        let metrics = record.web_metrics.as_ref().unwrap();
        for (q, recorded) in [(0.5, metrics.page_load_p50_ms), (0.95, metrics.page_load_p95_ms)] {
            let (value, recorded) = (all.quantile(q).unwrap(), recorded.unwrap());
            assert!(
                value.lower <= recorded && recorded <= value.upper,
                "{name}: {recorded} not in {value:?}"
            );
            // Schema 3 has eight buckets to a doubling, schema 2 four.
            assert_eq!(is_native, value.upper / value.lower < 1.2, "{value:?}");
        }
        assert!(histogram.bounds_ms.len() <= 64, "{}", histogram.bounds_ms.len());
    }
}

async fn what_the_slots_cost_is_counted_and_bounded(server: &Prometheus) {
    let record = collected(&wanted(server, WEEK)).await;
    let cost = source(&record).cost.unwrap();
    assert!(cost.queries.unwrap() <= 60, "{cost:?}");
    assert!(cost.bytes.unwrap() < 1_500_000, "{cost:?}");
    let text = serde_json::to_string(&record.series).unwrap();
    assert!(text.len() < 100_000, "{} bytes", text.len());
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
    the_slots_of_a_week_are_its_histogram,
    each_slot_has_what_was_observed_in_it_across_a_restart,
    a_gap_stays_a_gap_and_what_began_late_begins_late,
    ratios_have_failed_and_all_requests,
    numbers_are_of_all_pods_and_of_each_query_at_the_ends_of_the_slots,
    slots_of_short_windows_have_four_scrapes,
    native_histograms_have_slots_too,
    what_the_slots_cost_is_counted_and_bounded,
);
