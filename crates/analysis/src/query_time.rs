//! Bounds of a percentile of execution times over a mix of statements of which only calls, mean and deviation are
//! known, as pg_stat_statements keeps them.
//!
//! For one statement with mean m and population deviation s, times not being negative:
//!
//! - Cantelli (one-sided Chebyshev): `P(X > t) <= s² / (s² + (t - m)²)` for t > m, and
//!   `P(X <= t) <= s² / (s² + (m - t)²)` for t < m (F. P. Cantelli 1928; both are attained).
//! - Markov: `P(X > t) <= m / t`, the smaller one for t below m + s²/m.
//!
//! Both hold for any distribution, so also for the very times that were counted. Weighted by calls and summed, they
//! bound the mix: the percentile is not above the t at which the bound of `P(X > t)` falls to 1 - q, and not below the t
//! up to which the bound of `P(X <= t)` stays under q.

use crate::record::StatementCounter;

/// The percentile of the query time, as a part of all executions.
pub const P95: f64 = 0.95;
/// Halvings of the interval in which a bound is searched: more than a double has digits.
const HALVINGS: u32 = 200;
/// Relative width at which the search ends.
const CLOSE: f64 = 1e-12;

/// Executions of one statement, or of several together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// Executions.
    pub calls: u64,
    /// Sum of their times, milliseconds.
    pub total_ms: f64,
    /// Sum of the squares of their times, milliseconds squared.
    pub squares_ms2: f64,
}

impl From<&StatementCounter> for Moments {
    fn from(counter: &StatementCounter) -> Self {
        Self { calls: counter.calls, total_ms: counter.total_ms, squares_ms2: counter.squares_ms2 }
    }
}

/// One statement of a mix.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// Its part of all executions, 0 to 1.
    weight: f64,
    mean: f64,
    variance: f64,
}

/// Bounds of the quantile `q` (above 0, below 1) of the times of a mix, in milliseconds: the smallest t at which at
/// least the part `q` of all executions took t or less lies between them, both included.
///
/// Parts without calls or with numbers that are not finite are left out; `None` where nothing is left.
#[must_use]
pub fn quantile_bounds(mix: &[Moments], q: f64) -> Option<(f64, f64)> {
    let parts = parts(mix)?;
    // Markov for the whole mix: nothing lies beyond.
    let mean: f64 = parts.iter().map(|part| part.weight * part.mean).sum();
    let ceiling = mean / (1.0 - q);
    let is_above = |t: f64| parts.iter().map(|part| part.weight * part.above(t)).sum::<f64>() <= 1.0 - q;
    let is_below = |t: f64| parts.iter().map(|part| part.weight * part.at_most(t)).sum::<f64>() < q;
    let high = last_false(is_above, ceiling).1;
    let low = last_false(|t| !is_below(t), ceiling).0;
    Some((low.min(high), high))
}

fn parts(mix: &[Moments]) -> Option<Vec<Part>> {
    let usable = mix.iter().filter(|moments| {
        moments.calls > 0
            && moments.total_ms.is_finite()
            && moments.squares_ms2.is_finite()
            && moments.total_ms >= 0.0
    });
    #[expect(clippy::cast_precision_loss, reason = "weights of a mix; 2^53 executions are exact")]
    let calls = |moments: &Moments| moments.calls as f64;
    let all: f64 = usable.clone().map(calls).sum();
    let parts: Vec<Part> = usable
        .map(|moments| {
            let mean = moments.total_ms / calls(moments);
            // Rounding may leave a little less than nothing.
            let variance = (moments.squares_ms2 / calls(moments) - mean * mean).max(0.0);
            Part { weight: calls(moments) / all, mean, variance }
        })
        .collect();
    (!parts.is_empty()).then_some(parts)
}

impl Part {
    /// Bound of the part of executions that took longer than `t`.
    fn above(self, t: f64) -> f64 {
        if t < self.mean {
            return 1.0;
        }
        // All at the mean: none is above it.
        let cantelli = ratio(self.variance, (t - self.mean).powi(2));
        if t > 0.0 { cantelli.min(self.mean / t) } else { cantelli }
    }

    /// Bound of the part of executions that took `t` or less.
    fn at_most(self, t: f64) -> f64 {
        if t >= self.mean { 1.0 } else { ratio(self.variance, (self.mean - t).powi(2)) }
    }
}

fn ratio(variance: f64, square: f64) -> f64 {
    if variance == 0.0 { 0.0 } else { variance / (variance + square) }
}

/// Between which neighbours a condition that is false up to some t and true from there on turns, from 0 to `ceiling`,
/// where it counts as true.
fn last_false(is_true: impl Fn(f64) -> bool, ceiling: f64) -> (f64, f64) {
    if is_true(0.0) {
        return (0.0, 0.0);
    }
    let (mut low, mut high) = (0.0, ceiling);
    for _ in 0..HALVINGS {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high || high - low <= CLOSE * high {
            break;
        }
        if is_true(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const Q: f64 = 0.95;

    fn moments(times: &[f64]) -> Moments {
        Moments {
            calls: times.len() as u64,
            total_ms: times.iter().sum(),
            squares_ms2: times.iter().map(|time| time * time).sum(),
        }
    }

    /// The smallest time at or below which 95 % lie.
    fn exact(mut times: Vec<f64>) -> f64 {
        times.sort_by(f64::total_cmp);
        let rank = (times.len() * 95).div_ceil(100);
        times[rank - 1]
    }

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() <= 1e-6 * expected.abs().max(1e-6)
    }

    #[test]
    fn statements_without_deviation_are_known_exactly() {
        let (low, high) = quantile_bounds(&[moments(&[7.0; 10])], Q).unwrap();
        assert!(close(low, 7.0) && close(high, 7.0), "{low} {high}");
        // 90 of 1 ms and 10 of 50 ms: the 95th is one of the 50.
        let (low, high) = quantile_bounds(&[moments(&[1.0; 90]), moments(&[50.0; 10])], Q).unwrap();
        assert!(close(low, 50.0) && close(high, 50.0), "{low} {high}");
        // 96 of 1 ms: the 95th is one of these.
        let (low, high) = quantile_bounds(&[moments(&[1.0; 96]), moments(&[50.0; 4])], Q).unwrap();
        assert!(close(low, 1.0) && close(high, 1.0), "{low} {high}");
    }

    #[test]
    fn one_statement_has_the_bounds_of_the_formulas() {
        // Mean 10, deviation 2: Cantelli above, s·sqrt(q/(1-q)) = 2·sqrt(19); below, s·sqrt((1-q)/q) = 2/sqrt(19).
        let part = Moments { calls: 1000, total_ms: 10_000.0, squares_ms2: 1000.0 * (100.0 + 4.0) };
        let (low, high) = quantile_bounds(&[part], Q).unwrap();
        assert!(close(high, 10.0 + 2.0 * 19_f64.sqrt()), "{high}");
        assert!(close(low, 10.0 - 2.0 / 19_f64.sqrt()), "{low}");
        // Deviation far beyond the mean: Markov, 20 times the mean, is the smaller one; nothing bounds it below.
        let part = Moments { calls: 1000, total_ms: 10_000.0, squares_ms2: 1000.0 * (100.0 + 1_000_000.0) };
        let (low, high) = quantile_bounds(&[part], Q).unwrap();
        assert!(close(high, 200.0) && low == 0.0, "{low} {high}");
    }

    #[test]
    fn nothing_called_has_no_bounds() {
        assert_eq!(quantile_bounds(&[], Q), None);
        let none = Moments { calls: 0, total_ms: 0.0, squares_ms2: 0.0 };
        let broken = Moments { calls: 3, total_ms: f64::NAN, squares_ms2: 1.0 };
        assert_eq!(quantile_bounds(&[none, broken], Q), None);
        let free = Moments { calls: 5, total_ms: 0.0, squares_ms2: 0.0 };
        assert_eq!(quantile_bounds(&[free], Q), Some((0.0, 0.0)));
    }

    fn shape() -> impl Strategy<Value = Vec<f64>> {
        let time = || prop_oneof![0.0..1.0_f64, 1.0..100.0_f64, 100.0..10_000.0_f64];
        prop_oneof![
            prop::collection::vec(time(), 1..60),
            // Two values, the shape that attains Cantelli's bound.
            (time(), time(), 1..40_usize, 1..40_usize).prop_map(|(a, b, m, n)| {
                std::iter::repeat_n(a, m).chain(std::iter::repeat_n(b, n)).collect()
            }),
            // A long tail.
            (time(), 2..60_usize).prop_map(|(base, n)| (1..n).map(|k| base * (k as f64).powi(3)).collect()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn the_exact_percentile_of_any_simulated_mix_lies_within(mix in prop::collection::vec(shape(), 1..12)) {
            let parts: Vec<Moments> = mix.iter().map(|times| moments(times)).collect();
            let exact = exact(mix.concat());
            let (low, high) = quantile_bounds(&parts, Q).unwrap();
            let slack = 1e-6 * exact.max(1.0);
            prop_assert!(low <= exact + slack && exact <= high + slack, "{low} {exact} {high}");
        }

        #[test]
        fn summing_statements_only_widens_the_bounds(mix in prop::collection::vec(shape(), 1..8)) {
            let parts: Vec<Moments> = mix.iter().map(|times| moments(times)).collect();
            let whole = moments(&mix.concat());
            let (low, high) = quantile_bounds(&parts, Q).unwrap();
            let (lowest, highest) = quantile_bounds(&[whole], Q).unwrap();
            let slack = 1e-6 * high.max(1.0);
            prop_assert!(lowest <= low + slack && high <= highest + slack, "{lowest} {low} {high} {highest}");
        }
    }
}
