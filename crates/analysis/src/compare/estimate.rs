//! A figure of one record, with what each slot contributes to it.

use super::autocorrelation::{self, Scatter};
use super::slots::Slot;

/// One way to read the figure out of the slots. Percentiles have two, since buckets do not say where inside them the
/// observations lie; everything else has one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    /// The figure, in its own unit.
    pub(super) value: f64,
    /// How far each slot pulls it, with mean 0: the figure is to first order what it was drawn from plus the mean of these.
    pub(super) influence: Vec<f64>,
    /// Variance of one slot's influence that counting alone explains.
    pub(super) noise: f64,
}

/// A figure of one side.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Estimate {
    /// One reading or two, of the same slots.
    pub(super) readings: Vec<Reading>,
    /// The slots, in order; empty where there are none and `scatter` is given.
    pub(super) slots: Vec<Slot>,
    /// The scatter of a figure without slots.
    pub(super) scatter: Option<Scatter>,
    /// Observations, or slots where nothing is counted.
    pub(super) samples: f64,
    /// Why a change could hide in the figure, so that it is never called unchanged.
    pub(super) blind: Option<String>,
    /// Whether the figure is the one that the record has.
    pub(super) is_of_record: bool,
}

impl Estimate {
    /// The value that is shown.
    pub(super) fn value(&self) -> f64 {
        self.readings.first().map_or(f64::NAN, |reading| reading.value)
    }

    /// The scatter of one of its readings, in the unit of the figure.
    pub(super) fn scatter(&self, reading: &Reading) -> Option<Scatter> {
        self.scatter.or_else(|| {
            let positions: Vec<u32> = self.slots.iter().map(|slot| slot.position).collect();
            autocorrelation::of_mean(&reading.influence, &positions, reading.noise)
        })
    }

    /// Takes the record's own figure for the value where the two agree within 1 % and a quarter of the standard error: then
    /// reports show one number for one thing. Else the slots do not hold quite what the figure speaks of, and the change is
    /// theirs.
    pub(super) fn settle(&mut self, figure: Option<f64>) {
        let Some(first) = self.readings.first() else { return };
        let value = first.value;
        let Some(figure) = figure.filter(|figure| figure.is_finite()) else { return };
        let error = self.scatter(first).map_or(0.0, |scatter| scatter.variance.sqrt());
        let allowed = (0.25 * error).min(0.01 * value.abs()).max(1e-9 * value.abs());
        self.is_of_record = (figure - value).abs() <= allowed;
        if self.is_of_record && value != 0.0 {
            self.readings.iter_mut().for_each(|reading| reading.value *= figure / value);
        }
    }
}

/// The mean of plain numbers. `None` without any.
pub(super) fn mean(values: &[f64], slots: Vec<Slot>) -> Option<Estimate> {
    let n = count(values.len());
    let mean = values.iter().sum::<f64>() / n;
    let influence = values.iter().map(|value| value - mean).collect();
    let reading = Reading { value: mean, influence, noise: 0.0 };
    whole(reading, slots, n).filter(|_| mean.is_finite())
}

/// The part of a whole: the ratio of the sums, which weighs each slot by its whole. `parts` has part and whole of each slot.
///
/// Influence: (part - R whole) / mean whole, the linear part of a ratio estimator (Cochran, chapter 6). Noise of counting:
/// R (1 - R) / mean whole, with one success and one failure more than there were, so that 0 errors of 100 requests are not
/// known to be none.
pub(super) fn ratio(parts: &[(f64, f64)], slots: Vec<Slot>) -> Option<Estimate> {
    let n = count(parts.len());
    let part: f64 = parts.iter().map(|pair| pair.0).sum();
    let whole_sum: f64 = parts.iter().map(|pair| pair.1).sum();
    if !(part.is_finite() && whole_sum.is_finite() && whole_sum > 0.0) {
        return None;
    }
    let value = part / whole_sum;
    let mean = whole_sum / n;
    let influence = parts.iter().map(|(part, all)| (part - value * all) / mean).collect();
    whole(Reading { value, influence, noise: binomial(value, whole_sum) / mean }, slots, whole_sum)
}

/// The part of a whole of which only the sums are known. One difference of counters cannot show how alike its neighbours
/// are, so they are taken for as alike as at an autocorrelation of 0.9: `n (1 - 0.9) / (1 + 0.9) = n / 19` of the `n`
/// observations count.
pub(super) fn ratio_without_slots(value: f64, observations: f64) -> Option<Estimate> {
    const OBSERVATIONS_FOR_ONE: f64 = 19.0;
    let effective = observations / OBSERVATIONS_FOR_ONE;
    if !((0.0..=1.0).contains(&value) && effective.is_finite() && effective > 0.0) {
        return None;
    }
    let variance = binomial(value, effective) / effective;
    let scatter = Scatter { variance, effective, freedom: (effective - 1.0).max(1.0), correlation: 0.9 };
    let reading = Reading { value, influence: Vec::new(), noise: 0.0 };
    let estimate = whole(reading, Vec::new(), observations)?;
    Some(Estimate { scatter: Some(scatter), ..estimate })
}

/// Variance of one observation of a part, from `n` of them, with a success and a failure added.
fn binomial(value: f64, n: f64) -> f64 {
    let part = ((value * n + 1.0) / (n + 2.0)).clamp(0.0, 1.0);
    part * (1.0 - part)
}

fn whole(reading: Reading, slots: Vec<Slot>, samples: f64) -> Option<Estimate> {
    let is_sound = reading.value.is_finite() && reading.influence.iter().all(|value| value.is_finite());
    is_sound.then(|| Estimate {
        readings: vec![reading],
        slots,
        scatter: None,
        samples,
        blind: None,
        is_of_record: false,
    })
}

/// A number of slots.
#[expect(clippy::cast_precision_loss, reason = "at most some hundred slots")]
pub(super) fn count(slots: usize) -> f64 {
    slots as f64
}

#[cfg(test)]
mod tests;
