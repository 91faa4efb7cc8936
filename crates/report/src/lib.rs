//! Records and what was judged of them to text for people: `report.md`, the table of a terminal, a page, and the
//! columns of `kubectl get`.
//!
//! Pure: a record goes in, a text comes out, and the same record always gives the same text. Sections build a small
//! document, renderers write it; each escapes and cleans every text, ours or not, so that nothing a measured
//! system says can change the shape of a report. A column or line appears only with its figure, and a figure that
//! could not be had is named with its reason, never written as 0.

use plimsoll_analysis::judgement::{Comparison, Judgement};
use plimsoll_analysis::record::BaselineRecord;

mod chart;
mod document;
mod escape;
pub mod format;
mod html;
mod markdown;
mod overview;
mod section;
mod summary;
mod table;
#[cfg(test)]
mod tests;

pub use overview::{BaselineOverview, Overview, overview_markdown, overview_table};
pub use summary::{Summary, summary};

/// The whole `report.md`: GitHub-flavoured Markdown, ending in a newline. With a judgement the verdict comes first.
#[must_use]
pub fn markdown(record: &BaselineRecord, judgement: Option<&Judgement>) -> String {
    let mut blocks = section::report(record, judgement);
    blocks.extend(section::closing(record));
    markdown::render(&blocks)
}

/// The report for a terminal: aligned columns, no escape sequences, ending in a newline.
///
/// `width` is how many columns the terminal has, at least 40: cells are cut so that rows fit. Without it nothing is
/// cut, which is for files and other programs. Sentences are broken at 100 columns at most.
#[must_use]
pub fn table(record: &BaselineRecord, judgement: Option<&Judgement>, width: Option<usize>) -> String {
    table::render(&section::report(record, judgement), width)
}

/// The report as a page: one self-contained HTML file for screens (light and dark), phones and paper, ending in a newline.
/// It asks no server for anything, and its policy lets nothing run but its own script.
#[must_use]
pub fn html(record: &BaselineRecord, judgement: Option<&Judgement>) -> String {
    html::page(record, judgement)
}

/// A comparison alone as GitHub-flavoured Markdown, ending in a newline.
#[must_use]
pub fn comparison_markdown(comparison: &Comparison) -> String {
    markdown::render(&section::comparison::alone(comparison))
}

/// A comparison alone for a terminal, ending in a newline; `width` as in [`table`].
#[must_use]
pub fn comparison_table(comparison: &Comparison, width: Option<usize>) -> String {
    table::render(&section::comparison::alone(comparison), width)
}
