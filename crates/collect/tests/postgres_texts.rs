//! A server that keeps 5,000 statements with hundreds of megabytes of texts: numbers are read without them.
//! A file, hence a process, of its own: its measures are the process'.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]
#![allow(clippy::print_stderr, reason = "the figures are printed, because they are this machine's")]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use plimsoll_analysis::record::SourceState;
use support::pg::{ADMIN_PASSWORD, DATABASE, Options, Postgres, READER, READER_PASSWORD, request_as};
use support::proxy::Proxy;
use support::{run_for, source};

const STATEMENTS: u32 = 5000;
/// Bytes of one text.
const TEXT: usize = 40_000;
/// Least memory limit of a Job that the chart sets, less what the rest of the process takes.
const LIMIT_KIB: u64 = 160 * 1024;

/// The most memory that this process has had, in KiB (`proc_pid_status(5)`).
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Runs statements that differ in what they are, not only in constants, each with a long comment.
async fn fill(server: &Postgres) {
    let client = server.admin(DATABASE).await;
    let columns: Vec<String> = (0..13).map(|column| format!("c{column}")).collect();
    client.batch_execute(&format!("CREATE TABLE wide ({} int)", columns.join(" int, "))).await.unwrap();
    client.batch_execute("SELECT pg_stat_statements_reset()").await.unwrap();
    let padding = "x".repeat(TEXT);
    for number in 1..=STATEMENTS {
        let chosen: Vec<&str> = columns
            .iter()
            .enumerate()
            .filter(|(place, _)| number >> place & 1 == 1)
            .map(|(_, name)| name.as_str())
            .collect();
        let statement = format!("SELECT {} /* {padding} */ FROM wide LIMIT 0", chosen.join(", "));
        client.simple_query(&statement).await.unwrap();
    }
}

/// Milliseconds of the statements of ours whose text holds `part`, as the server logged them.
fn logged_ms(log: &str, part: &str) -> Vec<f64> {
    log.lines()
        .filter(|line| line.contains("duration: ") && line.contains(part))
        .filter_map(|line| line.split("duration: ").nth(1)?.split(' ').next()?.parse().ok())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_of_5000_statements_take_a_fiftieth_of_the_bytes_of_everything() {
    let mut options = Options::new(15);
    options.settings = vec![("pg_stat_statements.max", "6000".to_owned())];
    let Some(server) = Postgres::start(&options).await else { return };
    let psql = server.bin.join("psql");
    if !psql.exists() {
        eprintln!("SKIPPED: {} is not there", psql.display());
        return;
    }
    fill(&server).await;
    let known = server
        .rows(
            DATABASE,
            "SELECT count(*)::text, sum(octet_length(query))::text FROM pg_stat_statements WHERE query LIKE '%FROM wide%'",
        )
        .await;
    assert_eq!(known[0][0].as_deref(), Some(STATEMENTS.to_string().as_str()));
    server.sql("postgres", &format!("ALTER ROLE {READER} SET log_min_duration_statement = 0")).await;

    let before = peak_kib();
    let proxy = Proxy::plain(server.port).await;
    let (mut request, keys) = request_as(proxy.port, DATABASE, READER, READER_PASSWORD);
    request.sample_seconds = 1;
    let begin = Instant::now();
    let record = run_for(&request, keys, Duration::from_secs(60)).await;
    let took = begin.elapsed();
    let memory = peak_kib() - before;
    assert_eq!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
    let ours = proxy.received();
    let said = source(&record).cost.unwrap().bytes.unwrap();
    assert!(ours.abs_diff(said) < 2000, "{ours} bytes came, {said} are in the record");
    for one in record.database_metrics.unwrap().slow_queries.unwrap() {
        assert!(one.query.as_ref().is_none_or(|text| text.chars().count() <= 200), "{one:?}");
    }

    let all = Proxy::plain(server.port).await;
    let begin = Instant::now();
    let mut dump = Command::new(psql);
    dump.args([
        "--no-psqlrc",
        "--quiet",
        "--output=/dev/null",
        "--command",
        "SELECT * FROM pg_stat_statements",
    ])
    .arg(format!("host=127.0.0.1 port={} user=postgres dbname={DATABASE}", all.port))
    .env("PGPASSWORD", ADMIN_PASSWORD)
    .stdin(std::process::Stdio::null());
    let status = tokio::task::spawn_blocking(move || dump.status().unwrap()).await.unwrap();
    assert!(status.success());
    let everything = all.received();
    let numbers = logged_ms(&server.log(), "pg_stat_statements(false)");
    assert_eq!(numbers.len(), 2, "two snapshots");
    eprintln!(
        "{STATEMENTS} statements, {} MB of texts: numbers in {numbers:?} ms of the server, texts of those shown in {:?} ms; \
         the whole collection {took:?}, {} KB, {} MiB of memory; SELECT * {} MB in {:?}: 1/{}",
        known[0][1].as_deref().unwrap().parse::<u64>().unwrap() / 1_000_000,
        logged_ms(&server.log(), "pg_stat_statements(true)"),
        ours / 1000,
        memory / 1024,
        everything / 1_000_000,
        begin.elapsed(),
        everything / ours
    );
    assert!(ours * 50 <= everything, "{ours} bytes of {everything}");
    assert!(memory < LIMIT_KIB, "{} MiB", memory / 1024);
}
