//! A PostgreSQL database: connections, query time, the largest tables, the slowest statements.

use plimsoll_analysis::record::{
    BaselineRecord, Connections, DatabaseAnalysis, DatabaseMetrics, DatabaseServer, QueryTimeMethod, Source,
};

use super::figures::{self, Figure};
use super::has_basis;
use super::lists::{self, captioned};
use super::sources::float;
use super::statements::Statements;
use crate::document::{Block, Grid, Text, list, numbers, words};
use crate::format;

/// Name of the source.
pub(super) const SOURCE: &str = "postgres";
/// Path of the section.
const SECTION: &str = "database_metrics";
/// Name of the query time's percentile.
pub(crate) const P95: &str = "Query time p95";
/// Name of all connections.
pub(crate) const CONNECTIONS: &str = "Connections";

pub(super) fn blocks<'a>(record: &'a BaselineRecord, statements: &mut Statements<'a>) -> Vec<Block> {
    let source = lists::source(record, SOURCE);
    let nothing = record.database_metrics.is_none() && !has_basis(record, SECTION);
    if nothing && source.is_none() {
        return Vec::new();
    }
    let mut blocks = vec![Block::Heading("Database")];
    if nothing && let Some(failed) = lists::failed(source) {
        blocks.push(failed);
        return blocks;
    }
    let empty = DatabaseMetrics::default();
    let metrics = record.database_metrics.as_ref().unwrap_or(&empty);
    let analysis = record.database_analysis.as_ref();
    blocks.extend(analysis.and_then(|analysis| analysis.server.as_ref()).map(|server| about(server, record)));
    let figures = figures(record);
    blocks.extend(figures::table(&figures, record).block());
    blocks.extend(list(notes(record, metrics, &figures, source)));
    blocks.extend(tables(record, metrics));
    blocks.extend(slowest(record, statements));
    blocks
}

/// The figures of the database, or none where the record has no such section.
pub(crate) fn figures(record: &BaselineRecord) -> Vec<Figure<'_>> {
    let asked = record.database_metrics.is_some()
        || record.database_analysis.is_some()
        || has_basis(record, SECTION)
        || lists::source(record, SOURCE).is_some();
    if !asked {
        return Vec::new();
    }
    let metrics = record.database_metrics.clone().unwrap_or_default();
    let analysis = record.database_analysis.clone().unwrap_or_default();
    let figure = |name: &str, path: &str, value: Option<String>| Figure {
        group: None,
        name: name.to_owned(),
        value,
        basis: record.basis_of(path),
        sample: "call",
    };
    let time = metrics.query_time_p95_ms.map(|time| format::milliseconds_between(time.low, time.high));
    let connections = |of: fn(Connections) -> u64| metrics.connections.map(|all| format::count(of(all)));
    let paths = ["database_metrics.connections", "database_analysis.connection_headroom"];
    vec![
        figure(P95, "database_metrics.query_time_p95_ms", time),
        figure(CONNECTIONS, paths[0], connections(|all| all.total)),
        figure("Active", paths[0], connections(|all| all.active)),
        figure("Idle", paths[0], connections(|all| all.idle)),
        figure("Server's connections", paths[1], headroom(&analysis)),
        figure(
            "Buffer cache hits",
            "database_analysis.cache_hit_ratio",
            analysis.cache_hit_ratio.map(|ratio| format::percent(ratio * 100.0)),
        ),
    ]
}

/// `61 of 97, 62.9%`.
fn headroom(analysis: &DatabaseAnalysis) -> Option<String> {
    let headroom = analysis.connection_headroom?;
    let mut text = format!("{} of {}", format::count(headroom.used), format::count(headroom.max));
    if headroom.max > 0 {
        let part = float(headroom.used) / float(headroom.max) * 100.0;
        text.push_str(&format!(", {}", format::percent(part)));
    }
    Some(text)
}

/// Which server it is and since when it counts.
fn about(server: &DatabaseServer, record: &BaselineRecord) -> Block {
    let mut text = Text::new("PostgreSQL ").strong(&server.version);
    if let Some(started) = server.started {
        text = text.plain(format!(", started {}", format::instant(started)));
        if started > record.window.from {
            text = text.plain(", within the window");
        }
    }
    text = text.plain(".");
    if server.replica {
        text = text.plain(" It is a replica: scans, reads and statements are its own, not the primary's.");
    }
    Block::Paragraph(text)
}

/// How the query time was found, and what is missing.
fn notes(
    record: &BaselineRecord,
    metrics: &DatabaseMetrics,
    figures: &[Figure<'_>],
    source: Option<&Source>,
) -> Vec<Text> {
    let mut items = Vec::new();
    items.extend(metrics.query_time_p95_ms.map(|time| {
        Text::new(match time.method {
            QueryTimeMethod::Histogram => {
                "Query time p95 lies within this bucket of the histogram that the spec names."
            }
            QueryTimeMethod::StatementBounds => {
                "Query time p95 is only known to lie within these bounds, which follow from each statement's mean and deviation; a histogram of query times would narrow it."
            }
        })
    }));
    let (connections, headroom) = (
        metrics.connections.is_some(),
        record.database_analysis.as_ref().is_some_and(|analysis| analysis.connection_headroom.is_some()),
    );
    let whose = match (connections, headroom) {
        (true, true) => Some(
            "Connections are those of clients to this database, the server's those to all of its databases of the most it allows to clients; ours is left out.",
        ),
        (true, false) => Some("Connections are those of clients to this database; ours is left out."),
        (false, true) => {
            Some("The server's connections are of the most it allows to clients; ours is left out.")
        }
        (false, false) => None,
    };
    items.extend(whose.map(Text::new));
    let lists = [
        ("largest tables", "database_metrics.top_tables", metrics.top_tables.is_some()),
        ("slowest statements", "database_metrics.slow_queries", metrics.slow_queries.is_some()),
    ];
    let lists = lists.map(|(name, path, there)| Figure {
        group: None,
        name: name.to_owned(),
        value: there.then(String::new),
        basis: record.basis_of(path),
        sample: figures::SCRAPE,
    });
    let all: Vec<Figure<'_>> = figures.iter().cloned().chain(lists).collect();
    items.extend(lists::notes(&all, source));
    items
}

/// The largest tables.
fn tables(record: &BaselineRecord, metrics: &DatabaseMetrics) -> Vec<Block> {
    let Some(tables) = &metrics.top_tables else { return Vec::new() };
    let mut grid = Grid::new([words("Table"), numbers("Size"), numbers("Rows, estimated")]);
    for table in tables {
        grid.row([
            Some(qualified(table.schema.as_deref(), &table.table)),
            Some(format::bytes(float(table.size_bytes))),
            Some(format::count(table.rows)),
        ]);
    }
    let basis = record.basis_of("database_metrics.top_tables");
    let (caption, grid) = match grid.block() {
        Some(grid) => ("With their indexes and what is stored outside the rows.", Some(grid)),
        None => ("None found: the database has no table of its own.", None),
    };
    [Block::Subheading("Largest tables"), captioned(caption, basis, record)].into_iter().chain(grid).collect()
}

/// The slowest statements, whatever their mean.
fn slowest<'a>(record: &'a BaselineRecord, statements: &mut Statements<'a>) -> Vec<Block> {
    let slowest = record.database_metrics.as_ref().and_then(|metrics| metrics.slow_queries.as_ref());
    let Some(slowest) = slowest else { return Vec::new() };
    let mut grid = Grid::new([words("Statement"), numbers("Mean"), numbers("Calls"), numbers("Query id")]);
    for statement in slowest {
        let name = statements.name(&statement.query_id, statement.query.as_deref());
        grid.row([
            Some(name),
            Some(format::milliseconds(statement.avg_time_ms)),
            Some(format::count(statement.calls)),
            Some(statement.query_id.clone()),
        ]);
    }
    let basis = record.basis_of("database_metrics.slow_queries");
    let mut blocks = vec![Block::Subheading("Slowest statements")];
    match grid.block() {
        Some(grid) => {
            blocks.push(captioned("By mean execution time, whatever it is.", basis, record));
            blocks.push(grid);
        }
        None => blocks.push(captioned("None found: no statement was executed.", basis, record)),
    }
    blocks.extend(statements.texts());
    blocks
}

/// The name of a table: with its schema, where that is not `public`.
pub(super) fn qualified(schema: Option<&str>, table: &str) -> String {
    match schema {
        Some(schema) if schema != "public" => format!("{schema}.{table}"),
        _ => table.to_owned(),
    }
}
