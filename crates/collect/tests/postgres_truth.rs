//! Against a private PostgreSQL with known content: every key of the seed's database part has the true value.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

mod support;

use std::time::Duration;

use plimsoll_analysis::findings::findings;
use plimsoll_analysis::record::{BaselineRecord, BasisKind, QueryTimeMethod, SourceState};
use support::postgres::{self, Options, PASSWORD, Postgres, value};
use support::{run_for, source};

const LIMIT: Duration = Duration::from_secs(60);

/// A server with the seed's tables, or `None` to skip.
async fn dairy() -> Option<Postgres> {
    let server = postgres::start(&Options::default()).await?;
    server.execute("postgres", &["CREATE DATABASE dairy"]).await;
    server.create_reader("postgres").await;
    server
        .execute(
            "dairy",
            &[
                "CREATE EXTENSION pg_stat_statements",
                "CREATE TABLE dairy_farmer (id bigint PRIMARY KEY, name text)",
                "INSERT INTO dairy_farmer SELECT i, 'farmer ' || i FROM generate_series(1, 500) i",
                "CREATE TABLE dairy_collection (id bigint PRIMARY KEY, farmer_id bigint, date date, shift text, quantity numeric)",
                "INSERT INTO dairy_collection SELECT i, i % 500, date '2026-01-01' + (i % 300)::int, 'am', 12.5 \
                 FROM generate_series(1, 200000) i",
                "CREATE TABLE \"Odd \"\"table\"\"; --🐄\" (x int)",
            ],
        )
        .await;
    // A session counts what it did as it ends, and ANALYZE after that sets the true number.
    server.until("dairy", "SELECT sum(n_tup_ins) FROM pg_stat_user_tables", "200500").await;
    server.execute("dairy", &["ANALYZE", "SELECT pg_stat_statements_reset()"]).await;
    Some(server)
}

async fn collected(server: &Postgres, sample_seconds: u64) -> BaselineRecord {
    let mut request = postgres::request(server.port, "dairy");
    request.sample_seconds = sample_seconds;
    run_for(&request, postgres::keys("reader", PASSWORD), LIMIT).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seeds_database_metrics_have_the_true_values() {
    let Some(server) = dairy().await else { return };
    let client = server.admin("dairy").await;
    for _ in 0..5 {
        client.batch_execute("SELECT pg_sleep(0.12)").await.unwrap();
        client
            .batch_execute("SELECT count(*) FROM dairy_farmer WHERE name = 'canary-literal'")
            .await
            .unwrap();
    }
    client.batch_execute("SET application_name = 'canary-literal'").await.unwrap();
    // One session of somebody else in this database and one in another.
    let elsewhere = server.admin("postgres").await;
    let record = collected(&server, 0).await;
    drop(elsewhere);
    assert_eq!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
    let metrics = record.database_metrics.as_ref().unwrap();
    let analysis = record.database_analysis.as_ref().unwrap();

    let connections = metrics.connections.unwrap();
    assert_eq!((connections.active, connections.idle, connections.total), (0, 1, 1));
    let headroom = analysis.connection_headroom.unwrap();
    assert_eq!((headroom.used, headroom.max), (2, 97));

    let tables = metrics.top_tables.as_ref().unwrap();
    assert_eq!(tables[0].table, "dairy_collection");
    assert_eq!(tables.len(), 3);
    for table in tables {
        let named = format!("format('%I', '{}')::regclass", table.table.replace('\'', "''"));
        let bytes = value(&client, &format!("SELECT pg_total_relation_size({named})")).await;
        assert_eq!(table.size_bytes.to_string(), bytes, "{}", table.table);
        let pretty = value(&client, &format!("SELECT pg_size_pretty(pg_total_relation_size({named}))")).await;
        assert_eq!(table.size, pretty);
    }
    assert_eq!((tables[0].rows, tables[1].rows), (200_000, 500));
    assert!(tables.iter().any(|table| table.table == "Odd \"table\"; --🐄"));

    let slow = &metrics.slow_queries.as_ref().unwrap()[0];
    assert_eq!((slow.calls, slow.query.as_deref()), (5, Some("SELECT pg_sleep($1)")));
    let column =
        |name: &str| format!("SELECT {name} FROM pg_stat_statements WHERE query = 'SELECT pg_sleep($1)'");
    let mean: f64 = value(&client, &column("mean_exec_time")).await.parse().unwrap();
    assert!((slow.avg_time_ms - mean).abs() < 1e-6, "{} {mean}", slow.avg_time_ms);
    assert_eq!(slow.query_id, value(&client, &column("queryid")).await);
    let listed = analysis.slow_queries.as_ref().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    let total: f64 = value(&client, &column("total_exec_time")).await.parse().unwrap();
    assert!((listed[0].total_ms - total).abs() < 1e-6);
    assert_eq!(listed[0].rows, 5);
    let top = analysis.top_statements.as_ref().unwrap();
    assert_eq!(top[0], listed[0]);
    assert!(top.windows(2).all(|pair| pair[0].total_ms >= pair[1].total_ms));
    let all = analysis.execution_time_ms.unwrap();
    assert!(all >= top.iter().map(|one| one.total_ms).sum::<f64>() - 1e-6, "{all} {top:?}");
    assert_eq!(record.basis_of("database_analysis.execution_time_ms").unwrap().kind, BasisKind::Lifetime);

    // The judgement knows it as slow, with its share of all the time.
    let found = findings(&record);
    let statement = found.iter().find(|one| one.evidence.contains("SELECT pg_sleep($1)")).unwrap();
    assert_eq!(statement.id, "statement-time");
    assert!((statement.effect_percent.unwrap() - total / all * 100.0).abs() < 1e-6, "{statement:?}");

    let time = metrics.query_time_p95_ms.unwrap();
    assert_eq!(time.method, QueryTimeMethod::StatementBounds);
    // Half of the executions sleep 120 ms, so the 95th percentile is one of these.
    assert!(time.low > 100.0 && time.high.unwrap() < 300.0 && time.low <= time.high.unwrap(), "{time:?}");
    let basis = record.basis_of("database_metrics.slow_queries").unwrap();
    assert_eq!(basis.kind, BasisKind::Lifetime);
    let reset =
        value(&client, "SELECT floor(extract(epoch FROM stats_reset)) FROM pg_stat_statements_info").await;
    assert_eq!(basis.from.as_second().to_string(), reset);

    assert!(!analysis.server.as_ref().unwrap().replica);
    assert!(analysis.cache_hit_ratio.unwrap() > 0.5);
    assert!(record.basis_of("database_analysis.cache_hit_ratio").unwrap().samples.unwrap() > 1_000);
    let settings = analysis.settings.as_ref().unwrap();
    assert_eq!(settings["random_page_cost"], "4");
    assert_eq!(settings["shared_buffers"], "128MB");
    let printed = serde_json::to_string(&record).unwrap();
    assert!(!printed.contains("canary"), "{printed}");
    let cost = source(&record).cost.unwrap();
    assert!(cost.queries.unwrap() > 10 && cost.bytes.unwrap() > 1000 && cost.server_time_us.unwrap() > 0);
}
