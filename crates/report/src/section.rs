//! The sections of a report, each from its part of the record.

use plimsoll_analysis::record::{BaselineRecord, Basis};

use crate::document::{Block, Text};

pub(crate) mod figures;
mod header;
mod infrastructure;
mod kubernetes;
mod resources;
mod sources;

/// Every section that the record has something for.
pub(crate) fn report(record: &BaselineRecord) -> Vec<Block> {
    let mut blocks = header::blocks(record);
    blocks.extend(sources::blocks(record));
    blocks.extend(figures::blocks("Web", &figures::web(record), record));
    blocks.extend(figures::blocks("API", &figures::api(record), record));
    blocks.extend(figures::endpoints(record));
    blocks.extend(infrastructure::blocks(record));
    blocks.extend(kubernetes::blocks(record));
    blocks.extend(figures::blocks("Custom metrics", &figures::custom(record), record));
    blocks.extend(sources::truncated(record));
    blocks
}

/// How to read a report that has figures.
pub(crate) fn closing(record: &BaselineRecord) -> Vec<Block> {
    let sections = [figures::web(record), figures::api(record), figures::custom(record)];
    let measured = sections.iter().flatten().any(|figure| figure.value.is_some());
    if !measured && record.infrastructure_metrics.is_none() {
        return Vec::new();
    }
    let items = [
        "Percentiles come from histogram buckets: the figure is interpolated, the true value lies within the bounds beside it.",
        "Rates divide by the time in which the metric was seen, not by the whole window.",
        "Coverage is the part of the window in which the metric was really seen. Below 80% a figure is shown and not judged.",
        "A figure that could not be had is named with its reason; a 0 is a measured 0.",
    ];
    vec![Block::Heading("How to read this"), Block::List(items.into_iter().map(Text::new).collect())]
}

/// The basis of an entry of a map: its own, or the one of the map as a whole. Keys may hold dots.
fn basis_of_entry<'a>(record: &'a BaselineRecord, map: &str, key: &str) -> Option<&'a Basis> {
    record.basis.get(&format!("{map}.{key}")).or_else(|| record.basis.get(map))
}

/// Whether the record says anything about a section: it holds it, or the reason why a figure of it is missing.
fn has_basis(record: &BaselineRecord, section: &str) -> bool {
    record.basis.keys().any(|path| path.strip_prefix(section).is_some_and(|rest| rest.starts_with('.')))
}
