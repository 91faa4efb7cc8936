//! The service with the example's own PostgreSQL and Redis behind it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use common::servers::Servers;
use common::{DEADLINE, Service, ask, config, total};
use plimsoll_workload::data::{Optimizations, Settings};
use plimsoll_workload::routes::Role;
use plimsoll_workload::server::{Config, ServeError, Server};
use plimsoll_workload::traffic;

/// A service that has reached the database.
async fn ready(role: Role, settings: Settings) -> Service {
    let service = Service::start(Config { data: Some(settings), ..config(role) }).await;
    let waiting = async {
        while ask(service.address, "GET", "/readyz", "").await.0 != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap();
    service
}

async fn queries(service: &Service, name: &str) -> f64 {
    let label = if name.is_empty() { String::new() } else { format!("query=\"{name}\"") };
    total(service.address, "db_query_duration_seconds_count", &label).await
}

/// Calls of a statement, as PostgreSQL counts them.
fn calls(servers: &Servers, part: &str) -> f64 {
    let sql = format!(
        "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query LIKE '%{part}%' AND query NOT LIKE '%pg_stat_statements%'"
    );
    servers.sql(&sql).parse().unwrap()
}

fn indexes(servers: &Servers) -> String {
    servers.sql("SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'idx_dairy_%' AND indexname <> 'idx_dairy_collection_quality'")
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_endpoints_ask_cache_and_database_and_both_sides_count_the_same() {
    let Some(mut servers) = Servers::start() else { return };
    let api = ready(Role::Api, servers.settings(Optimizations::ALL)).await;
    let odoo = ready(Role::Odoo, servers.settings(Optimizations::ALL)).await;
    assert_eq!(indexes(&servers), "3");
    assert_eq!(servers.sql("SELECT count(*) FROM mv_daily_collection_summary"), (90 * 25 * 2).to_string());

    let route = |path: &str| vec![(path.to_owned(), 1)];
    let report = api.send(200, traffic::mix(Role::Api)).await;
    assert_eq!((report.completed, report.by_status.get(&500)), (200, None), "{report:?}");
    let report = odoo.send(200, route("/shop")).await;
    assert_eq!((report.completed, report.errors), (200, 0), "{report:?}");
    // What the histogram counts is what PostgreSQL ran.
    for (name, part) in [
        ("farmer_history", "FROM dairy_collection WHERE farmer_id"),
        ("daily_summary", "total_amount FROM mv_daily_collection_summary"),
    ] {
        let counted = queries(&api, name).await;
        assert!(counted > 0.0, "{name}");
        assert_eq!(calls(&servers, part), counted, "{name}");
    }
    // Of 200 pages most were answered by the cache: one list of products, and a session for each of the people.
    assert!(queries(&odoo, "products").await < 20.0);
    let sessions = queries(&odoo, "session").await;
    assert!((20.0..200.0).contains(&sessions), "{sessions}");
    let hits = servers.redis("plimsoll", &["INFO", "stats"]);
    let hits: u64 =
        hits.lines().find_map(|line| line.trim().strip_prefix("keyspace_hits:")).unwrap().parse().unwrap();
    assert!(hits > 300, "{hits}");
    let key = servers.redis("plimsoll", &["SCAN", "0", "MATCH", "session:*", "COUNT", "1000"]);
    let key = key.lines().find(|line| line.starts_with("session:")).unwrap();
    let ttl: i64 = servers.redis("plimsoll", &["PTTL", key]).parse().unwrap();
    assert!((1..=1_800_000).contains(&ttl), "{ttl}");

    // Without the cache the same pages come from the database.
    servers.stop_redis();
    let before = queries(&odoo, "products").await;
    let report = odoo.send(20, route("/shop")).await;
    assert_eq!((report.completed, report.errors), (20, 0), "{report:?}");
    assert!(queries(&odoo, "products").await > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_switch_takes_index_view_and_cache_away_and_gives_them_back() {
    let Some(servers) = Servers::start() else { return };
    let scans = |what: &str| -> i64 {
        servers.sql("SELECT pg_stat_clear_snapshot()");
        servers
            .sql(&format!("SELECT {what} FROM pg_stat_user_tables WHERE relname = 'dairy_collection'"))
            .parse()
            .unwrap()
    };
    let endpoint = || vec![("/api/v1/collections".to_owned(), 1)];

    let tuned = ready(Role::Api, servers.settings(Optimizations::ALL)).await;
    assert_eq!(indexes(&servers), "3");
    tuned.send(20, endpoint()).await;
    tuned.stop().await.unwrap().unwrap();

    let plain = ready(Role::Api, servers.settings(Optimizations::NONE)).await;
    assert_eq!(indexes(&servers), "0");
    assert_eq!(servers.sql("SELECT to_regclass('mv_daily_collection_summary') IS NULL"), "t");
    let report = plain.send(20, endpoint()).await;
    assert_eq!(report.errors, 0, "{report:?}");
    plain.send(4, vec![("/api/v1/reports/daily".to_owned(), 1)]).await;
    assert_eq!(queries(&plain, "daily_summary").await, 4.0);
    assert_eq!(calls(&servers, "FROM dairy_collection WHERE date BETWEEN"), 4.0);
    // Every question asked the database: the cache saw none of this service's keys.
    assert_eq!(servers.redis("plimsoll", &["INFO", "keyspace"]), "# Keyspace");
    plain.stop().await.unwrap().unwrap();
    // Statistics are sent at the end of a connection at the latest.
    let sequential = async { while scans("seq_scan") < 20 {} };
    tokio::time::timeout(DEADLINE, sequential).await.unwrap();

    // What somebody else makes after that stays, whichever pod starts next.
    servers.sql("CREATE INDEX idx_dairy_of_somebody ON dairy_collection (farmer_id)");
    let again = ready(Role::Api, servers.settings(Optimizations::NONE)).await;
    assert_eq!(indexes(&servers), "1");
    again.stop().await.unwrap().unwrap();
    servers.sql("DROP INDEX idx_dairy_of_somebody");
    let tuned = ready(Role::Api, servers.settings(Optimizations::ALL)).await;
    assert_eq!(indexes(&servers), "3");
    // As if the database had been filled anew while the service runs.
    servers.sql("DROP TABLE workload_state; DROP INDEX idx_dairy_collection_date_center");
    let applied = async { while indexes(&servers) != "3" {} };
    tokio::time::timeout(DEADLINE, applied).await.unwrap();
    tuned.stop().await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_more_than_a_role_is_for() {
    let Some(servers) = Servers::start() else { return };
    let reader = |statement| servers.sql_as_reader("verify-full", statement);
    assert_eq!(reader("SELECT count(*) >= 0 FROM pg_stat_statements"), (true, "t\n".to_owned()));
    assert_eq!(
        reader("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = user"),
        (true, "f\n".to_owned())
    );
    for statement in ["SELECT * FROM dairy_farmer", "CREATE TABLE t (a int)", "CREATE TEMP TABLE t (a int)"] {
        let (worked, said) = reader(statement);
        assert!(!worked && said.contains("permission denied"), "{statement}: {said}");
    }
    assert!(!servers.sql_as_reader("disable", "SELECT 1").0, "a connection without TLS was let in");

    for command in [
        &["SCAN", "0"][..],
        &["INFO"],
        &["TYPE", "session:1"],
        &["PTTL", "session:1"],
        &["MEMORY", "USAGE", "session:1"],
        &["CONFIG", "GET", "maxmemory*"],
    ] {
        let said = servers.redis("plimsoll", command);
        assert!(!said.contains("NOPERM"), "{command:?}: {said}");
    }
    for (user, command) in [
        ("plimsoll", &["GET", "session:1"][..]),
        ("plimsoll", &["SET", "session:1", "1"]),
        ("plimsoll", &["EVAL", "return 1", "0"]),
        ("plimsoll", &["KEYS", "*"]),
        ("plimsoll", &["CONFIG", "SET", "maxmemory", "1"]),
        ("plimsoll", &["FLUSHALL"]),
        ("smart_dairy", &["GET", "other:1"]),
        ("smart_dairy", &["FLUSHALL"]),
    ] {
        let said = servers.redis(user, command);
        assert!(said.contains("NOPERM"), "{user} {command:?}: {said}");
    }
    assert!(servers.redis("smart_dairy", &["GET", "cache:1"]).is_empty());
    // The role's password is in no statement that PostgreSQL keeps.
    assert_eq!(servers.sql("SELECT count(*) FROM pg_stat_statements WHERE query ILIKE '%password%' AND query NOT ILIKE '%pg_stat_statements%'"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_trusted_or_is_not_there_leaves_the_service_not_ready() {
    let Some(servers) = Servers::start() else { return };
    let settings = servers.settings(Optimizations::ALL);
    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.crt");
    std::fs::write(&ca_file, stranger.cert.pem()).unwrap();
    let untrusted = Settings { ca_file: Some(ca_file.clone()), ..settings.clone() };
    let mut nowhere = settings.clone();
    nowhere.database.port = 1;
    for settings in [untrusted, nowhere] {
        let service = Service::start(Config { data: Some(settings), ..config(Role::Api) }).await;
        let (status, body) = ask(service.address, "GET", "/readyz", "").await;
        assert_eq!((status, body.as_str()), (503, "waiting for the database\n"));
        assert_eq!(ask(service.address, "GET", "/api/v1/centers", "").await.0, 500);
        assert_eq!(ask(service.address, "GET", "/livez", "").await.0, 200);
        assert_eq!(queries(&service, "").await, 0.0);
    }
    std::fs::write(&ca_file, "no certificate").unwrap();
    let unreadable = Settings { ca_file: Some(ca_file), ..settings };
    let server = Server::bind(Config { data: Some(unreadable), ..config(Role::Api) }).await.unwrap();
    let error = server.run(std::future::pending()).await.unwrap_err();
    assert!(matches!(error, ServeError::Data(_)));
    assert!(error.to_string().contains("ca.crt") && error.to_string().contains("--ca-file"), "{error}");
}
