//! Databases to report on.

use plimsoll_analysis::record::{
    BaselineRecord, Basis, BasisKind, ConnectionHeadroom, Connections, Cost, DatabaseAnalysis,
    DatabaseMetrics, DatabaseServer, DeadTuples, DuplicateIndex, InvalidIndex, MissingIndex, QueryTime,
    QueryTimeMethod, SlowStatement, Source, StaleStatistics, StatementMean, TableSize, UnusedIndex,
};

const SUMMARY: &str = "SELECT date, sum(quantity) FROM dairy_collection WHERE date >= $1 GROUP BY date";

pub(super) fn source() -> Source {
    let cost = Cost { rows: Some(412), server_time_us: Some(38_412), ..Cost::default() };
    let source = super::collected("postgres", 61_204, 24, Some(97_112));
    Source { cost: Some(Cost { queries: Some(24), bytes: Some(97_112), ..cost }), ..source }
}

fn table(schema: &str, table: &str, size: &str, size_bytes: u64, rows: u64) -> TableSize {
    let [schema, table, size] = [schema, table, size].map(str::to_owned);
    TableSize { schema: Some(schema), table, size, size_bytes, rows }
}

fn mean(query_id: &str, calls: u64, avg_time_ms: f64, query: Option<&str>) -> StatementMean {
    StatementMean { calls, avg_time_ms, query: query.map(str::to_owned), query_id: query_id.to_owned() }
}

fn slow(of: &StatementMean, rows: u64, label: Option<&str>) -> SlowStatement {
    SlowStatement {
        calls: of.calls,
        avg_ms: of.avg_time_ms,
        total_ms: of.avg_time_ms * f64::from(u32::try_from(of.calls).unwrap()),
        rows,
        query: of.query.clone(),
        query_id: of.query_id.clone(),
        label: label.map(str::to_owned),
    }
}

fn statements() -> [StatementMean; 4] {
    let join = "SELECT f.name, p.amount FROM dairy_farmer f JOIN dairy_payment p ON p.farmer_id = f.id WHERE p.period_start >= $1 AND p.period_end <= $2 AND f.collection_center_id = $3 ORDER BY p.period_start DESC, f.na…";
    [
        mean("-3416356442043621232", 1_204, 850.2, Some(SUMMARY)),
        mean("8123456789012345678", 96, 412.0, None),
        mean("42", 18_211, 131.25, Some(join)),
        mean("77", 1_204_411, 0.42, Some("SELECT \"a`b\" FROM t WHERE x = $1 || $2")),
    ]
}

pub(super) fn metrics() -> DatabaseMetrics {
    DatabaseMetrics {
        connections: Some(Connections { active: 3, idle: 11, total: 14 }),
        top_tables: Some(vec![
            table("public", "dairy_collection", "120 MB", 125_829_120, 1_204_000),
            table("accounting", "account_move_line", "48 MB", 50_331_648, 310_412),
            table("public", "dairy_farmer", "96 kB", 98_304, 412),
        ]),
        slow_queries: Some(statements().to_vec()),
        query_time_p95_ms: Some(QueryTime {
            low: 60.4,
            high: Some(240.2),
            method: QueryTimeMethod::StatementBounds,
        }),
    }
}

pub(super) fn analysis() -> DatabaseAnalysis {
    let [summary, unread, join, _] = statements();
    let late = mean("99", 2, 104.0, Some("UPDATE dairy_payment SET state = $1 WHERE id = ANY($2)"));
    let own = str::to_owned;
    DatabaseAnalysis {
        slow_queries: Some(vec![
            slow(&summary, 36_120, Some("Daily summary")),
            slow(&unread, 96, None),
            slow(&join, 1_821_100, Some("Farmer history")),
            slow(&late, 14, None),
        ]),
        missing_indexes: Some(vec![MissingIndex {
            schema: own("public"),
            table: own("dairy_payment"),
            seq_scan: 18_412,
            seq_tup_read: 1_924_411_000,
            idx_scan: 12,
            avg_rows_per_seq_scan: 104_519.39,
        }]),
        unused_indexes: Some(vec![UnusedIndex {
            schema: own("public"),
            table: own("dairy_collection"),
            index: own("idx_collection_note"),
            size_bytes: 44_040_192,
            size: own("42 MB"),
            index_scans: 3,
        }]),
        duplicate_indexes: Some(vec![DuplicateIndex {
            schema: own("accounting"),
            table: own("account_move_line"),
            index: own("idx_move"),
            covered_by: own("idx_move_date"),
            size_bytes: 8_388_608,
            size: own("8192 kB"),
        }]),
        invalid_indexes: Some(vec![InvalidIndex {
            schema: own("public"),
            table: own("dairy_farmer"),
            index: own("idx_farmer_ccnew"),
            size_bytes: 16_384,
            size: own("16 kB"),
        }]),
        stale_statistics: Some(vec![StaleStatistics {
            schema: own("public"),
            table: own("dairy_payment"),
            rows: 104_519,
            modified_since_analyze: 88_120,
            last_analyzed: None,
        }]),
        dead_tuples: Some(vec![DeadTuples {
            schema: own("public"),
            table: own("dairy_collection"),
            live: 1_204_000,
            dead: 612_331,
            dead_percent: 33.71,
            last_vacuumed: Some("2026-11-02T03:11:00Z".parse().unwrap()),
        }]),
        cache_hit_ratio: Some(0.9942),
        settings: Some(
            super::map(&[("shared_buffers", "128MB"), ("random_page_cost", "4"), ("x", "")])
                .into_iter()
                .map(|(name, value)| (name, value.to_owned()))
                .collect(),
        ),
        connection_headroom: Some(ConnectionHeadroom { used: 61, max: 97 }),
        server: Some(server()),
        ..DatabaseAnalysis::default()
    }
}

fn server() -> DatabaseServer {
    let started = Some("2026-11-01T00:00:00Z".parse().unwrap());
    DatabaseServer { version: "15.20".to_owned(), replica: false, started }
}

pub(super) fn metrics_of_nothing() -> DatabaseMetrics {
    DatabaseMetrics {
        connections: Some(Connections { active: 0, idle: 0, total: 0 }),
        top_tables: Some(Vec::new()),
        slow_queries: Some(Vec::new()),
        query_time_p95_ms: None,
    }
}

pub(super) fn analysis_of_nothing() -> DatabaseAnalysis {
    DatabaseAnalysis {
        slow_queries: Some(Vec::new()),
        missing_indexes: Some(Vec::new()),
        unused_indexes: Some(Vec::new()),
        duplicate_indexes: Some(Vec::new()),
        invalid_indexes: Some(Vec::new()),
        stale_statistics: Some(Vec::new()),
        dead_tuples: Some(Vec::new()),
        server: Some(DatabaseServer { replica: true, ..server() }),
        ..analysis()
    }
}

/// What a server without pg_stat_statements says, read once.
pub(super) fn without_statements(record: &mut BaselineRecord) {
    record.database_metrics =
        Some(DatabaseMetrics { slow_queries: None, query_time_p95_ms: None, ..metrics() });
    record.database_analysis =
        Some(DatabaseAnalysis { slow_queries: None, stale_statistics: None, ..analysis_of_nothing() });
    record.basis.extend(basis());
    for path in [
        "database_metrics.slow_queries",
        "database_analysis.slow_queries",
        "database_metrics.query_time_p95_ms",
    ] {
        let note = "pg_stat_statements is not installed";
        record.basis.insert(path.to_owned(), super::missing(note));
    }
    record.basis.remove("database_analysis.stale_statistics");
}

pub(super) fn basis() -> Vec<(String, Basis)> {
    let at = |text: &str| text.parse().unwrap();
    let none = Basis { coverage_percent: None, samples: None, ..super::basis() };
    let instant = Basis {
        kind: BasisKind::Instant,
        from: at("2026-11-23T02:00:03Z"),
        to: at("2026-11-23T02:00:03Z"),
        ..none.clone()
    };
    let since = Basis {
        kind: BasisKind::SincePreviousRun,
        from: at("2026-11-16T02:00:04Z"),
        to: at("2026-11-23T02:00:03Z"),
        samples: Some(1_223_922),
        note: Some("3 statements were thrown out of pg_stat_statements in between".to_owned()),
        ..none.clone()
    };
    let quiet = Basis { note: None, samples: None, ..since.clone() };
    let lifetime = Basis {
        kind: BasisKind::Lifetime,
        from: at("2026-11-01T00:00:00Z"),
        to: at("2026-11-23T02:00:03Z"),
        ..none
    };
    [
        ("database_metrics.connections", instant.clone()),
        ("database_metrics.top_tables", instant.clone()),
        ("database_metrics.slow_queries", quiet.clone()),
        ("database_metrics.query_time_p95_ms", since),
        ("database_analysis.slow_queries", quiet.clone()),
        ("database_analysis.missing_indexes", lifetime.clone()),
        ("database_analysis.unused_indexes", lifetime),
        ("database_analysis.duplicate_indexes", instant.clone()),
        ("database_analysis.invalid_indexes", instant.clone()),
        ("database_analysis.dead_tuples", instant.clone()),
        ("database_analysis.stale_statistics", instant.clone()),
        ("database_analysis.cache_hit_ratio", quiet),
        ("database_analysis.connection_headroom", instant.clone()),
        ("database_analysis.settings", instant),
    ]
    .into_iter()
    .map(|(path, basis)| (path.to_owned(), basis))
    .collect()
}

/// As many slow statements as asked for.
pub(super) fn repeat(record: &mut BaselineRecord, rows: u32) {
    let Some(analysis) = &mut record.database_analysis else { return };
    let statement = |row: u32| {
        let text = format!(
            "SELECT * FROM dairy_collection WHERE farmer_id = $1 AND shift = $2 AND note <> 'row {row}'"
        );
        let of = mean(&row.to_string(), u64::from(row % 1_013), f64::from(row % 7_919), Some(&text));
        slow(&of, u64::from(row), None)
    };
    analysis.slow_queries = Some((0..rows).map(statement).collect());
}

/// Puts a text wherever the database has one.
pub(super) fn say(record: &mut BaselineRecord, text: &str) {
    let own = || text.to_owned();
    if let Some(metrics) = &mut record.database_metrics {
        for table in metrics.top_tables.iter_mut().flatten() {
            (table.schema, table.table, table.size) = (Some(own()), own(), own());
        }
        for statement in metrics.slow_queries.iter_mut().flatten() {
            (statement.query, statement.query_id) = (Some(own()), own());
        }
    }
    let Some(analysis) = &mut record.database_analysis else { return };
    for statement in analysis.slow_queries.iter_mut().flatten() {
        (statement.query, statement.query_id, statement.label) = (Some(own()), own(), Some(own()));
    }
    for table in analysis.missing_indexes.iter_mut().flatten() {
        (table.schema, table.table) = (own(), own());
    }
    for index in analysis.unused_indexes.iter_mut().flatten() {
        (index.schema, index.table, index.index, index.size) = (own(), own(), own(), own());
    }
    for index in analysis.duplicate_indexes.iter_mut().flatten() {
        (index.schema, index.table, index.index, index.covered_by) = (own(), own(), own(), own());
    }
    for index in analysis.invalid_indexes.iter_mut().flatten() {
        (index.schema, index.table, index.index) = (own(), own(), own());
    }
    for table in analysis.stale_statistics.iter_mut().flatten() {
        (table.schema, table.table) = (own(), own());
    }
    for table in analysis.dead_tuples.iter_mut().flatten() {
        (table.schema, table.table) = (own(), own());
    }
    analysis.settings = Some([(own(), own())].into_iter().collect());
    if let Some(server) = &mut analysis.server {
        server.version = own();
    }
}
