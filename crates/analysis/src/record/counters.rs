//! Cumulative counters of servers at the end of a run. The next run's figures `SincePreviousRun` are the differences
//! to them, where nothing was reset between.

use std::cmp::Ordering;

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
    /// OID of the database: another one of the same server has other counters; 0, which is no database's, where a record
    /// does not say.
    #[serde(default)]
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

/// One statement, summed over users and nesting; or the sum of some under an empty `query_id`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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

impl StatementCounter {
    /// Mean execution time, milliseconds; 0 where it was not called.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    pub fn mean_ms(&self) -> f64 {
        self.total_ms / self.calls.max(1) as f64
    }

    /// The order of statements by mean execution time, highest first, and then by id.
    #[must_use]
    pub fn slower(&self, other: &Self) -> Ordering {
        other.mean_ms().total_cmp(&self.mean_ms()).then_with(|| self.query_id.cmp(&other.query_id))
    }

    /// The order of statements by total execution time, highest first, and then by id.
    #[must_use]
    pub fn longer(&self, other: &Self) -> Ordering {
        other.total_ms.total_cmp(&self.total_ms).then_with(|| self.query_id.cmp(&other.query_id))
    }

    /// Counts the executions of another one too; id and text stay.
    pub fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.total_ms += other.total_ms;
        self.squares_ms2 += other.squares_ms2;
        self.rows = self.rows.saturating_add(other.rows);
    }

    /// What it did since `before`, earlier counters of the same statement that only grew; `None` where it was not called.
    ///
    /// A small difference of large sums: what rounding may have taken from the squares is given back, so that the bounds of
    /// a percentile stay bounds. No times have smaller squares than equal ones.
    #[must_use]
    pub fn since(&self, before: &Self) -> Option<Self> {
        let calls = self.calls.checked_sub(before.calls).filter(|calls| *calls > 0)?;
        #[expect(clippy::cast_precision_loss, reason = "a bound of rounding errors")]
        let count = calls as f64;
        let total = (self.total_ms - before.total_ms).max(0.0);
        let rounding = self.squares_ms2 * f64::EPSILON * 8.0;
        let squares = (self.squares_ms2 - before.squares_ms2 + rounding).max(total * total / count);
        Some(Self {
            query_id: self.query_id.clone(),
            calls,
            total_ms: total,
            squares_ms2: squares,
            rows: self.rows.saturating_sub(before.rows),
            query: self.query.clone(),
        })
    }
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
