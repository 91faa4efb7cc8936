//! Records to text for people: `report.md`, the table of a terminal, and the columns of `kubectl get`.
//!
//! Pure: a record goes in, a text comes out, and the same record always gives the same text. Sections build a small
//! document, two renderers write it; both escape and clean every text, ours or not, so that nothing a measured
//! system says can change the shape of a report. A column or line appears only with its figure, and a figure that
//! could not be had is named with its reason, never written as 0.

use plimsoll_analysis::record::BaselineRecord;

mod document;
mod escape;
pub mod format;
mod markdown;
mod section;
mod summary;
mod table;
#[cfg(test)]
mod tests;

pub use summary::{Summary, summary};

/// The whole `report.md`: GitHub-flavoured Markdown, ending in a newline.
#[must_use]
pub fn markdown(record: &BaselineRecord) -> String {
    let mut blocks = section::report(record);
    blocks.extend(section::closing(record));
    markdown::render(&blocks)
}

/// The report for a terminal: aligned columns, at most 100 columns wide, no escape sequences,
/// ending in a newline.
#[must_use]
pub fn table(record: &BaselineRecord) -> String {
    table::render(&section::report(record))
}
