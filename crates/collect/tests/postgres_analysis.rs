//! Against a private PostgreSQL whose faults are known: the analysis names these and no others.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

mod support;

use std::time::Duration;

use plimsoll_analysis::record::{BaselineRecord, BasisKind, DatabaseAnalysis, SourceReason, SourceState};
use support::pg::{self, DATABASE, Options, Postgres};
use support::{message, run_for, source};

const LIMIT: Duration = Duration::from_secs(60);

async fn collected(server: &Postgres) -> BaselineRecord {
    let (request, keys) = pg::request(server);
    run_for(&request, keys, LIMIT).await
}

fn analysis(record: &BaselineRecord) -> &DatabaseAnalysis {
    record.database_analysis.as_ref().unwrap_or_else(|| panic!("{:?}", record.sources))
}

/// Waits until a statement's only cell has a value.
async fn until(server: &Postgres, statement: &str, expected: &str) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while server.cell(DATABASE, statement).await != expected {
        assert!(std::time::Instant::now() < deadline, "not within 30 s: {statement} = {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_read_whole_are_named_also_without_any_index() {
    let Some(server) = Postgres::start(&Options::new(15)).await else { return };
    server.sql(DATABASE, "CREATE TABLE bare (x int); INSERT INTO bare SELECT generate_series(1, 10)").await;
    server
        .sql(DATABASE, "CREATE TABLE few (x int PRIMARY KEY); INSERT INTO few SELECT generate_series(1, 10)")
        .await;
    let client = server.admin(DATABASE).await;
    let statement = "SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off";
    client.batch_execute(statement).await.unwrap();
    for _ in 0..150 {
        client.batch_execute("SELECT count(*) FROM bare").await.unwrap();
    }
    for _ in 0..100 {
        client.batch_execute("SELECT count(*) FROM few").await.unwrap();
    }
    drop(client);
    until(&server, "SELECT sum(seq_scan) FROM pg_stat_user_tables", "251").await;
    let record = collected(&server).await;
    assert_eq!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
    // 100 scans are not more than 100 (one of `few` is the build of its primary key, before it was filled).
    let found = analysis(&record).missing_indexes.as_ref().unwrap();
    let few = server.cell(DATABASE, "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'few'").await;
    let names: Vec<&str> = found.iter().map(|one| one.table.as_str()).collect();
    assert_eq!(names, if few == "101" { vec!["bare", "few"] } else { vec!["bare"] });
    let bare = &found[0];
    assert_eq!(
        (bare.schema.as_str(), bare.seq_scan, bare.seq_tup_read, bare.idx_scan),
        ("public", 150, 1500, 0)
    );
    assert_eq!(bare.avg_rows_per_seq_scan, 10.0);
    assert_eq!(record.basis_of("database_analysis.missing_indexes").unwrap().kind, BasisKind::Lifetime);
    let counters = record.counters.as_ref().unwrap().database.as_ref().unwrap();
    assert!(counters.tables.iter().any(|table| table.table == "bare" && table.seq_tup_read == 1500));
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_that_serve_nobody_are_named_and_those_that_keep_a_constraint_are_not() {
    let Some(server) = Postgres::start(&Options::new(15)).await else { return };
    let create = "CREATE TABLE big (id bigint PRIMARY KEY, a bigint, b bigint, c text, d bigint); \
         ALTER TABLE big ADD CONSTRAINT big_d UNIQUE (d); \
         INSERT INTO big SELECT i, i, i % 7, 'x', i FROM generate_series(1, 600000) i; \
         CREATE INDEX big_a ON big (a); CREATE INDEX big_a_again ON big (a); CREATE INDEX big_a_b ON big (a, b); \
         CREATE INDEX small_part ON big (b) WHERE a < 100; CREATE INDEX small_part_again ON big (b) WHERE a <  100; \
         CREATE INDEX other_part ON big (b) WHERE a < 200; CREATE INDEX big_desc ON big (a DESC); \
         CREATE INDEX low ON big (lower(c)) WHERE a < 5; CREATE INDEX low_again ON big (  lower( c ) ) WHERE a < 5; \
         CREATE INDEX pattern ON big (c text_pattern_ops) WHERE a < 3; CREATE INDEX plain ON big (c) WHERE a < 3; \
         CREATE INDEX id_again ON big (id) WHERE id < 9; CREATE UNIQUE INDEX d_unique ON big (d) ; \
         CREATE TABLE parted (x bigint, y bigint) PARTITION BY RANGE (x); \
         CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9999999); \
         INSERT INTO parted SELECT i, i FROM generate_series(1, 600000) i; CREATE INDEX ON parted (y); \
         CREATE INDEX part_again ON part (y); \
         CREATE TABLE twice (x int); INSERT INTO twice VALUES (1), (1)";
    server.sql(DATABASE, create).await;
    // What a failed build leaves behind.
    let client = server.admin(DATABASE).await;
    client.batch_execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON twice (x)").await.unwrap_err();
    let record = collected(&server).await;
    assert_eq!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
    let found = analysis(&record);

    let unused = found.unused_indexes.as_ref().unwrap();
    let mut names: Vec<&str> = unused.iter().map(|one| one.index.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["big_a", "big_a_again", "big_a_b", "big_desc", "part_again"]);
    for index in unused {
        let size = server.cell(DATABASE, &format!("SELECT pg_relation_size('{}')", index.index)).await;
        assert_eq!((index.size_bytes.to_string(), index.index_scans), (size, 0), "{}", index.index);
    }
    assert!(unused.windows(2).all(|pair| pair[0].size_bytes >= pair[1].size_bytes));

    let duplicate = found.duplicate_indexes.as_ref().unwrap();
    let mut pairs: Vec<(&str, &str)> =
        duplicate.iter().map(|one| (one.index.as_str(), one.covered_by.as_str())).collect();
    pairs.sort_unstable();
    assert_eq!(
        pairs,
        [
            ("big_a", "big_a_b"),
            ("big_a_again", "big_a"),
            ("d_unique", "big_d"),
            ("low_again", "low"),
            ("part_again", "part_y_idx"),
            ("small_part_again", "small_part"),
        ]
    );
    let invalid = found.invalid_indexes.as_ref().unwrap();
    assert_eq!(invalid.len(), 1);
    assert_eq!((invalid[0].index.as_str(), invalid[0].table.as_str()), ("broken", "twice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_rows_and_old_statistics_are_named() {
    let Some(server) = Postgres::start(&Options::new(15)).await else { return };
    let create = "CREATE TABLE churned (x int); CREATE TABLE fresh (x int); CREATE TABLE never (x int); \
                  INSERT INTO churned SELECT generate_series(1, 40000); INSERT INTO fresh SELECT generate_series(1, 5000)";
    server.sql(DATABASE, create).await;
    until(&server, "SELECT sum(n_tup_ins) FROM pg_stat_user_tables", "45000").await;
    server.sql(DATABASE, "VACUUM ANALYZE churned").await;
    server.sql(DATABASE, "ANALYZE fresh").await;
    server
        .sql(
            DATABASE,
            "DELETE FROM churned WHERE x <= 15000; INSERT INTO never SELECT generate_series(1, 2000)",
        )
        .await;
    until(&server, "SELECT sum(n_tup_ins) + sum(n_tup_del) FROM pg_stat_user_tables", "62000").await;
    let record = collected(&server).await;
    let found = analysis(&record);
    let dead = found.dead_tuples.as_ref().unwrap();
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!((dead[0].table.as_str(), dead[0].live, dead[0].dead), ("churned", 25_000, 15_000));
    assert_eq!(dead[0].dead_percent, 37.5);
    assert!(dead[0].last_vacuumed.is_some());
    let stale: Vec<(&str, u64, bool)> = found
        .stale_statistics
        .as_ref()
        .unwrap()
        .iter()
        .map(|one| (one.table.as_str(), one.modified_since_analyze, one.last_analyzed.is_some()))
        .collect();
    assert_eq!(stale, [("churned", 15_000, true), ("never", 2_000, false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_snapshots_show_what_ran_between_them_and_nothing_else() {
    let Some(server) = Postgres::start(&Options::new(15)).await else { return };
    let before = server.admin(DATABASE).await;
    before.batch_execute("SELECT pg_sleep(0.2), 'before'").await.unwrap();
    let (mut request, keys) = pg::request(&server);
    request.sample_seconds = 2;
    let mark = "SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%.pg_stat_statements($%) s WHERE%'";
    let work = async {
        // The first snapshot is over once it is counted itself.
        let client = server.admin(DATABASE).await;
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while pg::rows(&client, mark).await[0][0].as_deref() == Some("0") {
            assert!(std::time::Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for _ in 0..3 {
            client.batch_execute("SELECT pg_sleep(0.11)").await.unwrap();
        }
    };
    let (record, ()) = tokio::join!(run_for(&request, keys, LIMIT), work);
    assert_eq!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
    let slow = analysis(&record).slow_queries.as_ref().unwrap();
    assert_eq!(slow.len(), 1, "{slow:?}");
    assert_eq!((slow[0].calls, slow[0].query.as_deref()), (3, Some("SELECT pg_sleep($1)")));
    let basis = record.basis_of("database_metrics.slow_queries").unwrap();
    assert_eq!(basis.kind, BasisKind::Sampled);
    let covered = basis.to.duration_since(basis.from).as_secs_f64();
    assert!((1.9..4.0).contains(&covered), "{covered}");
    assert_eq!(record.basis_of("database_analysis.cache_hit_ratio").unwrap().kind, BasisKind::Sampled);
    let printed = serde_json::to_string(&record).unwrap();
    assert!(!printed.contains("plimsoll */"), "our own statements are left out");
    // The lifetime counters hold the statement from before, for the next run.
    let counters = record.counters.as_ref().unwrap().database.as_ref().unwrap();
    let texts: Vec<&str> = counters.statements.iter().filter_map(|one| one.query.as_deref()).collect();
    assert!(texts.contains(&"SELECT pg_sleep($1), $2"), "{texts:?}");
    assert!(counters.statements.iter().all(|one| one.query.is_some()), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_in_any_encoding_kill_nothing() {
    let Some(server) = Postgres::start(&Options { encoding: "SQL_ASCII", ..Options::new(15) }).await else {
        return;
    };
    let create = "DO $$ BEGIN EXECUTE format('CREATE TABLE %I (x int)', convert_from('\\x6d fc'::bytea, 'SQL_ASCII')); \
                  EXECUTE 'SELECT 1 AS ' || quote_ident(convert_from('\\xe4'::bytea, 'SQL_ASCII')); END $$";
    server.sql(DATABASE, create).await;
    let record = collected(&server).await;
    assert_eq!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
    let tables = record.database_metrics.as_ref().unwrap().top_tables.as_ref().unwrap();
    assert_eq!(tables[0].table, "m\\xfc");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_the_right_gets_what_it_may_and_the_grant_to_paste() {
    let Some(server) = Postgres::start(&Options::new(15)).await else { return };
    server
        .sql(DATABASE, "REVOKE pg_monitor FROM reader; CREATE TABLE t (x int); SELECT pg_sleep(0.15)")
        .await;
    let _other = server.admin(DATABASE).await;
    let record = collected(&server).await;
    assert_eq!(source(&record).state, SourceState::Partial);
    assert_eq!(source(&record).reason, Some(SourceReason::Forbidden));
    assert!(message(&record).contains("GRANT pg_monitor"), "{}", message(&record));
    let metrics = record.database_metrics.as_ref().unwrap();
    assert_eq!(metrics.top_tables.as_ref().unwrap().len(), 1);
    assert!(!serde_json::to_string(&record).unwrap().contains("insufficient privilege"));
    // What the other session does is hidden; that it is there is not.
    assert_eq!(metrics.connections, None);
    assert_eq!(analysis(&record).connection_headroom.unwrap().used, 1);
    // Its own statements it may see; the time of the others' counts, though not by statement.
    assert!(metrics.query_time_p95_ms.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_extension_is_found_in_any_schema_and_missed_with_the_remedy() {
    let Some(server) = Postgres::start(&Options::new(15)).await else { return };
    let elsewhere = "DROP EXTENSION pg_stat_statements; CREATE SCHEMA \"od\"\"d; 🐄\"; GRANT USAGE ON SCHEMA \"od\"\"d; 🐄\" TO reader; \
                     CREATE EXTENSION pg_stat_statements SCHEMA \"od\"\"d; 🐄\"";
    server.sql(DATABASE, elsewhere).await;
    server.sql(DATABASE, "SELECT pg_sleep(0.12)").await;
    let record = collected(&server).await;
    assert_eq!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
    assert_eq!(analysis(&record).slow_queries.as_ref().unwrap().len(), 1);

    server.sql(DATABASE, "REVOKE USAGE ON SCHEMA \"od\"\"d; 🐄\" FROM reader").await;
    let record = collected(&server).await;
    assert_eq!(source(&record).reason, Some(SourceReason::Forbidden));
    assert!(message(&record).contains("GRANT USAGE"), "{}", message(&record));

    // A function of the same name that is no extension's must not run.
    let trap = "DROP EXTENSION pg_stat_statements; CREATE TABLE trapped (x int); \
                CREATE FUNCTION pg_stat_statements(boolean) RETURNS int LANGUAGE sql AS 'INSERT INTO trapped VALUES (1) RETURNING 1'";
    server.sql(DATABASE, trap).await;
    let record = collected(&server).await;
    assert_eq!(source(&record).state, SourceState::Partial);
    assert_eq!(source(&record).reason, Some(SourceReason::ExtensionMissing));
    assert!(message(&record).contains("CREATE EXTENSION pg_stat_statements;"), "{}", message(&record));
    assert!(analysis(&record).cache_hit_ratio.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_idle_sessions_is_sampled_all_the_same() {
    let mut options = Options::new(15);
    options.settings = vec![("idle_session_timeout", "4s".to_owned())];
    let Some(server) = Postgres::start(&options).await else { return };
    let (mut request, keys) = pg::request(&server);
    request.sample_seconds = 7;
    let record = run_for(&request, keys, LIMIT).await;
    assert_eq!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
    assert_eq!(record.basis_of("database_metrics.slow_queries").unwrap().kind, BasisKind::Sampled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_never_outlasts_the_run() {
    let Some(server) = Postgres::start(&Options::new(15)).await else { return };
    let (mut request, keys) = pg::request(&server);
    request.sample_seconds = 3600;
    let record = run_for(&request, keys, Duration::from_secs(17)).await;
    assert_eq!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
    let basis = record.basis_of("database_metrics.slow_queries").unwrap();
    assert_eq!(basis.kind, BasisKind::Sampled);
    assert!(basis.to.duration_since(basis.from).as_secs() < 17);
}
