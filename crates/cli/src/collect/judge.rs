//! What is said of a record without a cluster: by the same functions as the operator's.

use plimsoll_analysis::compare::compare;
use plimsoll_analysis::findings::findings;
use plimsoll_analysis::judgement::{self, CompareOptions, Judgement, Objective};
use plimsoll_analysis::objective;
use plimsoll_analysis::record::BaselineRecord;

use crate::record_file::RecordFile;

/// By what a record is judged.
#[derive(Debug, Clone, Default)]
pub(super) struct Standard {
    /// Bounds that figures must keep.
    pub(super) objectives: Vec<Objective>,
    /// How it is compared.
    pub(super) options: CompareOptions,
    /// The earlier record, where one was given.
    pub(super) before: Option<RecordFile>,
    /// Why there is none although the baseline asks for one.
    pub(super) not_compared: Option<String>,
}

/// Judges a record. There is no trend: without a cluster no runs are kept.
pub(super) fn judge(record: &BaselineRecord, standard: &Standard) -> Judgement {
    let Standard { objectives, options, before, not_compared } = standard;
    let findings = findings(record);
    let objectives = objective::judge(record, objectives, &findings);
    let comparison = before.as_ref().map(|before| compare(&before.record, record, before.against(), options));
    Judgement {
        schema: judgement::SCHEMA.to_owned(),
        run: record.run.clone(),
        record_sha256: None,
        generation: None,
        complete: record.complete,
        objectives,
        findings,
        not_compared: not_compared.clone().filter(|_| comparison.is_none()),
        comparison,
        trend: Vec::new(),
    }
}
