//! The slots of a window: how long they are, which one a point belongs to, and histograms of them with common bounds.

use jiff::SignedDuration;
use plimsoll_analysis::histogram::NativeBucket;
use plimsoll_analysis::record::{HistogramSeries, MAX_SLOTS, Window};

/// Lengths that a slot may have, in seconds: 10 s to 12 h, each a part of a day.
const LADDER: [u64; 14] = [10, 15, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200];

/// Most bounds of a histogram: with [`MAX_SLOTS`] of them three histograms stay well under a record's limit.
const MAX_BOUNDS: usize = 64;
/// Finest and coarsest schema of exponential native histograms: `2^schema` buckets to a doubling.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;
/// Largest count and bound that are taken for one: beyond it arithmetic could leave what JSON can write.
pub(crate) const MOST: f64 = 1e15;
/// A factor that differs from a power of two by so little is one: bounds are written with 17 digits at most.
const POWER_TOLERANCE: f64 = 1e-9;

/// The slots of a window; the last one ends with it. What is left at its start is in none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Length of a slot in seconds.
    pub(crate) step: u64,
    /// How many there are, at least one.
    pub(crate) slots: u32,
    /// The end of the last one in milliseconds since the epoch.
    to: i64,
}

impl Grid {
    /// Slots of the least length on the ladder that is at least `least` seconds and gives at most [`MAX_SLOTS`]; `None` for a
    /// window without room for one.
    pub(crate) fn new(window: Window, least: u64) -> Option<Self> {
        let length = SignedDuration::as_secs(&window.to.duration_since(window.from));
        let length = u64::try_from(length).ok()?;
        let least = least.max(length.div_ceil(u64::from(MAX_SLOTS)));
        // Half a year is the longest window that the ladder has a step for; further ones are multiples of its last.
        let last = LADDER[LADDER.len() - 1];
        let longer = least.div_ceil(last) * last;
        let step = LADDER.into_iter().find(|step| *step >= least).unwrap_or(longer);
        let slots = u32::try_from(length / step).ok().filter(|slots| *slots > 0)?;
        Some(Self { step, slots, to: window.to.as_millisecond() })
    }

    /// The end of the first slot and of the last, in milliseconds since the epoch.
    pub(crate) fn ends(self) -> (i64, i64) {
        let step = i64::try_from(self.step * 1000).unwrap_or(i64::MAX);
        (self.to - i64::from(self.slots - 1) * step, self.to)
    }

    /// The slot that ends nearest to a time in seconds since the epoch: Thanos moves a range's start and end to multiples
    /// of its step.
    pub(crate) fn slot_at(self, time: f64) -> Option<u32> {
        let slot = (time - self.ends().0 as f64 / 1000.0) / self.step as f64;
        let slot = slot.round();
        (slot >= 0.0 && slot < f64::from(self.slots)).then_some(slot as u32)
    }
}

/// One slot of a histogram: its number and the observations between bounds in seconds.
pub(crate) type Slot = (u32, Vec<NativeBucket>);

/// Slots of one histogram with bounds that all of them share.
///
/// The bounds are those of all slots together, without those that lie inside an interval of any slot that has
/// observations: where these lie is not known more exactly. Negative times are none: what is at or below 0 counts in the
/// lowest bucket. At most [`MAX_BOUNDS`] bounds are kept. A slot with a count that is none is left out. `slots` are in rising
/// order.
pub(crate) fn common(mut slots: Vec<Slot>) -> HistogramSeries {
    slots.retain(|(_, intervals)| intervals.iter().all(is_possible));
    let intervals = || slots.iter().flat_map(|(_, intervals)| intervals);
    let mut bounds: Vec<f64> = intervals()
        .flat_map(|interval| [interval.lower, interval.upper])
        .filter(|bound| *bound > 0.0 && *bound <= MOST)
        .collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    let mut unknown = vec![false; bounds.len()];
    for interval in intervals().filter(|interval| interval.count > 0.0) {
        let first = bounds.partition_point(|bound| *bound <= interval.lower);
        let end = bounds.partition_point(|bound| *bound < interval.upper);
        if first < end {
            unknown[first..end].fill(true);
        }
    }
    let mut known = unknown.into_iter();
    bounds.retain(|_| !known.next().unwrap_or_default());
    let bounds = fewer(bounds, &slots);
    let counts = slots.iter().map(|(_, intervals)| counted(intervals, &bounds));
    HistogramSeries {
        counts: counts.map(|counts| counts.into_iter().map(thousandths).collect()).collect(),
        slots: slots.iter().map(|(slot, _)| *slot).collect(),
        bounds_ms: bounds.iter().map(|bound| significant(bound * 1000.0, 12)).collect(),
    }
}

fn is_possible(interval: &NativeBucket) -> bool {
    interval.lower <= interval.upper && interval.count.abs() <= MOST
}

/// Observations inside each of the buckets that `bounds` make, one more than there are bounds.
fn counted(intervals: &[NativeBucket], bounds: &[f64]) -> Vec<f64> {
    let mut counts = vec![0.0; bounds.len() + 1];
    for interval in intervals.iter().filter(|interval| interval.count > 0.0) {
        counts[bounds.partition_point(|bound| *bound < interval.upper)] += interval.count;
    }
    counts
}

/// At most [`MAX_BOUNDS`] of the bounds: without those between two buckets that are empty in every slot; then, of a native
/// histogram, those of the finest coarser schema that are few enough, so that two records of one histogram have the same;
/// of another one every second.
fn fewer(bounds: Vec<f64>, slots: &[Slot]) -> Vec<f64> {
    if bounds.len() <= MAX_BOUNDS {
        return bounds;
    }
    let mut totals = vec![0.0; bounds.len() + 1];
    for (_, intervals) in slots {
        for (total, count) in totals.iter_mut().zip(counted(intervals, &bounds)) {
            *total += count;
        }
    }
    let parted = |index: &usize| totals[*index] > 0.0 || totals[index + 1] > 0.0;
    let mut bounds: Vec<f64> = (0..bounds.len()).filter(parted).map(|index| bounds[index]).collect();
    if bounds.len() <= MAX_BOUNDS {
        return bounds;
    }
    let of_schema = |schema: i32| {
        let kept = bounds.iter().copied().filter(move |bound| is_of_schema(*bound, schema));
        kept.collect::<Vec<f64>>()
    };
    if is_exponential(&bounds) {
        let few = SCHEMAS.rev().map(of_schema).find(|kept| kept.len() <= MAX_BOUNDS);
        if let Some(few) = few.filter(|few| few.len() > MAX_BOUNDS / 4) {
            return few;
        }
    }
    while bounds.len() > MAX_BOUNDS {
        let mut index = 0;
        bounds.retain(|_| {
            index += 1;
            index % 2 == 0
        });
    }
    bounds
}

/// Whether nearly all bounds are those of an exponential native histogram; the threshold of its zero bucket is none.
fn is_exponential(bounds: &[f64]) -> bool {
    let finest = *SCHEMAS.end();
    bounds.iter().filter(|bound| !is_of_schema(**bound, finest)).count() <= 1
}

/// Whether a bound is `2^(i / 2^schema)` for a whole `i`.
fn is_of_schema(bound: f64, schema: i32) -> bool {
    let index = bound.log2() * f64::from(schema).exp2();
    (index - index.round()).abs() <= POWER_TOLERANCE * index.abs().max(1.0)
}

/// A count with three decimals: an `increase` is extrapolated, and its further digits say nothing.
pub(crate) fn thousandths(count: f64) -> f64 {
    (count * 1000.0).round() / 1000.0
}

/// A number with so many significant digits.
pub(crate) fn significant(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value)
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
