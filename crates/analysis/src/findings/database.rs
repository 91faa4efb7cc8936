//! Rules on tables, indexes, connections and buffers of the database.

use super::{Rule, behind_requests, effect, finding, names};
use crate::format::{count, percent};
use crate::indicator;
use crate::judgement::{Finding, Impact};
use crate::record::{BaselineRecord, Basis, DatabaseAnalysis};

/// Rows a sequential scan from which on an index is worth a thought: smaller tables are rightly read whole.
const ROWS_PER_SCAN: f64 = 1_000.0;
/// Part of the connections in use from which on a burst may find none, percent.
const CONNECTIONS_PERCENT: f64 = 80.0;
/// Part of them from which on that is at hand, percent.
const FEW_CONNECTIONS_PERCENT: f64 = 90.0;
/// Part of block reads that shared buffers should serve, percent.
const BUFFER_HITS_PERCENT: f64 = 95.0;

/// Fewest block reads of which a ratio says anything.
const MIN_BLOCKS: u64 = 1_000;

fn analysis(record: &BaselineRecord) -> Option<&DatabaseAnalysis> {
    record.database_analysis.as_ref()
}

fn table(schema: &str, table: &str) -> String {
    if schema == "public" { table.to_owned() } else { format!("{schema}.{table}") }
}

/// Tables that are read whole.
pub(super) const SEQUENTIAL_SCAN: Rule = Rule {
    id: "sequential-scan",
    fires: || {
        format!(
            "a table is listed under `missing_indexes` (over 100 sequential scans, and more than by index) with at least {ROWS_PER_SCAN} rows a scan"
        )
    },
    find: sequential_scan,
};

fn sequential_scan(record: &BaselineRecord) -> Vec<Finding> {
    const PATH: &str = "database_analysis.missing_indexes";
    let Some(tables) = analysis(record).and_then(|analysis| analysis.missing_indexes.as_ref()) else {
        return Vec::new();
    };
    let since = record.basis_of(PATH).map(|basis| format!(", since {}", crate::format::instant(basis.from)));
    let large = tables.iter().filter(|one| one.avg_rows_per_seq_scan >= ROWS_PER_SCAN);
    let found = large.map(|one| Finding {
        evidence: format!(
            "{} sequential scans of {} rows on average, {} scans by an index{}",
            count(one.seq_scan),
            crate::format::number(one.avg_rows_per_seq_scan.round()),
            count(one.idx_scan),
            since.as_deref().unwrap_or_default()
        ),
        action: "Find the statements that filter this table and EXPLAIN them; create an index on the columns that they filter by, with CREATE INDEX CONCURRENTLY. The counts go on since the reset of the statistics: judge the effect by the statements' times".to_owned(),
        paths: vec![PATH.to_owned()],
        explains: behind_requests(&["database.queryTime.p95"]),
        ..finding(&SEQUENTIAL_SCAN, Impact::Medium, table(&one.schema, &one.table))
    });
    found.collect()
}

/// Indexes that hardly serve.
pub(super) const UNUSED_INDEX: Rule = Rule {
    id: "unused-index",
    fires: || {
        "an index is listed under `unused_indexes` (over 10 MiB, fewer than 50 scans, no constraint needs it)"
            .to_owned()
    },
    find: |record| {
        let unused = analysis(record).and_then(|analysis| analysis.unused_indexes.as_ref());
        let found = unused.into_iter().flatten().map(|one| Finding {
            evidence: format!("{} scans, {} on {}", count(one.index_scans), one.size, table(&one.schema, &one.table)),
            action: "Drop it with DROP INDEX CONCURRENTLY, once you know that no replica and no rare job (month's end) uses it: every change of the table writes it".to_owned(),
            paths: vec!["database_analysis.unused_indexes".to_owned()],
            ..finding(&UNUSED_INDEX, Impact::Low, table(&one.schema, &one.index))
        });
        found.collect()
    },
};

/// Indexes whose work another does too.
pub(super) const DUPLICATE_INDEX: Rule = Rule {
    id: "duplicate-index",
    fires: || {
        "an index is listed under `duplicate_indexes` (another one has its columns, or these as its first ones)".to_owned()
    },
    find: |record| {
        let duplicate = analysis(record).and_then(|analysis| analysis.duplicate_indexes.as_ref());
        let found = duplicate.into_iter().flatten().map(|one| Finding {
            evidence: format!("{} does its work too; {} on {}", one.covered_by, one.size, table(&one.schema, &one.table)),
            action: "Drop it with DROP INDEX CONCURRENTLY: every change of the table writes it, and nothing needs it".to_owned(),
            paths: vec!["database_analysis.duplicate_indexes".to_owned()],
            ..finding(&DUPLICATE_INDEX, Impact::Low, table(&one.schema, &one.index))
        });
        found.collect()
    },
};

/// Indexes that a failed build left behind.
pub(super) const INVALID_INDEX: Rule = Rule {
    id: "invalid-index",
    fires: || {
        "an index is listed under `invalid_indexes` (a failed CREATE INDEX CONCURRENTLY left it behind)"
            .to_owned()
    },
    find: |record| {
        let invalid = analysis(record).and_then(|analysis| analysis.invalid_indexes.as_ref());
        let found = invalid.into_iter().flatten().map(|one| Finding {
            evidence: format!("not valid, so no statement reads it; {} on {}", one.size, table(&one.schema, &one.table)),
            action: "Drop it with DROP INDEX CONCURRENTLY and build it again, or REINDEX INDEX CONCURRENTLY; the statements that it was meant for run without it".to_owned(),
            paths: vec!["database_analysis.invalid_indexes".to_owned()],
            explains: names(&["database.queryTime.p95"]),
            ..finding(&INVALID_INDEX, Impact::Medium, table(&one.schema, &one.index))
        });
        found.collect()
    },
};

/// Connections near their limit.
pub(super) const CONNECTION_SATURATION: Rule = Rule {
    id: "connection-saturation",
    fires: || {
        format!(
            "at least {CONNECTIONS_PERCENT}% of the connections that clients may open are open; High from {FEW_CONNECTIONS_PERCENT}%"
        )
    },
    find: |record| {
        let headroom = analysis(record).and_then(|analysis| analysis.connection_headroom);
        let found = headroom.filter(|headroom| headroom.max > 0).and_then(|headroom| {
            #[expect(clippy::cast_precision_loss, reason = "a ratio of connections")]
            let used = headroom.used as f64 / headroom.max as f64 * 100.0;
            let impact = if used >= FEW_CONNECTIONS_PERCENT { Impact::High } else { Impact::Medium };
            (used >= CONNECTIONS_PERCENT).then(|| Finding {
                evidence: format!(
                    "{} of {} connections open ({}) at the moment of the run",
                    count(headroom.used),
                    count(headroom.max),
                    percent(used)
                ),
                action: "Put a pooler in front (PgBouncer, transaction pooling) or make the clients' pools smaller; raising max_connections costs memory for each, times work_mem".to_owned(),
                paths: vec!["database_analysis.connection_headroom".to_owned()],
                explains: behind_requests(&["database.connectionUse", "web.errorRatio", "api.errorRatio"]),
                ..finding(&CONNECTION_SATURATION, impact, "connections of the server")
            })
        });
        found.into_iter().collect()
    },
};

/// Reads that shared buffers do not serve.
pub(super) const BUFFER_MISSES: Rule = Rule {
    id: "buffer-misses",
    fires: || {
        format!(
            "shared buffers serve less than {BUFFER_HITS_PERCENT}% of at least {MIN_BLOCKS} block reads, since the previous run or between the run's two looks"
        )
    },
    find: |record| {
        let reading = indicator::read(record, "database.cacheHitRatio");
        let reading = reading.filter(|reading| {
            let has_enough = |basis: &Basis| basis.samples.is_none_or(|blocks| blocks >= MIN_BLOCKS);
            reading.basis.is_some_and(has_enough) && reading.why_unjudged().is_none()
        });
        let low = reading.and_then(|reading| {
            let hits = reading.value? * 100.0;
            (hits < BUFFER_HITS_PERCENT).then_some((hits, reading.path))
        });
        let found = low.map(|(hits, path)| {
            let buffers = analysis(record)
                .and_then(|analysis| analysis.settings.as_ref()?.get("shared_buffers").cloned())
                .map(|buffers| format!("; shared_buffers is {buffers}"));
            Finding {
                effect_percent: effect(100.0 - hits),
                evidence: format!("{} of block reads found in shared buffers{}", percent(hits), buffers.unwrap_or_default()),
                action: "Look first for sequential scans that push everything else out; then raise shared_buffers (a quarter of the memory is usual) and effective_cache_size with it".to_owned(),
                paths: vec![path],
                explains: names(&["database.cacheHitRatio", "database.queryTime.p95"]),
                ..finding(&BUFFER_MISSES, Impact::Medium, "shared buffers")
            }
        });
        found.into_iter().collect()
    },
};

/// Tables whose planner statistics are old.
pub(super) const STALE_STATISTICS: Rule = Rule {
    id: "stale-statistics",
    fires: || {
        "a table is listed under `stale_statistics` (over 1,000 rows changed since the last ANALYZE, and over 20% of all, or never analysed)".to_owned()
    },
    find: |record| {
        let stale = analysis(record).and_then(|analysis| analysis.stale_statistics.as_ref());
        let found = stale.into_iter().flatten().map(|one| {
            let last = one.last_analyzed.map_or_else(
                || "never analysed".to_owned(),
                |last| format!("last analysed {}", crate::format::instant(last)),
            );
            Finding {
                evidence: format!(
                    "{} rows changed since, of {} rows; {last}",
                    count(one.modified_since_analyze),
                    count(one.rows)
                ),
                action: "Run ANALYZE on it; if it comes back, lower autovacuum_analyze_scale_factor for this table".to_owned(),
                paths: vec!["database_analysis.stale_statistics".to_owned()],
                explains: names(&["database.queryTime.p95"]),
                ..finding(&STALE_STATISTICS, Impact::Medium, table(&one.schema, &one.table))
            }
        });
        found.collect()
    },
};

/// Tables with many dead rows.
pub(super) const DEAD_ROWS: Rule = Rule {
    id: "dead-rows",
    fires: || "a table is listed under `dead_tuples` (over 10,000 dead rows, and over 20% of all)".to_owned(),
    find: |record| {
        let dead = analysis(record).and_then(|analysis| analysis.dead_tuples.as_ref());
        let found = dead.into_iter().flatten().map(|one| {
            let last = one.last_vacuumed.map_or_else(
                || "never vacuumed".to_owned(),
                |last| format!("last vacuumed {}", crate::format::instant(last)),
            );
            Finding {
                evidence: format!("{} dead rows, {} of all; {last}", count(one.dead), percent(one.dead_percent)),
                action: "Run VACUUM (ANALYZE) on it, and look for transactions that stay open (pg_stat_activity.xact_start) and keep rows from being removed; then lower autovacuum_vacuum_scale_factor for this table".to_owned(),
                paths: vec!["database_analysis.dead_tuples".to_owned()],
                explains: names(&["database.queryTime.p95"]),
                ..finding(&DEAD_ROWS, Impact::Medium, table(&one.schema, &one.table))
            }
        });
        found.collect()
    },
};
