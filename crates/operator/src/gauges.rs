//! What each baseline says of its objectives and of its change, as gauges: the last verdict, for dashboards and alerts.
//!
//! They follow status, so that they are there again after a restart; an object that goes takes its own along. How many
//! objectives are shown is bounded, because each has three series: the objects past the bound are left out whole, and a
//! counter and the log say so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// How many objectives are shown where no flag says otherwise.
pub const DEFAULT_LIMIT: usize = 3_000;

/// Namespace and name of a baseline.
pub type Key = (String, String);

/// What one baseline says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Its objectives.
    pub objectives: Vec<Figure>,
    /// How its last run compares with another, where it was compared: one of a fixed set of words.
    pub verdict: Option<&'static str>,
}

/// What one objective says.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its name.
    pub name: String,
    /// The value in its base unit, rounded as status shows it; absent where there is none or only bounds are known.
    pub value: Option<f64>,
    /// The target in the same unit.
    pub target: Option<f64>,
    /// Whether it is met; absent where it is inconclusive, which is neither.
    pub met: Option<bool>,
}

impl Figures {
    /// What counts against the bound.
    fn size(&self) -> usize {
        self.objectives.len() + usize::from(self.verdict.is_some())
    }
}

#[derive(Debug, Default)]
struct Inner {
    shown: BTreeMap<Key, Figures>,
    /// Objectives and verdicts of all that is shown.
    size: usize,
    left_out: BTreeSet<Key>,
    /// How often an object was left out.
    times: u64,
}

/// The gauges of every baseline.
#[derive(Debug)]
pub struct Gauges {
    inner: Mutex<Inner>,
    limit: usize,
}

impl Default for Gauges {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl Gauges {
    /// Shows at most so many objectives and verdicts.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { inner: Mutex::default(), limit }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what a baseline says now.
    pub fn set(&self, key: Key, figures: Figures) {
        let mut inner = self.lock();
        let before = inner.shown.get(&key).map_or(0, Figures::size);
        let size = inner.size - before + figures.size();
        if size > self.limit {
            inner.size -= before;
            inner.shown.remove(&key);
            if inner.left_out.insert(key.clone()) {
                inner.times += 1;
                tracing::warn!(
                    namespace = key.0,
                    name = key.1,
                    limit = self.limit,
                    "the objectives of this baseline are not shown as metrics: there are too many; see --max-objective-metrics"
                );
            }
            return;
        }
        inner.size = size;
        inner.left_out.remove(&key);
        if figures.size() == 0 {
            inner.shown.remove(&key);
        } else {
            inner.shown.insert(key, figures);
        }
    }

    /// Namespace and name of every baseline that is shown.
    #[must_use]
    pub fn shown(&self) -> Vec<Key> {
        self.lock().shown.keys().cloned().collect()
    }

    /// Shows a baseline no more.
    pub fn remove(&self, key: &Key) {
        let mut inner = self.lock();
        inner.left_out.remove(key);
        if let Some(figures) = inner.shown.remove(key) {
            inner.size -= figures.size();
        }
    }

    /// Shows only baselines that are still there: of those that `is_served` takes, the ones in `there`.
    pub fn keep(&self, is_served: impl Fn(&Key) -> bool, there: &BTreeSet<Key>) {
        let gone: Vec<Key> = {
            let inner = self.lock();
            let known = inner.shown.keys().chain(&inner.left_out);
            known.filter(|key| is_served(key) && !there.contains(*key)).cloned().collect()
        };
        gone.iter().for_each(|key| self.remove(key));
    }
}

/// One gauge of every objective that has it.
type Column = (&'static str, &'static str, fn(&Figure) -> Option<f64>);

const COLUMNS: [Column; 3] = [
    (
        "objective_value",
        "Value of an objective in the last run, in its base unit (seconds, a part of one, bytes)",
        |figure| figure.value,
    ),
    ("objective_target", "Bound of an objective, in the same unit", |figure| figure.target),
    (
        "objective_met",
        "Whether an objective was met in the last run: 1 or 0; absent where that cannot be said",
        |figure| figure.met.map(f64::from),
    ),
];

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let inner = self.lock();
        for (metric, help, read) in COLUMNS {
            let mut family = encoder.encode_descriptor(metric, help, None, MetricType::Gauge)?;
            for ((namespace, name), figures) in &inner.shown {
                for figure in &figures.objectives {
                    let Some(value) = read(figure) else { continue };
                    let labels = [
                        ("namespace", namespace.as_str()),
                        ("name", name.as_str()),
                        ("objective", figure.name.as_str()),
                    ];
                    ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        let help = "How the last run compares with another: 1 for the verdict that it is";
        let mut family = encoder.encode_descriptor("baseline_change", help, None, MetricType::Gauge)?;
        for ((namespace, name), figures) in &inner.shown {
            if let Some(verdict) = figures.verdict {
                let labels =
                    [("namespace", namespace.as_str()), ("name", name.as_str()), ("verdict", verdict)];
                ConstGauge::new(1_i64).encode(family.encode_family(&labels)?)?;
            }
        }
        let help =
            "How often a baseline's objectives were left out of these metrics, because there are too many";
        let family = encoder.encode_descriptor("objectives_left_out", help, None, MetricType::Counter)?;
        ConstCounter::new(inner.times).encode(family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        ("farm".to_owned(), name.to_owned())
    }

    fn figures(count: usize) -> Figures {
        let figure = |index| Figure {
            name: format!("o{index}"),
            value: Some(0.5),
            target: Some(3.0),
            met: Some(index % 2 == 0),
        };
        Figures { objectives: (0..count).map(figure).collect(), verdict: None }
    }

    fn shown(gauges: &Gauges) -> Vec<String> {
        gauges.shown().into_iter().map(|key| key.1).collect()
    }

    #[test]
    fn past_the_bound_objects_are_left_out_whole_and_counted_once_and_come_back_when_there_is_room() {
        let gauges = Gauges::new(5);
        gauges.set(key("a"), figures(3));
        for _ in 0..4 {
            gauges.set(key("b"), figures(3));
        }
        gauges.set(key("c"), figures(2));
        assert_eq!(shown(&gauges), ["a", "c"]);
        assert_eq!(gauges.lock().times, 1);
        // One that grows past the bound goes; what it took is free.
        gauges.set(key("a"), figures(4));
        assert_eq!(shown(&gauges), ["c"]);
        gauges.set(key("b"), figures(3));
        assert_eq!(shown(&gauges), ["b", "c"]);
        let inner = gauges.lock();
        assert_eq!((inner.size, inner.times), (5, 2));
    }

    #[test]
    fn what_goes_takes_its_gauges_along() {
        let gauges = Gauges::new(100);
        for name in ["a", "b", "c"] {
            gauges.set(key(name), figures(2));
        }
        gauges.set(("other".to_owned(), "d".to_owned()), figures(1));
        gauges.remove(&key("a"));
        gauges.set(key("b"), Figures::default());
        gauges.keep(|key| key.0 == "farm", &BTreeSet::new());
        assert_eq!(shown(&gauges), ["d"], "another watch's objects are not this one's to judge");
        assert_eq!(gauges.lock().size, 1);
    }
}
