//! A percentile of merged buckets, and what each slot contributes to it.
//!
//! A percentile depends on two numbers of the merged histogram: the parts of all observations at or below the lower and the
//! upper bound of the bucket that holds it. Where inside the bucket it lies they do not say; it is read in two ways:
//!
//! - **Linear**, as Prometheus does and as the record has it: `L + (U - L) (p - F(L)) / (F(U) - F(L))`.
//! - **Log-normal**: linear between the logarithms of the bounds over normal scores `z = probit(F)`, which is exact for
//!   log-normal times. In the lowest and in the last bucket, which have one bound, the line of the bucket beside goes on.
//!
//! The linear reading alone moves too little or too far: with bounds of 100 and 250 ms, a service whose 95th percentile rises
//! from 215 to 237 ms goes from 240 to 246 ms in it. What both readings say is said; what only one says is not.
//!
//! The influence of a slot on a reading is its derivative by the two parts times what the slot adds to them; the slope is
//! taken over the two standard errors of the rank on either side (the idea of R. S. Woodruff's intervals, 1952), so that a
//! thin bucket beside a full one is seen.

use super::autocorrelation;
use super::estimate::{Estimate, Reading, count};
use super::grid::Table;
use super::slots::Slot;
use super::student::{density, probit};

/// Part of all observations from which on one bucket hides what happens inside it.
const HIDING: f64 = 0.9;

/// Which bounds a reading depends on: its change is `-gain` times the sum of each weight and the change of the part at or
/// below its bound.
#[derive(Debug, Clone, Copy)]
struct Weights {
    lower: Option<usize>,
    upper: usize,
    on_lower: f64,
    on_upper: f64,
    gain: f64,
}

/// The histogram of all slots.
struct Merged<'a> {
    /// Upper bounds in milliseconds, without the infinite one.
    bounds: &'a [f64],
    /// Observations at or below each bound.
    below: Vec<f64>,
    total: f64,
}

/// The percentile `p` in seconds of the slots of one side.
///
/// # Errors
/// Why there is none, for people.
pub(super) fn percentile(bounds: &[f64], table: &Table, slots: &[Slot], p: f64) -> Result<Estimate, String> {
    let merged = Merged::new(bounds, table).ok_or("its slots hold no observations")?;
    let index = merged.bucket(p);
    let linear = merged.linear(p);
    let slopes =
        merged.linear_weights(p).or_else(|| merged.log_normal_weights(p).map(|(_, weights)| weights));
    let (Some(weights), true) = (slopes, linear > 0.0) else {
        return Err(format!("the buckets do not bound it: {}", merged.where_it_lies(index)));
    };
    let reach = merged.reach(table, slots, p);
    let mut readings = vec![merged.reading(table, linear, weights, |at| merged.linear(at).ln(), (p, reach))];
    let smooth = merged.log_normal_weights(p);
    if let Some((value, weights)) = smooth {
        let at = |p: f64| merged.log_normal_weights(p).map_or(f64::NAN, |(value, _)| value.ln());
        readings.push(merged.reading(table, value, weights, at, (p, reach)));
    }
    readings.retain(|reading| {
        reading.value.is_finite()
            && reading.value > 0.0
            && reading.influence.iter().all(|pull| pull.is_finite())
    });
    for reading in &mut readings {
        reading.value /= 1000.0;
        reading.influence.iter_mut().for_each(|pull| *pull *= reading.value);
        reading.noise *= reading.value.powi(2);
    }
    if readings.is_empty() {
        return Err(format!("the buckets do not bound it: {}", merged.where_it_lies(index)));
    }
    let hides = merged.part_in(index) > HIDING || index == bounds.len() || readings.len() < 2;
    Ok(Estimate {
        readings,
        slots: slots.to_vec(),
        scatter: None,
        samples: merged.total,
        blind: hides.then(|| {
            format!(
                "{}, and a change inside it does not show; give the histogram more buckets there",
                merged.where_it_lies(index)
            )
        }),
        is_of_record: false,
    })
}

impl<'a> Merged<'a> {
    fn new(bounds: &'a [f64], table: &Table) -> Option<Self> {
        let mut sums = vec![0.0; bounds.len() + 1];
        for row in &table.rows {
            sums.iter_mut().zip(row).for_each(|(sum, count)| *sum += count);
        }
        let total: f64 = sums.iter().sum();
        let below = sums[..bounds.len()].iter().scan(0.0, |all, count| {
            *all += count;
            Some(*all)
        });
        (total.is_finite() && total > 0.0 && !bounds.is_empty()).then(|| Self {
            bounds,
            below: below.collect(),
            total,
        })
    }

    /// The bucket in which the rank falls; the number of bounds for the last one.
    fn bucket(&self, p: f64) -> usize {
        let rank = p * self.total;
        self.below.partition_point(|below| *below < rank)
    }

    /// Part of all observations at or below a bound.
    fn part(&self, bound: usize) -> f64 {
        self.below[bound] / self.total
    }

    /// Part of all observations in a bucket.
    fn part_in(&self, index: usize) -> f64 {
        let upper = if index == self.bounds.len() { 1.0 } else { self.part(index) };
        upper - index.checked_sub(1).map_or(0.0, |lower| self.part(lower))
    }

    fn where_it_lies(&self, index: usize) -> String {
        let percent = self.part_in(index) * 100.0;
        match (index.checked_sub(1).and_then(|lower| self.bounds.get(lower)), self.bounds.get(index)) {
            (Some(lower), Some(upper)) => {
                format!("{percent:.0}% of all observations are in one bucket, {lower} to {upper} ms")
            }
            (None, Some(upper)) => {
                format!("{percent:.0}% of all observations are in the lowest bucket, up to {upper} ms")
            }
            (Some(lower), None) => {
                format!("{percent:.1}% of all observations are above the highest bound, {lower} ms")
            }
            (None, None) => "the histogram has one bucket".to_owned(),
        }
    }

    /// As Prometheus reads it; the highest bound where it lies above.
    fn linear(&self, p: f64) -> f64 {
        let index = self.bucket(p);
        let Some(&upper) = self.bounds.get(index) else { return self.bounds[index - 1] };
        let (lower, below) = index.checked_sub(1).map_or((0.0, 0.0), |at| (self.bounds[at], self.below[at]));
        if index == 0 && upper <= 0.0 {
            return upper;
        }
        let part = (p * self.total - below) / (self.below[index] - below);
        lower + (upper - lower) * if part.is_finite() { part } else { 0.0 }
    }

    /// Derivative of the logarithm of the linear reading. `None` in the last bucket.
    fn linear_weights(&self, p: f64) -> Option<Weights> {
        let upper = self.bucket(p);
        let high = self.bounds.get(upper)?;
        let lower = upper.checked_sub(1);
        let (low, below) = lower.map_or((0.0, 0.0), |at| (self.bounds[at], self.part(at)));
        let inside = self.part(upper) - below;
        let place = (p - below) / inside;
        let gain = (high - low) / inside / self.linear(p);
        let weights = Weights { lower, upper, on_lower: 1.0 - place, on_upper: place, gain };
        (gain.is_finite() && gain > 0.0).then_some(weights)
    }

    /// Normal score of a bound. At least half an observation is thought on either side of it.
    fn score(&self, bound: usize) -> f64 {
        let least = 0.5_f64.min(self.total / 4.0);
        probit(self.below[bound].clamp(least, self.total - least) / self.total)
    }

    /// The log-normal reading with its derivative. `None` where fewer than two positive bounds tell scores apart.
    fn log_normal_weights(&self, p: f64) -> Option<(f64, Weights)> {
        let last = self.bounds.len().checked_sub(1)?;
        let upper = self.bucket(p).clamp(1, last.max(1));
        let (lower, high) = (upper - 1, *self.bounds.get(upper)?);
        let low = self.bounds[lower];
        let (z_low, z_high, z) = (self.score(lower), self.score(upper), probit(p));
        if low <= 0.0 || z_high - z_low < 1e-9 {
            return None;
        }
        let gain = (high / low).ln() / (z_high - z_low);
        let place = (z - z_low) / (z_high - z_low);
        let value = low * (gain * (z - z_low)).exp();
        let weights = Weights {
            lower: Some(lower),
            upper,
            on_lower: (1.0 - place) / density(z_low),
            on_upper: place / density(z_high),
            gain,
        };
        (value.is_finite() && value > 0.0).then_some((value, weights))
    }

    /// What each slot adds to the weighted parts, less what it would add if it were like all others.
    fn pulls(&self, table: &Table, weights: Weights) -> Vec<f64> {
        let mean = self.total / count(table.rows.len());
        let part_lower = weights.lower.map_or(0.0, |lower| self.part(lower));
        let part_upper = self.part(weights.upper);
        let pulls = table.rows.iter().map(|row| {
            let all: f64 = row.iter().sum();
            let lower: f64 = weights.lower.map_or(0.0, |lower| row[..=lower].iter().sum());
            let upper: f64 = row[..=weights.upper].iter().sum();
            let on_lower = weights.on_lower * (lower - part_lower * all);
            (on_lower + weights.on_upper * (upper - part_upper * all)) / mean
        });
        pulls.collect()
    }

    /// Variance of one slot's pull if its observations were drawn independently: that of a multinomial count.
    fn noise(&self, weights: Weights, rows: usize) -> f64 {
        let lower = weights.lower.map_or(0.0, |lower| self.part(lower));
        let upper = self.part(weights.upper);
        let (a, b) = (weights.on_lower, weights.on_upper);
        let mean = lower * a + upper * b;
        (lower * (a + b).powi(2) + (upper - lower) * b.powi(2) - mean.powi(2)).max(0.0) * count(rows)
            / self.total
    }

    /// Two standard errors of the rank; 0 in the last bucket, where the rank meets no bound.
    fn reach(&self, table: &Table, slots: &[Slot], p: f64) -> f64 {
        let variance = self.linear_weights(p).and_then(|weights| {
            let positions: Vec<u32> = slots.iter().map(|slot| slot.position).collect();
            autocorrelation::of_mean(
                &self.pulls(table, weights),
                &positions,
                self.noise(weights, table.rows.len()),
            )
        });
        2.0 * variance.map_or(0.0, |scatter| scatter.variance.sqrt())
    }

    /// One reading, in milliseconds, its influence on the logarithm. `at` reads the logarithm of a percentile; the slope is
    /// taken over `reach` on either side of `p`.
    fn reading(
        &self,
        table: &Table,
        value: f64,
        weights: Weights,
        at: impl Fn(f64) -> f64,
        (p, reach): (f64, f64),
    ) -> Reading {
        let edge = 0.5 / self.total;
        let (low, high) = ((p - reach).max(edge.min(p)), (p + reach).min((1.0 - edge).max(p)));
        let local = {
            let tiny = 1e-6 * p.min(1.0 - p);
            (at(p + tiny) - at(p - tiny)) / (2.0 * tiny)
        };
        let stretch = (at(high) - at(low)) / (high - low) / local;
        let stretch = if stretch.is_finite() && stretch > 0.0 { stretch } else { 1.0 };
        let gain = weights.gain * stretch;
        let influence = self.pulls(table, weights).into_iter().map(|pull| -gain * pull).collect();
        Reading { value, influence, noise: self.noise(weights, table.rows.len()) * gain.powi(2) }
    }
}

#[cfg(test)]
mod tests;
