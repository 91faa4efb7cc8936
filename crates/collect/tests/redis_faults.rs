//! Servers that refuse, lie, stall or change while they are read: each a fact with a reason and a remedy, in time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

#[path = "support/redis.rs"]
mod server;
mod support;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_analysis::record::{BaselineRecord, SourceReason, SourceState};
use plimsoll_collect::Keys;
use redis::Value;
use server::{parts, wanted};
use support::{message, request, run_for, source};

const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:a\r\nuptime_in_seconds:9\r\n\
    # Clients\r\nconnected_clients:1\r\n# Memory\r\nused_memory:1000000\r\nused_memory_peak:1000000\r\n\
    used_memory_dataset:300\r\nmem_fragmentation_ratio:1.1\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n\
    # Stats\r\nkeyspace_hits:9\r\nkeyspace_misses:1\r\nevicted_keys:0\r\nexpired_keys:0\r\n\
    # Replication\r\nrole:master\r\n# Keyspace\r\ndb0:keys=2,expires=0,avg_ttl=0\r\n";

fn bulk(text: &str) -> Vec<u8> {
    format!("${}\r\n{text}\r\n", text.len()).into_bytes()
}

/// What an honest server answers that holds two keys.
fn honest(command: &str) -> Vec<u8> {
    match command {
        "INFO" => bulk(INFO),
        "SCAN" => b"*2\r\n$1\r\n0\r\n*2\r\n$9\r\nsession:1\r\n$9\r\nproduct:2\r\n".to_vec(),
        "TYPE" => b"+string\r\n".to_vec(),
        "MEMORY" => b":64\r\n".to_vec(),
        "PTTL" => b":-1\r\n".to_vec(),
        "PING" => b"+PONG\r\n".to_vec(),
        _ => b"+OK\r\n".to_vec(),
    }
}

/// What a server does with a command.
enum Deed {
    Honest,
    Answer(Vec<u8>),
    /// Answers and closes the connection.
    Close(Vec<u8>),
    /// Sends the honest answer one byte at a time, forever slowly.
    Drip,
    /// Says nothing.
    Silence,
}

type Script = Arc<dyn Fn(&str, usize) -> Deed + Send + Sync>;

/// A server that does as the script says for each command, which is numbered by its name from 0 on; its port.
fn serve(script: impl Fn(&str, usize) -> Deed + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script: Script = Arc::new(script);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let script = Arc::clone(&script);
            std::thread::spawn(move || drop(talk(stream, &script)));
        }
    });
    port
}

fn talk(mut stream: TcpStream, script: &Script) -> std::io::Result<()> {
    if let Deed::Close(greeting) = script("", 0) {
        return stream.write_all(&greeting);
    }
    let mut parser = redis::Parser::new();
    let mut seen: Vec<String> = Vec::new();
    while let Ok(Value::Array(parts)) = parser.parse_value(&mut stream) {
        let Some(Value::BulkString(name)) = parts.into_iter().next() else { break };
        let name = String::from_utf8(name).unwrap();
        let number = seen.iter().filter(|seen| **seen == name).count();
        let deed = script(&name, number);
        match deed {
            Deed::Honest => stream.write_all(&honest(&name))?,
            Deed::Answer(bytes) => stream.write_all(&bytes)?,
            Deed::Close(bytes) => return stream.write_all(&bytes),
            Deed::Drip => {
                for byte in honest(&name) {
                    stream.write_all(&[byte])?;
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            Deed::Silence => {}
        }
        seen.push(name);
    }
    Ok(())
}

async fn read(port: u16, limit: Duration) -> BaselineRecord {
    let begun = Instant::now();
    let mut wanted = wanted(request(""), parts(port, false));
    wanted.cache.as_mut().unwrap().max_duration_ms = 300;
    let record = run_for(&wanted, Keys::default(), limit).await;
    assert!(begun.elapsed() < limit + Duration::from_secs(5), "{:?}", begun.elapsed());
    record
}

/// The record of a server that answers one command in its own way.
async fn with(command: &'static str, bytes: &[u8]) -> BaselineRecord {
    let bytes = bytes.to_vec();
    let port = serve(move |name, _| if name == command { Deed::Answer(bytes.clone()) } else { Deed::Honest });
    read(port, Duration::from_secs(10)).await
}

#[tokio::test]
async fn an_honest_server_of_two_keys_is_read_whole() {
    let record = with("", b"").await;
    assert!(record.complete, "{}", message(&record));
    assert_eq!(record.cache_analysis.unwrap().keyspace.unwrap().sampled_keys, 2);
}

#[tokio::test]
async fn a_server_that_cannot_be_read_is_a_reason_and_a_remedy() {
    use SourceReason::{AuthenticationFailed, BadAnswer, Forbidden, Unavailable};
    for (bytes, reason, remedy) in [
        (&b"$-2\r\n"[..], BadAnswer, "negative length"),
        (b"$9999999999\r\n", BadAnswer, "longer than any"),
        (b"*1000000000\r\n", BadAnswer, "longer than any"),
        (b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", BadAnswer, "nested deeper"),
        (b"$2\r\nabcdef\r\n", BadAnswer, "length is wrong"),
        (b"+OK\r\n", BadAnswer, "nothing that a Redis says"),
        (b"$-1\r\n", BadAnswer, "nothing that a Redis says"),
        (b"$5\r\nhello\r\n", BadAnswer, "nothing that a Redis says"),
        (b"-NOAUTH Authentication required.\r\n", AuthenticationFailed, "key password"),
        (b"-NOPERM this user has no permissions to run the 'info' command\r\n", Forbidden, "ACL SETUSER"),
        (b"-BUSY Redis is busy running a script.\r\n", Unavailable, "SCRIPT KILL"),
        (b"-ERR unknown command 'INFO', with args beginning with: 'canary'\r\n", Forbidden, "renamed"),
    ] {
        let record = with("INFO", bytes).await;
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(source(&record).state, SourceState::Failed, "{text}");
        assert_eq!(source(&record).reason, Some(reason), "{text}: {}", message(&record));
        assert!(message(&record).contains(remedy), "{text}: {}", message(&record));
        assert!(!message(&record).contains("canary"));
        assert!(record.cache_metrics.is_none() && record.cache_analysis.is_none(), "{text}");
    }
}

#[tokio::test]
async fn what_is_no_redis_is_told_by_what_it_speaks() {
    use SourceReason::{BadAnswer, TLSFailed};
    for (bytes, reason, remedy) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], BadAnswer, "speaks HTTP"),
        (b"\x15\x03\x03\x00\x02\x02\x50", TLSFailed, "rediss://"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", BadAnswer, "another protocol"),
    ] {
        let port = serve(move |_, _| Deed::Answer(bytes.to_vec()));
        let record = read(port, Duration::from_secs(10)).await;
        assert_eq!(source(&record).reason, Some(reason), "{}", message(&record));
        assert!(message(&record).contains(remedy), "{}", message(&record));
    }
}

#[tokio::test]
async fn a_server_that_greets_with_a_refusal_is_understood() {
    for (greeting, reason, remedy) in [
        (&b"-ERR max number of clients reached\r\n"[..], SourceReason::Unavailable, "maxclients"),
        (
            b"-DENIED Redis is running in protected mode because ...\r\n",
            SourceReason::Forbidden,
            "requirepass",
        ),
        (b"", SourceReason::Unreachable, "closed the connection without an answer"),
    ] {
        let greeting = greeting.to_vec();
        let port =
            serve(move |name, _| if name.is_empty() { Deed::Close(greeting.clone()) } else { Deed::Honest });
        let record = read(port, Duration::from_secs(10)).await;
        assert_eq!(source(&record).reason, Some(reason), "{}", message(&record));
        assert!(message(&record).contains(remedy), "{}", message(&record));
    }
}

#[tokio::test]
async fn a_server_that_stalls_or_drips_costs_its_time_and_no_more() {
    for (command, has_metrics) in [("CLIENT", false), ("INFO", false), ("SCAN", true), ("MEMORY", true)] {
        let port = serve(move |name, _| if name == command { Deed::Silence } else { Deed::Honest });
        let record = read(port, Duration::from_secs(1)).await;
        assert_eq!(source(&record).reason, Some(SourceReason::Timeout), "{command}: {}", message(&record));
        assert_eq!(record.cache_metrics.is_some(), has_metrics, "{command}");
        assert!(message(&record).contains("SLOWLOG"), "{}", message(&record));
    }
    let port = serve(|name, _| if name == "INFO" { Deed::Drip } else { Deed::Honest });
    let record = read(port, Duration::from_secs(1)).await;
    assert_eq!(source(&record).reason, Some(SourceReason::Timeout), "{}", message(&record));
}

#[tokio::test]
async fn what_fails_while_keys_are_read_leaves_the_figures() {
    use SourceReason::{BadAnswer, Forbidden, Unavailable};
    let long = bulk(&"x".repeat(5 << 20));
    let long_key = [&b"*2\r\n$1\r\n0\r\n*1\r\n"[..], &long].concat();
    for (command, bytes, reason, remedy) in [
        ("SCAN", &b"-LOADING Redis is loading the dataset in memory\r\n"[..], Unavailable, "loading:0"),
        ("SCAN", b"-MOVED 1 10.0.0.1:6379\r\n", BadAnswer, "each master"),
        ("SCAN", b"-ERR unknown command 'SCAN'\r\n", Forbidden, "renamed"),
        ("SCAN", b"*1\r\n$1\r\n0\r\n", BadAnswer, "something else"),
        ("SCAN", b"*2\r\n$1\r\nx\r\n*0\r\n", BadAnswer, "something else"),
        ("SCAN", &long_key, BadAnswer, "longer than any"),
        ("SELECT", b"-ERR DB index is out of range\r\n", BadAnswer, "databases"),
        ("MEMORY", b"-ERR unknown command 'MEMORY', with args 'canary'\r\n", Forbidden, "MEMORY USAGE"),
        ("MEMORY", b"-OOM command not allowed\r\n", Unavailable, "maxmemory"),
        ("MEMORY", b"$3\r\nabc\r\n", BadAnswer, "something else"),
        ("TYPE", b":1\r\n", BadAnswer, "something else"),
        ("PTTL", b"+soon\r\n", BadAnswer, "something else"),
    ] {
        let record = with(command, bytes).await;
        let text: String = String::from_utf8_lossy(bytes).chars().take(60).collect();
        assert_eq!(source(&record).state, SourceState::Partial, "{command} {text}");
        assert_eq!(source(&record).reason, Some(reason), "{command} {text}: {}", message(&record));
        assert!(message(&record).contains(remedy), "{command} {text}: {}", message(&record));
        assert_eq!(record.cache_metrics.as_ref().unwrap().hit_rate, Some(90.0), "{command} {text}");
        let json = serde_json::to_string(&record).unwrap();
        assert!(!json.contains("canary"));
    }
}

#[tokio::test]
async fn keys_that_go_and_types_of_modules_are_no_faults() {
    let record = with("MEMORY", b"$-1\r\n").await;
    assert!(record.complete, "{}", message(&record));
    assert_eq!(record.cache_analysis.unwrap().keyspace.unwrap().sampled_keys, 0);
    let record = with("TYPE", b"+none\r\n").await;
    assert!(record.complete, "{}", message(&record));
    let counters = record.counters.unwrap().cache.unwrap();
    assert_eq!((counters.own_hits, counters.own_misses), (2, 2));
    let record = with("PTTL", b":-2\r\n").await;
    assert!(record.complete, "{}", message(&record));
    let record = with("TYPE", b"+ReJSON-RL\r\n").await;
    assert!(record.complete, "{}", message(&record));
    let record = with("MEMORY", b":9223372036854775807\r\n").await;
    let analysis = record.cache_analysis.unwrap();
    assert_eq!(analysis.keyspace.unwrap().giants[0].kind, "string");
    let record = with("MEMORY", b":-5\r\n").await;
    assert_eq!(record.cache_analysis.unwrap().keyspace.unwrap().estimates["session"].size_mb, 0.0);
}

#[tokio::test]
async fn a_walk_without_an_end_ends_with_its_time() {
    for keys in ["*0\r\n", "*1\r\n$9\r\nsession:1\r\n"] {
        let step = format!("*2\r\n$1\r\n7\r\n{keys}");
        let record = with("SCAN", step.as_bytes()).await;
        assert_eq!(source(&record).state, SourceState::Collected, "{}", message(&record));
        let analysis = record.cache_analysis.unwrap();
        assert_eq!(analysis.sessions_complete, Some(false));
        assert!(!analysis.keyspace.unwrap().complete);
        assert!(source(&record_of(&step).await).warnings.iter().any(|text| text.contains("maxDuration")));
    }
}

async fn record_of(step: &str) -> BaselineRecord {
    with("SCAN", step.as_bytes()).await
}

#[tokio::test]
async fn a_server_that_changes_while_it_is_read_is_a_warning_and_one_that_goes_a_reason() {
    let other = INFO.replace("run_id:a", "run_id:b");
    let port = serve(move |name, number| match (name, number) {
        ("INFO", 1) => Deed::Answer(bulk(&other)),
        _ => Deed::Honest,
    });
    let record = read(port, Duration::from_secs(10)).await;
    assert!(record.complete);
    assert!(source(&record).warnings.iter().any(|text| text.contains("failover")), "{:?}", source(&record));
    for command in ["SCAN", "MEMORY"] {
        let port = serve(
            move |name, _| {
                if name == command { Deed::Close(b"*2\r\n$1\r\n".to_vec()) } else { Deed::Honest }
            },
        );
        let record = read(port, Duration::from_secs(10)).await;
        assert_eq!(source(&record).state, SourceState::Partial);
        assert_eq!(source(&record).reason, Some(SourceReason::Unreachable), "{}", message(&record));
        assert!(message(&record).contains("failed over"), "{}", message(&record));
    }
}

#[tokio::test]
async fn figures_that_are_missing_or_no_numbers_are_absent() {
    let record = with(
        "INFO",
        &bulk("# Stats\r\nkeyspace_hits:many\r\nused_memory:18446744073709551616\r\nrun_id:a\r\n"),
    )
    .await;
    let metrics = record.cache_metrics.clone().unwrap_or_default();
    assert_eq!((metrics.hit_rate, metrics.used_memory_mb, metrics.total_keys), (None, None, None));
    let analysis = record.cache_analysis.clone().unwrap_or_default();
    assert_eq!((analysis.current_config, analysis.recommendations), (None, None));
    assert!(record.counters.is_none());
}
