//! A made-up service: requests with log-normal times whose level wanders, counted in buckets, slot by slot.

use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use plimsoll_analysis::record::{
    BaselineRecord, HistogramSeries, NumberSeries, RatioSeries, RecordNames, Series, WebMetrics,
};

/// SplitMix64: seeded, so that a trial can be told again.
pub(crate) struct Random {
    state: u64,
    spare: Option<f64>,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, spare: None }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * self.unit()).sin_cos();
        self.spare = Some(radius * sine);
        radius * cosine
    }

    /// A Poisson number: by multiplication where the mean is small, by the normal approximation where it is not.
    pub(crate) fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 30.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0);
        }
        if mean < 1e-9 {
            return 0.0;
        }
        let (mut product, mut count) = (self.unit(), 0.0);
        let limit = (-mean).exp();
        while product > limit {
            product *= self.unit();
            count += 1.0;
        }
        count
    }
}

/// An AR(1) process of variance 1.
pub(crate) struct Level {
    correlation: f64,
    now: f64,
}

impl Level {
    pub(crate) fn new(random: &mut Random, correlation: f64) -> Self {
        Self { correlation, now: random.normal() }
    }

    pub(crate) fn next(&mut self, random: &mut Random) -> f64 {
        self.now = self.correlation * self.now + (1.0 - self.correlation.powi(2)).sqrt() * random.normal();
        self.now
    }
}

/// Buckets of a histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Buckets {
    /// The defaults of most client libraries: factors of 2 to 2.5.
    Defaults,
    /// Those of a native histogram of schema 3: factors of 1.09.
    Native,
}

impl Buckets {
    fn bounds_ms(self) -> Vec<f64> {
        match self {
            Self::Defaults => {
                vec![5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0]
            }
            Self::Native => (0..=48).map(|power| 16.0 * 2.0_f64.powf(f64::from(power) / 8.0)).collect(),
        }
    }
}

/// Request times: `ln(time)` is normal around the slot's level, and the level is an AR(1) process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latency {
    /// Median, milliseconds.
    pub(crate) median_ms: f64,
    /// Standard deviation of `ln(time)` of the requests of one slot.
    pub(crate) spread: f64,
    /// Standard deviation of the level, which is a logarithm.
    pub(crate) wander: f64,
    /// Autocorrelation of the level from one slot to the next.
    pub(crate) correlation: f64,
    /// How far the level swings with the hour of the day, a logarithm.
    pub(crate) rhythm: f64,
    /// Requests a second.
    pub(crate) rate: f64,
    /// Length of a slot.
    pub(crate) step_seconds: u64,
    pub(crate) buckets: Buckets,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            median_ms: 120.0,
            spread: 0.7,
            wander: 0.1,
            correlation: 0.5,
            rhythm: 0.0,
            rate: 2.0,
            step_seconds: 300,
            buckets: Buckets::Defaults,
        }
    }
}

impl Latency {
    /// A record of one window of this service, `factor` times as slow.
    pub(crate) fn record(self, random: &mut Random, slots: u32, factor: f64) -> BaselineRecord {
        let mut level = Level::new(random, self.correlation);
        let logarithms: Vec<f64> = self.buckets.bounds_ms().into_iter().map(f64::ln).collect();
        let counts = (0..slots).map(|slot| {
            let hour = f64::from(slot) * self.step_seconds as f64 / 3_600.0;
            let swing = self.rhythm * (std::f64::consts::TAU * hour / 24.0).sin();
            // By day there are more requests and they are slower.
            let requests = self.rate * self.step_seconds as f64 * swing.exp();
            let median = (self.median_ms * factor).ln() + self.wander * level.next(random) + swing;
            let mut below = 0.0;
            let parts =
                logarithms.iter().map(|bound| normal_cdf((bound - median) / self.spread)).chain([1.0]);
            let row = parts.map(|part| {
                let inside = part - below;
                below = part;
                random.poisson(requests * inside)
            });
            row.collect()
        });
        let histogram = HistogramSeries {
            counts: counts.collect(),
            bounds_ms: self.buckets.bounds_ms(),
            slots: (0..slots).collect(),
        };
        let mut record = empty(slots, self.step_seconds);
        let p95 = quantile(&histogram, 0.95);
        record.web_metrics = Some(WebMetrics { page_load_p95_ms: Some(p95), ..WebMetrics::default() });
        if let Some(series) = &mut record.series {
            series.histograms = IndexMap::from([("web.latency".to_owned(), histogram)]);
        }
        record
    }
}

/// A record of a window of so many slots that ends at the start of a Tuesday, without figures.
pub(crate) fn empty(slots: u32, step_seconds: u64) -> BaselineRecord {
    let names = RecordNames { name: "made-up", namespace: "test", run: "made-up-1", run_key: "sha256:0" };
    let to: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
    let mut record = BaselineRecord::empty(names, u64::from(slots) * step_seconds, to);
    record.series = Some(Series { step_seconds, slots, ..Series::default() });
    record
}

/// The same some weeks later, as another run.
pub(crate) fn later(mut record: BaselineRecord, weeks: i64) -> BaselineRecord {
    let distance = SignedDuration::from_hours(weeks * 7 * 24);
    record.window.from += distance;
    record.window.to += distance;
    record.run = format!("made-up-{}", weeks + 1);
    record
}

/// Errors of page requests slot by slot.
pub(crate) fn with_errors(mut record: BaselineRecord, part: Vec<f64>, whole: Vec<f64>) -> BaselineRecord {
    let (failed, all): (f64, f64) = (part.iter().sum(), whole.iter().sum());
    let web = record.web_metrics.get_or_insert_default();
    web.error_rate_percent = Some(failed / all * 100.0);
    if let Some(series) = &mut record.series {
        web.requests_per_second = Some(all / f64::from(series.slots) / series.step_seconds as f64);
        let ratio = RatioSeries { slots: (0..series.slots).collect(), part, whole };
        series.ratios.insert("web.errorRatio".to_owned(), ratio);
    }
    record
}

/// A metric of the user's own slot by slot.
pub(crate) fn with_metric(mut record: BaselineRecord, values: Vec<f64>) -> BaselineRecord {
    use plimsoll_analysis::record::CustomMetric;
    use plimsoll_analysis::request::Unit;
    let metric = CustomMetric { value: values[values.len() - 1], unit: Unit::Count };
    record.custom_metrics = Some(IndexMap::from([("queue".to_owned(), metric)]));
    if let Some(series) = &mut record.series {
        let numbers = NumberSeries { slots: (0..series.slots).collect(), values };
        series.numbers.insert("metrics.queue".to_owned(), numbers);
    }
    record
}

/// A quantile of all slots, as Prometheus interpolates it.
pub(crate) fn quantile(histogram: &HistogramSeries, q: f64) -> f64 {
    let sums = histogram.counts.iter().fold(vec![0.0; histogram.bounds_ms.len() + 1], |mut sums, row| {
        sums.iter_mut().zip(row).for_each(|(sum, count)| *sum += count);
        sums
    });
    of_row(&histogram.bounds_ms, &sums, q)
}

fn of_row(bounds_ms: &[f64], row: &[f64], q: f64) -> f64 {
    let rank = q * row.iter().sum::<f64>();
    let (mut below, mut lower) = (0.0, 0.0);
    for (bound, count) in bounds_ms.iter().zip(row) {
        if below + count >= rank && *count > 0.0 {
            return lower + (bound - lower) * (rank - below) / count;
        }
        below += count;
        lower = *bound;
    }
    lower
}

/// The usual way without a correction: the slots' own percentiles, compared as if they were independent, two-sided at 2 %
/// (the normal quantile, which a day of slots allows).
pub(crate) fn is_naive_change(before: &BaselineRecord, after: &BaselineRecord) -> bool {
    let side = |record: &BaselineRecord| {
        let histogram = &record.series.as_ref().unwrap().histograms["web.latency"];
        let values: Vec<f64> =
            histogram.counts.iter().map(|row| of_row(&histogram.bounds_ms, row, 0.95)).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0) / n)
    };
    let ((one, scatter), (other, more)) = (side(before), side(after));
    (other - one).abs() / (scatter + more).sqrt() > 2.326
}

/// The normal distribution function: Abramowitz and Stegun 26.2.17, right to 7.5e-8.
fn normal_cdf(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let terms = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let polynomial = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    let tail = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt() * polynomial;
    if z > 0.0 { 1.0 - tail } else { tail }
}
