//! The record of a run (pure): what the Job measured and what the operator read of the workloads.

use jiff::Timestamp;
use plimsoll_analysis::record::{BaselineRecord, Cost, RecordNames, SCHEMA, Source, SourceState};
use plimsoll_api::baseline::CurrentRun;

use super::validate::ValidBaseline;
use super::view::{FactsRead, View};
use crate::workloads::assemble::MAX_WORKLOADS;

/// Name of the source whose facts the operator reads.
pub const KUBERNETES: &str = "kubernetes";

/// The Job's record with the names of the run, which are ours to say, and the workloads' facts.
#[must_use]
pub fn with_facts(
    mut record: BaselineRecord,
    view: &View,
    run: &CurrentRun,
    facts: Option<&FactsRead>,
) -> BaselineRecord {
    record.schema = SCHEMA.to_owned();
    record.name.clone_from(&view.name);
    record.namespace.clone_from(&view.namespace);
    record.run.clone_from(&run.name);
    record.run_key.clone_from(&run.key);
    record.sources.retain(|source| source.name != KUBERNETES);
    record.kubernetes = None;
    if let Some(read) = facts {
        record.sources.push(source(read));
        record.kubernetes = Some(read.facts.clone());
        if read.dropped > 0 {
            record.truncated.insert("kubernetes.workloads".to_owned(), read.dropped);
        }
    }
    record.settle();
    record
}

/// The record of a run that reads nothing but the Kubernetes API.
#[must_use]
pub fn facts_only(
    view: &View,
    valid: &ValidBaseline,
    run: &CurrentRun,
    facts: &FactsRead,
    now: Timestamp,
) -> BaselineRecord {
    let names =
        RecordNames { name: &view.name, namespace: &view.namespace, run: &run.name, run_key: &run.key };
    let record = BaselineRecord::empty(names, valid.window_seconds, now);
    with_facts(record, view, run, Some(facts))
}

fn source(read: &FactsRead) -> Source {
    let partial = !read.facts.unknown.is_empty();
    let message = read.facts.unknown.iter().map(|fact| format!("{}: {}", fact.fact, fact.message));
    let dropped = (read.dropped > 0).then(|| {
        format!(
            "{} workloads beyond the {MAX_WORKLOADS} recorded match; narrow sources.workloads.selector",
            read.dropped
        )
    });
    Source {
        name: KUBERNETES.to_owned(),
        state: if partial { SourceState::Partial } else { SourceState::Collected },
        reason: if partial { read.reason } else { None },
        message: partial.then(|| message.collect::<Vec<_>>().join("; ").chars().take(1024).collect()),
        duration_ms: Some(read.duration_ms),
        cost: Some(Cost { queries: Some(read.queries), ..Cost::default() }),
        warnings: dropped.into_iter().collect(),
    }
}
