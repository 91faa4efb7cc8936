//! Where a Redis server is: by Sentinels, in a cluster, a replica, behind TLS.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

#[path = "support/redis.rs"]
mod server;
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plimsoll_analysis::record::{BaselineRecord, SourceReason, SourceState};
use plimsoll_analysis::request::{RedisAccess, RedisCredentials, RedisRequest, RedisTls, SentinelRequest};
use plimsoll_collect::{AddressPolicy, Keys, Means, NoProgress, TimeLimit, collect};
use rcgen::generate_simple_self_signed;
use server::{Server, Version, key, parts, start, start_as, wanted};
use support::{message, request, run, run_for, source};

fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_there() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::yield_now();
    }
}

fn sentinel(master: &Server, password: Option<&str>) -> Option<Server> {
    let sentinel = start(Version::Redis7, &["--sentinel"])?;
    let port = master.port.to_string();
    let _: redis::Value = sentinel.run(&["SENTINEL", "MONITOR", "dairy", "127.0.0.1", &port, "1"]);
    if let Some(password) = password {
        let _: redis::Value = sentinel.run(&["SENTINEL", "SET", "dairy", "auth-pass", password]);
    }
    Some(sentinel)
}

fn watched(port: u16, name: &str, has_credentials: bool) -> RedisRequest {
    let sentinel = SentinelRequest { master_name: name.to_owned(), credentials: None };
    RedisRequest { sentinel: Some(sentinel), ..parts(port, has_credentials) }
}

async fn read(redis: RedisRequest, keys: Keys) -> BaselineRecord {
    run_for(&wanted(request(""), redis), keys, Duration::from_secs(30)).await
}

#[tokio::test]
async fn a_sentinel_leads_to_the_master_and_says_what_it_does_not_know() {
    let Some(master) = start_as(Version::Redis7, &[], Some("right")) else { return };
    let _: redis::Value = master.run(&["SET", "session:1", "x"]);
    let Some(sentinel) = sentinel(&master, Some("right")) else { return };
    let keys = || Keys::from_map(BTreeMap::from([(key("password"), b"right".to_vec())]));
    let record = read(watched(sentinel.port, "dairy", true), keys()).await;
    assert!(record.complete, "{}", message(&record));
    assert_eq!(record.cache_metrics.unwrap().total_keys, Some(1));
    assert_eq!(record.cache_analysis.unwrap().server.unwrap().role, "master");

    let record = read(watched(sentinel.port, "other", true), keys()).await;
    assert_eq!(source(&record).reason, Some(SourceReason::BadAnswer));
    assert!(message(&record).contains("\"other\""), "{}", message(&record));
    // A Sentinel that is named as a server, and a server that is named as a Sentinel.
    let record = read(parts(sentinel.port, false), Keys::default()).await;
    assert!(message(&record).contains("is a Sentinel"), "{}", message(&record));
    let Some(plain) = start(Version::Redis7, &[]) else { return };
    let record = read(watched(plain.port, "dairy", false), Keys::default()).await;
    assert!(message(&record).contains("is no Sentinel"), "{}", message(&record));
    // The master is gone: the Sentinel still names it.
    drop(master);
    let record = read(watched(sentinel.port, "dairy", true), keys()).await;
    assert_eq!(source(&record).reason, Some(SourceReason::Unreachable), "{}", message(&record));
    assert!(message(&record).contains("the Sentinel"), "{}", message(&record));
}

#[tokio::test]
async fn a_sentinel_that_names_a_replica_or_a_forbidden_address_is_not_believed() {
    let Some(master) = start(Version::Redis7, &[]) else { return };
    let Some(sentinel) = sentinel(&master, None) else { return };
    let Some(other) = start(Version::Redis7, &[]) else { return };
    let _: redis::Value = master.run(&["REPLICAOF", "127.0.0.1", &other.port.to_string()]);
    let record = read(watched(sentinel.port, "dairy", false), Keys::default()).await;
    assert_eq!(source(&record).reason, Some(SourceReason::Unavailable), "{}", message(&record));
    assert!(message(&record).contains("failover"), "{}", message(&record));
    // As in a Job, which refuses loopback: the Sentinel itself is not even asked.
    let policy = AddressPolicy::job(&[]).unwrap();
    let limit = TimeLimit::at(Instant::now() + Duration::from_secs(20));
    let keys = Keys::default();
    let means = Means { keys: &keys, policy: &policy, limit: &limit, progress: &NoProgress };
    let wanted = wanted(request(""), watched(sentinel.port, "dairy", false));
    let record = collect(&wanted, means, jiff::Timestamp::now()).await;
    assert_eq!(source(&record).reason, Some(SourceReason::Unreachable));
    assert!(message(&record).contains("loopback"), "{}", message(&record));
}

#[tokio::test]
async fn a_replica_is_read_and_said_to_be_one() {
    let Some(master) = start(Version::Redis7, &[]) else { return };
    let _: redis::Value = master.run(&["SET", "session:1", "x"]);
    let Some(replica) = start(Version::Redis7, &["--repl-diskless-sync-delay", "0"]) else { return };
    let _: redis::Value = master.run(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
    let _: redis::Value = replica.run(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
    wait_for("replication", || replica.info("master_link_status") == "up");
    let record = read(replica.request(), Keys::default()).await;
    assert!(record.complete, "{}", message(&record));
    assert!(source(&record).warnings[0].contains("is a replica"), "{:?}", source(&record).warnings);
    assert_eq!(record.cache_metrics.unwrap().total_keys, Some(1));
    // Without its master, and told to answer nothing stale, it gives its figures and no keys.
    let _: redis::Value = replica.run(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    drop(master);
    wait_for("the loss of the master", || replica.info("master_link_status") == "down");
    let record = read(replica.request(), Keys::default()).await;
    assert_eq!(source(&record).state, SourceState::Partial, "{}", message(&record));
    assert_eq!(source(&record).reason, Some(SourceReason::Unavailable));
    assert!(message(&record).contains("lost its master"), "{}", message(&record));
    assert!(record.cache_metrics.unwrap().used_memory_mb.is_some());
}

#[tokio::test]
async fn a_cluster_is_refused_with_what_to_do() {
    for version in [Version::Redis7, Version::Valkey] {
        let Some(server) = start(version, &["--cluster-enabled", "yes"]) else { continue };
        let record = run(&wanted(request(""), server.request())).await;
        assert_eq!(source(&record).state, SourceState::Failed);
        assert_eq!(source(&record).reason, Some(SourceReason::BadAnswer));
        assert!(message(&record).contains("one PerformanceBaseline for each master"), "{}", message(&record));
    }
}

#[tokio::test]
async fn tls_is_verified_by_the_authority_and_the_name() {
    let pair = generate_simple_self_signed(vec!["redis.dairy".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, private) = (folder.path().join("crt"), folder.path().join("key"));
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&private, pair.signing_key.serialize_pem()).unwrap();
    let (certificate, private) = (certificate.to_str().unwrap(), private.to_str().unwrap());
    let settings = [
        "--tls-port",
        "{tls_port}",
        "--tls-cert-file",
        certificate,
        "--tls-key-file",
        private,
        "--tls-ca-cert-file",
        certificate,
        "--tls-auth-clients",
        "no",
    ];
    let Some(server) = start_as(Version::Redis7, &settings, Some("p@ss")) else { return };
    let tls = |ca: bool, name: Option<&str>| RedisTls {
        ca: ca.then(|| key("ca.crt")),
        server_name: name.map(str::to_owned),
    };
    let read_with = async |tls: Option<RedisTls>, port: u16| {
        let redis = RedisRequest { tls, ..parts(port, true) };
        let values = [(key("password"), b"p@ss".to_vec()), (key("ca.crt"), pair.cert.pem().into_bytes())];
        read(redis, Keys::from_map(BTreeMap::from(values))).await
    };
    let record = read_with(Some(tls(true, Some("redis.dairy"))), server.tls_port).await;
    assert!(record.complete, "{}", message(&record));
    for (wanted, port, reason, remedy) in [
        (Some(tls(true, None)), server.tls_port, SourceReason::TLSFailed, "tls.serverName"),
        (Some(tls(false, Some("redis.dairy"))), server.tls_port, SourceReason::TLSFailed, "tls.ca"),
        (Some(tls(true, Some("redis.dairy"))), server.port, SourceReason::Timeout, "without TLS"),
    ] {
        let record = read_with(wanted, port).await;
        assert_eq!(source(&record).reason, Some(reason), "{}", message(&record));
        assert!(message(&record).contains(remedy), "{remedy}: {}", message(&record));
    }
    // Plain towards a port of TLS.
    let record = read_with(None, server.tls_port).await;
    assert_ne!(source(&record).state, SourceState::Collected);
    assert!(message(&record).contains("TLS") || message(&record).contains("tls"), "{}", message(&record));
    // All of it in one URI.
    let uri = format!("rediss://default:p%40ss@127.0.0.1:{}", server.tls_port);
    let redis = RedisRequest {
        access: RedisAccess::Uri(key("uri")),
        tls: Some(tls(true, Some("redis.dairy"))),
        sentinel: None,
    };
    let values = [(key("uri"), uri.into_bytes()), (key("ca.crt"), pair.cert.pem().into_bytes())];
    let record = read(redis, Keys::from_map(BTreeMap::from(values))).await;
    assert!(record.complete, "{}", message(&record));
    assert!(!serde_json::to_string(&record).unwrap().contains("p@ss"));
}

#[tokio::test]
async fn a_missing_secret_and_a_missing_server_are_said() {
    let credentials = RedisCredentials { username: key("username"), password: key("password") };
    let access = RedisAccess::Parts { host: "127.0.0.1".to_owned(), port: 1, credentials: Some(credentials) };
    let redis = RedisRequest { access, tls: None, sentinel: None };
    let record = read(redis, Keys::default()).await;
    assert!(message(&record).contains("password of Secret redis"), "{}", message(&record));
    let record = read(parts(server::free_port(), false), Keys::default()).await;
    assert_eq!(source(&record).reason, Some(SourceReason::Unreachable));
    assert!(message(&record).contains("refused the connection"), "{}", message(&record));
    let access = RedisAccess::Parts { host: "no-such.invalid".to_owned(), port: 1, credentials: None };
    let record = read(RedisRequest { access, tls: None, sentinel: None }, Keys::default()).await;
    assert!(message(&record).contains("cannot be resolved"), "{}", message(&record));
}
