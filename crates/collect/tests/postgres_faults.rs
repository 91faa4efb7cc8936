//! Databases that fail in every way: locked, full, silent, slow, lying, refusing. Each ends in time with its reason, and
//! with as much of the record as could be had.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

mod support;

use std::time::{Duration, Instant};

use plimsoll_analysis::record::{BaselineRecord, SourceReason, SourceState};
use support::pg::{DATABASE, Options, Postgres, READER, READER_PASSWORD, request_as, rows, wait_for};
use support::proxy::{Flow, Proxy};
use support::{message, run_for, source};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const LIMIT: Duration = Duration::from_secs(30);
const MAJOR: u32 = 15;

async fn server() -> Option<Postgres> {
    Postgres::start(&Options::new(MAJOR)).await
}

/// Collects from a port as the collector's role; how long it took.
async fn collected(port: u16, limit: Duration) -> (BaselineRecord, Duration) {
    let (request, keys) = request_as(port, DATABASE, READER, READER_PASSWORD);
    let begin = Instant::now();
    let record = run_for(&request, keys, limit).await;
    (record, begin.elapsed())
}

fn failed(record: &BaselineRecord, reason: SourceReason, remedy: &str) {
    let found = source(record);
    assert_eq!((found.state, found.reason), (SourceState::Failed, Some(reason)), "{found:?}");
    assert!(message(record).contains(remedy), "{remedy:?} is not in {:?}", message(record));
    let text = serde_json::to_string(record).unwrap();
    assert!(!text.contains("canary"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_every_table_locked_one_backend_waits_shortly_and_the_rest_is_delivered() {
    let mut options = Options::new(MAJOR);
    // The server itself says in its log when a wait passes 200 ms.
    options.settings = vec![("log_lock_waits", "on".to_owned()), ("deadlock_timeout", "200ms".to_owned())];
    let Some(server) = Postgres::start(&options).await else { return };
    let tables = ["farmer", "collection", "payment", "\"Odd \"\"table\"\"\""];
    for table in tables {
        let create = format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, text text); INSERT INTO {table} SELECT i, repeat('x', 3000) \
             FROM generate_series(1, 2000) i; VACUUM ANALYZE {table}"
        );
        for statement in create.split("; ") {
            server.sql(DATABASE, statement).await;
        }
    }
    let client = server.admin(DATABASE).await;
    client.batch_execute("SELECT pg_sleep(0.12)").await.unwrap();
    let sizes = rows(
        &client,
        "SELECT relname, pg_total_relation_size(oid)::text FROM pg_class WHERE relkind = 'r' \
        AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC",
    )
    .await;
    client
        .batch_execute(&format!("BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", tables.join(", ")))
        .await
        .unwrap();
    // Somebody who wants a lock as well, and would wait behind us.
    let waits = server.admin(DATABASE).await;
    let waiting = tokio::spawn(async move { waits.batch_execute("SELECT count(*) FROM farmer").await });
    let watcher = server.admin("postgres").await;
    wait_for(&watcher, "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted").await;

    let collection = tokio::spawn(async move { collected(server.port, LIMIT).await.0.pipe(server) });
    let mut most = 0;
    while !collection.is_finished() {
        let count =
            &rows(&watcher, &format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{READER}'"))
                .await[0][0];
        most = most.max(count.as_deref().unwrap().parse::<u32>().unwrap());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (record, server) = collection.await.unwrap();
    waiting.abort();
    assert_eq!(most, 1, "one backend of ours at every look");
    let waits: Vec<String> =
        server.log().lines().filter(|line| line.contains("still waiting for")).map(str::to_owned).collect();
    // The one that waits is the one above; each of ours would add a line.
    assert!(waits.len() <= 1, "{waits:?}");

    let found = source(&record);
    assert_ne!(found.state, SourceState::Failed, "{found:?}");
    let metrics = record.database_metrics.as_ref().unwrap();
    let analysis = record.database_analysis.as_ref().unwrap();
    assert_eq!(metrics.top_tables.as_ref().map(Vec::len), Some(sizes.len()));
    assert!(found.warnings.iter().any(|text| text.contains("locked")), "{found:?}");
    assert!(metrics.connections.is_some() && metrics.slow_queries.is_some());
    assert_eq!(analysis.slow_queries.as_ref().unwrap()[0].query.as_deref(), Some("SELECT pg_sleep($1)"));
    for (name, is_there) in [
        ("missing_indexes", analysis.missing_indexes.is_some()),
        ("unused_indexes", analysis.unused_indexes.is_some()),
        ("duplicate_indexes", analysis.duplicate_indexes.is_some()),
        ("invalid_indexes", analysis.invalid_indexes.is_some()),
        ("stale_statistics", analysis.stale_statistics.is_some()),
        ("dead_tuples", analysis.dead_tuples.is_some()),
        ("settings", analysis.settings.is_some()),
        ("cache_hit_ratio", analysis.cache_hit_ratio.is_some()),
    ] {
        assert!(is_there, "{name} is missing");
    }
    client.batch_execute("ROLLBACK").await.unwrap();
}

/// Hands a value on beside another.
trait Pipe: Sized {
    fn pipe<T>(self, other: T) -> (Self, T) {
        (self, other)
    }
}
impl Pipe for BaselineRecord {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_accepts_and_never_answers_costs_one_connection_and_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let keeper = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
            if kept.len() > 10 {
                break;
            }
        }
        kept.len()
    });
    let (record, took) = collected(port, Duration::from_secs(2)).await;
    failed(&record, SourceReason::Timeout, "no answer");
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(!keeper.is_finished(), "more than ten connections were made");
    keeper.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_drips_is_left_at_the_limit() {
    let Some(server) = server().await else { return };
    let proxy = Proxy::start(server.port, |_| Box::new(|_, _| Flow::Drip(Duration::from_millis(20)))).await;
    let (record, took) = collected(proxy.port, Duration::from_secs(3)).await;
    assert_ne!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
    assert_eq!(source(&record).reason, Some(SourceReason::Timeout), "{:?}", source(&record));
    assert!(took < Duration::from_secs(6), "{took:?}");
    // One for the session and one that cancels its statement.
    assert!(proxy.connections() <= 2, "{}", proxy.connections());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_at_whatever_byte_keeps_what_was_read_and_starts_no_storm() {
    let Some(server) = server().await else { return };
    server.sql(DATABASE, "CREATE TABLE farmer (id int)").await;
    let plain = Proxy::plain(server.port).await;
    let (record, _) = collected(plain.port, LIMIT).await;
    assert_eq!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
    let whole = plain.received();
    let mut with_data = 0;
    for part in 0..24 {
        let most = whole * part / 24 + 1;
        let cut = move |before: u64, bytes: &mut Vec<u8>| {
            if before + bytes.len() as u64 <= most {
                return Flow::On;
            }
            bytes.truncate(usize::try_from(most.saturating_sub(before)).unwrap());
            Flow::Reset
        };
        let proxy = Proxy::start(server.port, move |_| Box::new(cut)).await;
        let (record, took) = collected(proxy.port, LIMIT).await;
        let found = source(&record);
        assert_ne!(found.state, SourceState::Collected, "after {most} of {whole} bytes: {found:?}");
        assert!(
            matches!(found.reason, Some(SourceReason::Unreachable | SourceReason::Timeout)),
            "after {most} of {whole} bytes: {found:?}"
        );
        assert!(took < Duration::from_secs(10), "after {most} of {whole} bytes: {took:?}");
        assert!(
            proxy.connections() <= 2,
            "after {most} of {whole} bytes: {} connections",
            proxy.connections()
        );
        with_data += u32::from(found.state == SourceState::Partial);
    }
    assert!(with_data >= 5, "{with_data} of 24 resets left a part of the record");
}

/// A server that lets everybody in and answers each query with these bytes.
async fn liar(answer: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                // The start of a session: let in, a key, ready.
                let hello = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x01\0\0\0\x02Z\0\0\0\x05I";
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(hello).await;
                while let Ok(1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lies_about_lengths_end_in_a_reason_and_never_in_a_hang_or_a_gigabyte() {
    let column = b"T\0\0\0\x1a\0\x01a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";
    let row = |bytes: &[u8]| [&column[..], bytes, b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I"].concat();
    for (name, answer) in [
        ("a message of negative length", b"D\xff\xff\xff\xff".to_vec()),
        ("a message shorter than its own length", b"D\0\0\0\x01".to_vec()),
        ("a message of two gigabytes", b"D\x7f\xff\xff\xff".to_vec()),
        ("a column longer than its row", row(b"D\0\0\0\x0c\0\x01\0\0\xff\xffxx")),
        ("a column of negative length", row(b"D\0\0\0\x0c\0\x01\xff\xff\xff\xfexx")),
        ("more columns than were described", row(b"D\0\0\0\x0c\0\x09\0\0\0\x02xx")),
        (
            "a row without a description",
            b"D\0\0\0\x0c\0\x01\0\0\0\x02xxC\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I".to_vec(),
        ),
        ("a message of an unknown kind", b"!\0\0\0\x04".to_vec()),
        ("a wish for the password in the middle", b"R\0\0\0\x08\0\0\0\x03".to_vec()),
        ("an error without fields", b"E\0\0\0\x05\0Z\0\0\0\x05I".to_vec()),
        ("a wish for a copy", b"G\0\0\0\x07\0\0\0".to_vec()),
        ("an endless copy", b"H\0\0\0\x07\0\0\0d\0\0\0\x08xxxx".to_vec()),
        ("nothing of what was asked", b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I".to_vec()),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("Redis", b"-ERR unknown command\r\n".to_vec()),
    ] {
        let port = liar(answer).await;
        let (record, took) = collected(port, Duration::from_secs(3)).await;
        let found = source(&record);
        assert_eq!(found.state, SourceState::Failed, "{name}: {found:?}");
        assert!(took < Duration::from_secs(6), "{name}: {took:?}");
        assert!(found.message.as_ref().is_some_and(|text| !text.is_empty()), "{name}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_is_asked_once_and_says_what_to_do() {
    let mut options = Options::new(MAJOR);
    options.settings = vec![("max_connections", "8".to_owned())];
    let Some(server) = Postgres::start(&options).await else { return };
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(server.connect(READER, READER_PASSWORD, DATABASE).await);
    }
    let proxy = Proxy::plain(server.port).await;
    let (record, took) = collected(proxy.port, LIMIT).await;
    failed(&record, SourceReason::Unavailable, "max_connections");
    assert!(took < Duration::from_secs(5) && proxy.connections() == 1, "{took:?} {}", proxy.connections());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_names_and_passwords_are_told_apart() {
    let Some(server) = server().await else { return };
    server.sql("postgres", "CREATE DATABASE shut WITH ALLOW_CONNECTIONS false").await;
    use SourceReason::*;
    for (database, user, password, reason, remedy) in [
        (DATABASE, READER, "canary-wrong", AuthenticationFailed, "password"),
        (DATABASE, "canary-nobody", READER_PASSWORD, AuthenticationFailed, "user"),
        (DATABASE, READER, "", AuthenticationFailed, "password"),
        ("canary-nowhere", READER, READER_PASSWORD, NoData, "database"),
    ] {
        let (request, keys) = request_as(server.port, database, user, password);
        let record = run_for(&request, keys, LIMIT).await;
        let found = source(&record);
        assert_eq!(
            (found.state, found.reason),
            (SourceState::Failed, Some(reason)),
            "{database} {user}: {found:?}"
        );
        assert!(message(&record).contains(remedy), "{remedy:?} is not in {:?}", message(&record));
        assert!(!message(&record).contains("canary-wrong"));
    }
    let (request, keys) = request_as(server.port, "shut", READER, READER_PASSWORD);
    let record = run_for(&request, keys, LIMIT).await;
    assert_eq!(source(&record).state, SourceState::Failed, "{:?}", source(&record));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_for_the_password_in_clear_or_as_md5_gets_neither() {
    let mut options = Options::new(MAJOR);
    options.hba = "host all clear 127.0.0.1/32 password\nhost all digest 127.0.0.1/32 md5";
    let Some(server) = Postgres::start(&options).await else { return };
    server
        .sql(
            DATABASE,
            &format!(
                "CREATE ROLE clear LOGIN PASSWORD '{READER_PASSWORD}'; SET password_encryption = md5; \
                 CREATE ROLE digest LOGIN PASSWORD '{READER_PASSWORD}'"
            ),
        )
        .await;
    for (user, remedy) in [("clear", "in clear"), ("digest", "MD5")] {
        let proxy = Proxy::plain(server.port).await;
        let (request, keys) = request_as(proxy.port, DATABASE, user, READER_PASSWORD);
        let record = run_for(&request, keys, LIMIT).await;
        failed(&record, SourceReason::AuthenticationFailed, remedy);
        let sent = proxy.sent();
        let holds = |text: &[u8]| sent.windows(text.len()).any(|bytes| bytes == text);
        assert!(holds(user.as_bytes()), "the proxy saw the session begin");
        assert!(!holds(READER_PASSWORD.as_bytes()) && !holds(b"md5"), "{user}: the password was sent");
        assert_eq!(proxy.connections(), 1);
    }
    // The same role and password by SCRAM are let in, and the password is not sent either.
    let proxy = Proxy::plain(server.port).await;
    let (record, _) = collected(proxy.port, LIMIT).await;
    assert_eq!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
    let sent = proxy.sent();
    let password = READER_PASSWORD.as_bytes();
    assert!(!sent.windows(password.len()).any(|bytes| bytes == password));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_names_are_names_and_nothing_else() {
    let Some(server) = server().await else { return };
    let name = r#"x"; DROP TABLE farmer; --'\ $1 🐄"#;
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    let long = "ä".repeat(31);
    server.sql("postgres", &format!("CREATE DATABASE {quoted}; ")).await;
    server.sql("postgres", &format!("CREATE ROLE {quoted} LOGIN PASSWORD '{READER_PASSWORD}'")).await;
    server.sql("postgres", &format!("GRANT pg_monitor TO {quoted}")).await;
    for statement in [
        format!("CREATE SCHEMA {quoted}"),
        format!("CREATE EXTENSION pg_stat_statements SCHEMA {quoted}"),
        format!("GRANT USAGE ON SCHEMA {quoted} TO {quoted}"),
        format!("CREATE TABLE {quoted}.{quoted} ({quoted} int)"),
        format!("INSERT INTO {quoted}.{quoted} SELECT generate_series(1, 3000)"),
        format!("CREATE INDEX \"'; first\" ON {quoted}.{quoted} ({quoted})"),
        format!("CREATE INDEX \"{long}\" ON {quoted}.{quoted} ({quoted})"),
        "CREATE TABLE farmer (id int)".to_owned(),
        "CREATE TABLE \"\u{1b}[31m\ncontrol\" (id int)".to_owned(),
    ] {
        server.sql(name, &statement).await;
    }
    let (request, keys) = request_as(server.port, name, name, READER_PASSWORD);
    let record = run_for(&request, keys, LIMIT).await;
    assert_eq!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
    let tables = record.database_metrics.as_ref().unwrap().top_tables.as_ref().unwrap();
    assert_eq!((tables[0].schema.as_deref(), tables[0].table.as_str()), (Some(name), name));
    let names: Vec<&str> = tables.iter().map(|table| table.table.as_str()).collect();
    assert!(names.contains(&"farmer") && names.contains(&" [31m control"), "{names:?}");
    let twins = record.database_analysis.as_ref().unwrap().duplicate_indexes.as_ref().unwrap();
    assert_eq!((twins[0].index.as_str(), twins[0].covered_by.as_str()), (long.as_str(), "'; first"));
    assert_eq!(server.cell(name, "SELECT count(*) FROM pg_class WHERE relname = 'farmer'").await, "1");
}
