use proptest::prelude::*;

use super::*;
use crate::histogram::{Bucket, ClassicHistogram};

const BOUNDS: [f64; 6] = [25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0];

fn slots(count: usize) -> Vec<Slot> {
    (0..count).map(|index| Slot { position: index as u32, index, hour: 0 }).collect()
}

/// Counts of log-normal times with a median and a spread of the logarithm.
fn log_normal(median: f64, spread: f64, requests: f64) -> Vec<f64> {
    use statrs::distribution::{ContinuousCDF, Normal};
    let normal = Normal::standard();
    let mut below = 0.0;
    let parts = BOUNDS.iter().map(|bound| normal.cdf((bound / median).ln() / spread)).chain([1.0]);
    parts.map(|part| (part - std::mem::replace(&mut below, part)) * requests).collect()
}

fn estimate(rows: Vec<Vec<f64>>, p: f64) -> Result<Estimate, String> {
    let slots = slots(rows.len());
    percentile(&BOUNDS, &Table { rows }, &slots, p)
}

#[test]
fn the_first_reading_is_prometheus_and_the_second_is_right_for_log_normal_times() {
    for (median, p) in [(40.0, 0.5), (60.0, 0.9), (120.0, 0.95), (200.0, 0.99), (300.0, 0.9), (20.0, 0.5)] {
        let row = log_normal(median, 0.6, 10_000.0);
        let found = estimate(vec![row; 4], p).unwrap();
        let truth = median * (0.6 * probit(p)).exp() / 1000.0;
        assert!((found.readings[1].value / truth - 1.0).abs() < 0.01, "{median} {p}: {found:?} {truth}");
    }
}

#[test]
fn a_slowdown_inside_one_bucket_is_seen_by_the_second_reading() {
    // 215 to 237 ms, both between 100 and 250 ms.
    let read = |median| {
        let found = estimate(vec![log_normal(median, 0.6, 10_000.0); 4], 0.95).unwrap();
        [found.readings[0].value, found.readings[1].value]
    };
    let (before, after) = (read(80.0), read(88.0));
    assert!(after[0] / before[0] < 1.04, "{before:?} {after:?}");
    assert!((after[1] / before[1] - 1.1).abs() < 0.01, "{before:?} {after:?}");
}

#[test]
fn above_the_highest_bound_the_value_is_the_bound_and_nothing_is_sure() {
    let found = estimate(vec![vec![0.0, 0.0, 10.0, 10.0, 20.0, 20.0, 40.0]; 4], 0.95).unwrap();
    assert!((found.value() - 1.0).abs() < 1e-12 && found.readings[1].value > 1.0, "{found:?}");
    assert!(found.blind.unwrap().contains("above the highest bound, 1000 ms"));
}

#[test]
fn what_holds_nothing_or_has_no_bounds_is_refused() {
    assert!(estimate(vec![vec![0.0; 7]; 4], 0.95).is_err());
    assert!(estimate(Vec::new(), 0.95).is_err());
    assert!(percentile(&[], &Table { rows: vec![vec![5.0]; 4] }, &slots(4), 0.5).is_err());
    assert!(percentile(&[-5.0, 0.0], &Table { rows: vec![vec![5.0, 5.0, 1.0]; 4] }, &slots(4), 0.2).is_err());
}

fn rows() -> impl Strategy<Value = Vec<Vec<f64>>> {
    prop::collection::vec(prop::collection::vec(1.0f64..1_000.0, 7), 4..30)
}

proptest! {
    #[test]
    fn the_value_is_that_of_the_record(rows in rows(), p in 0.01f64..0.99) {
        let mut cumulative = 0.0;
        let bounds = BOUNDS.iter().copied().chain([f64::INFINITY]).enumerate();
        let buckets = bounds.map(|(index, upper_bound)| {
            cumulative += rows.iter().map(|row| row[index]).sum::<f64>();
            Bucket { upper_bound, cumulative }
        });
        let reference = ClassicHistogram::new(buckets.collect()).unwrap().quantile(p).unwrap();
        let found = estimate(rows, p).unwrap();
        prop_assert!((found.value() * 1000.0 / reference.value - 1.0).abs() < 1e-9);
    }

    /// The influence of a slot is what the reading changes by as the slot's weight grows.
    #[test]
    fn the_influence_of_a_slot_is_the_derivative_by_its_weight(rows in rows(), at in 0usize..4, p in 0.05f64..0.95) {
        const STEP: f64 = 1e-4;
        // So many observations that the slope is taken over next to nothing, and all slots alike but one.
        let same = vec![rows[0].iter().map(|count| count * 1e9).collect::<Vec<f64>>(); 4];
        let mut heavier = same.clone();
        heavier[at].iter_mut().zip(&rows[1]).for_each(|(count, other)| *count += STEP * 1e9 * other);
        let table = Table { rows: same.clone() };
        let merged = Merged::new(&BOUNDS, &table).unwrap();
        // Not beside a bound, where the slope has two sides, and not above the highest one.
        prop_assume!((0..BOUNDS.len()).all(|bound| (merged.part(bound) - p).abs() > 2e-3));
        prop_assume!(merged.bucket(p) < BOUNDS.len());
        let (one, other) = (estimate(same, p).unwrap(), estimate(heavier, p).unwrap());
        for (reading, moved) in one.readings.iter().zip(&other.readings) {
            prop_assert!(moved.influence.iter().sum::<f64>().abs() < 1e-9);
            // What was added is compared with a mean of which it is a quarter itself.
            let pull = moved.influence[at] * (4.0 / 3.0) / 4.0;
            let change = moved.value - reading.value;
            prop_assert!((change - pull).abs() <= 0.02 * change.abs() + 1e-8, "{} {}", change, pull);
        }
    }
}
