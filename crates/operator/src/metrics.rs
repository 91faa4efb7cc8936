//! The operator's own metrics. Labels come from fixed sets, but for the gauges of objectives ([`crate::gauges`]), whose
//! number is bounded.

use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::gauges::{DEFAULT_LIMIT, Gauges};

/// How a reconcile ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReconcileLabels {
    /// Kind in lower case.
    pub kind: &'static str,
    /// `changed`, `unchanged` or `error`.
    pub outcome: &'static str,
}

/// Which kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabels {
    /// Kind in lower case.
    pub kind: &'static str,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RunLabels {
    /// Kind in lower case.
    pub kind: &'static str,
    /// `Recorded`, or the reason why not.
    pub reason: String,
}

/// The operator's own metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Reconciles by kind and outcome.
    pub reconciles: Family<ReconcileLabels, Counter>,
    /// Duration of reconciles by kind.
    pub duration: Family<KindLabels, Histogram>,
    /// Runs that ended, by kind and reason.
    pub runs: Family<RunLabels, Counter>,
    /// Whether this process is the leader: 1 or 0.
    pub leader: Gauge,
    /// What baselines say of their objectives.
    pub gauges: Arc<Gauges>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl Metrics {
    /// Metrics that show at most so many objectives.
    #[must_use]
    pub fn new(max_objectives: usize) -> Self {
        let mut registry = Registry::with_prefix("plimsoll");
        let reconciles = Family::default();
        let duration: Family<KindLabels, Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 14)));
        let runs = Family::default();
        let leader = Gauge::default();
        registry.register("reconciles", "Reconciles by kind and outcome", reconciles.clone());
        registry.register_with_unit(
            "reconcile_duration",
            "Duration of reconciles",
            Unit::Seconds,
            duration.clone(),
        );
        registry.register("runs", "Runs that ended, by kind and reason", runs.clone());
        registry.register("leader", "Whether this process is the leader", leader.clone());
        let gauges = Arc::new(Gauges::new(max_objectives));
        registry.register_collector(Box::new(gauges.clone()));
        Self { registry, reconciles, duration, runs, leader, gauges }
    }

    /// The metrics in the OpenMetrics text format.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_prefix_and_their_unit() {
        let metrics = Metrics::default();
        metrics.reconciles.get_or_create(&ReconcileLabels { kind: "x", outcome: "changed" }).inc();
        metrics.duration.get_or_create(&KindLabels { kind: "x" }).observe(0.1);
        let text = metrics.encode();
        assert!(text.contains("plimsoll_reconciles_total{kind=\"x\",outcome=\"changed\"} 1"), "{text}");
        assert!(text.contains("plimsoll_reconcile_duration_seconds_bucket"), "{text}");
    }
}
