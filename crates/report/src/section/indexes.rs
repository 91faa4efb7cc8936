//! Indexes that cost more than they serve: unused, duplicate and invalid ones.

use plimsoll_analysis::record::{BaselineRecord, DatabaseAnalysis};

use super::database::qualified;
use super::lists::Listed;
use super::sources::float;
use crate::document::{Column, Grid, numbers, words};
use crate::format;

/// One index.
struct Row<'a> {
    schema: &'a str,
    table: &'a str,
    index: &'a str,
    /// What this list says beside size and table.
    remark: Option<String>,
    size_bytes: u64,
}

/// Indexes above 10 MB that are hardly read.
pub(super) fn unused<'a>(record: &'a BaselineRecord, analysis: &DatabaseAnalysis) -> Listed<'a> {
    let rows = analysis.unused_indexes.as_ref().map(|indexes| {
        let row = indexes.iter().map(|index| Row {
            schema: &index.schema,
            table: &index.table,
            index: &index.index,
            remark: Some(format::count(index.index_scans)),
            size_bytes: index.size_bytes,
        });
        row.collect::<Vec<_>>()
    });
    let (grid, total) = grid(numbers("Scans"), rows.as_deref());
    Listed {
        title: "Unused indexes",
        one: "unused index",
        many: "unused indexes",
        basis: record.basis_of("database_analysis.unused_indexes"),
        count: rows.map(|rows| rows.len()),
        total,
        caption: "Above 10 MB, with fewer than 50 scans, and no constraint needs them. Replicas count their own scans: an index may serve there.".to_owned(),
        grid,
    }
}

/// Indexes whose work another does.
pub(super) fn duplicate<'a>(record: &'a BaselineRecord, analysis: &DatabaseAnalysis) -> Listed<'a> {
    let rows = analysis.duplicate_indexes.as_ref().map(|indexes| {
        let row = indexes.iter().map(|index| Row {
            schema: &index.schema,
            table: &index.table,
            index: &index.index,
            remark: Some(index.covered_by.clone()),
            size_bytes: index.size_bytes,
        });
        row.collect::<Vec<_>>()
    });
    let (grid, total) = grid(words("Covered by"), rows.as_deref());
    Listed {
        title: "Duplicate indexes",
        one: "duplicate index",
        many: "duplicate indexes",
        basis: record.basis_of("database_analysis.duplicate_indexes"),
        count: rows.map(|rows| rows.len()),
        total,
        caption: "Another index has the same columns, or these as its first ones, and does their work."
            .to_owned(),
        grid,
    }
}

/// Indexes that no query can use.
pub(super) fn invalid<'a>(record: &'a BaselineRecord, analysis: &DatabaseAnalysis) -> Listed<'a> {
    let rows = analysis.invalid_indexes.as_ref().map(|indexes| {
        let row = indexes.iter().map(|index| Row {
            schema: &index.schema,
            table: &index.table,
            index: &index.index,
            remark: None,
            size_bytes: index.size_bytes,
        });
        row.collect::<Vec<_>>()
    });
    let (grid, total) = grid(words("Remark"), rows.as_deref());
    Listed {
        title: "Invalid indexes",
        one: "invalid index",
        many: "invalid indexes",
        basis: record.basis_of("database_analysis.invalid_indexes"),
        count: rows.map(|rows| rows.len()),
        total,
        caption: "Left behind by a build that failed: written at every change and never read.".to_owned(),
        grid,
    }
}

/// The indexes, and the size of all of them.
fn grid(remark: Column, rows: Option<&[Row<'_>]>) -> (Grid, Option<String>) {
    let mut grid = Grid::new([words("Index"), words("Table"), remark, numbers("Size")]);
    let mut sum = 0u64;
    for row in rows.into_iter().flatten() {
        sum = sum.saturating_add(row.size_bytes);
        grid.row([
            Some(row.index.to_owned()),
            Some(qualified(Some(row.schema), row.table)),
            row.remark.clone(),
            Some(format::bytes(float(row.size_bytes))),
        ]);
    }
    (grid, rows.map(|_| format::bytes(float(sum))))
}
