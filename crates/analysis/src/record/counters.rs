//! Cumulative counters of servers at the end of a run. The next run's figures `SincePreviousRun` are the differences
//! to them, where nothing was reset between.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Counters of every source that counts since its start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// PostgreSQL's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseCounters>,
    /// Redis's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheCounters>,
}

/// Counters of one PostgreSQL database at one instant. A difference is taken only between two with equal
/// `database`, `started` and resets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseCounters {
    /// When they were read, by the server's clock.
    pub at: Timestamp,
    /// OID of the database: another one of the same server has other counters.
    pub database: u64,
    /// When the server started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// `stats_reset` of pg_stat_database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_reset: Option<Timestamp>,
    /// `stats_reset` of pg_stat_statements_info (PostgreSQL 14 and newer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statements_reset: Option<Timestamp>,
    /// `dealloc` of pg_stat_statements_info: how often entries were thrown out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dealloc: Option<u64>,
    /// Blocks found in shared buffers.
    pub blks_hit: u64,
    /// Blocks read from outside.
    pub blks_read: u64,
    /// Statements by total time, highest first, at most 300; the rest is in `others`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<StatementCounter>,
    /// All statements beyond those listed, summed under an empty `query_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<StatementCounter>,
    /// Tables by rows read sequentially, highest first, at most 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableCounter>,
}

/// One statement, summed over users and nesting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatementCounter {
    /// `queryid`: a signed 64-bit number as text.
    pub query_id: String,
    /// Executions.
    pub calls: u64,
    /// Total execution time, milliseconds.
    pub total_ms: f64,
    /// Sum of squared execution times, milliseconds squared: calls x (mean squared + deviation squared).
    pub squares_ms2: f64,
    /// Rows returned or changed.
    pub rows: u64,
    /// Text as the server normalised it, cut at 200 characters, where it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// Scans of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCounter {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// Sequential scans.
    pub seq_scan: u64,
    /// Rows that these read.
    pub seq_tup_read: u64,
    /// Index scans; 0 without any index.
    pub idx_scan: u64,
}

/// Counters of one Redis server at one instant. A difference is taken only between two with equal `run_id` and no
/// counter lower than before, and without the earlier run's own lookups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheCounters {
    /// When they were read, by our clock.
    pub at: Timestamp,
    /// `run_id` of the server: new at each start.
    pub run_id: String,
    /// When the server started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// Lookups that found their key.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Keys evicted.
    pub evicted: u64,
    /// Keys expired.
    pub expired: u64,
    /// Lookups of the run's own sampling after these were read, which the server counts as hits.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub own_hits: u64,
    /// Lookups of the run's own sampling after these were read, which the server counts as misses.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub own_misses: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}
