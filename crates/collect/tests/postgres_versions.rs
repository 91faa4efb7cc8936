//! Every supported major version, as a real server with known content: each key has the true value on each of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

mod support;

use std::time::Duration;

use plimsoll_analysis::record::{
    BaselineRecord, BasisKind, ConnectionHeadroom, Connections, QueryTimeMethod, SourceState,
};
use plimsoll_collect::Keys;
use support::pg::{DATABASE, Options, Postgres, READER, request, rows, wait_for};
use support::{run_for, source};
use tokio_postgres::Client;

/// Longest that one collection may take here.
const LIMIT: Duration = Duration::from_secs(60);

/// Tables whose every figure is known. The clients that made them have ended, so that their counts have arrived.
async fn seed(server: &Postgres) {
    for statements in [
        "CREATE TABLE farmer (id bigint PRIMARY KEY, email text UNIQUE); \
         INSERT INTO farmer SELECT i, 'f' || i FROM generate_series(1, 500) i",
        "CREATE TABLE collection (id bigint PRIMARY KEY, farmer_id bigint NOT NULL); \
         INSERT INTO collection SELECT i, i * 7 FROM generate_series(1, 600000) i; \
         CREATE INDEX collection_farmer ON collection (farmer_id); \
         CREATE INDEX collection_farmer_twin ON collection (farmer_id)",
        "CREATE TABLE scanned (x int); INSERT INTO scanned SELECT generate_series(1, 100)",
        "CREATE TABLE twice (x int); INSERT INTO twice VALUES (1), (1)",
        "CREATE TABLE deleted (x int); INSERT INTO deleted SELECT generate_series(1, 30000)",
        "CREATE TABLE changed (x int); INSERT INTO changed SELECT generate_series(1, 5000)",
    ] {
        server.sql(DATABASE, statements).await;
    }
    let client = server.admin(DATABASE).await;
    let built = client.batch_execute("CREATE UNIQUE INDEX CONCURRENTLY twice_x ON twice (x)").await;
    assert!(built.is_err(), "a unique index over equal values was built");
    wait_for(&client, "SELECT sum(n_tup_ins) = 635602 FROM pg_stat_user_tables").await;
    client.batch_execute("VACUUM ANALYZE").await.unwrap();
    drop(client);
    server.sql(DATABASE, "DELETE FROM deleted WHERE x <= 20000").await;
    server.sql(DATABASE, "UPDATE changed SET x = x + 1 WHERE x <= 2000").await;
    // Within one statement: what a loop looks up itself is not counted, each scan of the table is.
    let scans = "DO $$ BEGIN FOR i IN 1..150 LOOP PERFORM count(*) FROM scanned; END LOOP; END $$";
    server.sql(DATABASE, scans).await;
    let client = server.admin(DATABASE).await;
    wait_for(&client, "SELECT seq_scan >= 150 FROM pg_stat_user_tables WHERE relname = 'scanned'").await;
    wait_for(&client, "SELECT n_dead_tup = 20000 FROM pg_stat_user_tables WHERE relname = 'deleted'").await;
    wait_for(&client, "SELECT n_mod_since_analyze = 2000 FROM pg_stat_user_tables WHERE relname = 'changed'")
        .await;
}

/// Waits until nobody but `client` is connected: a connection that was dropped ends a moment later.
async fn alone(client: &Client) {
    wait_for(
        client,
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname IS NOT NULL",
    )
    .await;
}

/// One cell by the superuser, as a number.
async fn number(client: &Client, statement: &str) -> f64 {
    rows(client, statement).await[0][0].as_deref().unwrap().parse().unwrap()
}

async fn collected((request, keys): (plimsoll_analysis::request::BaselineRequest, Keys)) -> BaselineRecord {
    run_for(&request, keys, LIMIT).await
}

async fn every_key_is_true_on(major: u32) {
    let Some(server) = Postgres::start(&Options::new(major)).await else { return };
    seed(&server).await;
    let client = server.admin(DATABASE).await;
    client.batch_execute("SELECT pg_stat_statements_reset()").await.unwrap();
    for _ in 0..3 {
        client.batch_execute("SELECT pg_sleep(0.12)").await.unwrap();
        client.batch_execute("SELECT count(*) FROM farmer WHERE email = 'canary-literal'").await.unwrap();
        client.batch_execute("SET application_name = 'canary-literal'").await.unwrap();
    }
    alone(&client).await;
    // Beside `client`: one that works, one in a transaction, and one in another database.
    let works = server.admin(DATABASE).await;
    let sleep = tokio::spawn(async move { works.batch_execute("SELECT pg_sleep(600)").await });
    let waits = server.admin(DATABASE).await;
    waits.batch_execute("BEGIN; SELECT 1").await.unwrap();
    let _elsewhere = server.admin("postgres").await;
    wait_for(&client, "SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '600' AND state = 'active' AND pid <> pg_backend_pid()")
        .await;
    let record = collected(request(&server)).await;
    sleep.abort();

    let found = source(&record);
    assert_eq!((found.state, &found.message), (SourceState::Collected, &None), "{found:?}");
    assert!(record.complete);
    metrics_are_true(&record, &client).await;
    analysis_is_true(&record, &client, major).await;
    assert!(!serde_json::to_string(&record).unwrap().contains("canary"), "a literal is in the record");
    // What it says of its own cost is what the server counted of it.
    let cost = found.cost.unwrap();
    assert!(cost.queries.unwrap() >= 10 && cost.bytes.unwrap() > 1000 && cost.server_time_us.unwrap() > 0);
    let mine =
        number(&client, &format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{READER}'")).await;
    assert!(mine <= 1.0, "{mine} backends of ours are left");
}

async fn metrics_are_true(record: &BaselineRecord, client: &Client) {
    let metrics = record.database_metrics.as_ref().unwrap();
    assert_eq!(metrics.connections, Some(Connections { active: 1, idle: 1, total: 3 }));

    let expected = rows(
        client,
        "SELECT c.relname, pg_total_relation_size(c.oid)::text, pg_size_pretty(pg_total_relation_size(c.oid)), \
           s.n_live_tup::text FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid \
         ORDER BY pg_total_relation_size(c.oid) DESC, c.relname",
    )
    .await;
    let tables: Vec<Vec<Option<String>>> = metrics
        .top_tables
        .as_ref()
        .unwrap()
        .iter()
        .map(|one| {
            let cells =
                [one.table.clone(), one.size_bytes.to_string(), one.size.clone(), one.rows.to_string()];
            cells.into_iter().map(Some).collect()
        })
        .collect();
    assert_eq!(tables, expected);
    assert_eq!(tables.len(), 6);
    assert_eq!((tables[0][0].as_deref(), tables[0][3].as_deref()), (Some("collection"), Some("600000")));

    let of = |column: &str, text: &str| {
        format!(
            "SELECT {column} FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid \
             WHERE d.datname = '{DATABASE}' AND query LIKE '{text}%' AND calls = 3"
        )
    };
    let slow = metrics.slow_queries.as_ref().unwrap();
    assert_eq!((slow[0].calls, slow[0].query.as_deref()), (3, Some("SELECT pg_sleep($1)")));
    let mean = number(client, &of("mean_exec_time", "SELECT pg_sleep")).await;
    assert!((slow[0].avg_time_ms - mean).abs() < 1e-6, "{} {mean}", slow[0].avg_time_ms);
    assert!(slow.windows(2).all(|pair| pair[0].avg_time_ms >= pair[1].avg_time_ms), "{slow:?}");
    let second =
        slow.iter().find(|one| one.query.as_deref().is_some_and(|text| text.contains("email"))).unwrap();
    assert_eq!(second.query.as_deref(), Some("SELECT count(*) FROM farmer WHERE email = $1"));
    let id = rows(client, &of("queryid::text", "SELECT count(*) FROM farmer")).await;
    assert_eq!((second.calls, Some(&second.query_id)), (3, id[0][0].as_ref()));

    let time = metrics.query_time_p95_ms.unwrap();
    assert_eq!(time.method, QueryTimeMethod::StatementBounds);
    // A third of the executions or more sleep 120 ms, so the percentile is the time of one of these.
    assert!(time.low > 60.0 && time.high.unwrap() < 1200.0 && time.low <= time.high.unwrap(), "{time:?}");
    assert_eq!(record.basis_of("database_metrics.slow_queries").unwrap().kind, BasisKind::Lifetime);
    assert_eq!(record.basis_of("database_metrics.connections").unwrap().kind, BasisKind::Instant);
}

async fn analysis_is_true(record: &BaselineRecord, client: &Client, major: u32) {
    let analysis = record.database_analysis.as_ref().unwrap();
    let slow = analysis.slow_queries.as_ref().unwrap();
    assert_eq!(slow.len(), 1, "{slow:?}");
    assert_eq!((slow[0].calls, slow[0].rows, slow[0].query.as_deref()), (3, 3, Some("SELECT pg_sleep($1)")));
    assert!((slow[0].total_ms - slow[0].avg_ms * 3.0).abs() < 1e-6 && slow[0].avg_ms >= 120.0);

    let missing = analysis.missing_indexes.as_ref().unwrap();
    let row =
        &rows(client, "SELECT seq_scan, seq_tup_read FROM pg_stat_user_tables WHERE relname = 'scanned'")
            .await[0];
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert_eq!((missing[0].schema.as_str(), missing[0].table.as_str()), ("public", "scanned"));
    let known = [missing[0].seq_scan.to_string(), missing[0].seq_tup_read.to_string()];
    assert_eq!(known.map(Some).as_slice(), row.as_slice());
    assert!(
        missing[0].idx_scan == 0 && (missing[0].avg_rows_per_seq_scan - 100.0).abs() < 1.0,
        "{missing:?}"
    );

    let unused = analysis.unused_indexes.as_ref().unwrap();
    let mut names: Vec<&str> = unused.iter().map(|one| one.index.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["collection_farmer", "collection_farmer_twin"], "and no primary key or unique index");
    let bytes = number(client, "SELECT pg_relation_size('collection_farmer')").await;
    assert!(unused.iter().all(|one| one.index_scans == 0 && one.size_bytes as f64 == bytes), "{unused:?}");
    let twins = analysis.duplicate_indexes.as_ref().unwrap();
    assert_eq!(twins.len(), 1, "{twins:?}");
    assert_eq!(
        (twins[0].index.as_str(), twins[0].covered_by.as_str()),
        ("collection_farmer_twin", "collection_farmer")
    );
    let invalid = analysis.invalid_indexes.as_ref().unwrap();
    assert_eq!(invalid.iter().map(|one| one.index.as_str()).collect::<Vec<_>>(), ["twice_x"]);

    let stale = analysis.stale_statistics.as_ref().unwrap();
    let changed = stale.iter().find(|one| one.table == "changed").unwrap();
    assert_eq!((changed.rows, changed.modified_since_analyze), (5000, 2000));
    assert!(changed.last_analyzed.is_some());
    assert!(stale.iter().all(|one| ["changed", "deleted"].contains(&one.table.as_str())), "{stale:?}");
    let dead = analysis.dead_tuples.as_ref().unwrap();
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!((dead[0].table.as_str(), dead[0].live, dead[0].dead), ("deleted", 10_000, 20_000));
    assert!((dead[0].dead_percent - 66.67).abs() < 0.01 && dead[0].last_vacuumed.is_some(), "{dead:?}");

    let ratio = analysis.cache_hit_ratio.unwrap();
    let now = number(
        client,
        "SELECT blks_hit::float8 / (blks_hit + blks_read) FROM pg_stat_database WHERE datname = current_database()",
    )
    .await;
    assert!((0.0..=1.0).contains(&ratio) && (ratio - now).abs() < 0.05, "{ratio} {now}");
    for (name, value) in analysis.settings.as_ref().unwrap() {
        let shown = rows(client, &format!("SHOW \"{name}\"")).await;
        assert_eq!(Some(value), shown[0][0].as_ref(), "{name}");
    }
    let reserved = if major >= 16 { "current_setting('reserved_connections')::int" } else { "0" };
    let most = number(
        client,
        &format!(
            "SELECT current_setting('max_connections')::int \
        - current_setting('superuser_reserved_connections')::int - {reserved}"
        ),
    )
    .await;
    assert_eq!(analysis.connection_headroom, Some(ConnectionHeadroom { used: 4, max: most as u64 }));
    let described = analysis.server.as_ref().unwrap();
    assert!(described.version.starts_with(&format!("{major}.")) && !described.replica, "{described:?}");
    let started = number(client, "SELECT extract(epoch FROM pg_postmaster_start_time())").await;
    assert!((described.started.unwrap().as_microsecond() as f64 / 1e6 - started).abs() < 0.001);
}

/// Figures between two snapshots: what ran between them, and no more.
async fn a_sample_is_of_its_own_time_on(major: u32) {
    let Some(server) = Postgres::start(&Options::new(major)).await else { return };
    let client = server.admin(DATABASE).await;
    for _ in 0..4 {
        client.batch_execute("SELECT pg_sleep(0.15)").await.unwrap();
    }
    let (mut request, keys) = request(&server);
    request.sample_seconds = 4;
    let (record, during) = tokio::join!(run_for(&request, keys, LIMIT), async {
        // The first snapshot is taken once our role's session has done something; the second is seconds away.
        wait_for(
            &client,
            &format!(
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = '{READER}' \
            AND (query ~ 'unnest\\(ARRAY' OR backend_start < now() - interval '1 second')"
            ),
        )
        .await;
        let mut calls = 0;
        for _ in 0..5 {
            client.batch_execute("SELECT pg_sleep(0.12)").await.unwrap();
            calls += 1;
        }
        calls
    });
    assert_eq!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
    let slow = record.database_analysis.as_ref().unwrap().slow_queries.as_ref().unwrap();
    let texts: Vec<_> = slow.iter().map(|one| (one.query.as_deref(), one.calls)).collect();
    // Five of nine, and their mean without the four before.
    assert_eq!(texts, [(Some("SELECT pg_sleep($1)"), during)]);
    assert!((120.0..150.0).contains(&slow[0].avg_ms), "{slow:?}");
    let basis = record.basis_of("database_analysis.slow_queries").unwrap();
    assert_eq!(basis.kind, BasisKind::Sampled);
    let seconds = (basis.to.as_microsecond() - basis.from.as_microsecond()) as f64 / 1e6;
    assert!((3.5..10.0).contains(&seconds), "{seconds}");
}

macro_rules! on_each_version {
    ($($name:ident = $major:literal),*) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn every_key_is_true() {
                super::every_key_is_true_on($major).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_sample_is_of_its_own_time() {
                super::a_sample_is_of_its_own_time_on($major).await;
            }
        }
    )*};
}

on_each_version!(
    postgresql_13 = 13,
    postgresql_14 = 14,
    postgresql_15 = 15,
    postgresql_16 = 16,
    postgresql_17 = 17,
    postgresql_18 = 18
);
