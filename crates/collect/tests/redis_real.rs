//! The collector against real Redis and Valkey servers with known content.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

#[path = "support/redis.rs"]
mod server;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use plimsoll_analysis::record::{BaselineRecord, BasisKind, SourceReason, SourceState};
use plimsoll_collect::Keys;
use server::{Server, Version, key, parts, start, start_as, wanted};
use support::{message, request, run, run_for, source, steps};

const MIB: f64 = 1_048_576.0;

async fn read(server: &Server) -> BaselineRecord {
    run(&wanted(request(""), server.request())).await
}

fn near(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= expected.abs() * 1e-9 + 1e-9, "{what}: {found} and not {expected}");
}

/// 40 sessions of which each expires, 60 objects of which none does, a key without a delimiter, one that is no text, and
/// one in another database.
fn fill(server: &Server) {
    let mut connection = server.connect();
    let mut pipeline = redis::pipe();
    for index in 0..40 {
        pipeline
            .cmd("SET")
            .arg(format!("session:canary{index}"))
            .arg("x".repeat(1000))
            .arg("EX")
            .arg(3600)
            .ignore();
    }
    for index in 0..60 {
        pipeline.cmd("HSET").arg(format!("product:canary{index}:x")).arg("name").arg("milk").ignore();
    }
    pipeline.cmd("SET").arg("canary").arg("x").ignore();
    pipeline.cmd("SET").arg(&b"\xff\x00bin:canary"[..]).arg("x").ignore();
    pipeline.cmd("SELECT").arg(3).ignore();
    pipeline.cmd("LPUSH").arg("queue:canary").arg("a").arg("b").ignore();
    pipeline.query::<()>(&mut connection).unwrap();
}

/// Memory of the keys with a beginning, by the server itself.
fn memory(server: &Server, database: u32, beginning: &[u8]) -> f64 {
    let mut connection = server.connect();
    redis::cmd("SELECT").arg(database).query::<()>(&mut connection).unwrap();
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    let sizes = keys
        .iter()
        .filter(|key| key.starts_with(beginning))
        .map(|key| redis::cmd("MEMORY").arg("USAGE").arg(key).query::<u64>(&mut connection).unwrap() as f64);
    sizes.sum()
}

#[tokio::test]
async fn every_key_of_the_seed_has_the_true_value_on_every_version() {
    for version in Version::ALL {
        let Some(server) = start(version, &[]) else { continue };
        fill(&server);
        for (key, times) in [("session:canary1", 18), ("session:none", 2)] {
            (0..times).for_each(|_| drop(server.run::<redis::Value>(&["GET", key])));
        }
        let used = server.number("used_memory");
        let record = read(&server).await;
        assert_eq!(source(&record).state, SourceState::Collected, "{version:?}: {}", message(&record));
        assert!(record.complete);

        let metrics = record.cache_metrics.as_ref().unwrap();
        near(metrics.hit_rate.unwrap(), 90.0, "hit_rate");
        assert_eq!(metrics.hit_rate_window, None);
        assert_eq!(metrics.total_keys, Some(103));
        assert_eq!((metrics.evicted_keys, metrics.expired_keys), (Some(0), Some(0)));
        // Ours is the only one beside the test's own, which is closed.
        assert!((1..=2).contains(&metrics.connected_clients.unwrap()), "{metrics:?}");
        let found = metrics.used_memory_mb.unwrap() * MIB;
        assert!((found - used).abs() < 0.2 * MIB, "{found} and not about {used}");

        let analysis = record.cache_analysis.as_ref().unwrap();
        near(analysis.hit_rate_percent.unwrap(), 90.0, "hit_rate_percent");
        near(analysis.memory_used_mb.unwrap(), (found / MIB * 100.0).round() / 100.0, "memory_used_mb");
        assert!(analysis.memory_peak_mb.unwrap() >= analysis.memory_used_mb.unwrap());
        assert!(analysis.fragmentation_ratio.unwrap() > 0.0);
        assert_eq!(analysis.expired_keys, Some(0));
        let config = analysis.current_config.as_ref().unwrap();
        assert_eq!((config.maxmemory.as_str(), config.eviction_policy.as_str()), ("unlimited", "noeviction"));

        let patterns = analysis.key_patterns.as_ref().unwrap();
        assert_eq!(patterns["session"].count, 40);
        assert_eq!(patterns["product"].count, 60);
        assert_eq!((patterns["(no prefix)"].count, patterns["\\xff\\x00bin"].count), (1, 1));
        assert_eq!(patterns["queue"].count, 1);
        let sessions = memory(&server, 0, b"session:");
        near(patterns["session"].size_mb, (sessions / MIB * 100.0).round() / 100.0, "size_mb");
        let keyspace = analysis.keyspace.as_ref().unwrap();
        assert!(keyspace.complete);
        assert_eq!((keyspace.sampled_keys, keyspace.total_keys), (103, 103));
        for (prefix, count, database, without_ttl) in
            [("session", 40, 0, 0.0), ("product", 60, 0, 100.0), ("queue", 1, 3, 100.0)]
        {
            let estimate = keyspace.estimates[prefix];
            let total = memory(&server, database, format!("{prefix}:").as_bytes()) / MIB;
            assert_eq!(estimate.count, count);
            for value in [estimate.size_mb, estimate.low_mb, estimate.high_mb] {
                near(value, total, prefix);
            }
            near(estimate.without_ttl_percent, without_ttl, prefix);
        }
        assert_eq!(analysis.active_sessions, Some(40));
        assert_eq!((analysis.session_cache_enabled, analysis.sessions_complete), (Some(true), Some(true)));
        near(analysis.avg_session_size_kb.unwrap(), sessions / 40.0 / 1024.0, "avg_session_size_kb");
        let advice = &analysis.recommendations.as_ref().unwrap()[0];
        assert_eq!(advice.issue, "No eviction policy set");
        assert!(
            advice.action.contains("volatile-lru") && advice.action.contains("look like data"),
            "{advice:?}"
        );
        assert_eq!(analysis.suggested_config.as_ref().unwrap()["maxmemory-policy"], "volatile-lru");
        let product = if version == Version::Valkey { "valkey" } else { "redis" };
        assert_eq!(analysis.server.as_ref().unwrap().product, product);

        assert_eq!(record.basis["cache_metrics.hit_rate"].samples, Some(20));
        assert_eq!(record.basis["cache_metrics.hit_rate"].kind, BasisKind::Lifetime);
        assert_eq!(record.basis["cache_analysis.keyspace"].kind, BasisKind::Instant);
        let json = serde_json::to_string(&record).unwrap();
        assert!(!json.contains("canary"), "{json}");
    }
}

#[tokio::test]
async fn our_own_lookups_stand_in_no_ratio_and_are_left_for_the_next_run() {
    for version in Version::ALL {
        let Some(server) = start(version, &[]) else { continue };
        fill(&server);
        let first = read(&server).await;
        let counters = first.counters.as_ref().unwrap().cache.as_ref().unwrap();
        assert_eq!((counters.hits, counters.misses), (0, 0), "{version:?}");
        assert_eq!(first.cache_metrics.as_ref().unwrap().hit_rate, None);
        // What the server counts now is exactly what we say that we looked up.
        assert_eq!(server.number("keyspace_hits") as u64, counters.own_hits, "{version:?}");
        assert_eq!(server.number("keyspace_misses") as u64, counters.own_misses, "{version:?}");
        assert!(counters.own_hits >= 2 * 103, "{counters:?}");
        assert_eq!(counters.run_id, server.info("run_id"));
    }
}

#[tokio::test]
async fn the_ratio_between_two_snapshots_is_that_of_the_lookups_between_them() {
    let Some(server) = start(Version::Redis7, &[]) else { return };
    fill(&server);
    let mut wanted = wanted(request(""), server.request());
    wanted.sample_seconds = 2;
    let traffic = async {
        // Its first snapshot is taken once its connection has asked for it; the second follows two seconds later.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        let is_waiting = |clients: &str| {
            clients.lines().any(|line| line.contains("name=plimsoll") && line.contains("cmd=info"))
        };
        while !is_waiting(&server.run::<String>(&["CLIENT", "LIST"])) {
            assert!(tokio::time::Instant::now() < deadline);
            tokio::task::yield_now().await;
        }
        (0..3).for_each(|_| drop(server.run::<redis::Value>(&["GET", "session:canary1"])));
        let _: redis::Value = server.run(&["GET", "session:none"]);
    };
    let (record, ()) = tokio::join!(run(&wanted), traffic);
    assert_eq!(source(&record).state, SourceState::Collected, "{}", message(&record));
    let metrics = record.cache_metrics.unwrap();
    assert_eq!(metrics.hit_rate_window, Some(75.0));
    let basis = &record.basis["cache_metrics.hit_rate_window"];
    assert_eq!((basis.kind, basis.samples), (BasisKind::Sampled, Some(4)));
    let covered = basis.to.duration_since(basis.from).as_secs_f64();
    assert!((1.9..10.0).contains(&covered), "{covered}");
}

#[tokio::test]
async fn the_server_receives_the_fixed_set_of_commands_and_no_other() {
    let Some(server) = start(Version::Redis7, &[]) else { return };
    fill(&server);
    let _: redis::Value = server.run(&["CONFIG", "RESETSTAT"]);
    let record = read(&server).await;
    assert!(record.complete);
    let stats: String = server.run(&["INFO", "commandstats"]);
    let found: BTreeSet<&str> =
        stats.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next()).collect();
    let wanted = BTreeSet::from([
        "client|setname",
        "config|get",
        "config|resetstat",
        "info",
        "memory|usage",
        "pttl",
        "scan",
        "select",
        "type",
        // The test's own connection says who it is.
        "client|setinfo",
    ]);
    assert!(found.is_subset(&wanted), "{found:?}");
    assert!(
        ["info", "memory|usage", "pttl", "scan", "select", "type"].iter().all(|name| found.contains(name))
    );
    let cost = source(&record).cost.unwrap();
    assert!(cost.commands.unwrap() >= 3 * 103 && cost.bytes.unwrap() > 5000, "{cost:?}");
    assert!(cost.server_time_us.is_some());
}

/// The commands of the documented user, from the message that names it.
fn documented(text: &str) -> Vec<String> {
    let rules = text.split("ACL SETUSER plimsoll ").nth(1).unwrap().split('`').next().unwrap();
    let rules = rules.split(" (and").next().unwrap();
    ["ACL", "SETUSER", "plimsoll"].into_iter().chain(rules.split_whitespace()).map(str::to_owned).collect()
}

fn secret(user: &str, password: &str) -> Keys {
    let values =
        [(key("username"), user.as_bytes().to_vec()), (key("password"), password.as_bytes().to_vec())];
    Keys::from_map(BTreeMap::from(values))
}

async fn read_as(server: &Server, user: &str, password: &str) -> BaselineRecord {
    let wanted = wanted(request(""), parts(server.port, true));
    run_for(&wanted, secret(user, password), Duration::from_secs(30)).await
}

#[tokio::test]
async fn the_documented_user_is_enough_and_each_missing_right_is_said() {
    for version in Version::ALL {
        let Some(server) = start(version, &[]) else { continue };
        fill(&server);
        // Without any right the first message names the whole user to paste.
        let _: redis::Value = server.run(&["ACL", "SETUSER", "none", "on", ">p", "-@all"]);
        let record = read_as(&server, "none", "p").await;
        assert_eq!(source(&record).reason, Some(SourceReason::Forbidden), "{}", message(&record));
        let user = documented(message(&record));
        let rules: Vec<&str> =
            user.iter().map(|word| if word == ">PASSWORD" { ">p" } else { word }).collect();
        let _: redis::Value = server.run(&rules);
        let _: redis::Value = server.run(&["ACL", "LOG", "RESET"]);
        let record = read_as(&server, "plimsoll", "p").await;
        assert!(record.complete, "{version:?}: {}", message(&record));
        assert_eq!(record.cache_analysis.as_ref().unwrap().active_sessions, Some(40));
        assert!(
            server.run::<Vec<redis::Value>>(&["ACL", "LOG"]).is_empty(),
            "{version:?}: nothing was refused"
        );
        for (right, has_patterns, has_keyspace) in [
            ("scan", false, false),
            ("select", false, false),
            ("memory|usage", false, false),
            ("pttl", true, false),
            ("type", true, true),
        ] {
            let without: Vec<&str> =
                rules.iter().copied().filter(|rule| *rule != format!("+{right}")).collect();
            let reset = [&["ACL", "SETUSER", "plimsoll", "reset"][..], &without[3..]].concat();
            let _: redis::Value = server.run(&reset);
            let record = read_as(&server, "plimsoll", "p").await;
            assert_eq!(source(&record).state, SourceState::Partial, "{right}: {}", message(&record));
            assert_eq!(source(&record).reason, Some(SourceReason::Forbidden), "{right}");
            let command = right.replace('|', " ").to_uppercase();
            assert!(message(&record).contains(&command), "{right}: {}", message(&record));
            assert!(record.cache_metrics.as_ref().unwrap().total_keys == Some(103));
            let analysis = record.cache_analysis.as_ref().unwrap();
            let patterns = analysis.key_patterns.as_ref().is_some_and(|patterns| !patterns.is_empty());
            assert_eq!(
                (patterns, analysis.keyspace.as_ref().is_some_and(|found| found.sampled_keys > 0)),
                (has_patterns, has_keyspace),
                "{right}"
            );
        }
    }
}

#[tokio::test]
async fn keys_that_the_user_may_not_see_are_left_out_and_said() {
    for version in Version::ALL {
        let Some(server) = start(version, &[]) else { continue };
        fill(&server);
        let rules =
            "on >p ~session:* -@all +ping +info +select +scan +type +pttl +memory|usage +client|setname";
        let rules: Vec<&str> = ["ACL", "SETUSER", "plimsoll"].into_iter().chain(rules.split(' ')).collect();
        let _: redis::Value = server.run(&rules);
        let record = read_as(&server, "plimsoll", "p").await;
        assert_eq!(source(&record).state, SourceState::Partial, "{version:?}: {}", message(&record));
        assert_eq!(source(&record).reason, Some(SourceReason::Forbidden));
        assert!(message(&record).contains("some of the keys"), "{}", message(&record));
        assert!(!message(&record).contains("canary"));
        let analysis = record.cache_analysis.unwrap();
        let patterns = analysis.key_patterns.unwrap();
        assert_eq!((patterns.len(), patterns["session"].count), (1, 40), "{version:?}: {patterns:?}");
        assert_eq!(analysis.active_sessions, Some(40));
    }
}

#[tokio::test]
async fn wrong_and_missing_passwords_are_said_and_never_shown() {
    let Some(server) = start_as(Version::Redis7, &[], Some("right")) else { return };
    let record = read_as(&server, "default", "canary-wrong").await;
    assert_eq!(source(&record).reason, Some(SourceReason::AuthenticationFailed));
    assert!(message(&record).contains("does not accept"), "{}", message(&record));
    assert!(!serde_json::to_string(&record).unwrap().contains("canary"));
    let record = read(&server).await;
    assert_eq!(source(&record).reason, Some(SourceReason::AuthenticationFailed));
    assert!(message(&record).contains("names none"), "{}", message(&record));
    let record = read_as(&server, "default", "right").await;
    assert!(record.complete, "{}", message(&record));
    // A password where none is asked for is a warning.
    let Some(open) = start(Version::Redis7, &[]) else { return };
    let keys = Keys::from_map(BTreeMap::from([(key("password"), b"p".to_vec())]));
    let record = run_for(&wanted(request(""), parts(open.port, true)), keys, Duration::from_secs(30)).await;
    assert!(record.complete, "{}", message(&record));
    assert!(source(&record).warnings[0].contains("asks for no password"), "{:?}", source(&record).warnings);
}

#[tokio::test]
async fn a_run_says_how_far_it_is() {
    let Some(server) = start(Version::ALL[0], &[]) else { return };
    let expected = ["cache server", "cache sample", "cache keys", "cache sessions", "redis"];
    assert_eq!(steps(&wanted(request(""), server.request())).await, expected);
}
