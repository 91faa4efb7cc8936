//! What the database's statistics say that somebody should look at.

use plimsoll_analysis::record::{BaselineRecord, DatabaseAnalysis};

use super::database::{SOURCE, qualified};
use super::figures::{self, Figure};
use super::lists::{self, Listed};
use super::statements::Statements;
use super::{has_basis, indexes};
use crate::document::{Block, Grid, list, numbers, words};
use crate::format;

/// Path of the section.
const SECTION: &str = "database_analysis";
/// Stands for a time at which something never happened.
const NEVER: &str = "never";

pub(super) fn blocks<'a>(record: &'a BaselineRecord, statements: &mut Statements<'a>) -> Vec<Block> {
    let source = lists::source(record, SOURCE);
    if record.database_analysis.is_none() && !has_basis(record, SECTION) {
        return Vec::new();
    }
    let slow = slow_statements(record, statements);
    let mut all = vec![slow];
    let empty = DatabaseAnalysis::default();
    let analysis = record.database_analysis.as_ref().unwrap_or(&empty);
    all.extend([
        missing_indexes(record, analysis),
        indexes::unused(record, analysis),
        indexes::duplicate(record, analysis),
        indexes::invalid(record, analysis),
        dead_tuples(record, analysis),
        stale_statistics(record, analysis),
    ]);
    let mut blocks = vec![Block::Heading("Query analysis")];
    let mut verdict = lists::verdict(&all, source);
    verdict.extend(lists::notes(&[settings_as_a_whole(record, analysis)], source));
    blocks.extend(list(verdict));
    for (index, listed) in all.into_iter().enumerate() {
        blocks.extend(listed.blocks(record));
        if index == 0 {
            blocks.extend(statements.texts());
        }
    }
    blocks.extend(settings(record, analysis));
    blocks
}

fn slow_statements<'a>(record: &'a BaselineRecord, statements: &mut Statements<'a>) -> Listed<'a> {
    let slow = record.database_analysis.as_ref().and_then(|analysis| analysis.slow_queries.as_ref());
    let mut grid = Grid::new([
        words("Statement"),
        words("Label"),
        numbers("Mean"),
        numbers("Calls"),
        numbers("Total"),
        numbers("Rows"),
        numbers("Query id"),
    ]);
    let mut total = 0.0;
    for statement in slow.into_iter().flatten() {
        total += statement.total_ms;
        grid.row([
            Some(statements.name(&statement.query_id, statement.query.as_deref())),
            statement.label.clone(),
            Some(format::milliseconds(statement.avg_ms)),
            Some(format::count(statement.calls)),
            Some(format::milliseconds(statement.total_ms)),
            Some(format::count(statement.rows)),
            Some(statement.query_id.clone()),
        ]);
    }
    Listed {
        title: "Slow statements",
        one: "slow statement",
        many: "slow statements",
        basis: record.basis_of("database_analysis.slow_queries"),
        count: slow.map(Vec::len),
        total: slow.map(|_| format!("{} in all", format::milliseconds(total))),
        caption: "Mean execution time above the spec's threshold, slowest first.".to_owned(),
        grid,
    }
}

fn missing_indexes<'a>(record: &'a BaselineRecord, analysis: &DatabaseAnalysis) -> Listed<'a> {
    let mut grid = Grid::new([
        words("Table"),
        numbers("Whole reads"),
        numbers("Rows read so"),
        numbers("Rows a read"),
        numbers("Index scans"),
    ]);
    for table in analysis.missing_indexes.iter().flatten() {
        grid.row([
            Some(qualified(Some(&table.schema), &table.table)),
            Some(format::count(table.seq_scan)),
            Some(format::count(table.seq_tup_read)),
            Some(format::number(table.avg_rows_per_seq_scan)),
            Some(format::count(table.idx_scan)),
        ]);
    }
    Listed {
        title: "Tables that may miss an index",
        one: "table that may miss an index",
        many: "tables that may miss an index",
        basis: record.basis_of("database_analysis.missing_indexes"),
        count: analysis.missing_indexes.as_ref().map(Vec::len),
        total: None,
        caption: "Read whole more than 100 times and more often than by an index. A small table is rightly read whole: look at the rows a read.".to_owned(),
        grid,
    }
}

fn dead_tuples<'a>(record: &'a BaselineRecord, analysis: &DatabaseAnalysis) -> Listed<'a> {
    let mut grid = Grid::new([
        words("Table"),
        numbers("Dead rows"),
        numbers("Of all"),
        numbers("Live rows"),
        words("Last vacuum"),
    ]);
    for table in analysis.dead_tuples.iter().flatten() {
        grid.row([
            Some(qualified(Some(&table.schema), &table.table)),
            Some(format::count(table.dead)),
            Some(format::percent(table.dead_percent)),
            Some(format::count(table.live)),
            Some(table.last_vacuumed.map_or_else(|| NEVER.to_owned(), format::instant)),
        ]);
    }
    Listed {
        title: "Tables with many dead rows",
        one: "table with many dead rows",
        many: "tables with many dead rows",
        basis: record.basis_of("database_analysis.dead_tuples"),
        count: analysis.dead_tuples.as_ref().map(Vec::len),
        total: None,
        caption: "More than 10,000 dead rows that are over 20% of all, as the statistics estimate them."
            .to_owned(),
        grid,
    }
}

fn stale_statistics<'a>(record: &'a BaselineRecord, analysis: &DatabaseAnalysis) -> Listed<'a> {
    let mut grid = Grid::new([
        words("Table"),
        numbers("Rows, estimated"),
        numbers("Changed since"),
        words("Last ANALYZE"),
    ]);
    for table in analysis.stale_statistics.iter().flatten() {
        grid.row([
            Some(qualified(Some(&table.schema), &table.table)),
            Some(format::count(table.rows)),
            Some(format::count(table.modified_since_analyze)),
            Some(table.last_analyzed.map_or_else(|| NEVER.to_owned(), format::instant)),
        ]);
    }
    Listed {
        title: "Old planner statistics",
        one: "table with old planner statistics",
        many: "tables with old planner statistics",
        basis: record.basis_of("database_analysis.stale_statistics"),
        count: analysis.stale_statistics.as_ref().map(Vec::len),
        total: None,
        caption: "More than 1,000 rows and 20% of all have changed since the last ANALYZE, or there never was one: the planner decides by wrong numbers.".to_owned(),
        grid,
    }
}

/// The settings as one figure, for notes on them.
fn settings_as_a_whole<'a>(record: &'a BaselineRecord, analysis: &DatabaseAnalysis) -> Figure<'a> {
    Figure {
        group: None,
        name: "settings".to_owned(),
        value: analysis.settings.as_ref().map(|_| String::new()),
        basis: record.basis_of("database_analysis.settings"),
        sample: figures::SCRAPE,
    }
}

/// Settings in the server's own spelling.
fn settings(record: &BaselineRecord, analysis: &DatabaseAnalysis) -> Vec<Block> {
    let mut grid = Grid::new([words("Setting"), numbers("Value")]);
    for (name, value) in analysis.settings.iter().flatten() {
        grid.row([
            Some(name.clone()),
            Some(if value.is_empty() { "(empty)".to_owned() } else { value.clone() }),
        ]);
    }
    let Some(grid) = grid.block() else { return Vec::new() };
    let basis = record.basis_of("database_analysis.settings");
    let caption = basis.map(|_| lists::captioned("", basis, record));
    std::iter::once(Block::Subheading("Settings")).chain(caption).chain([grid]).collect()
}
