//! Sizes, scans, dead rows and age of statistics of tables.

use plimsoll_analysis::record::{
    DeadTuples, MissingIndex, SourceReason, StaleStatistics, TableCounter, TableSize,
};

use super::server::Facts;
use super::session::{Row, STATEMENT, Session};
use super::sql::{MARK, micros};

/// Most tables whose size is asked for, which opens files: the largest by what the catalog knows.
const MAX_SIZED: u32 = 1000;
/// Thresholds of the seed for tables that may lack an index.
const SEQUENTIAL_SCANS: u32 = 100;
/// Most tables of a list.
const MAX_LISTED: u32 = 20;
/// Most tables whose scans are kept for the next run.
const MAX_COUNTED: u32 = 200;

/// The largest tables.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) tables: Vec<TableSize>,
    /// How many of these are locked, so that their size is what the last VACUUM or ANALYZE saw.
    pub(crate) estimated: usize,
}

/// Reads the largest tables with their indexes and TOAST.
///
/// Asking for a size opens the table, which waits behind an ACCESS EXCLUSIVE lock and makes others wait behind us. So a
/// table on which, or on whose indexes or TOAST, somebody holds or wants such a lock gets the size that the catalog
/// knows, which needs no lock; and all of them do where one is locked between looking and asking.
pub(crate) async fn sizes(session: &mut Session<'_>, facts: &Facts, most: u32) -> Option<Sizes> {
    let asked = sizes_statement(session, facts, most, true);
    let read = match session.try_read(&asked, STATEMENT).await? {
        Err(failure) if failure.reason == SourceReason::Timeout && !failure.stops => {
            let asked = sizes_statement(session, facts, most, false);
            session.try_read(&asked, STATEMENT).await?
        }
        read => read,
    };
    let rows = match read {
        Ok(rows) => rows,
        Err(failure) => {
            session.failures.push(failure.reading("table sizes"));
            return None;
        }
    };
    let mut sizes = Sizes::default();
    for row in &rows {
        let Some(table) = table_size(row) else { continue };
        sizes.estimated += usize::from(row.is("estimated"));
        sizes.tables.push(table);
    }
    Some(sizes)
}

fn table_size(row: &Row) -> Option<TableSize> {
    Some(TableSize {
        schema: row.text("schema"),
        table: row.text("table")?,
        size: row.plain("size")?,
        size_bytes: row.count("bytes")?,
        rows: row.count("live").unwrap_or(0),
    })
}

fn sizes_statement(session: &Session<'_>, facts: &Facts, most: u32, is_asked: bool) -> String {
    let bytes = if is_asked {
        "CASE WHEN c.locked THEN c.estimate ELSE pg_total_relation_size(c.oid) END"
    } else {
        "c.estimate"
    };
    let estimated = if is_asked { "c.locked" } else { "true" };
    format!(
        "WITH {MARK} locked AS MATERIALIZED ( \
           SELECT DISTINCT l.relation AS oid FROM pg_catalog.pg_locks l \
           WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.database = {database} \
         ), candidates AS MATERIALIZED ( \
           SELECT c.oid, c.relname, n.nspname, c.reltoastrelid AS toast, c.relpages, \
             pg_stat_get_live_tuples(c.oid) AS live \
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
           WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' \
             AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND left(n.nspname::text, 8) <> 'pg_toast' \
           ORDER BY greatest(c.relpages::bigint, pg_stat_get_live_tuples(c.oid) / 50) DESC, c.oid LIMIT {MAX_SIZED} \
         ), parts AS MATERIALIZED ( \
           SELECT c.oid, c.oid AS part FROM candidates c \
           UNION ALL SELECT c.oid, c.toast FROM candidates c WHERE c.toast <> 0 \
           UNION ALL SELECT c.oid, i.indexrelid FROM candidates c \
             JOIN pg_catalog.pg_index i ON i.indrelid = c.oid \
           UNION ALL SELECT c.oid, i.indexrelid FROM candidates c \
             JOIN pg_catalog.pg_index i ON i.indrelid = c.toast WHERE c.toast <> 0 \
         ), sized AS MATERIALIZED ( \
           SELECT p.oid, sum(greatest(r.relpages, 0)::bigint) * {block} AS estimate, \
             bool_or(l.oid IS NOT NULL) AS locked \
           FROM parts p JOIN pg_catalog.pg_class r ON r.oid = p.part LEFT JOIN locked l ON l.oid = p.part \
           GROUP BY p.oid \
         ), measured AS MATERIALIZED ( \
           SELECT c.relname, c.nspname, c.live, {estimated} AS estimated, {bytes} AS bytes \
           FROM (SELECT c.oid, c.relname, c.nspname, c.live, s.estimate::bigint AS estimate, s.locked \
             FROM candidates c JOIN sized s ON s.oid = c.oid) c \
         ) \
         SELECT {schema} AS schema, {table} AS \"table\", m.bytes AS bytes, pg_size_pretty(m.bytes) AS size, \
           m.live AS live, m.estimated AS estimated \
         FROM measured m WHERE m.bytes IS NOT NULL ORDER BY m.bytes DESC, m.nspname, m.relname LIMIT {most}",
        database = facts.database,
        block = facts.block_size,
        schema = session.text("m.nspname"),
        table = session.text("m.relname"),
    )
}

/// Tables that are read whole more than 100 times and more often than by an index (the seed's rule; without any index
/// `idx_scan` is NULL and counts as 0), and the scans of all for the next run.
pub(crate) async fn scans(session: &mut Session<'_>) -> Option<(Vec<MissingIndex>, Vec<TableCounter>)> {
    let statement = format!(
        "SELECT {MARK} {} AS schema, {} AS \"table\", s.seq_scan, s.seq_tup_read, coalesce(s.idx_scan, 0) AS idx_scan \
         FROM pg_catalog.pg_stat_user_tables s ORDER BY s.seq_tup_read DESC NULLS LAST, s.relid LIMIT {MAX_COUNTED}",
        session.text("s.schemaname"),
        session.text("s.relname")
    );
    let rows = session.read("scans of tables", &statement).await?;
    let counters: Vec<TableCounter> = rows.iter().filter_map(table_counter).collect();
    let statement = format!(
        "SELECT {MARK} {} AS schema, {} AS \"table\", s.seq_scan, s.seq_tup_read, coalesce(s.idx_scan, 0) AS idx_scan \
         FROM pg_catalog.pg_stat_user_tables s \
         WHERE s.seq_scan > {SEQUENTIAL_SCANS} AND coalesce(s.idx_scan, 0) < s.seq_scan \
         ORDER BY s.seq_tup_read DESC, s.relid LIMIT {MAX_LISTED}",
        session.text("s.schemaname"),
        session.text("s.relname")
    );
    let rows = session.read("missing indexes", &statement).await?;
    let missing = rows.iter().filter_map(table_counter).map(missing_index).collect();
    Some((missing, counters))
}

fn table_counter(row: &Row) -> Option<TableCounter> {
    Some(TableCounter {
        schema: row.text("schema")?,
        table: row.text("table")?,
        seq_scan: row.count("seq_scan")?,
        seq_tup_read: row.count("seq_tup_read")?,
        idx_scan: row.count("idx_scan")?,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a mean of two decimals")]
fn missing_index(table: TableCounter) -> MissingIndex {
    let mean = table.seq_tup_read as f64 / table.seq_scan.max(1) as f64;
    MissingIndex {
        schema: table.schema,
        table: table.table,
        seq_scan: table.seq_scan,
        seq_tup_read: table.seq_tup_read,
        idx_scan: table.idx_scan,
        avg_rows_per_seq_scan: (mean * 100.0).round() / 100.0,
    }
}

/// Tables that were never analysed though they hold rows, or of which more than a fifth and 1,000 rows changed since:
/// twice what makes autovacuum analyse (`autovacuum_analyze_scale_factor` 0.1), so that one which works is not named.
pub(crate) async fn stale(session: &mut Session<'_>) -> Option<Vec<StaleStatistics>> {
    let statement = format!(
        "SELECT {MARK} {} AS schema, {} AS \"table\", s.n_live_tup AS live, s.n_mod_since_analyze AS modified, {} AS analyzed \
         FROM (SELECT t.*, greatest(t.last_analyze, t.last_autoanalyze) AS analyzed_at \
           FROM pg_catalog.pg_stat_user_tables t) s \
         WHERE s.n_mod_since_analyze > 1000 \
           AND (s.analyzed_at IS NULL OR s.n_mod_since_analyze > 0.2 * s.n_live_tup) \
         ORDER BY s.n_mod_since_analyze DESC, s.relid LIMIT {MAX_LISTED}",
        session.text("s.schemaname"),
        session.text("s.relname"),
        micros("s.analyzed_at")
    );
    let rows = session.read("age of statistics", &statement).await?;
    let tables = rows.iter().filter_map(|row| {
        Some(StaleStatistics {
            schema: row.text("schema")?,
            table: row.text("table")?,
            rows: row.count("live")?,
            modified_since_analyze: row.count("modified")?,
            last_analyzed: row.time("analyzed"),
        })
    });
    Some(tables.collect())
}

/// Tables with more than 10,000 dead rows that are over a fifth of all: the default at which autovacuum cleans
/// (`autovacuum_vacuum_scale_factor` 0.2), so that it is late or kept from it.
pub(crate) async fn dead(session: &mut Session<'_>) -> Option<Vec<DeadTuples>> {
    let statement = format!(
        "SELECT {MARK} {} AS schema, {} AS \"table\", s.n_live_tup AS live, s.n_dead_tup AS dead, {} AS vacuumed \
         FROM (SELECT t.*, greatest(t.last_vacuum, t.last_autovacuum) AS vacuumed_at \
           FROM pg_catalog.pg_stat_user_tables t) s \
         WHERE s.n_dead_tup > 10000 AND s.n_dead_tup > 0.2 * (s.n_live_tup + s.n_dead_tup) \
         ORDER BY s.n_dead_tup DESC, s.relid LIMIT {MAX_LISTED}",
        session.text("s.schemaname"),
        session.text("s.relname"),
        micros("s.vacuumed_at")
    );
    let rows = session.read("dead rows", &statement).await?;
    let tables = rows.iter().filter_map(|row| {
        let (live, dead) = (row.count("live")?, row.count("dead")?);
        Some(DeadTuples {
            schema: row.text("schema")?,
            table: row.text("table")?,
            live,
            dead,
            dead_percent: dead_percent(live, dead),
            last_vacuumed: row.time("vacuumed"),
        })
    });
    Some(tables.collect())
}

#[expect(clippy::cast_precision_loss, reason = "a percentage of two decimals")]
fn dead_percent(live: u64, dead: u64) -> f64 {
    (dead as f64 / (live + dead).max(1) as f64 * 10_000.0).round() / 100.0
}
