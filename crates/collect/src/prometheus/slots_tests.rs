use super::*;
use jiff::Timestamp;
use plimsoll_analysis::histogram::{Bucket, ClassicHistogram};
use plimsoll_analysis::record::Series;
use proptest::prelude::*;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const INF: f64 = f64::INFINITY;

fn window(seconds: u64) -> Window {
    let to = Timestamp::from_millisecond(1_770_508_800_250).unwrap();
    Window { from: to - SignedDuration::from_secs(seconds as i64), to }
}

#[test]
fn a_slot_is_the_shortest_that_has_its_scrapes_and_gives_at_most_336() {
    for (length, least, expected) in [
        (7 * DAY, 0, Some((30 * MINUTE, 336))),
        (7 * DAY, 4 * MINUTE, Some((30 * MINUTE, 336))),
        (7 * DAY, 40 * MINUTE, Some((HOUR, 168))),
        (DAY, 0, Some((5 * MINUTE, 288))),
        (3 * DAY, 0, Some((15 * MINUTE, 288))),
        (HOUR, 0, Some((15, 240))),
        (HOUR, MINUTE, Some((MINUTE, 60))),
        (5 * MINUTE, 0, Some((10, 30))),
        (5 * MINUTE, 20, Some((20, 15))),
        (7 * MINUTE, 2 * MINUTE, Some((2 * MINUTE, 3))),
        (MINUTE, 4 * MINUTE, None),
        (30 * DAY, 0, Some((6 * HOUR, 120))),
        (92 * DAY, 0, Some((12 * HOUR, 184))),
        (168 * DAY, 0, Some((12 * HOUR, 336))),
        (400 * DAY, 0, Some((36 * HOUR, 266))),
    ] {
        let found = Grid::new(window(length), least).map(|grid| (grid.step, grid.slots));
        assert_eq!(found, expected, "{length} s with at least {least} s");
    }
}

#[test]
fn a_point_belongs_to_the_slot_that_ends_nearest() {
    let grid = Grid::new(window(5 * MINUTE), 20).unwrap();
    let end = 1_770_508_800.25;
    assert_eq!(grid.ends(), (1_770_508_520_250, 1_770_508_800_250));
    for (time, slot) in
        [(end, Some(14)), (end - 20.0, Some(13)), (end - 280.0, Some(0)), (end - 9.0, Some(14))]
    {
        assert_eq!(grid.slot_at(time), slot, "{time}");
    }
    for time in [end - 300.0, end + 20.0, f64::NAN, INF] {
        assert_eq!(grid.slot_at(time), None, "{time}");
    }
}

fn interval(lower: f64, upper: f64, count: f64) -> NativeBucket {
    NativeBucket { lower, upper, count }
}

fn classic(buckets: &[(f64, f64)]) -> Vec<NativeBucket> {
    let buckets = buckets.iter().map(|&(upper_bound, cumulative)| Bucket { upper_bound, cumulative });
    ClassicHistogram::new(buckets.collect()).unwrap().intervals()
}

#[test]
fn a_classic_histogram_keeps_its_bounds_in_milliseconds_and_counts_inside_them() {
    let slots = [
        (0, classic(&[(0.025, 4.0), (0.3, 9.00049), (INF, 10.0)])),
        // Falling counts are repaired, and nothing observed is not a gap.
        (2, classic(&[(0.025, 7.0), (0.3, 6.0), (INF, 7.5)])),
        (3, classic(&[(0.025, 0.0), (0.3, 0.0), (INF, 0.0)])),
    ];
    let found = common(slots.to_vec());
    assert_eq!(found.bounds_ms, [25.0, 300.0]);
    assert_eq!(found.slots, [0, 2, 3]);
    assert_eq!(found.counts, [[4.0, 5.0, 1.0], [7.0, 0.0, 0.5], [0.0, 0.0, 0.0]]);
    assert_eq!(common(vec![]), HistogramSeries::default());
}

#[test]
fn a_bound_that_some_slot_lacks_is_left_out_where_it_would_have_to_be_guessed() {
    let fine = classic(&[(0.1, 1.0), (0.2, 3.0), (0.5, 6.0), (INF, 6.0)]);
    let coarse = classic(&[(0.1, 1.0), (0.5, 4.0), (INF, 4.0)]);
    let found = common(vec![(0, fine.clone()), (1, coarse)]);
    assert_eq!(found.bounds_ms, [100.0, 500.0]);
    assert_eq!(found.counts, [[1.0, 5.0, 0.0], [1.0, 3.0, 0.0]]);
    // Where the coarse bucket is empty, nothing is guessed.
    let empty = classic(&[(0.1, 2.0), (0.5, 2.0), (INF, 2.0)]);
    assert_eq!(common(vec![(0, fine), (1, empty)]).bounds_ms, [100.0, 200.0, 500.0]);
}

#[test]
fn native_histograms_of_several_schemas_have_the_bounds_of_the_coarsest() {
    let root = 2f64.sqrt();
    let fine =
        vec![interval(-1e-39, 1e-39, 1.0), interval(0.5, root / 2.0, 2.0), interval(root / 2.0, 1.0, 3.0)];
    let coarse = vec![interval(0.5, 1.0, 4.0), interval(2.0, 4.0, 1.0)];
    let found = common(vec![(0, fine), (1, coarse)]);
    assert_eq!(found.bounds_ms, [1e-36, 500.0, 1000.0, 2000.0, 4000.0]);
    assert_eq!(found.counts, [[1.0, 0.0, 5.0, 0.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0, 1.0, 0.0]]);
    // A zero bucket of no width, as with a zero threshold of 0.
    let zero = common(vec![(0, vec![interval(0.0, 0.0, 3.0), interval(0.5, 1.0, 4.0)])]);
    assert_eq!((zero.bounds_ms, zero.counts), (vec![500.0, 1000.0], vec![vec![3.0, 4.0, 0.0]]));
}

#[test]
fn what_is_negative_counts_in_the_lowest_bucket() {
    let found = common(vec![(0, classic(&[(-1.0, 2.0), (0.0, 3.0), (1.0, 7.0), (INF, 8.0)]))]);
    assert_eq!((found.bounds_ms, found.counts), (vec![1000.0], vec![vec![7.0, 1.0]]));
}

/// A native histogram of a schema with one observation in each bucket from index `first` on.
fn exponential(schema: i32, first: i32, buckets: i32) -> Vec<NativeBucket> {
    let bound = |index: i32| (f64::from(index) / f64::from(schema).exp2()).exp2();
    (first..first + buckets).map(|index| interval(bound(index - 1), bound(index), 1.0)).collect()
}

#[test]
fn many_bounds_become_those_of_a_coarser_schema_wherever_the_observations_lie() {
    let one = common(vec![(0, exponential(3, -40, 120))]);
    let other = common(vec![(0, exponential(3, -37, 120))]);
    assert!(one.bounds_ms.len() <= MAX_BOUNDS && one.bounds_ms.len() > 50, "{}", one.bounds_ms.len());
    assert_eq!(one.counts[0].iter().sum::<f64>(), 120.0);
    let within = |bound: &&f64| (50.0..20_000.0).contains(*bound);
    let shared =
        |series: &HistogramSeries| series.bounds_ms.iter().filter(within).copied().collect::<Vec<f64>>();
    assert_eq!(shared(&one), shared(&other));
    // With a zero bucket it is still exponential.
    let mut zero = exponential(3, -40, 120);
    zero.insert(0, interval(-1e-5, 1e-5, 2.0));
    assert_eq!(shared(&common(vec![(0, zero)])), shared(&one));
}

#[test]
fn empty_buckets_go_first_and_then_every_second_bound() {
    let mut sparse: Vec<(f64, f64)> = (1..=200).map(|index| (f64::from(index), 0.0)).collect();
    sparse.push((INF, 0.0));
    for bucket in &mut sparse[99..] {
        bucket.1 = 5.0;
    }
    let found = common(vec![(0, classic(&sparse))]);
    assert_eq!((found.bounds_ms, found.counts), (vec![99_000.0, 100_000.0], vec![vec![0.0, 5.0, 0.0]]));
    let mut dense: Vec<(f64, f64)> = (1..=200).map(|index| (f64::from(index), f64::from(index))).collect();
    dense.push((INF, 201.0));
    let found = common(vec![(0, classic(&dense))]);
    assert_eq!((found.bounds_ms.len(), found.bounds_ms[0], found.bounds_ms[49]), (50, 4_000.0, 200_000.0));
    assert!(found.counts[0][..50].iter().all(|count| *count == 4.0), "{:?}", found.counts);
}

#[test]
fn what_json_cannot_write_is_no_count_and_no_bound() {
    let slots = vec![
        (0, vec![interval(0.0, 1.0, 1e308), interval(1.0, 2.0, 1e308)]),
        (1, vec![interval(0.0, 1.0, f64::NAN)]),
        (2, vec![interval(f64::NAN, 1.0, 1.0)]),
        (3, vec![interval(0.0, 1.0, 1.0), interval(1.0, 1e306, 2.0), interval(1e306, INF, 3.0)]),
    ];
    let found = common(slots);
    assert_eq!((found.slots, found.bounds_ms, found.counts), (vec![3], vec![1000.0], vec![vec![1.0, 5.0]]));
}

#[test]
fn numbers_are_short() {
    assert_eq!(
        [0.0, 1.23456789, 123456789.0, 1.0 / 3.0, -2e-7].map(|value| significant(value, 6)),
        [0.0, 1.23457, 123457000.0, 0.333333, -2e-7]
    );
    assert_eq!([0.0004, 0.0005, 12.3456].map(thousandths), [0.0, 0.001, 12.346]);
}

proptest! {
    #[test]
    fn slots_fill_the_end_of_the_window(length in 10u64..10_000_000, least in 0u64..10_000) {
        let window = window(length);
        if let Some(grid) = Grid::new(window, least) {
            prop_assert!(grid.slots <= MAX_SLOTS && grid.step >= least);
            prop_assert!(u64::from(grid.slots) * grid.step <= length);
            prop_assert!(length < (u64::from(grid.slots) + 1) * grid.step);
            let series = Series { step_seconds: grid.step, slots: grid.slots, ..Series::default() };
            prop_assert_eq!(grid.ends().0, series.end_of(0, window.to).unwrap().as_millisecond());
            for slot in [0, grid.slots / 2, grid.slots - 1] {
                let end = series.end_of(slot, window.to).unwrap().as_millisecond() as f64 / 1000.0;
                prop_assert_eq!(grid.slot_at(end), Some(slot));
            }
        } else {
            prop_assert!(length < least.max(LADDER[0]) * 6);
        }
    }

    #[test]
    fn no_observation_is_lost_and_bounds_rise(
        slots in prop::collection::vec(
            prop::collection::vec((0.001f64..10.0, 0.0f64..1e5), 1..100), 1..6
        ),
    ) {
        let slots: Vec<Slot> = slots.into_iter().enumerate().map(|(index, mut parts)| {
            parts.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut cumulative = 0.0;
            let mut buckets: Vec<(f64, f64)> = parts.into_iter().map(|(bound, count)| {
                cumulative += count.round();
                (bound, cumulative)
            }).collect();
            buckets.push((INF, cumulative));
            (index as u32, classic(&buckets))
        }).collect();
        let found = common(slots.clone());
        prop_assert!(found.bounds_ms.len() <= MAX_BOUNDS);
        prop_assert!(found.bounds_ms.windows(2).all(|pair| pair[0] < pair[1]));
        for ((_, intervals), counts) in slots.iter().zip(&found.counts) {
            prop_assert_eq!(counts.len(), found.bounds_ms.len() + 1);
            let total: f64 = intervals.iter().map(|interval| interval.count).sum();
            prop_assert!((counts.iter().sum::<f64>() - total).abs() < 1e-6);
            // What is at or below a kept bound is so in every slot.
            for (index, bound) in found.bounds_ms.iter().enumerate() {
                let below: f64 = counts[..=index].iter().sum();
                let known = intervals.iter().filter(|one| one.upper * 1000.0 <= *bound * (1.0 + 1e-9));
                prop_assert!((known.map(|one| one.count).sum::<f64>() - below).abs() < 1e-6);
            }
        }
    }
}
