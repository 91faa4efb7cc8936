//! Nearly 5,000 statements whose texts are hundreds of megabytes: their numbers come fast and without the texts, and of
//! the texts only what is shown.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]
#![allow(
    clippy::print_stderr,
    reason = "the times are this machine's, so they are printed and only compared"
)]

mod support;

use std::time::{Duration, Instant};

use plimsoll_analysis::record::SourceState;
use support::pg::{self, DATABASE, Options, Postgres};
use support::{run_for, source};

/// Tables' columns: each pair of two is a statement of its own, for constants and aliases do not tell statements apart.
const COLUMNS: usize = 69;
/// Bytes of each text: a comment, which the server keeps and reads quickly.
const TEXT: usize = 60_000;

#[tokio::test(flavor = "multi_thread")]
async fn numbers_come_fast_and_texts_only_as_they_are_shown() {
    let Some(server) = Postgres::start(&Options::new(15)).await else { return };
    let client = server.admin(DATABASE).await;
    let columns: Vec<String> = (0..COLUMNS).map(|index| format!("c{index} int")).collect();
    client.batch_execute(&format!("CREATE TABLE wide ({})", columns.join(", "))).await.unwrap();
    let comment = "x".repeat(TEXT);
    for (first, second) in (0..COLUMNS).flat_map(|first| (0..COLUMNS).map(move |second| (first, second))) {
        client.batch_execute(&format!("SELECT c{first}, /* {comment} */ c{second} FROM wide")).await.unwrap();
    }
    let all = "SELECT count(*), sum(octet_length(query)) FROM pg_stat_statements";
    let begin = Instant::now();
    let all = pg::rows(&client, all).await;
    let with_texts = begin.elapsed().as_secs_f64() * 1000.0;
    let bytes: u64 = all[0][1].as_ref().unwrap().parse().unwrap();
    assert!(bytes > 200_000_000, "{all:?}");

    let (mut request, keys) = pg::request(&server);
    request.sample_seconds = 1;
    for _ in 0..2 {
        let record = run_for(&request, keys.clone(), Duration::from_secs(60)).await;
        assert_eq!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
        // Both snapshots and the texts.
        let cost = source(&record).cost.unwrap();
        assert!(cost.bytes.unwrap() < 2 * 1024 * 1024, "{cost:?}");
        assert!(cost.bytes.unwrap() < bytes / 50, "{cost:?}");
        let counters = record.counters.as_ref().unwrap().database.as_ref().unwrap();
        assert_eq!(counters.statements.len(), 300);
        assert!(counters.others.as_ref().unwrap().calls > 4_000);
        let shown = counters.statements.iter().filter_map(|one| one.query.as_deref());
        assert!(shown.clone().count() > 290 && shown.clone().all(|text| !text.contains("xxx")));
    }
    // By the server's own clock; the quickest of four, since other tests run beside.
    let quickest = "SELECT min_exec_time, calls FROM pg_stat_statements \
                    WHERE query LIKE '%.pg_stat_statements($%) s WHERE%' AND query NOT LIKE '%LIKE%'";
    let quickest = pg::rows(&client, quickest).await;
    let milliseconds: f64 = quickest[0][0].as_ref().unwrap().parse().unwrap();
    eprintln!(
        "numbers in {milliseconds:.1} ms at best; with {} MB of texts in {with_texts:.0} ms",
        bytes / 1_000_000
    );
    // 50 ms on an idle machine; here other tests run beside, so it is held against what the texts alone cost.
    assert!(milliseconds * 3.0 < with_texts, "{quickest:?}, with texts {with_texts} ms");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 100_000, "{peak}");
}
