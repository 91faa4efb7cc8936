//! Latencies in bounded memory, within 0.1 % of the truth: an HDR histogram in microseconds.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longest latency told apart, in microseconds: ten minutes. Longer ones count as this.
const LONGEST: u64 = 600_000_000;

/// Latencies of many requests.
#[derive(Debug, Clone)]
pub struct Latencies {
    histogram: Histogram<u64>,
}

/// Quantiles in milliseconds, each within 0.1 % or one microsecond, whichever is more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half took no longer.
    pub p50: f64,
    /// 90 of 100 took no longer.
    pub p90: f64,
    /// 95 of 100 took no longer.
    pub p95: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// 999 of 1,000 took no longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST, 3)
            .expect("1 us to 10 min in 3 digits are bounds of a histogram");
        Self { histogram }
    }
}

impl Latencies {
    /// Adds one.
    pub fn add(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.histogram.saturating_record(micros);
    }

    /// How many were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The quantiles, or none when nothing was added.
    #[must_use]
    pub fn quantiles(&self) -> Option<Quantiles> {
        if self.histogram.is_empty() {
            return None;
        }
        let millis = |quantile: f64| self.histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        Some(Quantiles {
            p50: millis(0.5),
            p90: millis(0.9),
            p95: millis(0.95),
            p99: millis(0.99),
            p999: millis(0.999),
            max: self.histogram.max() as f64 / 1_000.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_known_series_are_right() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantiles(), None);
        (1..=1_000).for_each(|millis| latencies.add(Duration::from_millis(millis)));
        let quantiles = latencies.quantiles().unwrap();
        for (got, truth) in [
            (quantiles.p50, 500.0),
            (quantiles.p90, 900.0),
            (quantiles.p95, 950.0),
            (quantiles.p99, 990.0),
            (quantiles.p999, 999.0),
            (quantiles.max, 1_000.0),
        ] {
            assert!((got - truth).abs() <= truth * 0.001, "{got} is not {truth}");
        }
        assert_eq!(latencies.count(), 1_000);
    }

    #[test]
    fn what_is_too_long_counts_as_the_longest() {
        let mut latencies = Latencies::default();
        latencies.add(Duration::MAX);
        assert_eq!(latencies.count(), 1);
        assert!(latencies.quantiles().unwrap().max >= 600_000.0);
    }
}
