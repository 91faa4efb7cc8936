//! The estimates of one indicator on both sides, from the slots that are compared.

use std::cmp::Ordering;

use jiff::SignedDuration;

use super::difference::Difference;
use super::estimate::{self, Estimate};
use super::slots::{Kept, Side, Slot, align};
use super::{grid, notes, percentile, verdict};
use crate::indicator::{self, METRICS};
use crate::judgement::Alignment;
use crate::record::{BaselineRecord, NumberSeries, RatioSeries};

/// Fewest slots, or hours in common, from which on a scatter is believed.
const LEAST_SLOTS: usize = 12;
/// Fewest of them that are worth an independent one. Below, the variance is known so badly that a verdict would mean nothing:
/// `docs/measurement.md` has what was simulated.
pub(super) const LEAST_EFFECTIVE: f64 = 5.0;
/// Fewest effective observations of a part without slots: the normal approximation of a part begins here.
const LEAST_COUNTED: f64 = 30.0;

/// How an indicator is read out of two records.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum How<'a> {
    /// A quantile of the histogram of that key.
    Percentile(&'a str, f64),
    /// The ratio of that key.
    Ratio(&'a str),
    /// The whole of the ratio of that key, a second.
    Rate(&'a str),
    /// The numbers of that key.
    Number(&'a str),
    /// A part of the observations that the basis counts.
    Counted(&'a str),
    /// Bounds alone.
    Bounds,
    /// A state at one instant.
    Instant,
}

/// Both estimates of one indicator.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) estimates: [Estimate; 2],
    pub(super) left_out: [usize; 2],
    /// Slots on each side, or hours in common.
    counts: [usize; 2],
    /// How long a slot is, or an hour in common, seconds; `None` for what has no slots.
    seconds: [Option<u64>; 2],
    is_paired: bool,
}

/// Whether an indicator comes from counters.
pub(super) fn is_without_slots(name: &str) -> bool {
    matches!(name, "database.cacheHitRatio" | "cache.hitRatio")
}

/// How an indicator is read.
pub(super) fn how<'a>(before: &BaselineRecord, after: &BaselineRecord, name: &'a str) -> How<'a> {
    if name.starts_with(METRICS) {
        return How::Number(name);
    }
    let Some(known) = indicator::known(name) else { return How::Instant };
    let has_slots = |key: &str| {
        let has = |record: &BaselineRecord| {
            record.series.as_ref().is_some_and(|series| series.histograms.contains_key(key))
        };
        has(before) && has(after)
    };
    match known.series {
        Some((key, Some(_))) if name.starts_with("database.") && !has_slots(key) => How::Bounds,
        Some((key, Some(quantile))) => How::Percentile(key, quantile),
        Some((key, None)) if name.ends_with(".requestRate") => How::Rate(key),
        Some((key, None)) if name.ends_with(".errorRatio") => How::Ratio(key),
        Some((key, None)) => How::Number(key),
        None if is_without_slots(name) => How::Counted(known.path),
        None => How::Instant,
    }
}

/// The estimates of both sides.
///
/// # Errors
/// Why there are none, for people.
pub(super) fn find(
    before: &BaselineRecord,
    after: &BaselineRecord,
    how: How<'_>,
    alignment: Alignment,
) -> Result<Found, String> {
    match how {
        How::Counted(path) => counted(before, after, path),
        How::Bounds | How::Instant => Err("it has no slots".to_owned()),
        How::Percentile(key, quantile) => percentiles(sides(before, after)?, key, quantile, alignment),
        How::Ratio(key) => with_ratios(sides(before, after)?, key, alignment, |_, parts, slots| {
            estimate::ratio(parts, slots)
        }),
        How::Rate(key) => with_ratios(sides(before, after)?, key, alignment, |seconds, parts, slots| {
            let rates: Vec<f64> = parts.iter().map(|(_, whole)| whole / seconds).collect();
            estimate::mean(&rates, slots)
        }),
        How::Number(key) => numbers(sides(before, after)?, key, alignment),
    }
}

fn sides<'a>(before: &'a BaselineRecord, after: &'a BaselineRecord) -> Result<[Side<'a>; 2], String> {
    let side = |record, when: &str| {
        Side::of(record)
            .filter(|side: &Side<'_>| side.series.step_seconds > 0)
            .ok_or_else(|| format!("the record {when} has no slots; collect it anew"))
    };
    Ok([side(before, "before")?, side(after, "after")?])
}

/// What both sides have under a key.
fn both<'a, T>(
    sides: &[Side<'a>; 2],
    key: &str,
    get: impl Fn(&Side<'a>) -> Option<&'a T>,
) -> Result<[&'a T; 2], String> {
    let one = |side: &Side<'a>, when: &str| {
        get(side).ok_or_else(|| format!("the record {when} has no slots of {key}"))
    };
    Ok([one(&sides[0], "before")?, one(&sides[1], "after")?])
}

fn percentiles(
    sides: [Side<'_>; 2],
    key: &str,
    quantile: f64,
    alignment: Alignment,
) -> Result<Found, String> {
    let series = both(&sides, key, |side| side.series.histograms.get(key))?;
    if series.iter().any(|series| !grid::are_bounds(&series.bounds_ms)) {
        return Err(format!("the buckets of {key} have no rising bounds"));
    }
    let usable =
        [0, 1].map(|at| sides[at].usable(&series[at].slots, |index| grid::are_counts(series[at], index)));
    let kept = align(sides, usable, alignment);
    let grid = grid::common((series[0], &kept.before), (series[1], &kept.after));
    if grid.bounds.is_empty() && !series.iter().all(|series| series.bounds_ms.is_empty()) {
        return Err("the buckets have no bound in common; use the same buckets on both sides".to_owned());
    }
    found(sides, &kept, alignment, |at, slots| {
        let table = if at == 0 { &grid.before } else { &grid.after };
        percentile::percentile(&grid.bounds, table, slots, quantile)
    })
}

fn with_ratios(
    sides: [Side<'_>; 2],
    key: &str,
    alignment: Alignment,
    make: impl Fn(f64, &[(f64, f64)], Vec<Slot>) -> Option<Estimate>,
) -> Result<Found, String> {
    let series: [&RatioSeries; 2] = both(&sides, key, |side| side.series.ratios.get(key))?;
    let pair =
        |series: &RatioSeries, index: usize| Some((*series.part.get(index)?, *series.whole.get(index)?));
    let is_usable = |series: &RatioSeries, index| {
        pair(series, index).is_some_and(|(part, whole): (f64, f64)| {
            part.is_finite() && whole.is_finite() && part >= 0.0 && whole >= 0.0
        })
    };
    let usable = [0, 1].map(|at| sides[at].usable(&series[at].slots, |index| is_usable(series[at], index)));
    found(sides, &align(sides, usable, alignment), alignment, |at, slots| {
        let parts: Vec<(f64, f64)> = slots.iter().filter_map(|slot| pair(series[at], slot.index)).collect();
        #[expect(clippy::cast_precision_loss, reason = "a length in seconds")]
        let seconds = sides[at].series.step_seconds as f64;
        make(seconds, &parts, slots.to_vec()).ok_or_else(|| "its slots hold no observations".to_owned())
    })
}

fn numbers(sides: [Side<'_>; 2], key: &str, alignment: Alignment) -> Result<Found, String> {
    let series: [&NumberSeries; 2] = both(&sides, key, |side| side.series.numbers.get(key))?;
    let is_usable =
        |series: &NumberSeries, index: usize| series.values.get(index).is_some_and(|value| value.is_finite());
    let usable = [0, 1].map(|at| sides[at].usable(&series[at].slots, |index| is_usable(series[at], index)));
    found(sides, &align(sides, usable, alignment), alignment, |at, slots| {
        let values: Vec<f64> =
            slots.iter().filter_map(|slot| series[at].values.get(slot.index).copied()).collect();
        estimate::mean(&values, slots.to_vec()).ok_or_else(|| "its slots hold no numbers".to_owned())
    })
}

/// Makes the estimates of both sides of the slots that are kept.
fn found(
    sides: [Side<'_>; 2],
    kept: &Kept,
    alignment: Alignment,
    make: impl Fn(usize, &[Slot]) -> Result<Estimate, String>,
) -> Result<Found, String> {
    let is_paired = alignment == Alignment::HourOfWeek;
    if is_paired && kept.before.is_empty() {
        return Err("the two windows have no hour of the week in common; choose windows of the same weekdays and hours, or alignment None".to_owned());
    }
    let side = |at: usize, slots: &[Slot]| {
        make(at, slots).map_err(|why| format!("{} {why}", if at == 0 { "before," } else { "after," }))
    };
    let estimates = [side(0, &kept.before)?, side(1, &kept.after)?];
    let steps = [0, 1].map(|at| sides[at].series.step_seconds);
    let hours =
        |slots: &[Slot]| slots.iter().map(|slot| slot.hour).collect::<std::collections::BTreeSet<_>>().len();
    let (counts, seconds) = if is_paired {
        ([hours(&kept.before), hours(&kept.after)], [Some(steps[0].max(steps[1]).max(3_600)); 2])
    } else {
        ([kept.before.len(), kept.after.len()], steps.map(Some))
    };
    Ok(Found { estimates, left_out: kept.left_out, counts, seconds, is_paired })
}

/// A part of a whole that counters counted.
fn counted(before: &BaselineRecord, after: &BaselineRecord, path: &str) -> Result<Found, String> {
    let name =
        indicator::INDICATORS.iter().find(|indicator| indicator.path == path).map_or("", |known| known.name);
    let side = |record: &BaselineRecord, when: &str| {
        let value = indicator::read(record, name).and_then(|reading| reading.value);
        #[expect(clippy::cast_precision_loss, reason = "a number of lookups")]
        let samples = record.basis_of(path).and_then(|basis| basis.samples).map(|samples| samples as f64);
        let samples = samples
            .ok_or_else(|| format!("the record {when} does not say of how many observations it is"))?;
        value
            .and_then(|value| estimate::ratio_without_slots(value, samples))
            .ok_or_else(|| format!("{when}, it is of no observations"))
    };
    let estimates = [side(before, "before")?, side(after, "after")?];
    Ok(Found { estimates, left_out: [0, 0], counts: [0, 0], seconds: [None, None], is_paired: false })
}

impl Found {
    /// Whether there are enough independent samples on both sides.
    pub(super) fn is_enough(&self, difference: &Difference) -> bool {
        (0..2).all(|at| match self.seconds[at] {
            Some(_) => self.counts[at] >= LEAST_SLOTS && difference.effective[at] >= LEAST_EFFECTIVE,
            None => difference.effective[at] >= LEAST_COUNTED,
        })
    }

    /// What is missing to a verdict.
    pub(super) fn too_few(&self, difference: Option<&Difference>) -> String {
        let effective = difference.map(|difference| difference.effective);
        let of = |at: usize| effective.map_or(0.0, |effective| effective[at]);
        let worst = if of(0).partial_cmp(&of(1)) == Some(Ordering::Greater)
            || self.counts[1] < self.counts[0] && effective.is_none()
        {
            1
        } else {
            0
        };
        let when = if self.is_paired { "in common" } else { ["before", "after"][worst] };
        let Some(seconds) = self.seconds[worst] else {
            return format!(
                "too few observations {when} ({:.0} count as {} independent ones, {LEAST_COUNTED} are needed)",
                self.estimates[worst].samples,
                verdict::number(of(worst)),
            );
        };
        let count = self.counts[worst];
        let have = estimate::count(count);
        let least = estimate::count(LEAST_SLOTS);
        // As alike as these are, more of them count for less each.
        let needed = if of(worst) > 0.0 { (have * LEAST_EFFECTIVE / of(worst)).max(least) } else { least };
        #[expect(clippy::cast_possible_truncation, reason = "some hundred slots")]
        let more = ((needed - have).ceil().max(1.0) as i64)
            .saturating_mul(i64::try_from(seconds).unwrap_or(i64::MAX));
        let worth = match effective {
            Some(_) => format!(", worth {} independent ones", verdict::number(of(worst))),
            None => String::new(),
        };
        let what = if self.is_paired { "hours of the week" } else { "slots" };
        format!(
            "too little data: {count} {what} {when}{worth}; at least {LEAST_SLOTS} and {LEAST_EFFECTIVE} independent ones are needed, about {} more",
            notes::time(SignedDuration::from_secs(more)),
        )
    }
}
