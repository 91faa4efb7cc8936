//! Many keys: what a sample says of them, and what it costs the server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

#[path = "support/redis.rs"]
mod server;
mod support;

use plimsoll_analysis::record::{BaselineRecord, SourceState};
use server::{Server, Version, start, wanted};
use support::{message, request, run, source};

const MIB: f64 = 1_048_576.0;

/// Fills a server with keys of two prefixes, sizes between 1 and 800 bytes, and sessions that expire.
fn fill(server: &Server, keys: u32) {
    let mut connection = server.connect();
    let mut pipeline = redis::pipe();
    for index in 0..keys {
        let size = (index.wrapping_mul(2_654_435_761) % 800 + 1) as usize;
        match index % 10 {
            0 => {
                pipeline.cmd("SET").arg(format!("session:{index}")).arg("x".repeat(size)).arg("EX").arg(3600)
            }
            1..4 => pipeline.cmd("HSET").arg(format!("cart:{index}")).arg("a").arg("x".repeat(size)),
            _ => pipeline.cmd("SET").arg(format!("product:{index}")).arg("x".repeat(size)),
        }
        .ignore();
        if index % 5000 == 4999 {
            pipeline.query::<()>(&mut connection).unwrap();
            pipeline.clear();
        }
    }
    assert_eq!(keys % 5000, 0, "everything was sent");
}

/// Memory of all keys of a prefix by the server itself, MiB.
fn memory(server: &Server, prefix: &str) -> f64 {
    let mut connection = server.connect();
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg(format!("{prefix}:*")).query(&mut connection).unwrap();
    let mut sum = 0;
    for keys in keys.chunks(5000) {
        let mut pipeline = redis::pipe();
        for key in keys {
            pipeline.cmd("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").arg(0);
        }
        sum += pipeline.query::<Vec<u64>>(&mut connection).unwrap().iter().sum::<u64>();
    }
    sum as f64 / MIB
}

async fn read(server: &Server, sample_keys: u64) -> BaselineRecord {
    let mut wanted = wanted(request(""), server.request());
    wanted.cache.as_mut().unwrap().sample_keys = sample_keys;
    wanted.cache.as_mut().unwrap().max_duration_ms = 60_000;
    let record = run(&wanted).await;
    assert_eq!(source(&record).state, SourceState::Collected, "{}", message(&record));
    record
}

#[tokio::test]
async fn a_sample_tells_about_the_truth_and_sessions_are_counted_exactly() {
    for version in Version::ALL {
        let Some(server) = start(version, &[]) else { continue };
        fill(&server, 20_000);
        let record = read(&server, 1000).await;
        let analysis = record.cache_analysis.unwrap();
        let keyspace = analysis.keyspace.unwrap();
        assert_eq!((keyspace.sampled_keys, keyspace.total_keys, keyspace.complete), (1000, 20_000, false));
        for prefix in ["session", "cart", "product"] {
            let (estimate, total) = (keyspace.estimates[prefix], memory(&server, prefix));
            // Nine intervals of 95 % do not all hold in every run. Twice as wide they do, but for one run of a thousand; that
            // they hold as often as they say is shown where a thousand samples cost nothing.
            let (low, high) =
                (2.0 * estimate.low_mb - estimate.size_mb, 2.0 * estimate.high_mb - estimate.size_mb);
            assert!(low <= total && total <= high, "{version:?} {prefix}: {total} {estimate:?}");
            assert!(estimate.high_mb / estimate.low_mb < 2.5, "{version:?} {prefix}: {estimate:?}");
        }
        assert_eq!((analysis.active_sessions, analysis.sessions_complete), (Some(2000), Some(true)));
        let mean = analysis.avg_session_size_kb.unwrap();
        assert!((0.35..0.65).contains(&mean), "{mean}");
    }
}

#[tokio::test]
async fn giants_that_the_sample_missed_are_found_by_the_servers_own_account() {
    for version in Version::ALL {
        let Some(server) = start(version, &[]) else { continue };
        fill(&server, 20_000);
        let mut pipeline = redis::pipe();
        for giant in 0..5 {
            for item in 0..2000 {
                pipeline.cmd("RPUSH").arg(format!("feed:{giant}")).arg(format!("{item:0>2000}")).ignore();
            }
        }
        pipeline.query::<()>(&mut server.connect()).unwrap();
        let record = read(&server, 500).await;
        let keyspace = record.cache_analysis.unwrap().keyspace.unwrap();
        let (feed, total) = (keyspace.estimates["feed"], memory(&server, "feed"));
        assert_eq!(keyspace.giants.len(), 5, "{version:?}: {keyspace:?}");
        assert!(keyspace.giants.iter().all(|giant| giant.prefix == "feed" && giant.kind == "list"));
        assert!((feed.size_mb / total - 1.0).abs() < 0.1, "{version:?}: {feed:?} {total}");
        assert!(feed.high_mb < 2.0 * total && feed.high_mb >= 0.95 * total, "{version:?}: {feed:?} {total}");
    }
}

#[tokio::test]
async fn steps_stay_under_a_millisecond_of_the_servers_time() {
    let Some(server) =
        start(Version::Redis7, &["--slowlog-log-slower-than", "1000", "--slowlog-max-len", "100000"])
    else {
        return;
    };
    fill(&server, 200_000);
    let _: redis::Value = server.run(&["SLOWLOG", "RESET"]);
    let _: redis::Value = server.run(&["CONFIG", "RESETSTAT"]);
    let record = read(&server, 20_000).await;
    let slow: Vec<Vec<redis::Value>> = server.run(&["SLOWLOG", "GET", "-1"]);
    let slow = slow.iter().filter(|entry| format!("{entry:?}").contains("\"SCAN\"")).count() as f64;
    let stats = server.info("cmdstat_scan");
    let stat = |name: &str| -> f64 {
        let value = stats.split(',').find_map(|field| field.strip_prefix(&format!("{name}=")));
        value.unwrap().parse().unwrap()
    };
    let (steps, mean) = (stat("calls"), stat("usec_per_call"));
    assert!(steps > 100.0 && mean < 500.0, "{mean} us a step, {steps} steps");
    // SLOWLOG measures by the clock: on a machine whose cores are all taken a step also waits for one.
    let is_idle = load() < std::thread::available_parallelism().unwrap().get() as f64;
    let allowed = if is_idle { 0.01 } else { 0.05 };
    assert!(slow <= steps * allowed, "{slow} of {steps} steps took more than a millisecond");
    assert!(record.cache_analysis.unwrap().sessions_complete.unwrap());
}

/// Processes that want a core, by the kernel's count over a minute.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}
