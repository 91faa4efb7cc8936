//! Figures of a window slot by slot: what a comparison needs to tell a change from noise, and what charts are drawn from.
//!
//! A window is cut into slots of equal length. Slots without data are left out, so that a gap is never a 0.

use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Figures of the window, slot by slot. Keys are those of indicators without a percentile, for example `web.latency`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Length of a slot in seconds.
    pub step_seconds: u64,
    /// How many slots the window has; at most [`MAX_SLOTS`]. Slot `k` ends `(slots - 1 - k) * step_seconds` before the
    /// window's end.
    pub slots: u32,
    /// Observations by bucket: `web.latency`, `api.latency`, `database.queryTime`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub histograms: IndexMap<String, HistogramSeries>,
    /// Parts of a whole: `web.errorRatio`, `api.errorRatio` (failed requests of all requests).
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub ratios: IndexMap<String, RatioSeries>,
    /// Plain numbers: `infrastructure.cpu` (cores), `infrastructure.memory` (bytes), `metrics.NAME` (the unit of that metric).
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub numbers: IndexMap<String, NumberSeries>,
}

/// Most slots of a window: a week in half hours.
pub const MAX_SLOTS: u32 = 336;

/// One histogram, slot by slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HistogramSeries {
    /// Upper bounds of the buckets in milliseconds, rising, without the last one, which is infinite.
    pub bounds_ms: Vec<f64>,
    /// Which slots have data, rising.
    pub slots: Vec<u32>,
    /// For each of these slots the observations inside each bucket (not cumulative), one more than there are bounds. An
    /// `increase` is not a whole number.
    pub counts: Vec<Vec<f64>>,
}

/// One ratio, slot by slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RatioSeries {
    /// Which slots have data, rising.
    pub slots: Vec<u32>,
    /// The part, for example failed requests, for each of these slots.
    pub part: Vec<f64>,
    /// The whole, for example all requests.
    pub whole: Vec<f64>,
}

/// One number, slot by slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NumberSeries {
    /// Which slots have data, rising.
    pub slots: Vec<u32>,
    /// The number of each of these slots.
    pub values: Vec<f64>,
}

impl Series {
    /// When a slot ends, for a window that ends at `to`; `None` for a slot that the window has not.
    #[must_use]
    pub fn end_of(&self, slot: u32, to: Timestamp) -> Option<Timestamp> {
        let before = self.slots.checked_sub(1)?.checked_sub(slot)?;
        let seconds = i64::from(before).checked_mul(i64::try_from(self.step_seconds).ok()?)?;
        to.checked_sub(SignedDuration::from_secs(seconds)).ok()
    }
}
