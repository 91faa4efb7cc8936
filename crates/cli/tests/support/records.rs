//! Records of a day of page loads, to compare with one another.

use indexmap::IndexMap;
use plimsoll_analysis::record::{BaselineRecord, HistogramSeries, RecordNames, Series, WebMetrics};

/// Page loads of a slot.
const LOADS: f64 = 1_000.0;

/// A record of `slots` slots of 5 minutes with a median page load of about `median_ms`, which drifts by some percent from
/// slot to slot; `seed` decides how, and on which day.
pub(crate) fn record(run: &str, median_ms: f64, slots: u32, seed: u64) -> BaselineRecord {
    let bounds_ms: Vec<f64> = (0..40).map(|step| 10.0 * 1.2_f64.powi(step)).collect();
    let mut noise = Noise(seed);
    let mut total = vec![0.0; bounds_ms.len() + 1];
    let counts: Vec<Vec<f64>> = (0..slots)
        .map(|_| {
            let counts = slot(median_ms * (1.0 + 0.05 * noise.next()), &bounds_ms);
            total.iter_mut().zip(&counts).for_each(|(sum, count)| *sum += count);
            counts
        })
        .collect();
    let run_key = format!("sha256:{run}");
    let names = RecordNames { name: "dairy", namespace: "pasture", run, run_key: &run_key };
    let seconds = u64::from(slots) * 300;
    let first: jiff::Timestamp = "2026-11-01T10:00:00Z".parse().unwrap();
    let to = first + jiff::SignedDuration::from_hours(24 * i64::try_from(seed).unwrap());
    let mut record = BaselineRecord::empty(names, seconds, to);
    let p95 = quantile(0.95, &bounds_ms, &total);
    record.web_metrics = Some(WebMetrics { page_load_p95_ms: Some(p95), ..WebMetrics::default() });
    let basis = plimsoll_analysis::record::Basis {
        kind: plimsoll_analysis::record::BasisKind::Window,
        from: record.window.from,
        to: record.window.to,
        coverage_percent: Some(100.0),
        samples: Some(u64::from(slots) * 1_000),
        resolution_ms: None,
        note: None,
    };
    record.basis.insert("web_metrics.page_load_p95_ms".to_owned(), basis);
    let histogram = HistogramSeries { bounds_ms, slots: (0..slots).collect(), counts };
    record.series = Some(Series {
        step_seconds: 300,
        slots,
        histograms: IndexMap::from([("web.latency".to_owned(), histogram)]),
        ..Series::default()
    });
    record
}

/// Loads by bucket of a log-logistic distribution.
fn slot(median: f64, bounds: &[f64]) -> Vec<f64> {
    let below = bounds.iter().map(|bound| LOADS / (1.0 + (median / bound).powi(4))).chain([LOADS]);
    let mut last = 0.0;
    below
        .map(|below| {
            let count = below - last;
            last = below;
            count
        })
        .collect()
}

fn quantile(part: f64, bounds: &[f64], counts: &[f64]) -> f64 {
    let mut left = part * counts.iter().sum::<f64>();
    for (index, count) in counts.iter().enumerate() {
        if left <= *count {
            let low = if index == 0 { 0.0 } else { bounds[index - 1] };
            return low + (bounds[index.min(bounds.len() - 1)] - low) * left / count;
        }
        left -= count;
    }
    bounds[bounds.len() - 1]
}

/// Numbers from -1 to 1 (Knuth's linear congruential generator).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 32).unwrap()) / f64::from(u32::MAX) * 2.0 - 1.0
    }
}
