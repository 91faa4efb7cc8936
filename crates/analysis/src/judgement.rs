//! What is said of a record: objectives, findings, and the comparison with an earlier record. A judgement changes with the
//! spec; the record that it is about never does, and its SHA-256 says which one it was.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::record::Window;
use crate::request::Unit;

/// Version of the judgement's meaning.
pub const SCHEMA: &str = "plimsoll.dev/baseline-judgement/v1";

/// Everything that is said of one record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Name of the run.
    pub run: String,
    /// SHA-256 of the record, hexadecimal; absent without a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_sha256: Option<String>,
    /// Generation of the spec that judged it; absent without a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Whether every configured source was collected.
    pub complete: bool,
    /// One result an objective, in the spec's order.
    pub objectives: Vec<ObjectiveResult>,
    /// What somebody should look at, the largest expected effect first.
    pub findings: Vec<Finding>,
    /// The comparison, where the spec asks for one and there is something to compare with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// Why there is no comparison although the spec asks for one, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_compared: Option<String>,
    /// Each indicator over the runs kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trend: Vec<Trend>,
}

/// One objective, with its bound parsed: the one threshold type of every kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// Its name.
    pub name: String,
    /// What is judged: the name of an indicator (see [`crate::indicator`]); an objective with a query of its own is read
    /// as `metrics.NAME`, NAME being the objective's.
    pub indicator: String,
    /// What the bound is measured in.
    pub unit: Unit,
    /// On which side of the bound it is met.
    pub comparison: Bound,
    /// The bound, in the unit: seconds, 0 to 1, bytes, things, things a second.
    pub target: f64,
    /// Where the warning begins, in the same unit: between it and the target the result is a warning, which counts as met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<f64>,
    /// The bound as the spec writes it, for example `3s`.
    pub target_text: String,
}

/// On which side of its bound an objective is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bound {
    /// Below it.
    LessThan,
    /// Above it.
    GreaterThan,
}

/// How one objective came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectiveResult {
    /// Its name.
    pub name: String,
    /// What was judged.
    pub indicator: String,
    /// `lessThan 3s`.
    pub target: String,
    /// The value in `unit`; absent where there is none, or where only an interval is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Lower bound of the value, where an interval is known: the bucket of a percentile, or the bounds of a query time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Its upper bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// What value, bounds and target are measured in.
    pub unit: Unit,
    /// Met, Missed, Warning or Inconclusive.
    pub result: ObjectiveVerdict,
    /// How far the value is from the target on its good side, percent of the target; negative where it is missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin_percent: Option<f64>,
    /// Path of the figure in the record, under which its basis stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `id` and `subject` of the finding that explains why it is missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
    /// For people: value, target, and what to do where it is inconclusive.
    pub message: String,
}

/// How an objective came out. No data, too little coverage or too few samples is never a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ObjectiveVerdict {
    /// On the good side of the target.
    Met,
    /// Met, and past the warning.
    Warning,
    /// On the bad side of the target.
    Missed,
    /// Not to be said: the message tells why and what to do.
    Inconclusive,
}

impl ObjectiveVerdict {
    /// Whether it counts as met: a warning does.
    #[must_use]
    pub fn is_met(self) -> bool {
        matches!(self, Self::Met | Self::Warning)
    }
}

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Which rule found it: lower-case words with hyphens, for example `slow-statement`.
    pub id: String,
    /// What it is about: an endpoint, a statement's queryid or label, a table, an index, a prefix, a pod, a workload.
    pub subject: String,
    /// How much it matters.
    pub impact: Impact,
    /// The largest part of its tier's time or resource that mending it could save, percent, where the record tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect_percent: Option<f64>,
    /// The figures that led to it, with units.
    pub evidence: String,
    /// What to do.
    pub action: String,
    /// Paths of the figures in the record.
    pub paths: Vec<String>,
    /// Indicators that it can explain, for example `api.latency.p95`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explains: Vec<String>,
}

/// How much a finding matters; findings are ordered by it, then by their effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Impact {
    /// Users feel it, or data or service are at risk.
    High,
    /// It costs time or money, or will.
    Medium,
    /// Good housekeeping.
    Low,
}

/// How a record compares with an earlier one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What it is compared with.
    pub against: Against,
    /// How the slots of the two windows were paired.
    pub alignment: Alignment,
    /// Change for the worse that is allowed, percent of the value before.
    pub allowed_change_percent: f64,
    /// Confidence of the whole family of judged indicators, percent: 98 keeps false verdicts at 2 in a hundred.
    pub confidence_percent: f64,
    /// The whole: Regressed where any judged indicator is, else Improved where any is, else Inconclusive where any is, but
    /// for one that is known by bounds alone.
    pub verdict: ChangeVerdict,
    /// One entry an indicator that either record has.
    pub indicators: Vec<Change>,
    /// What a reader must know: different load levels, slots left out, different servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The earlier record of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// Name of the baseline.
    pub name: String,
    /// Name of the run.
    pub run: String,
    /// SHA-256 of its record, hexadecimal, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_sha256: Option<String>,
    /// Its window.
    pub window: Window,
}

/// How the slots of two windows are paired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Alignment {
    /// Not at all: all of one window against all of the other.
    #[default]
    None,
    /// Only slots of the same hour of the week (UTC) are compared; the others are left out on both sides.
    HourOfWeek,
}

/// How a comparison is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompareOptions {
    /// Change for the worse that is allowed, as a part of the value before: 0.05 for 5 %.
    pub allowed_change: f64,
    /// Confidence of the whole family, 0 to 1 exclusive.
    pub confidence: f64,
    /// How slots are paired.
    pub alignment: Alignment,
    /// Which direction of the user's own metrics is better, by their name; those that are not named are shown and not
    /// judged.
    pub better: BTreeMap<String, Better>,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { allowed_change: 0.05, confidence: 0.98, alignment: Alignment::None, better: BTreeMap::new() }
    }
}

/// How one indicator changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its name.
    pub indicator: String,
    /// What before and after are measured in.
    pub unit: Unit,
    /// Which direction is better; absent where neither is (a request rate), and then it is shown and not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub better: Option<Better>,
    /// Value before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<f64>,
    /// Value after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<f64>,
    /// (after - before) / before, percent; positive is more, which may be better or worse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_percent: Option<f64>,
    /// Lower bound of the change, percent, at the confidence that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_percent: Option<f64>,
    /// Its upper bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_percent: Option<f64>,
    /// Observations or slots before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<[u64; 2]>,
    /// Slots before and after that are worth an independent one, after the correction for autocorrelation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_samples: Option<[f64; 2]>,
    /// Improved, Unchanged, Regressed or Inconclusive.
    pub verdict: ChangeVerdict,
    /// What decided, in words and numbers.
    pub rule: String,
}

/// How an indicator changed. Inconclusive is never Unchanged: the data do not allow to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChangeVerdict {
    /// Better, by the whole interval.
    Improved,
    /// At most the allowed change worse, by the whole interval.
    Unchanged,
    /// Worse by more than the allowed change, by the whole interval.
    Regressed,
    /// The interval allows more than one of these, or there are too few data.
    Inconclusive,
}

/// Which direction of a figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
}

/// One indicator over the runs kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// Its name.
    pub indicator: String,
    /// What its values are measured in.
    pub unit: Unit,
    /// Its values, oldest first; a run without one is left out.
    pub points: Vec<TrendPoint>,
}

/// The value of an indicator in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrendPoint {
    /// Name of the run.
    pub run: String,
    /// End of its window.
    pub at: Timestamp,
    /// Its value.
    pub value: f64,
}
