//! Quantiles of histograms whose buckets are counted, as Prometheus computes them, with the bucket that holds each.
//!
//! Percentiles are never averaged: the buckets of all series are summed first, and the quantile is taken of the sum.

/// Relative difference between neighbouring cumulative counts below which it is noise of floating-point sums
/// (Prometheus: `smallDeltaTolerance` in `promql/quantile.go`).
const SMALL_DELTA: f64 = 1e-12;

/// One bucket of a classic histogram: how many observations were at most `upper_bound`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Upper bound, inclusive, in the histogram's unit; `+Inf` in the last bucket.
    pub upper_bound: f64,
    /// Observations at or below it. An `increase` is not a whole number.
    pub cumulative: f64,
}

/// A classic histogram: buckets in rising order that end in `+Inf`, with cumulative counts that never fall.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassicHistogram {
    buckets: Vec<Bucket>,
}

/// A quantile and the bucket that it lies in: the true quantile of the observations lies within the same bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    /// The value, interpolated inside the bucket.
    pub value: f64,
    /// Lower bound of the bucket; 0 for the lowest bucket of positive bounds, and `-Inf` where nothing bounds it.
    pub lower: f64,
    /// Upper bound of the bucket; `+Inf` where the histogram cannot tell how large the observations were.
    pub upper: f64,
}

/// Why buckets make no histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HistogramError {
    /// No bucket ends in `+Inf`, so that the number of observations is unknown.
    #[error("the histogram has no bucket le=\"+Inf\"")]
    NoInfinity,
    /// A bound or a count is not a number.
    #[error("a bound or a count of the histogram is not a number")]
    NotANumber,
}

impl ClassicHistogram {
    /// Sorts the buckets, adds up those of equal bounds (`le="1"` and `le="1.0"`), and repairs counts that fall, as
    /// Prometheus does: scrapes and rule evaluations are not atomic.
    ///
    /// # Errors
    /// [`HistogramError`] where no quantile could be computed from any such histogram.
    pub fn new(mut buckets: Vec<Bucket>) -> Result<Self, HistogramError> {
        if buckets.iter().any(|bucket| bucket.upper_bound.is_nan() || !bucket.cumulative.is_finite()) {
            return Err(HistogramError::NotANumber);
        }
        buckets.sort_by(|a, b| a.upper_bound.total_cmp(&b.upper_bound));
        buckets.dedup_by(|next, kept| {
            let same = next.upper_bound == kept.upper_bound;
            if same {
                kept.cumulative += next.cumulative;
            }
            same
        });
        if buckets.last().is_none_or(|bucket| bucket.upper_bound != f64::INFINITY) {
            return Err(HistogramError::NoInfinity);
        }
        for index in 1..buckets.len() {
            let (before, now) = (buckets[index - 1].cumulative, buckets[index].cumulative);
            if now < before || now - before <= SMALL_DELTA * before.abs() {
                buckets[index].cumulative = before;
            }
        }
        Ok(Self { buckets })
    }

    /// How many observations there are.
    #[must_use]
    pub fn observations(&self) -> f64 {
        self.buckets.last().map_or(0.0, |bucket| bucket.cumulative)
    }

    /// The observations inside each bucket, in rising order; the lowest begins at 0 if its bound is positive and at `-Inf`
    /// otherwise, as for [`Self::quantile`].
    #[must_use]
    pub fn intervals(&self) -> Vec<NativeBucket> {
        let mut before: Option<Bucket> = None;
        let intervals = self.buckets.iter().map(|bucket| {
            let lowest = if bucket.upper_bound > 0.0 { 0.0 } else { f64::NEG_INFINITY };
            let (lower, below) =
                before.map_or((lowest, 0.0), |before| (before.upper_bound, before.cumulative));
            before = Some(*bucket);
            NativeBucket { lower, upper: bucket.upper_bound, count: bucket.cumulative - below }
        });
        intervals.collect()
    }

    /// The quantile `q` (0 to 1) by Prometheus' rule (`bucketQuantile` in `promql/quantile.go`): linear interpolation
    /// inside the bucket in which the rank `q` times observations falls; the lowest bucket starts at 0 if its bound is
    /// positive and gives its bound otherwise; the last bucket gives the highest finite bound.
    ///
    /// `None` without observations, with `+Inf` as the only bucket, or for a `q` outside 0 to 1.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Quantile> {
        let observations = self.observations();
        let last = self.buckets.len() - 1;
        if last == 0 || observations <= 0.0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = q * observations;
        let index = self.buckets[..last].partition_point(|bucket| bucket.cumulative < rank);
        if index == last {
            let bound = self.buckets[last - 1].upper_bound;
            return Some(Quantile { value: bound, lower: bound, upper: f64::INFINITY });
        }
        let Bucket { upper_bound: upper, cumulative } = self.buckets[index];
        if index == 0 && upper <= 0.0 {
            return Some(Quantile { value: upper, lower: f64::NEG_INFINITY, upper });
        }
        let (lower, below) = match index {
            0 => (0.0, 0.0),
            _ => (self.buckets[index - 1].upper_bound, self.buckets[index - 1].cumulative),
        };
        let part = (rank - below) / (cumulative - below);
        // 0 of an empty first bucket (q = 0): its lower bound, and not 0/0.
        let part = if part.is_finite() { part } else { 0.0 };
        Some(Quantile { value: lower + (upper - lower) * part, lower, upper })
    }
}

/// One bucket, of a native histogram as the server gives it, with the observations inside it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NativeBucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Observations between them.
    pub count: f64,
}

/// The bounds of the bucket of a native histogram in which the quantile `q` falls, by rank among buckets in rising
/// order (`histogramQuantile` in `promql/quantile.go`). The interpolated value is the server's to give: linear or
/// exponential by its version.
///
/// `None` without observations or for a `q` outside 0 to 1.
#[must_use]
pub fn native_bucket(buckets: &[NativeBucket], q: f64) -> Option<(f64, f64)> {
    let total: f64 = buckets.iter().map(|bucket| bucket.count).sum();
    if total.is_nan() || total <= 0.0 || !(0.0..=1.0).contains(&q) {
        return None;
    }
    let rank = q * total;
    let mut sum = 0.0;
    let holding = buckets.iter().filter(|bucket| bucket.count > 0.0).find(|bucket| {
        sum += bucket.count;
        sum >= rank
    });
    // Rounding may leave the sum a hair under the rank at q = 1.
    let bucket = holding.or_else(|| buckets.iter().rfind(|bucket| bucket.count > 0.0))?;
    Some((bucket.lower, bucket.upper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histogram(buckets: &[(f64, f64)]) -> ClassicHistogram {
        let buckets = buckets.iter().map(|&(upper_bound, cumulative)| Bucket { upper_bound, cumulative });
        ClassicHistogram::new(buckets.collect()).unwrap()
    }

    const INF: f64 = f64::INFINITY;

    /// From `promql/testdata/histograms.test` of Prometheus 2.42: `testhistogram` and `testhistogram2` at 50 minutes.
    #[test]
    fn quantiles_are_those_of_the_reference_tests() {
        let positive = histogram(&[(0.1, 50.0), (0.2, 70.0), (1e0, 110.0), (INF, 120.0)]);
        for (q, expected) in [(0.0, 0.0), (0.25, 0.06), (0.5, 0.15), (0.75, 0.6), (0.95, 1.0), (1.0, 1.0)] {
            let value = positive.quantile(q).unwrap().value;
            assert!((value - expected).abs() < 1e-12, "{q}: {value}");
        }
        let negative = histogram(&[(-0.1, 10.0), (0.1, 20.0), (0.2, 30.0), (0.3, 40.0), (INF, 40.0)]);
        for (q, expected) in [(0.0, -0.1), (0.25, -0.1), (0.5, 0.1), (0.75, 0.2)] {
            let value = negative.quantile(q).unwrap().value;
            assert!((value - expected).abs() < 1e-12, "{q}: {value}");
        }
    }

    #[test]
    fn a_quantile_says_which_bucket_holds_it() {
        let latency = histogram(&[(0.1, 90.0), (0.25, 98.0), (INF, 100.0)]);
        assert_eq!(latency.quantile(0.95), Some(Quantile { value: 0.19375, lower: 0.1, upper: 0.25 }));
        assert_eq!(latency.quantile(0.99), Some(Quantile { value: 0.25, lower: 0.25, upper: INF }));
        assert_eq!(latency.quantile(0.5).map(|found| (found.lower, found.upper)), Some((0.0, 0.1)));
        assert_eq!(latency.observations(), 100.0);
    }

    #[test]
    fn the_intervals_hold_what_lies_between_the_bounds() {
        let bucket = |lower, upper, count| NativeBucket { lower, upper, count };
        let latency = histogram(&[(0.1, 90.0), (0.25, 98.0), (INF, 100.0)]);
        let expected = [bucket(0.0, 0.1, 90.0), bucket(0.1, 0.25, 8.0), bucket(0.25, INF, 2.0)];
        assert_eq!(latency.intervals(), expected);
        let negative = histogram(&[(-0.1, 1.0), (INF, 1.0)]);
        assert_eq!(negative.intervals(), [bucket(-INF, -0.1, 1.0), bucket(-0.1, INF, 0.0)]);
    }

    #[test]
    fn nothing_observed_has_no_quantile() {
        assert_eq!(histogram(&[(0.1, 0.0), (INF, 0.0)]).quantile(0.5), None);
        assert_eq!(histogram(&[(INF, 5.0)]).quantile(0.5), None);
        assert_eq!(histogram(&[(0.1, 1.0), (INF, 1.0)]).quantile(1.5), None);
        assert_eq!(histogram(&[(0.1, 1.0), (INF, 1.0)]).quantile(f64::NAN), None);
    }

    #[test]
    fn buckets_in_any_order_with_doubled_bounds_and_falling_counts_are_repaired() {
        let scrambled =
            histogram(&[(INF, 50.0), (1.0, 20.0), (0.1, 10.0), (1.0, 25.0), (INF, 50.0), (0.5, 60.0)]);
        assert_eq!(scrambled, histogram(&[(0.1, 10.0), (0.5, 60.0), (1.0, 60.0), (INF, 100.0)]));
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        let bucket = |upper_bound, cumulative| Bucket { upper_bound, cumulative };
        assert_eq!(ClassicHistogram::new(Vec::new()), Err(HistogramError::NoInfinity));
        assert_eq!(ClassicHistogram::new(vec![bucket(1.0, 2.0)]), Err(HistogramError::NoInfinity));
        for bad in [bucket(f64::NAN, 1.0), bucket(INF, f64::NAN), bucket(INF, INF)] {
            assert_eq!(ClassicHistogram::new(vec![bad]), Err(HistogramError::NotANumber));
        }
    }

    #[test]
    fn the_bucket_of_a_native_quantile_is_found_by_rank() {
        let bucket = |lower, upper, count| NativeBucket { lower, upper, count };
        let buckets = [bucket(-0.001, 0.001, 2.0), bucket(0.5, 1.0, 0.0), bucket(1.0, 2.0, 8.0)];
        assert_eq!(native_bucket(&buckets, 0.1), Some((-0.001, 0.001)));
        assert_eq!(native_bucket(&buckets, 0.5), Some((1.0, 2.0)));
        assert_eq!(native_bucket(&buckets, 1.0), Some((1.0, 2.0)));
        assert_eq!(native_bucket(&[], 0.5), None);
        assert_eq!(native_bucket(&[bucket(0.0, 1.0, f64::NAN)], 0.5), None);
    }

    fn arbitrary() -> impl Strategy<Value = ClassicHistogram> {
        prop::collection::vec((0.001f64..10.0, 0.0f64..1e9), 1..20).prop_map(|parts| {
            let mut cumulative = 0.0;
            let mut bounds: Vec<f64> = parts.iter().map(|part| part.0).collect();
            bounds.sort_by(f64::total_cmp);
            bounds.push(INF);
            let counts = parts.iter().map(|part| part.1).chain([1.0]);
            let buckets = bounds.iter().zip(counts).map(|(&upper_bound, count)| {
                cumulative += count;
                Bucket { upper_bound, cumulative }
            });
            ClassicHistogram::new(buckets.collect()).unwrap()
        })
    }

    proptest! {
        #[test]
        fn a_higher_quantile_is_never_lower(histogram in arbitrary(), a in 0.0f64..=1.0, b in 0.0f64..=1.0) {
            let (low, high) = (a.min(b), a.max(b));
            let (low, high) = (histogram.quantile(low).unwrap(), histogram.quantile(high).unwrap());
            prop_assert!(low.value <= high.value, "{:?} {:?}", low, high);
        }

        #[test]
        fn the_value_and_the_true_quantile_lie_within_the_bounds(
            mut values in prop::collection::vec(0.0001f64..12.0, 1..300),
            q in 0.01f64..=1.0,
        ) {
            values.sort_by(f64::total_cmp);
            let bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, INF];
            let buckets = bounds.iter().map(|&upper_bound| {
                let cumulative = values.partition_point(|value| *value <= upper_bound) as f64;
                Bucket { upper_bound, cumulative }
            });
            let found = ClassicHistogram::new(buckets.collect()).unwrap().quantile(q).unwrap();
            prop_assert!(found.lower <= found.value && found.value <= found.upper);
            // The nearest-rank quantile: the smallest value with at least q of all values at or below it.
            let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let truth = values[rank - 1];
            prop_assert!(found.lower <= truth && truth <= found.upper, "{} not in {:?}", truth, found);
        }
    }
}
