//! What `compare` says of whole records.

use indexmap::IndexMap;
use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::record::{
    Basis, BasisKind, CacheMetrics, ConnectionHeadroom, CustomMetric, DatabaseAnalysis, DatabaseMetrics,
    HistogramSeries, NumberSeries, QueryTime, QueryTimeMethod, RatioSeries, RecordNames, Series, WebMetrics,
};
use crate::request::Unit;

const SLOTS: u32 = 96;

/// A record of a day of quarter hours that ends on a Tuesday, without figures.
fn record() -> BaselineRecord {
    let names = RecordNames { name: "dairy", namespace: "smart", run: "dairy-1", run_key: "sha256:0" };
    let mut record = BaselineRecord::empty(names, 86_400, "2026-11-24T00:00:00Z".parse().unwrap());
    record.series = Some(Series { step_seconds: 900, slots: SLOTS, ..Series::default() });
    record
}

/// The same record so much later, as another run.
fn later(mut record: BaselineRecord, hours: i64) -> BaselineRecord {
    let distance = SignedDuration::from_hours(hours);
    record.window.from += distance;
    record.window.to += distance;
    record.run = "dairy-2".to_owned();
    record
}

fn series(record: &mut BaselineRecord) -> &mut Series {
    record.series.get_or_insert_default()
}

/// Something between 0 and 1 that differs from slot to slot without a pattern.
fn wobble(slot: u32) -> f64 {
    f64::from((slot.wrapping_mul(2_654_435_761) >> 8) % 1_000) / 1_000.0
}

fn all_slots() -> Vec<u32> {
    (0..SLOTS).collect()
}

/// Page loads in buckets up to 100, 200, ... 800 ms; every slot has a few more or fewer.
fn with_latency(mut record: BaselineRecord, counts: [f64; 9]) -> BaselineRecord {
    let row = |slot: u32| {
        let row = counts
            .iter()
            .enumerate()
            .map(|(bucket, count)| count * (0.95 + 0.1 * wobble(slot * 31 + bucket as u32)));
        row.collect()
    };
    let histogram = HistogramSeries {
        bounds_ms: (1..=8).map(|hundreds| f64::from(hundreds) * 100.0).collect(),
        slots: all_slots(),
        counts: (0..SLOTS).map(row).collect(),
    };
    series(&mut record).histograms.insert("web.latency".to_owned(), histogram);
    record.web_metrics.get_or_insert_default().page_load_p95_ms = Some(1.0);
    record
}

const FAST: [f64; 9] = [200.0, 400.0, 200.0, 100.0, 60.0, 30.0, 7.0, 2.0, 1.0];
const SLOW: [f64; 9] = [100.0, 250.0, 250.0, 180.0, 110.0, 60.0, 30.0, 15.0, 5.0];

fn with_errors(mut record: BaselineRecord, part: f64, whole: f64) -> BaselineRecord {
    let slots = f64::from(SLOTS);
    let web = record.web_metrics.get_or_insert_default();
    web.error_rate_percent = Some(part / whole * 100.0);
    web.requests_per_second = Some(whole / 900.0);
    let ratio = RatioSeries {
        slots: all_slots(),
        part: (0..SLOTS).map(|slot| part * (0.5 + wobble(slot))).collect(),
        whole: vec![whole; slots as usize],
    };
    series(&mut record).ratios.insert("web.errorRatio".to_owned(), ratio);
    record
}

fn with_metric(mut record: BaselineRecord, mean: f64) -> BaselineRecord {
    let metric = CustomMetric { value: mean, unit: Unit::PerSecond };
    record.custom_metrics = Some(IndexMap::from([("throughput".to_owned(), metric)]));
    let values = (0..SLOTS).map(|slot| mean * (0.9 + 0.2 * wobble(slot))).collect();
    series(&mut record)
        .numbers
        .insert("metrics.throughput".to_owned(), NumberSeries { slots: all_slots(), values });
    record
}

fn basis(kind: BasisKind, coverage_percent: Option<f64>, samples: Option<u64>) -> Basis {
    let at = "2026-11-24T00:00:00Z".parse().unwrap();
    Basis { kind, from: at, to: at, coverage_percent, samples, resolution_ms: None, note: None }
}

fn with_hits(mut record: BaselineRecord, percent: f64, lookups: u64) -> BaselineRecord {
    record.cache_metrics = Some(CacheMetrics { hit_rate_window: Some(percent), ..CacheMetrics::default() });
    let basis = basis(BasisKind::Sampled, None, Some(lookups));
    record.basis.insert("cache_metrics.hit_rate_window".to_owned(), basis);
    record
}

fn with_query_time(mut record: BaselineRecord, low: f64, high: Option<f64>) -> BaselineRecord {
    let time = QueryTime { low, high, method: QueryTimeMethod::StatementBounds };
    record.database_metrics =
        Some(DatabaseMetrics { query_time_p95_ms: Some(time), ..DatabaseMetrics::default() });
    record
}

fn judge(before: &BaselineRecord, after: &BaselineRecord, options: &CompareOptions) -> Comparison {
    let (name, run) = (before.name.clone(), before.run.clone());
    compare(before, after, Against { name, run, record_sha256: None, window: before.window }, options)
}

fn found(before: &BaselineRecord, after: BaselineRecord) -> Comparison {
    judge(before, &later(after, 24 * 7), &CompareOptions::default())
}

fn change<'a>(comparison: &'a Comparison, indicator: &str) -> &'a Change {
    comparison.indicators.iter().find(|change| change.indicator == indicator).unwrap()
}

#[test]
fn a_slower_service_regressed_a_faster_one_improved_and_the_same_is_unchanged() {
    let fast = || with_latency(record(), FAST);
    let slow = || with_latency(record(), SLOW);
    let regressed = found(&fast(), slow());
    let one = change(&regressed, "web.latency.p95");
    assert_eq!(
        (regressed.verdict, one.verdict),
        (ChangeVerdict::Regressed, ChangeVerdict::Regressed),
        "{one:?}"
    );
    let (low, high) = (one.low_percent.unwrap(), one.high_percent.unwrap());
    assert!(
        5.0 < low && low <= one.change_percent.unwrap() && one.change_percent.unwrap() <= high,
        "{one:?}"
    );
    assert!(
        one.rule.starts_with("Regressed: at least ") && one.rule.contains("5% is allowed"),
        "{}",
        one.rule
    );
    assert!(one.effective_samples.unwrap()[0] <= f64::from(SLOTS), "{one:?}");

    let improved = found(&slow(), fast());
    assert_eq!(improved.verdict, ChangeVerdict::Improved, "{improved:?}");
    assert!(change(&improved, "web.latency.p95").high_percent.unwrap() < -5.0);

    let same = found(&fast(), fast());
    assert_eq!(same.verdict, ChangeVerdict::Unchanged, "{same:?}");
    assert_eq!(change(&same, "web.latency.p95").change_percent, Some(0.0));
}

#[test]
fn a_worse_value_that_is_allowed_is_unchanged_and_a_small_gain_is_no_improvement() {
    let many = |percent| with_metric(record(), 100.0 + percent);
    let better = directions(&[("throughput", Better::Higher)]);
    for (before, after, verdict) in [
        (0.0, -3.0, ChangeVerdict::Unchanged),
        (0.0, 3.0, ChangeVerdict::Unchanged),
        (0.0, -20.0, ChangeVerdict::Regressed),
        (0.0, 20.0, ChangeVerdict::Improved),
    ] {
        let options = CompareOptions { better: better.clone(), ..CompareOptions::default() };
        let comparison = judge(&many(before), &later(many(after), 24), &options);
        let one = change(&comparison, "metrics.throughput");
        assert_eq!(one.verdict, verdict, "{one:?}");
    }
    // A metric whose better direction nobody named is shown and not judged.
    let comparison = found(&many(0.0), many(-50.0));
    let one = change(&comparison, "metrics.throughput");
    assert_eq!((one.better, one.verdict), (None, ChangeVerdict::Inconclusive));
    assert!(one.low_percent.is_some() && one.rule.starts_with("shown, not judged"), "{one:?}");
}

fn directions(pairs: &[(&str, Better)]) -> std::collections::BTreeMap<String, Better> {
    pairs.iter().map(|(name, better)| ((*name).to_owned(), *better)).collect()
}

#[test]
fn errors_are_compared_in_points_with_a_tenth_of_one_allowed() {
    let none_of_many = || with_errors(record(), 0.0, 5_000.0);
    let comparison = found(&none_of_many(), none_of_many());
    let one = change(&comparison, "web.errorRatio");
    assert_eq!((one.verdict, one.change_percent), (ChangeVerdict::Unchanged, None), "{one:?}");
    assert!(one.rule.contains("points"), "{}", one.rule);
    // No error of few requests does not say that there are none.
    let few = || with_errors(record(), 0.0, 2.0);
    assert_eq!(change(&found(&few(), few()), "web.errorRatio").verdict, ChangeVerdict::Inconclusive);
    let some = with_errors(record(), 100.0, 5_000.0);
    let comparison = found(&none_of_many(), some);
    assert_eq!(change(&comparison, "web.errorRatio").verdict, ChangeVerdict::Regressed);
    // The rate of requests is shown and not judged.
    assert_eq!(change(&comparison, "web.requestRate").better, None);
}

#[test]
fn what_is_on_one_side_or_unseen_or_of_a_servers_life_is_inconclusive_and_says_why() {
    let fast = || with_latency(record(), FAST);
    let with_basis = |basis: Basis| {
        let mut record = with_latency(record(), SLOW);
        record.basis.insert("web_metrics.page_load_p95_ms".to_owned(), basis);
        record
    };
    let mut without = record();
    without.series = None;
    without.web_metrics = fast().web_metrics;
    for (after, word) in [
        (record(), "not measured after"),
        (with_basis(basis(BasisKind::Window, Some(60.0), None)), "60%"),
        (with_basis(basis(BasisKind::Lifetime, None, None)), "sampleDuration"),
        (without, "no slots"),
    ] {
        let comparison = found(&fast(), after);
        let one = change(&comparison, "web.latency.p95");
        assert_eq!(one.verdict, ChangeVerdict::Inconclusive);
        assert!(one.rule.starts_with("Inconclusive: ") && one.rule.contains(word), "{}", one.rule);
        assert_eq!(comparison.verdict, ChangeVerdict::Inconclusive);
    }
}

#[test]
fn too_few_slots_are_inconclusive_and_the_rule_says_how_much_more_is_needed() {
    let mut short = with_latency(record(), FAST);
    let histogram = series(&mut short).histograms.get_mut("web.latency").unwrap();
    histogram.slots.truncate(8);
    let comparison = found(&short, with_latency(record(), SLOW));
    let rule = &change(&comparison, "web.latency.p95").rule;
    assert!(rule.contains("too little data: 8 slots before") && rule.contains("60 minutes more"), "{rule}");
}

#[test]
fn bounds_decide_only_where_they_are_apart() {
    for (before, after, verdict) in [
        ((60.0, Some(100.0)), (20.0, Some(59.0)), ChangeVerdict::Improved),
        ((60.0, Some(100.0)), (104.0, Some(900.0)), ChangeVerdict::Inconclusive),
        ((60.0, Some(100.0)), (106.0, None), ChangeVerdict::Regressed),
        ((60.0, Some(100.0)), (60.0, Some(100.0)), ChangeVerdict::Inconclusive),
        ((60.0, None), (900.0, None), ChangeVerdict::Inconclusive),
    ] {
        let (one, other) =
            (with_query_time(record(), before.0, before.1), with_query_time(record(), after.0, after.1));
        let comparison = found(&one, other);
        let one = change(&comparison, "database.queryTime.p95");
        assert_eq!((one.verdict, one.before, one.change_percent), (verdict, None, None), "{one:?}");
        assert!(one.rule.contains(" ms to "), "{}", one.rule);
    }
}

#[test]
fn counters_count_for_a_nineteenth_of_their_observations() {
    let comparison = found(&with_hits(record(), 95.0, 19_000), with_hits(record(), 72.0, 38_000));
    let one = change(&comparison, "cache.hitRatio");
    assert_eq!(
        (one.verdict, one.effective_samples),
        (ChangeVerdict::Regressed, Some([1_000.0, 2_000.0])),
        "{one:?}"
    );
    assert_eq!((one.before, one.samples), (Some(0.95), Some([19_000, 38_000])));
    let same = found(&with_hits(record(), 95.0, 190_000), with_hits(record(), 95.0, 190_000));
    assert_eq!(change(&same, "cache.hitRatio").verdict, ChangeVerdict::Unchanged);
    let few = found(&with_hits(record(), 95.0, 500), with_hits(record(), 5.0, 500));
    let one = change(&few, "cache.hitRatio");
    assert_eq!(one.verdict, ChangeVerdict::Inconclusive);
    assert!(one.rule.contains("too few observations"), "{}", one.rule);
}

#[test]
fn one_look_at_a_state_is_shown_and_not_judged() {
    let used = |used| {
        let mut record = with_latency(record(), FAST);
        let connection_headroom = Some(ConnectionHeadroom { used, max: 100 });
        record.database_analysis =
            Some(DatabaseAnalysis { connection_headroom, ..DatabaseAnalysis::default() });
        record
    };
    let comparison = found(&used(20), used(90));
    let one = change(&comparison, "database.connectionUse");
    assert_eq!((one.better, one.before, one.after), (None, Some(0.2), Some(0.9)));
    assert_eq!(comparison.verdict, ChangeVerdict::Unchanged, "it does not stand in the way of a verdict");
}

#[test]
fn a_bucket_that_holds_nearly_everything_never_says_unchanged() {
    let hiding = || with_latency(record(), [5.0, 980.0, 10.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let comparison = found(&hiding(), hiding());
    let one = change(&comparison, "web.latency.p95");
    assert_eq!(one.verdict, ChangeVerdict::Inconclusive);
    assert!(one.rule.contains("98% of all observations are in one bucket, 100 to 200 ms"), "{}", one.rule);
}

#[test]
fn beyond_the_highest_bound_a_regression_is_found_and_nothing_is_called_unchanged() {
    let beyond = || with_latency(record(), [50.0, 50.0, 50.0, 50.0, 50.0, 100.0, 150.0, 200.0, 300.0]);
    let worse = found(&with_latency(record(), FAST), beyond());
    assert_eq!(change(&worse, "web.latency.p95").verdict, ChangeVerdict::Regressed, "{worse:?}");
    let same = found(&beyond(), beyond());
    assert_eq!(change(&same, "web.latency.p95").verdict, ChangeVerdict::Inconclusive);
}

#[test]
fn hours_of_the_week_in_common_are_compared_and_nothing_in_common_is_inconclusive() {
    let aligned = CompareOptions { alignment: Alignment::HourOfWeek, ..CompareOptions::default() };
    let fast = || with_latency(record(), FAST);
    let week = judge(&fast(), &later(with_latency(record(), SLOW), 168 + 6), &aligned);
    assert_eq!(week.verdict, ChangeVerdict::Regressed, "{week:?}");
    assert!(
        week.notes.iter().any(|note| note.contains("24 of 96 slots before and 24 of 96 after")),
        "{:?}",
        week.notes
    );
    let other_day = judge(&fast(), &later(with_latency(record(), SLOW), 48), &aligned);
    let one = change(&other_day, "web.latency.p95");
    assert_eq!(one.verdict, ChangeVerdict::Inconclusive);
    assert!(one.rule.contains("no hour of the week in common"), "{}", one.rule);
}

#[test]
fn a_reader_is_told_of_other_load_other_servers_and_windows_that_overlap() {
    let busy = with_errors(with_latency(record(), FAST), 1.0, 27_000.0);
    let mut calm = with_errors(with_latency(record(), FAST), 1.0, 10_800.0);
    calm.namespace = "staging".to_owned();
    let comparison = judge(&calm, &later(busy, 12), &CompareOptions::default());
    for word in [
        "load differs: 12/s page requests before, 30/s after",
        "staging before, smart after",
        "overlap by 12 hours",
    ] {
        assert!(comparison.notes.iter().any(|note| note.contains(word)), "{word}: {:?}", comparison.notes);
    }
}

#[test]
fn options_out_of_range_are_brought_into_it() {
    let options = CompareOptions { allowed_change: f64::NAN, confidence: 1.0, ..CompareOptions::default() };
    let comparison = judge(&with_latency(record(), FAST), &with_latency(record(), FAST), &options);
    assert_eq!((comparison.allowed_change_percent, comparison.confidence_percent), (5.0, 99.99));
}

/// Any number that a record may hold after somebody else wrote it.
fn anything() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.0f64..1e6,
        1 => prop::sample::select(vec![0.0, -1.0, 1e-300, 1e300, f64::MAX, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
    ]
}

prop_compose! {
    fn garbage()(
        step_seconds in prop::sample::select(vec![0u64, 1, 300, 7_200, u64::MAX]),
        slots in prop::sample::select(vec![0u32, 5, 30, 336, u32::MAX]),
        bounds_ms in prop::collection::vec(anything(), 0..4),
        numbers in prop::collection::vec(0u32..40, 0..40),
        counts in prop::collection::vec(prop::collection::vec(anything(), 0..6), 0..40),
        values in prop::collection::vec(anything(), 0..40),
        whole in prop::collection::vec(anything(), 0..40),
        figure in anything(),
    ) -> BaselineRecord {
        let mut record = with_hits(record(), figure, 1_000);
        let figure = Some(figure);
        let web = WebMetrics {
            page_load_p50_ms: figure, page_load_p95_ms: figure, page_load_p99_ms: figure,
            requests_per_second: figure, error_rate_percent: figure, ..WebMetrics::default()
        };
        record.web_metrics = Some(web);
        let metric = CustomMetric { value: 1.0, unit: Unit::Count };
        record.custom_metrics = Some(IndexMap::from([("throughput".to_owned(), metric)]));
        let mut series = Series { step_seconds, slots, ..Series::default() };
        let histogram = HistogramSeries { bounds_ms, slots: numbers.clone(), counts };
        series.histograms.insert("web.latency".to_owned(), histogram);
        let ratio = RatioSeries { slots: numbers.clone(), part: values.clone(), whole };
        series.ratios.insert("web.errorRatio".to_owned(), ratio);
        series.numbers.insert("metrics.throughput".to_owned(), NumberSeries { slots: numbers, values });
        record.series = Some(series);
        record
    }
}

proptest! {
    #[test]
    fn garbage_never_panics_and_what_is_the_same_never_changed(
        one in garbage(), other in garbage(), is_aligned in any::<bool>(), higher in any::<bool>(),
    ) {
        let alignment = if is_aligned { Alignment::HourOfWeek } else { Alignment::None };
        let better = if higher { Better::Higher } else { Better::Lower };
        let better = directions(&[("throughput", better)]);
        let options = CompareOptions { alignment, better, allowed_change: 0.0, ..CompareOptions::default() };
        for change in judge(&one, &other, &options).indicators {
            let ends = [change.low_percent, change.high_percent, change.change_percent];
            prop_assert!(ends.iter().flatten().all(|end| end.is_finite()), "{:?}", change);
        }
        for change in judge(&one, &one, &options).indicators {
            prop_assert!(!matches!(change.verdict, ChangeVerdict::Improved | ChangeVerdict::Regressed), "{:?}", change);
        }
    }

    #[test]
    fn an_interval_never_contradicts_its_verdict(
        factors in prop::collection::vec(0.7f64..1.4, 3), allowed_change in 0.0f64..0.2,
    ) {
        let before = with_metric(with_errors(with_latency(record(), FAST), 50.0, 5_000.0), 100.0);
        let slower = std::array::from_fn(|bucket| FAST[bucket] * factors[0].powi(bucket as i32 - 2));
        let after = with_latency(record(), slower);
        let after = with_metric(with_errors(after, 50.0 * factors[1], 5_000.0), 100.0 * factors[2]);
        let better = directions(&[("throughput", Better::Higher)]);
        let options = CompareOptions { better, allowed_change, ..CompareOptions::default() };
        for change in judge(&before, &later(after, 168), &options).indicators {
            let (Some(better), Some(low), Some(high)) = (change.better, change.low_percent, change.high_percent) else { continue };
            let (best, worst) = if better == Better::Lower { (low, high) } else { (-high, -low) };
            // A tenth of a point is allowed of a ratio in any case.
            let before = change.before.unwrap_or(f64::NAN);
            let least = if change.unit == Unit::Ratio { 0.1 / before } else { 0.0 };
            let allowed = (allowed_change * 100.0).max(least);
            let fits = match change.verdict {
                ChangeVerdict::Regressed => best > allowed - 1e-6,
                ChangeVerdict::Improved => worst < 0.0,
                ChangeVerdict::Unchanged => worst <= allowed + 1e-6,
                ChangeVerdict::Inconclusive => worst > allowed - 1e-6,
            };
            prop_assert!(fits, "{:?}", change);
            let percent = change.change_percent.unwrap_or(f64::NAN);
            prop_assert!(low - 1e-6 <= percent && percent <= high + 1e-6, "{:?}", change);
        }
    }
}

#[test]
fn bounds_that_overlap_hold_nothing_back_and_can_still_tell_a_change() {
    let change = |verdict: ChangeVerdict, value: Option<f64>| Change {
        indicator: "database.queryTime.p95".to_owned(),
        unit: Unit::Seconds,
        better: Some(Better::Lower),
        before: value,
        after: value,
        change_percent: None,
        low_percent: None,
        high_percent: None,
        samples: None,
        effective_samples: None,
        verdict,
        rule: String::new(),
    };
    let same = change(ChangeVerdict::Unchanged, Some(1.0));
    let unknown = change(ChangeVerdict::Inconclusive, Some(1.0));
    let by_bounds = |verdict| change(verdict, None);
    for (changes, whole) in [
        (vec![same.clone(), by_bounds(ChangeVerdict::Inconclusive)], ChangeVerdict::Unchanged),
        (vec![same.clone(), by_bounds(ChangeVerdict::Regressed)], ChangeVerdict::Regressed),
        (vec![same.clone(), unknown], ChangeVerdict::Inconclusive),
        (vec![by_bounds(ChangeVerdict::Inconclusive)], ChangeVerdict::Inconclusive),
        (vec![same], ChangeVerdict::Unchanged),
    ] {
        assert_eq!(overall(&changes), whole, "{changes:?}");
    }
}
