//! How often a comparison errs, and what it finds: generated windows through the real `compare`, whole records in, verdicts
//! out. Everything is seeded. `cargo test -p plimsoll-analysis --test comparison -- --nocapture` prints the figures that
//! `docs/measurement.md` has.

#![allow(clippy::unwrap_used, reason = "test code outside of #[test] functions")]

mod world;

use std::fmt::Write as _;

use plimsoll_analysis::compare::compare;
use plimsoll_analysis::judgement::{Against, Alignment, Better, ChangeVerdict, CompareOptions, Comparison};
use plimsoll_analysis::record::BaselineRecord;
use world::{Buckets, Latency, Level, Random, later};

/// Autocorrelations of the level from slot to slot.
const CORRELATIONS: [f64; 5] = [0.0, 0.3, 0.5, 0.7, 0.9];
/// A day of five-minute slots.
const DAY: u32 = 288;

fn judge(before: &BaselineRecord, after: &BaselineRecord, options: &CompareOptions) -> Comparison {
    let (name, run) = (before.name.clone(), before.run.clone());
    compare(before, after, Against { name, run, record_sha256: None, window: before.window }, options)
}

/// 98 % confidence, and every change counts.
fn strict() -> CompareOptions {
    CompareOptions { allowed_change: 0.0, ..CompareOptions::default() }
}

fn is_change(verdict: ChangeVerdict) -> bool {
    matches!(verdict, ChangeVerdict::Improved | ChangeVerdict::Regressed)
}

/// Percent of so many trials.
fn percent(trials: usize, is_counted: impl FnMut(usize) -> bool) -> f64 {
    let found = (0..trials).filter({
        let mut is_counted = is_counted;
        move |trial| is_counted(*trial)
    });
    100.0 * found.count() as f64 / trials as f64
}

/// Percent of pairs of windows of one unchanged service that are called a change: by `compare`, and by a test without
/// correction.
fn false_verdicts(latency: Latency, slots: u32, pairs: usize, seed: u64) -> (f64, f64) {
    let mut random = Random::new(seed);
    let mut naive = 0;
    let ours = percent(pairs, |_| {
        let before = latency.record(&mut random, slots, 1.0);
        let after = later(latency.record(&mut random, slots, 1.0), 1);
        naive += usize::from(world::is_naive_change(&before, &after));
        is_change(judge(&before, &after, &strict()).verdict)
    });
    (ours, 100.0 * f64::from(naive as u32) / pairs as f64)
}

/// Percent of pairs, of which the second is `factor` times as slow, with each verdict, at the default of 5 % allowed:
/// Regressed, Inconclusive, Unchanged.
fn verdicts(latency: Latency, slots: u32, factor: f64, pairs: usize, seed: u64) -> [f64; 3] {
    let mut random = Random::new(seed);
    let found: Vec<ChangeVerdict> = (0..pairs)
        .map(|_| {
            let before = latency.record(&mut random, slots, 1.0);
            let after = later(latency.record(&mut random, slots, factor), 1);
            judge(&before, &after, &CompareOptions::default()).verdict
        })
        .collect();
    [ChangeVerdict::Regressed, ChangeVerdict::Inconclusive, ChangeVerdict::Unchanged]
        .map(|verdict| percent(pairs, |pair| found[pair] == verdict))
}

#[test]
fn two_in_a_hundred_verdicts_are_false_however_alike_neighbouring_slots_are() {
    const PAIRS: usize = 2_000;
    let mut table = format!("False verdicts, nominal 2%, a day of 5-minute slots, {PAIRS} pairs each:\n");
    for correlation in CORRELATIONS {
        let latency = Latency { correlation, ..Latency::default() };
        let (ours, naive) = false_verdicts(latency, DAY, PAIRS, 7);
        writeln!(table, "  autocorrelation {correlation}: {ours:.1}%, without correction {naive:.1}%")
            .unwrap();
        assert!((1.0..=4.0).contains(&ours), "{table}");
        if correlation == 0.5 {
            assert!((12.0..=22.0).contains(&naive), "{table}");
        }
    }
    println!("{table}");
}

#[test]
fn a_slow_level_under_the_noise_of_few_requests_is_seen() {
    const PAIRS: usize = 1_000;
    let mut table = format!("The same with a request in 5 seconds, {PAIRS} pairs each:\n");
    for correlation in CORRELATIONS {
        let latency = Latency { correlation, rate: 0.2, ..Latency::default() };
        let (ours, naive) = false_verdicts(latency, DAY, PAIRS, 8);
        writeln!(table, "  autocorrelation {correlation}: {ours:.1}%, without correction {naive:.1}%")
            .unwrap();
        assert!(ours <= 4.0, "{table}");
    }
    println!("{table}");
}

#[test]
fn shorter_windows_err_no_more_often_unless_they_are_one_slow_wave() {
    const PAIRS: usize = 1_000;
    let mut table = format!("Shorter windows, {PAIRS} pairs each:\n");
    for slots in [60, 30, 15] {
        for correlation in CORRELATIONS {
            let latency = Latency { correlation, ..Latency::default() };
            let (ours, naive) = false_verdicts(latency, slots, PAIRS, 9);
            writeln!(
                table,
                "  {slots} slots, autocorrelation {correlation}: {ours:.1}%, without correction {naive:.1}%"
            )
            .unwrap();
            // A window shorter than a few lengths of its own memory does not show how alike neighbours are.
            assert!(ours <= if correlation > 0.8 { 7.0 } else { 4.0 }, "{table}");
        }
    }
    println!("{table}");
}

#[test]
fn a_slowdown_of_a_fifth_is_found_with_a_day_of_data() {
    const PAIRS: usize = 200;
    let mut table = format!("Found at 5% allowed, a day, {PAIRS} pairs each:\n");
    for (name, buckets) in [("default buckets", Buckets::Defaults), ("native histogram", Buckets::Native)] {
        for correlation in CORRELATIONS {
            let latency = Latency { correlation, buckets, ..Latency::default() };
            let [fifth, ..] = verdicts(latency, DAY, 1.2, PAIRS, 11);
            let [tenth, open, passed] = verdicts(latency, DAY, 1.1, PAIRS, 12);
            let [_, _, same] = verdicts(latency, DAY, 1.0, PAIRS, 13);
            writeln!(
                table,
                "  {name}, autocorrelation {correlation}: +20% found {fifth:.1}%; +10% found {tenth:.1}%, inconclusive {open:.1}%, unchanged {passed:.1}%; +0% unchanged {same:.1}%"
            )
            .unwrap();
            assert!(fifth >= 90.0 || correlation > 0.7, "{table}");
            // A slowdown of twice what is allowed is never passed as unchanged.
            assert!(passed <= 2.0, "{table}");
        }
    }
    println!("{table}");
}

#[test]
fn coarse_buckets_cost_verdicts_and_never_make_false_ones() {
    const PAIRS: usize = 100;
    let mut table =
        format!("Where in its bucket (100 to 250, 250 to 500 ms) the percentile lies, {PAIRS} pairs each:\n");
    for p95 in [105.0, 150.0, 200.0, 240.0, 255.0, 350.0, 490.0] {
        let latency =
            Latency { median_ms: p95 / (1.645_f64 * 0.7).exp(), correlation: 0.3, ..Latency::default() };
        let [fifth, _, passed] = verdicts(latency, DAY, 1.2, PAIRS, 14);
        let [tenth, _, more_passed] = verdicts(latency, DAY, 1.1, PAIRS, 15);
        let (ours, _) = false_verdicts(latency, DAY, 300, 16);
        writeln!(
            table,
            "  {p95} ms: false {ours:.1}%; +20% found {fifth:.1}%, unchanged {passed:.1}%; +10% found {tenth:.1}%, unchanged {more_passed:.1}%"
        )
        .unwrap();
        assert!(ours <= 4.0 && passed == 0.0 && more_passed <= 2.0, "{table}");
    }
    println!("{table}");
}

#[test]
fn too_little_data_is_always_inconclusive() {
    let mut random = Random::new(17);
    for trial in 0..1_000_u32 {
        let slots = 1 + trial % 11;
        let factor = [1.0, 1.2, 3.0, 0.2][trial as usize % 4];
        let latency = Latency { correlation: 0.3, ..Latency::default() };
        let before = latency.record(&mut random, slots, 1.0);
        let after = later(latency.record(&mut random, DAY / 4, factor), 1);
        let (before, after) = if trial % 2 == 0 { (before, after) } else { (after, later(before, 2)) };
        let found = judge(&before, &after, &CompareOptions::default());
        assert_eq!(found.verdict, ChangeVerdict::Inconclusive, "{found:?}");
        assert!(found.indicators[0].rule.contains("too little data"), "{}", found.indicators[0].rule);
    }
}

#[test]
fn the_rhythm_of_the_week_falls_out_where_hours_are_paired() {
    const PAIRS: usize = 200;
    // Half-hour slots of a week, slower and busier by day.
    let latency = Latency {
        rhythm: 0.4,
        correlation: 0.7,
        step_seconds: 1_800,
        buckets: Buckets::Native,
        ..Latency::default()
    };
    let aligned = CompareOptions { alignment: Alignment::HourOfWeek, ..strict() };
    let mut random = Random::new(18);
    let mut found = |factor: f64, options: &CompareOptions| {
        percent(PAIRS, |_| {
            let before = latency.record(&mut random, 336, 1.0);
            let after = later(latency.record(&mut random, 336, factor), 1);
            is_change(judge(&before, &after, options).verdict)
        })
    };
    let falsely = found(1.0, &aligned);
    let (paired, unpaired) = (found(1.1, &aligned), found(1.1, &strict()));
    println!(
        "A week with a rhythm of the day, {PAIRS} pairs: false {falsely:.1}% paired; +10% found {paired:.1}% paired, {unpaired:.1}% not paired\n"
    );
    assert!(falsely <= 4.0, "{falsely}");
    assert!(paired >= 75.0 && unpaired < paired, "{paired} {unpaired}");
}

#[test]
fn errors_numbers_and_whole_families_err_no_more_often() {
    const PAIRS: usize = 1_000;
    let mut options = strict();
    options.better.insert("queue".to_owned(), Better::Lower);
    let mut random = Random::new(19);
    let mut record = |slots: u32, weeks: i64| {
        let latency = Latency { correlation: 0.5, ..Latency::default() };
        let record = latency.record(&mut random, slots, 1.0);
        let mut level = Level::new(&mut random, 0.5);
        let whole: Vec<f64> = (0..slots).map(|_| random.poisson(600.0)).collect();
        let part = whole.iter().map(|all| {
            let rate = 0.02 * (0.3 * level.next(&mut random)).exp();
            random.poisson(all * rate).min(*all)
        });
        let part = part.collect();
        let record = world::with_errors(record, part, whole);
        let mut level = Level::new(&mut random, 0.7);
        let values = (0..slots).map(|_| 20.0 + 5.0 * level.next(&mut random)).collect();
        let mut record = later(world::with_metric(record, values), weeks);
        let histogram = &record.series.as_ref().unwrap().histograms["web.latency"];
        let quantiles = [0.5, 0.9, 0.99].map(|q| Some(world::quantile(histogram, q)));
        let web = record.web_metrics.as_mut().unwrap();
        [web.page_load_p50_ms, web.page_load_p90_ms, web.page_load_p99_ms] = quantiles;
        record
    };
    let mut single = std::collections::BTreeMap::<String, usize>::new();
    let family = percent(PAIRS, |_| {
        let found = judge(&record(DAY, 0), &record(DAY, 1), &options);
        for change in found.indicators.iter().filter(|change| is_change(change.verdict)) {
            *single.entry(change.indicator.clone()).or_default() += 1;
        }
        is_change(found.verdict)
    });
    println!(
        "A family of six judged indicators, {PAIRS} pairs: any false verdict {family:.1}%; of each, in pairs: {single:?}\n"
    );
    assert!(family <= 4.0, "{family} {single:?}");
}
