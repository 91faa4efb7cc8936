//! `judge` (pure): by what the last record is judged, whether that changed, and what is said of the record.
//!
//! A record is judged when it is recorded, and again whenever what it is judged by changes: objectives, comparison, the
//! record compared with. Neither is a reason to measure anything.

use plimsoll_analysis::compare::compare;
use plimsoll_analysis::findings::findings;
use plimsoll_analysis::hash::sha256_hex;
use plimsoll_analysis::judgement::{self, Against, Comparison, Judgement};
use plimsoll_analysis::objective;
use plimsoll_analysis::record::{self, BaselineRecord};
use plimsoll_analysis::trend::trend;
use plimsoll_api::PerformanceBaselineStatus;
use plimsoll_api::baseline::{KeptRun, ObjectiveSpec};
use serde_json::json;

use super::validate::{CompareWith, ValidComparison};
use super::view::{StoredRecord, View};

/// Nothing is there to compare with.
pub const NOTHING_TO_COMPARE: &str = "NothingToCompare";
/// A record that status names is gone.
pub const RECORD_MISSING: &str = "RecordMissing";
/// A record is not the one that status names.
pub const RECORD_MISMATCH: &str = "RecordMismatch";
/// A record cannot be read by this version.
pub const RECORD_UNREADABLE: &str = "RecordUnreadable";

/// Hash of a judgement by a spec that means nothing.
const INVALID: &str = "invalid";

/// Why a record cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// One word, for conditions.
    pub reason: &'static str,
    /// What is missing and what to do.
    pub message: String,
}

impl Unavailable {
    /// Nothing to compare with.
    #[must_use]
    pub fn nothing(message: impl Into<String>) -> Self {
        Self { reason: NOTHING_TO_COMPARE, message: message.into() }
    }
}

/// Which record a run is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// None is asked for.
    NotAsked,
    /// None is there.
    Missing(Unavailable),
    /// The one in a run's ConfigMap, which must have this hash.
    Run {
        /// Name of the run and of its ConfigMap.
        run: String,
        /// SHA-256 that status says of its record.
        sha256: String,
    },
    /// One that is no run's of this namespace; read already, since nothing but itself tells which it is.
    Exported(Box<StoredRecord>),
}

/// The run whose record is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its name.
    pub run: String,
    /// Its key.
    pub key: String,
    /// SHA-256 of its record.
    pub sha256: String,
}

/// What a judgement is made from.
#[derive(Debug)]
pub struct Material {
    /// The run that is judged.
    pub subject: Subject,
    /// Hash of what it is judged by.
    pub hash: String,
    /// Its record.
    pub record: Result<StoredRecord, Unavailable>,
    /// Records of the runs before it that are kept, oldest first.
    pub older: Vec<BaselineRecord>,
    /// The record that it is compared with; `None` where no comparison is asked for.
    pub before: Option<Result<StoredRecord, Unavailable>>,
}

/// What was said of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The run that was judged.
    pub subject: Subject,
    /// Hash of what it was judged by.
    pub hash: String,
    /// The judgement with the record that it is of, or why there is none.
    pub opinion: Result<Box<Opinion>, Unavailable>,
    /// Why it was not compared although that is asked for.
    pub not_compared: Option<Unavailable>,
}

/// A judgement, and the record that it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinion {
    /// The judgement.
    pub judgement: Judgement,
    /// The record.
    pub record: BaselineRecord,
}

/// Whether the last record is to be judged, as far as the resource itself tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It was, by what the spec says now.
    No,
    /// It was not.
    Yes,
    /// Another object decides: the one that it is compared with.
    Asks,
}

/// The part of a judgement's hash that the spec decides.
#[must_use]
pub fn spec_part(view: &View) -> String {
    let spec = &view.spec;
    let better: Vec<_> =
        spec.metrics.iter().filter_map(|metric| Some((&metric.name, metric.better?))).collect();
    let objectives = spec.objectives.iter().map(|objective| ObjectiveSpec {
        // Of the alert alone.
        r#for: String::new(),
        ..objective.clone()
    });
    let by = json!([objectives.collect::<Vec<_>>(), spec.compare_to, better]);
    format!("v1:{}", &sha256_hex(by.to_string().as_bytes())[..16])
}

/// Whether a judgement's hash is of this part.
#[must_use]
pub fn is_of(hash: &str, spec_part: &str) -> bool {
    hash.strip_prefix(spec_part).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// The hash of what a run is judged by. The run before it is decided once and for all, and so no part of it.
#[must_use]
pub fn hash(view: &View, target: &Target) -> String {
    // What was judged by a spec that means nothing is judged again as soon as it means something.
    let Ok(valid) = &view.valid else { return INVALID.to_owned() };
    let compare = valid.comparison.as_ref();
    let target = match target {
        _ if compare.is_none_or(|compare| compare.with == CompareWith::PreviousRun) => {
            return spec_part(view);
        }
        Target::NotAsked => return spec_part(view),
        Target::Missing(why) => format!("{}: {}", why.reason, why.message),
        Target::Run { run, sha256 } => format!("{run} {sha256}"),
        Target::Exported(stored) => format!("{} {}", stored.record.run, stored.sha256),
    };
    format!("{}:{}", spec_part(view), &sha256_hex(target.as_bytes())[..8])
}

/// The last finished run, where it has a record.
#[must_use]
pub fn subject(status: &PerformanceBaselineStatus) -> Option<Subject> {
    let last = status.last_run.as_ref()?;
    let sha256 = last.record_sha256.clone()?;
    Some(Subject { run: last.name.clone(), key: last.key.clone(), sha256 })
}

/// Whether the last record is to be judged while no run is under way.
#[must_use]
pub fn need(view: &View) -> Need {
    let (Some(subject), Ok(valid), false) = (subject(&view.status), &view.valid, view.deleting) else {
        return Need::No;
    };
    let part = spec_part(view);
    let judged = view.status.judgement.as_ref();
    if judged.is_none_or(|judged| judged.run != subject.run || !is_of(&judged.hash, &part)) {
        return Need::Yes;
    }
    match valid.comparison.as_ref().map(|compare| &compare.with) {
        Some(CompareWith::Baseline { .. } | CompareWith::Record { .. }) => Need::Asks,
        Some(CompareWith::PreviousRun) | None => Need::No,
    }
}

/// Whether a record is compared with one that somebody has yet to apply.
#[must_use]
pub fn awaits_a_record(view: &View) -> bool {
    let compare = view.valid.as_ref().ok().and_then(|valid| valid.comparison.as_ref());
    compare.is_some_and(|compare| matches!(compare.with, CompareWith::Record { .. }))
        && view.status.judgement.is_some()
        && view.status.comparison.is_none()
}

/// The complete run before the one that is judged.
#[must_use]
pub fn previous_run(history: &[KeptRun], subject: &Subject) -> Target {
    // A run that is just recorded is no part of the history yet.
    let position = history.iter().position(|kept| kept.name == subject.run);
    let before = &history[position.map_or(0, |position| position + 1)..];
    match before.iter().find(|kept| kept.complete) {
        Some(kept) => Target::Run { run: kept.name.clone(), sha256: kept.record_sha256.clone() },
        None => Target::Missing(Unavailable::nothing(
            "No complete run before this one is kept; the next run is compared with it, or raise spec.historyLimit.",
        )),
    }
}

/// A run of a baseline, by its history: the one that is named, or the newest complete one.
#[must_use]
pub fn run_of(baseline: &str, history: &[KeptRun], run: Option<&str>, subject: &Subject) -> Target {
    let found = match run {
        Some(run) => history.iter().find(|kept| kept.name == run),
        None => history.iter().find(|kept| kept.complete),
    };
    match (found, run) {
        (Some(kept), _) if kept.name == subject.run => Target::Missing(Unavailable::nothing(format!(
            "Run {} is the one that is judged; the next run is compared with it.",
            kept.name
        ))),
        (Some(kept), _) => Target::Run { run: kept.name.clone(), sha256: kept.record_sha256.clone() },
        (None, Some(run)) => {
            let kept: Vec<&str> = history.iter().map(|kept| kept.name.as_str()).collect();
            let kept = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
            Target::Missing(Unavailable::nothing(format!(
                "PerformanceBaseline {baseline} keeps no record of a run {run}; kept are: {kept}. Name one of these in spec.compareTo.baseline.run, or leave it out for the newest."
            )))
        }
        (None, None) => Target::Missing(Unavailable::nothing(format!(
            "PerformanceBaseline {baseline} has no complete run yet; this one is compared as soon as it has."
        ))),
    }
}

/// A record that was applied as a ConfigMap.
#[must_use]
pub fn exported(stored: StoredRecord, config_map: &str, subject: &Subject) -> Target {
    if stored.sha256 == subject.sha256 {
        return Target::Missing(Unavailable::nothing(format!(
            "The ConfigMap {config_map} holds the record of the run that is judged, {}; the next run is compared with it.",
            subject.run
        )));
    }
    match readable(stored, config_map) {
        Ok(stored) => Target::Exported(Box::new(stored)),
        Err(why) => Target::Missing(why),
    }
}

/// A record whose meaning this version knows.
///
/// # Errors
/// It is of another schema.
pub fn readable(stored: StoredRecord, config_map: &str) -> Result<StoredRecord, Unavailable> {
    if stored.record.schema == record::SCHEMA {
        return Ok(stored);
    }
    let schema: String = stored.record.schema.chars().take(80).collect();
    Err(Unavailable {
        reason: RECORD_UNREADABLE,
        message: format!(
            "The ConfigMap {config_map} holds a record of schema {schema:?}, and this version reads {:?}; record it again.",
            record::SCHEMA
        ),
    })
}

/// Judges a record.
#[must_use]
pub fn judge(view: &View, material: &Material) -> Judged {
    let Material { subject, hash, record, older, before } = material;
    let not_compared = before.as_ref().and_then(|before| before.as_ref().err()).cloned();
    let opinion = match record {
        Ok(stored) => Ok(Box::new(opinion(view, stored, older, before.as_ref()))),
        Err(why) => Err(why.clone()),
    };
    Judged { subject: subject.clone(), hash: hash.clone(), opinion, not_compared }
}

fn opinion(
    view: &View,
    stored: &StoredRecord,
    older: &[BaselineRecord],
    before: Option<&Result<StoredRecord, Unavailable>>,
) -> Opinion {
    let record = &stored.record;
    let valid = view.valid.as_ref().ok();
    let findings = findings(record);
    let objectives = valid.map(|valid| valid.objectives.as_slice()).unwrap_or_default();
    let objectives = objective::judge(record, objectives, &findings);
    let asked = valid.and_then(|valid| valid.comparison.as_ref());
    let comparison =
        asked.zip(before).and_then(|(asked, before)| compared(asked, before.as_ref().ok()?, record));
    let not_compared = before.and_then(|before| before.as_ref().err()).map(|why| why.message.clone());
    let runs: Vec<&BaselineRecord> = older.iter().chain([record]).collect();
    let judgement = Judgement {
        schema: judgement::SCHEMA.to_owned(),
        run: record.run.clone(),
        record_sha256: Some(stored.sha256.clone()),
        generation: Some(view.generation),
        complete: record.complete,
        objectives,
        findings,
        comparison,
        not_compared,
        // One run is no trend.
        trend: if runs.len() > 1 { trend(&runs) } else { Vec::new() },
    };
    Opinion { judgement, record: record.clone() }
}

fn compared(asked: &ValidComparison, before: &StoredRecord, after: &BaselineRecord) -> Option<Comparison> {
    let against = Against {
        name: before.record.name.clone(),
        run: before.record.run.clone(),
        record_sha256: Some(before.sha256.clone()),
        window: before.record.window,
    };
    Some(compare(&before.record, after, against, &asked.options))
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
