//! What a PostgreSQL database said. The seed's keys keep their names; sizes stand as text and as bytes.

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StatementCounter;
use crate::request::StatementLabel;

/// Figures of one database; the seed's keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DatabaseMetrics {
    /// Client connections to this database, without our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<Connections>,
    /// The largest tables with their indexes and TOAST, largest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_tables: Option<Vec<TableSize>>,
    /// Statements of this database by mean execution time, slowest first, whatever their mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_queries: Option<Vec<StatementMean>>,
    /// Bounds of the 95th percentile of the execution time over all statements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_time_p95_ms: Option<QueryTime>,
}

/// Client connections by what they do at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Executing a statement.
    pub active: u64,
    /// Waiting for a statement, in no transaction.
    pub idle: u64,
    /// All, in whatever state.
    pub total: u64,
}

/// Size of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSize {
    /// Its schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Its name.
    pub table: String,
    /// Size as PostgreSQL prints it, for example `120 MB`.
    pub size: String,
    /// Size in bytes, with indexes and TOAST.
    pub size_bytes: u64,
    /// Live rows as the statistics estimate them.
    pub rows: u64,
}

/// One statement by its mean execution time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatementMean {
    /// Executions over the basis.
    pub calls: u64,
    /// Mean execution time in milliseconds.
    pub avg_time_ms: f64,
    /// Text as the server normalised it, cut at 200 characters; absent where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// `queryid` of pg_stat_statements: a signed 64-bit number as text.
    pub query_id: String,
}

/// Bounds of a percentile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QueryTime {
    /// It is not below this, milliseconds.
    pub low: f64,
    /// It is not above this, milliseconds; absent where nothing bounds it (the last bucket of a histogram).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// How the bounds were found.
    pub method: QueryTimeMethod,
}

/// How the bounds of the query time were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueryTimeMethod {
    /// The bucket of a Prometheus histogram.
    Histogram,
    /// One-sided Chebyshev bounds over the statements' means and deviations.
    StatementBounds,
}

/// What the server's statistics say that somebody should look at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DatabaseAnalysis {
    /// Statements whose mean is above the threshold, slowest first, at most 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_queries: Option<Vec<SlowStatement>>,
    /// Statements with the most execution time over the same basis, whatever their mean, the longest first, at most
    /// [`MAX_TOP_STATEMENTS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_statements: Option<Vec<SlowStatement>>,
    /// Execution time of all statements over the same basis, those that are not listed among them, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_time_ms: Option<f64>,
    /// Tables that are read whole more than 100 times and more often than by an index, most rows read first, at most 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_indexes: Option<Vec<MissingIndex>>,
    /// Indexes above 10 MB with fewer than 50 scans that keep no constraint, largest first, at most 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_indexes: Option<Vec<UnusedIndex>>,
    /// Indexes whose work another index does too, largest first, at most 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_indexes: Option<Vec<DuplicateIndex>>,
    /// Indexes that a failed build left behind: written at every change and never read. At most 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid_indexes: Option<Vec<InvalidIndex>>,
    /// Tables whose planner statistics are old or absent, most changed rows first, at most 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_statistics: Option<Vec<StaleStatistics>>,
    /// Tables with more than 10,000 dead rows that are over 20 % of all, most first, at most 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_tuples: Option<Vec<DeadTuples>>,
    /// Part of block reads that shared buffers served, 0 to 1; absent without reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_hit_ratio: Option<f64>,
    /// Settings that matter for performance, in PostgreSQL's own spelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<IndexMap<String, String>>,
    /// Connections of the whole server against what it allows to clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_headroom: Option<ConnectionHeadroom>,
    /// What server it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<DatabaseServer>,
}

/// Most statements by execution time that a record lists.
pub const MAX_TOP_STATEMENTS: usize = 10;

/// One statement with its calls and times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlowStatement {
    /// Executions over the basis.
    pub calls: u64,
    /// Mean execution time in milliseconds.
    pub avg_ms: f64,
    /// Total execution time in milliseconds.
    pub total_ms: f64,
    /// Rows returned or changed.
    pub rows: u64,
    /// Text as the server normalised it, cut at 200 characters; absent where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// `queryid` of pg_stat_statements: a signed 64-bit number as text.
    pub query_id: String,
    /// The spec's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

impl SlowStatement {
    /// A statement with the text to show and the spec's name for it.
    #[must_use]
    pub fn new(counter: &StatementCounter, query: Option<String>, labels: &[StatementLabel]) -> Self {
        let label = labels.iter().find(|label| label.query_id == counter.query_id);
        Self {
            calls: counter.calls,
            avg_ms: counter.mean_ms(),
            total_ms: counter.total_ms,
            rows: counter.rows,
            query,
            query_id: counter.query_id.clone(),
            label: label.map(|label| label.label.clone()),
        }
    }
}

/// A table that is read whole often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MissingIndex {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// Sequential scans.
    pub seq_scan: u64,
    /// Rows that these read.
    pub seq_tup_read: u64,
    /// Index scans; 0 for a table without any index.
    pub idx_scan: u64,
    /// Rows read a sequential scan.
    pub avg_rows_per_seq_scan: f64,
}

/// An index that hardly serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnusedIndex {
    /// Schema of its table.
    pub schema: String,
    /// Its table.
    pub table: String,
    /// Its name.
    pub index: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Size as PostgreSQL prints it.
    pub size: String,
    /// Scans of this index.
    pub index_scans: u64,
}

/// An index whose work another does too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DuplicateIndex {
    /// Schema of its table.
    pub schema: String,
    /// Its table.
    pub table: String,
    /// Its name.
    pub index: String,
    /// The index that does its work: the same columns, or these as its first ones.
    pub covered_by: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Size as PostgreSQL prints it.
    pub size: String,
}

/// An index that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvalidIndex {
    /// Schema of its table.
    pub schema: String,
    /// Its table.
    pub table: String,
    /// Its name.
    pub index: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Size as PostgreSQL prints it.
    pub size: String,
}

/// A table whose planner statistics are old.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaleStatistics {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// Live rows as estimated.
    pub rows: u64,
    /// Rows changed since the last ANALYZE.
    pub modified_since_analyze: u64,
    /// The last ANALYZE, by hand or by autovacuum; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_analyzed: Option<Timestamp>,
}

/// A table with many dead rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadTuples {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// Live rows as estimated.
    pub live: u64,
    /// Dead rows as estimated.
    pub dead: u64,
    /// Dead rows per hundred of all.
    pub dead_percent: f64,
    /// The last VACUUM, by hand or by autovacuum; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_vacuumed: Option<Timestamp>,
}

/// Connections against their limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionHeadroom {
    /// Client connections of the whole server, without our own.
    pub used: u64,
    /// What `max_connections` leaves after the reserved ones.
    pub max: u64,
}

/// What server answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseServer {
    /// `server_version`, for example `15.20`.
    pub version: String,
    /// Whether it is a replica: its statistics are its own, not the primary's.
    pub replica: bool,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
}
