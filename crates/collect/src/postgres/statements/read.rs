//! Reads pg_stat_statements: where it is, the numbers of all statements, the texts of some.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use plimsoll_analysis::record::{SourceReason, StatementCounter};

use super::super::server::Facts;
use super::super::session::{Row, Session};
use super::super::sql::{self, MARK, micros};
use super::delta::{Snapshot, Statement};
use super::text::MAX_READ;
use crate::failure::Failure;

/// Most statements whose numbers are read one by one; `pg_stat_statements.max` is 5,000 by default.
const MAX_STATEMENTS: u32 = 10_000;
/// Longest for the texts, which the server loads from a file of unknown size.
const TEXTS: Duration = Duration::from_secs(10);
/// Most statements that are left out for what they are: ours, and those that only begin and end transactions.
const MAX_LEFT_OUT: u32 = 2_000;
/// What to do where the extension is missing.
const REMEDY: &str = "set shared_preload_libraries = 'pg_stat_statements', restart the server, and in this database: \
                      CREATE EXTENSION pg_stat_statements;";
/// First words of statements that only control transactions and sessions. They run by the thousand in no time and say
/// nothing of how long queries take.
const CONTROL: &str = "^[[:space:]]*(begin|start|commit|end|rollback|abort|savepoint|release|set|reset|show|discard|\
                       deallocate|listen|unlisten|notify|close)([^a-z_]|$)";

/// The extension's functions as they are called, and which columns they have: an extension may be older than its server.
#[derive(Debug, Clone)]
pub(crate) struct Extension {
    function: String,
    info: Option<String>,
    columns: BTreeSet<String>,
}

/// Looks for the extension in the catalog, whatever its schema.
pub(crate) async fn extension(session: &mut Session<'_>) -> Option<Extension> {
    // The function must be the extension's own and in C: one of the same name may be anybody's.
    let statement = format!(
        "SELECT {MARK} {} AS schema, has_schema_privilege(n.oid, 'USAGE') AS usable, p.proname::text AS name, \
         array_to_string(p.proargnames, ',') AS columns \
         FROM pg_catalog.pg_extension e \
         JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid \
           AND d.classid = 'pg_catalog.pg_proc'::regclass AND d.deptype = 'e' \
         JOIN pg_catalog.pg_proc p ON p.oid = d.objid \
         JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname = 'c' \
         JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
         WHERE e.extname = 'pg_stat_statements' \
           AND ((p.proname = 'pg_stat_statements' AND p.pronargs = 1) \
             OR (p.proname = 'pg_stat_statements_info' AND p.pronargs = 0))",
        session.text("n.nspname")
    );
    let rows = session.read("pg_stat_statements", &statement).await?;
    let named = |name: &str| rows.iter().find(|row| row.plain("name").as_deref() == Some(name));
    let Some(row) = named("pg_stat_statements") else {
        let message = format!("statements: this database has no extension pg_stat_statements; {REMEDY}");
        session.failures.push(Failure::of_query(SourceReason::ExtensionMissing, message));
        return None;
    };
    let schema = row.whole_text("schema").and_then(|name| sql::identifier(&name))?;
    if !row.is("usable") {
        let message = "statements: the role may not use the schema of pg_stat_statements; as an administrator: \
                       GRANT USAGE ON SCHEMA <its schema> TO <the collector's role>;";
        session.failures.push(Failure::of_query(SourceReason::Forbidden, message));
        return None;
    }
    Some(Extension {
        function: format!("{schema}.pg_stat_statements"),
        info: named("pg_stat_statements_info").map(|_| format!("{schema}.pg_stat_statements_info()")),
        columns: row.cell("columns").unwrap_or_default().split(',').map(str::to_owned).collect(),
    })
}

impl Extension {
    /// Name of a column that was renamed in version 1.8: `total_exec_time` was `total_time`.
    fn time_column(&self, kind: &str) -> String {
        let new = format!("{kind}_exec_time");
        if self.columns.contains(&new) { new } else { format!("{kind}_time") }
    }
}

/// Reads the numbers of all statements of this database, without their texts: those never leave the server's memory.
pub(crate) async fn numbers(
    session: &mut Session<'_>,
    facts: &Facts,
    extension: &Extension,
) -> Option<Snapshot> {
    let has_since = extension.columns.contains("stats_since");
    let since = if has_since { micros("min(s.stats_since)") } else { "NULL".to_owned() };
    let (reset, dealloc) = match &extension.info {
        Some(info) => (
            format!("(SELECT {} FROM {info} i)", micros("i.stats_reset")),
            format!("(SELECT i.dealloc FROM {info} i)"),
        ),
        None => ("NULL".to_owned(), "NULL".to_owned()),
    };
    let statement = format!(
        "WITH {MARK} sums AS MATERIALIZED ( \
           SELECT s.queryid, sum(s.calls) AS calls, sum(s.{total}) AS total, \
             sum(s.calls * (s.{mean} * s.{mean} + s.{deviation} * s.{deviation})) AS squares, sum(s.rows) AS rows, \
             {since} AS since \
           FROM {function}(false) s WHERE s.dbid = {database} GROUP BY s.queryid \
         ), ranked AS ( \
           SELECT r.*, CASE WHEN r.queryid IS NULL THEN 'hidden' \
             WHEN row_number() OVER (ORDER BY r.total DESC NULLS LAST, r.queryid) <= {MAX_STATEMENTS} \
             THEN r.queryid::text ELSE 'others' END AS id FROM sums r \
         ) \
         SELECT r.id, sum(r.calls) AS calls, sum(r.total) AS total, sum(r.squares) AS squares, sum(r.rows) AS rows, \
           min(r.since) AS since, NULL AS now, NULL AS reset, NULL AS dealloc FROM ranked r GROUP BY r.id \
         UNION ALL SELECT 'info', NULL, NULL, NULL, NULL, NULL, {now}, {reset}, {dealloc}",
        total = extension.time_column("total"),
        mean = extension.time_column("mean"),
        deviation = extension.time_column("stddev"),
        function = extension.function,
        database = facts.database,
        now = micros("clock_timestamp()"),
    );
    let rows = session.read("statements", &statement).await?;
    let mut snapshot = Snapshot::default();
    for row in &rows {
        let id = row.plain("id").unwrap_or_default();
        match id.as_str() {
            "info" => {
                snapshot.at = row.time("now").unwrap_or(facts.now);
                snapshot.reset = row.time("reset");
                snapshot.dealloc = row.count("dealloc");
            }
            "others" => snapshot.others = counter(row, ""),
            "hidden" => snapshot.hidden = counter(row, ""),
            id => {
                if let (Ok(number), Some(counter)) = (id.parse(), counter(row, id)) {
                    snapshot.statements.insert(number, Statement { counter, since: row.time("since") });
                }
            }
        }
    }
    Some(snapshot)
}

/// A row as a counter; `None` where a number is missing or not finite.
fn counter(row: &Row, id: &str) -> Option<StatementCounter> {
    Some(StatementCounter {
        query_id: id.to_owned(),
        calls: row.count("calls")?,
        total_ms: row.number("total")?,
        squares_ms2: row.number("squares")?,
        rows: row.count("rows").unwrap_or(0),
        query: None,
    })
}

/// Texts by `queryid`, and which statements are left out of every figure.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// As the server keeps them, cut: not yet fit to be shown.
    pub(crate) texts: BTreeMap<i64, String>,
    /// Ours, and those that only control transactions and sessions.
    pub(crate) left_out: BTreeSet<i64>,
}

/// Reads the texts of some statements, once a run: the server loads all texts to give one.
pub(crate) async fn texts(
    session: &mut Session<'_>,
    facts: &Facts,
    extension: &Extension,
    wanted: &[i64],
) -> Option<Texts> {
    let statement = format!(
        "SELECT {MARK} t.queryid::text AS id, t.is_control AS control, {text} AS query FROM ( \
           SELECT DISTINCT ON (s.queryid) s.queryid, \
             CASE WHEN s.queryid = ANY ({wanted}) THEN s.query END AS query, \
             (position('{MARK}' in left(s.query, 60)) BETWEEN 1 AND 20 OR s.query ~* '{CONTROL}') AS is_control \
           FROM (SELECT x.queryid, left(x.query, {MAX_READ}) AS query FROM {function}(true) x \
             WHERE x.dbid = {database} AND x.queryid IS NOT NULL AND x.query IS NOT NULL) s \
           ORDER BY s.queryid) t \
         WHERE t.query IS NOT NULL OR t.is_control LIMIT {limit}",
        text = session.text("t.query"),
        wanted = sql::numbers(wanted),
        function = extension.function,
        database = facts.database,
        limit = wanted.len() as u64 + u64::from(MAX_LEFT_OUT),
    );
    let read = session.try_read(&statement, TEXTS).await?;
    let rows = match read {
        Ok(rows) => rows,
        Err(failure) => {
            session.failures.push(failure.reading("texts of statements"));
            return None;
        }
    };
    let mut texts = Texts::default();
    for row in &rows {
        let Some(id) = row.plain("id").and_then(|id| id.parse().ok()) else { continue };
        if row.is("control") {
            texts.left_out.insert(id);
        } else if let Some(text) = row.whole_text("query") {
            texts.texts.insert(id, text);
        }
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_those_of_the_extension_and_not_of_the_server() {
        let with = |columns: &str| Extension {
            function: String::new(),
            info: None,
            columns: columns.split(',').map(str::to_owned).collect(),
        };
        // 1.8 (PostgreSQL 13) and newer, and 1.7, which stays where nobody updated the extension.
        let new = with("dbid,queryid,calls,total_exec_time,mean_exec_time,stddev_exec_time,rows");
        let old = with("dbid,queryid,calls,total_time,mean_time,stddev_time,rows");
        for kind in ["total", "mean", "stddev"] {
            assert_eq!(new.time_column(kind), format!("{kind}_exec_time"));
            assert_eq!(old.time_column(kind), format!("{kind}_time"));
        }
    }
}
