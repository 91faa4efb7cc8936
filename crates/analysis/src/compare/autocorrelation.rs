//! How far the mean of a series is from the mean of what it was drawn from, when neighbours are alike.
//!
//! The variance of a mean of `n` values is `L / n`, where `L`, the long-run variance, is the variance of one value only where
//! the values are independent. Two estimates of `L` are taken:
//!
//! 1. A level that follows an AR(1) process, seen through the noise of counting: with `s2` the variance of a value, `m` the
//!    part of it that counting alone explains, and `phi` the autocorrelation of the rest at lag 1,
//!    `L = m + (s2 - m) (1 + phi) / (1 - phi)`. `phi` is corrected for its bias in short series,
//!    `(n phi + 1) / (n - 3)` (after Kendall 1954, Marriott and Pope 1954), and kept within 0 and 0.97. With `m` = 0 this is
//!    the usual correction of the sample size, `n (1 - phi) / (1 + phi)`.
//! 2. The slowest `B = n / 24` waves of the series, whatever process made it: the mean of the squares of its first `B` cosine
//!    coefficients (Müller 2007; Lazarus, Lewis, Stock and Watson 2018). It sees a slow level under noise that `m` does not
//!    know of, where the autocorrelation at lag 1 is small although the sum of all of them is large. It counts from 48 values
//!    on, and where it is more than one and a half times the first one: below, the difference is mostly its own chance.

use std::f64::consts::PI;

/// Largest autocorrelation that is believed: beyond it the series is a trend.
const LARGEST: f64 = 0.97;
/// Part of the variance that is at least taken for the level's own, so that a noisy estimate of it does not explode.
const LEAST_LEVEL: f64 = 0.25;
/// How many times the first estimate the second one has to be to count.
const CLEARLY_MORE: f64 = 1.5;
/// Values for each wave of the second estimate.
const VALUES_PER_WAVE: usize = 24;

/// How exact the mean of a series is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scatter {
    /// Variance of the mean.
    pub(super) variance: f64,
    /// How many independent values would have this variance; at most their number.
    pub(super) effective: f64,
    /// Degrees of freedom with which the variance is known, at least 1.
    pub(super) freedom: f64,
    /// Autocorrelation of neighbours that was reckoned with, 0 to 0.97.
    pub(super) correlation: f64,
}

/// The scatter of the mean of `values`, whose places in time are `positions` (rising); `noise` is the variance of one value
/// that counting alone explains. `None` below four values, or where one is not finite.
pub(super) fn of_mean(values: &[f64], positions: &[u32], noise: f64) -> Option<Scatter> {
    let count = values.len();
    let all = values.iter().sum::<f64>();
    if count < 4 || positions.len() != count || !all.is_finite() || !noise.is_finite() {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most some hundred slots")]
    let n = count as f64;
    let mean = all / n;
    let noise = noise.max(0.0);
    let one = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    if !one.is_finite() {
        return None;
    }
    if one <= 0.0 {
        return Some(Scatter { variance: noise / n, effective: n, freedom: n - 1.0, correlation: 0.0 });
    }
    let level = (one - noise).max(LEAST_LEVEL * one);
    let beside = products_of_neighbours(values, positions, mean) * (n - 1.0) / n;
    let correlation = ((n * beside / level + 1.0) / (n - 3.0)).clamp(0.0, LARGEST);
    let mut long_run = (one - level) + level * (1.0 + correlation) / (1.0 - correlation);
    let mut freedom = n * one / long_run - 1.0;
    let waves = count / VALUES_PER_WAVE;
    if waves >= 2 {
        let slow = slow_waves(values, mean, waves);
        if slow > CLEARLY_MORE * long_run {
            long_run = slow;
            // B degrees of freedom would be right if it always counted; it only does where it is large, and 2 B keep the
            // part of false verdicts nearest to what is promised (simulated, see the tests).
            #[expect(clippy::cast_precision_loss, reason = "a dozen")]
            let doubled = 2.0 * waves as f64;
            freedom = doubled.min(n * one / long_run - 1.0);
        }
    }
    let effective = (n * one / long_run).min(n);
    let variance = long_run.max(noise) / n;
    Some(Scatter { variance, effective, freedom: freedom.clamp(1.0, n - 1.0), correlation })
}

/// Mean product of neighbours' distances from the mean. Only values next to each other in time count, unless these are few.
#[expect(clippy::cast_precision_loss, reason = "at most some hundred slots")]
fn products_of_neighbours(values: &[f64], positions: &[u32], mean: f64) -> f64 {
    let pairs = || values.windows(2).zip(positions.windows(2));
    let product = |pair: &[f64]| (pair[0] - mean) * (pair[1] - mean);
    let (mut sum, mut count) = (0.0, 0_usize);
    for (pair, _) in pairs().filter(|(_, at)| at[1].saturating_sub(at[0]) == 1) {
        sum += product(pair);
        count += 1;
    }
    if count * 2 < values.len() - 1 {
        (sum, count) = (pairs().map(|(pair, _)| product(pair)).sum(), values.len() - 1);
    }
    sum / count as f64
}

/// Mean square of the first cosine coefficients (type II), each of which has the long-run variance where the spectrum is flat.
#[expect(clippy::cast_precision_loss, reason = "at most some hundred slots")]
fn slow_waves(values: &[f64], mean: f64, waves: usize) -> f64 {
    let n = values.len() as f64;
    let mut sum = 0.0;
    for wave in 1..=waves {
        // cos((t + 1/2) w) by its recurrence: one cosine for each wave in place of one for each value.
        let step = PI * wave as f64 / n;
        let twice = 2.0 * step.cos();
        let (mut now, mut last) = ((step / 2.0).cos(), (step / 2.0).cos());
        let mut coefficient = 0.0;
        for value in values {
            coefficient += (value - mean) * now;
            (now, last) = (twice * now - last, now);
        }
        sum += coefficient.powi(2) * 2.0 / n;
    }
    sum / waves as f64
}

#[cfg(test)]
mod tests;
