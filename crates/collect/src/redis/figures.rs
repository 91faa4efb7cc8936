//! Figures that the server itself gives: `INFO` once or twice, as `cache_metrics` and the plain part of
//! `cache_analysis`, with the basis of each.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use plimsoll_analysis::record::{
    BaselineRecord, Basis, BasisKind, CacheAnalysis, CacheConfig, CacheCounters, CacheMetrics, CacheServer,
    SourceReason,
};
use redis::Value;

use super::Notes;
use super::client::Client;
use super::command::Command;
use super::info::{Info, percent};
use crate::failure::Failure;

/// Bytes of a "mb" of the record.
pub(crate) const MIB: f64 = 1_048_576.0;
/// How often the server is asked for a sign of life between two snapshots: servers and balancers close what is idle.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// What a server said of itself, and when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) info: Info,
    pub(crate) at: Timestamp,
}

impl Snapshot {
    /// When the server started, by our clock.
    fn started(&self) -> Option<Timestamp> {
        let uptime = i64::try_from(self.info.uptime_seconds?).ok()?;
        self.at.checked_sub(SignedDuration::from_secs(uptime)).ok()
    }
}

/// Asks the server for its figures.
pub(crate) async fn snapshot(client: &mut Client) -> Result<Snapshot, Failure> {
    let answer = client.ask(Command::Info).await?;
    let at = Timestamp::now();
    let info = match &answer {
        Value::BulkString(bytes) => Info::parse(bytes),
        Value::SimpleString(text) => Info::parse(text.as_bytes()),
        _ => Info::default(),
    };
    if info.is_any() {
        return Ok(Snapshot { info, at });
    }
    let message = format!(
        "{} answered INFO with nothing that a Redis says; check that it is one, and what stands between it and us",
        client.shown()
    );
    Err(Failure::of_source(SourceReason::BadAnswer, message))
}

/// Refuses what is no single server, and says what else is worth to know of it.
pub(crate) fn check_kind(info: &Info, shown: &str, warnings: &mut Vec<String>) -> Result<(), Failure> {
    if info.mode.as_deref() == Some("sentinel") {
        let message = format!(
            "{shown} is a Sentinel and not a server; name the master that it watches (topology Sentinel, masterName), or a server's own address"
        );
        return Err(Failure::of_source(SourceReason::BadAnswer, message));
    }
    if info.is_cluster || info.mode.as_deref() == Some("cluster") {
        return Err(super::fault::Fault::Cluster.failure("INFO", shown));
    }
    if info.role.as_deref() == Some("slave") {
        let link = match info.master_link.as_deref() {
            Some("down") => ", and its link to the master is down",
            _ => "",
        };
        warnings.push(format!(
            "{shown} is a replica{link}: hits, misses and clients are its own and not the master's"
        ));
    }
    if info.is_loading {
        warnings.push(format!("{shown} is loading its data from disk: keys and memory are still growing"));
    }
    Ok(())
}

fn mib(bytes: Option<u64>) -> Option<f64> {
    bytes.map(|bytes| bytes as f64 / MIB)
}

/// Rounds to two decimals, as the seed does.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Writes what one snapshot says into the record: figures over the server's life and of the instant.
pub(crate) fn record_lifetime(snapshot: &Snapshot, record: &mut BaselineRecord) {
    let info = &snapshot.info;
    let metrics = CacheMetrics {
        hit_rate: info.hit_percent(),
        hit_rate_window: None,
        used_memory_mb: mib(info.used_memory),
        connected_clients: info.connected_clients,
        total_keys: info.total_keys(),
        evicted_keys: info.evicted,
        expired_keys: info.expired,
    };
    let analysis = CacheAnalysis {
        hit_rate_percent: info.hit_percent().map(rounded),
        memory_used_mb: mib(info.used_memory).map(rounded),
        memory_peak_mb: mib(info.used_memory_peak).map(rounded),
        fragmentation_ratio: info.fragmentation,
        connected_clients: info.connected_clients,
        evicted_keys: info.evicted,
        expired_keys: info.expired,
        current_config: config(info),
        server: server(info),
        ..CacheAnalysis::default()
    };
    let instant = Basis {
        kind: BasisKind::Instant,
        from: snapshot.at,
        to: snapshot.at,
        coverage_percent: None,
        samples: None,
        resolution_ms: None,
        note: None,
    };
    let lifetime = Basis {
        kind: BasisKind::Lifetime,
        from: snapshot.started().unwrap_or(snapshot.at),
        note: Some("since the server started, or CONFIG RESETSTAT".to_owned()),
        ..instant.clone()
    };
    let lookups = info.hits.zip(info.misses).map(|(hits, misses)| hits.saturating_add(misses));
    let ratio = Basis { samples: lookups, ..lifetime.clone() };
    let mut basis = |section: &str, name: &str, is_there: bool, basis: &Basis| {
        if is_there {
            record.basis.insert(format!("{section}.{name}"), basis.clone());
        }
    };
    basis("cache_metrics", "hit_rate", metrics.hit_rate.is_some(), &ratio);
    basis("cache_metrics", "used_memory_mb", metrics.used_memory_mb.is_some(), &instant);
    basis("cache_metrics", "connected_clients", metrics.connected_clients.is_some(), &instant);
    basis("cache_metrics", "total_keys", metrics.total_keys.is_some(), &instant);
    basis("cache_metrics", "evicted_keys", metrics.evicted_keys.is_some(), &lifetime);
    basis("cache_metrics", "expired_keys", metrics.expired_keys.is_some(), &lifetime);
    basis("cache_analysis", "hit_rate_percent", analysis.hit_rate_percent.is_some(), &ratio);
    basis("cache_analysis", "memory_used_mb", analysis.memory_used_mb.is_some(), &instant);
    basis("cache_analysis", "memory_peak_mb", analysis.memory_peak_mb.is_some(), &lifetime);
    basis("cache_analysis", "fragmentation_ratio", analysis.fragmentation_ratio.is_some(), &instant);
    basis("cache_analysis", "connected_clients", analysis.connected_clients.is_some(), &instant);
    basis("cache_analysis", "evicted_keys", analysis.evicted_keys.is_some(), &lifetime);
    basis("cache_analysis", "expired_keys", analysis.expired_keys.is_some(), &lifetime);
    basis("cache_analysis", "current_config", analysis.current_config.is_some(), &instant);
    if metrics != CacheMetrics::default() {
        record.cache_metrics = Some(metrics);
    }
    if analysis != CacheAnalysis::default() {
        record.cache_analysis = Some(analysis);
    }
}

/// Memory limit and policy as the seed writes them; both are in `INFO`, so that no `CONFIG` is needed.
fn config(info: &Info) -> Option<CacheConfig> {
    let maxmemory = match info.maxmemory? {
        0 => "unlimited".to_owned(),
        bytes => format!("{:.0}MB", bytes as f64 / MIB),
    };
    Some(CacheConfig { maxmemory, eviction_policy: info.policy.clone()? })
}

fn server(info: &Info) -> Option<CacheServer> {
    let is_valkey = info.valkey_version.is_some() || info.server_name.as_deref() == Some("valkey");
    let version = info.valkey_version.clone().or_else(|| info.redis_version.clone())?;
    let product = if is_valkey { "valkey" } else { "redis" };
    Some(CacheServer { product: product.to_owned(), version, role: info.role.clone()? })
}

/// Waits, takes a second snapshot, and writes what happened between the two into the record. Gives the last snapshot.
pub(crate) async fn second_snapshot(
    client: &mut Client,
    first: &Snapshot,
    seconds: u64,
    record: &mut BaselineRecord,
    notes: &mut Notes,
) -> Result<Snapshot, Failure> {
    if seconds == 0 {
        return Ok(first.clone());
    }
    wait(client, Duration::from_secs(seconds)).await?;
    let last = snapshot(client).await?;
    match window(first, &last) {
        Ok((value, basis)) => {
            if let (Some(metrics), Some(value)) = (&mut record.cache_metrics, value) {
                metrics.hit_rate_window = Some(value);
                record.basis.insert("cache_metrics.hit_rate_window".to_owned(), basis);
            }
        }
        Err(why) => notes.warnings.push(format!("{} {why}", client.shown())),
    }
    Ok(last)
}

async fn wait(client: &mut Client, whole: Duration) -> Result<(), Failure> {
    let end = tokio::time::Instant::now() + whole;
    loop {
        let left = end.saturating_duration_since(tokio::time::Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let step = left.min(SIGN_OF_LIFE);
        let slept = client.limit().within(step + SIGN_OF_LIFE, tokio::time::sleep(step)).await;
        if slept.is_err() {
            let message = format!(
                "there was no time left for the second snapshot of {}; shorten sampleDuration, or raise activeDeadlineSeconds",
                client.shown()
            );
            return Err(Failure::of_source(SourceReason::Timeout, message));
        }
        client.ask(Command::Ping).await?;
    }
}

/// The hit ratio between two snapshots, percent (absent without lookups), or why there is none.
fn window(first: &Snapshot, last: &Snapshot) -> Result<(Option<f64>, Basis), &'static str> {
    let counters = |info: &Info| info.hits.zip(info.misses);
    if first.info.run_id != last.info.run_id {
        return Err(
            "was started anew or replaced between the two snapshots: no figure of the time between them",
        );
    }
    if first.info.role != last.info.role {
        return Err(
            "changed its role between the two snapshots (a failover): no figure of the time between them",
        );
    }
    let (Some(before), Some(after)) = (counters(&first.info), counters(&last.info)) else {
        return Err("does not say its hits and misses");
    };
    let (Some(hits), Some(misses)) = (after.0.checked_sub(before.0), after.1.checked_sub(before.1)) else {
        return Err("had its counters reset between the two snapshots: no figure of the time between them");
    };
    let basis = Basis {
        kind: BasisKind::Sampled,
        from: first.at,
        to: last.at,
        coverage_percent: None,
        samples: Some(hits.saturating_add(misses)),
        resolution_ms: None,
        note: None,
    };
    Ok((percent(hits, misses), basis))
}

/// Leaves the counters for the next run.
pub(crate) fn record_counters(last: &Snapshot, record: &mut BaselineRecord) {
    let info = &last.info;
    let (Some(run_id), Some(hits), Some(misses), Some(evicted), Some(expired)) =
        (info.run_id.clone(), info.hits, info.misses, info.evicted, info.expired)
    else {
        return;
    };
    let counters = CacheCounters {
        at: last.at,
        run_id,
        started: last.started(),
        hits,
        misses,
        evicted,
        expired,
        own_hits: 0,
        own_misses: 0,
    };
    record.counters.get_or_insert_default().cache = Some(counters);
}

#[cfg(test)]
mod tests {
    use plimsoll_analysis::record::RecordNames;

    use super::*;

    fn snapshot(text: &str, at: &str) -> Snapshot {
        Snapshot { info: Info::parse(text.as_bytes()), at: at.parse().unwrap() }
    }

    fn record() -> BaselineRecord {
        let names = RecordNames { name: "a", namespace: "b", run: "c", run_key: "d" };
        BaselineRecord::empty(names, 60, "2026-11-24T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_ratio_without_lookups_is_absent_and_memory_is_in_mebibytes() {
        let said = "used_memory:3145728\nused_memory_peak:5242880\nkeyspace_hits:0\nkeyspace_misses:0\n\
                    maxmemory:4294967296\nmaxmemory_policy:allkeys-lru\nuptime_in_seconds:60\n# Keyspace\n";
        let mut found = record();
        record_lifetime(&snapshot(said, "2026-11-24T00:01:00Z"), &mut found);
        let metrics = found.cache_metrics.unwrap();
        assert_eq!(metrics.hit_rate, None);
        assert_eq!((metrics.used_memory_mb, metrics.total_keys), (Some(3.0), Some(0)));
        let analysis = found.cache_analysis.unwrap();
        assert_eq!(analysis.memory_peak_mb, Some(5.0));
        assert_eq!(analysis.current_config.unwrap().maxmemory, "4096MB");
        assert!(!found.basis.contains_key("cache_metrics.hit_rate"));
        let peak = &found.basis["cache_analysis.memory_peak_mb"];
        assert_eq!(
            (peak.kind, peak.from.to_string().as_str()),
            (BasisKind::Lifetime, "2026-11-24T00:00:00Z")
        );
    }

    #[test]
    fn between_two_snapshots_a_restart_a_failover_and_a_reset_give_no_ratio() {
        let first =
            snapshot("run_id:a\nrole:master\nkeyspace_hits:10\nkeyspace_misses:5", "2026-11-24T00:00:00Z");
        let last = |text: &str| snapshot(text, "2026-11-24T00:01:00Z");
        let same = last("run_id:a\nrole:master\nkeyspace_hits:19\nkeyspace_misses:6");
        let (value, basis) = window(&first, &same).unwrap();
        assert_eq!((value, basis.samples, basis.kind), (Some(90.0), Some(10), BasisKind::Sampled));
        assert_eq!(window(&first, &first).unwrap().0, None, "no lookups");
        for (text, why) in [
            ("run_id:b\nrole:master\nkeyspace_hits:19\nkeyspace_misses:6", "anew"),
            ("run_id:a\nrole:slave\nkeyspace_hits:19\nkeyspace_misses:6", "failover"),
            ("run_id:a\nrole:master\nkeyspace_hits:9\nkeyspace_misses:6", "reset"),
            ("run_id:a\nrole:master", "does not say"),
        ] {
            assert!(window(&first, &last(text)).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn a_sentinel_and_a_cluster_are_refused_and_a_replica_is_said() {
        for (text, remedy) in [
            ("redis_mode:sentinel", "masterName"),
            ("redis_mode:cluster\ncluster_enabled:1", "each master"),
            ("cluster_enabled:1", "each master"),
        ] {
            let failure = check_kind(&Info::parse(text.as_bytes()), "r:1", &mut Vec::new()).unwrap_err();
            assert!(failure.message.contains(remedy), "{failure}");
            assert!(failure.stops);
        }
        let mut warnings = Vec::new();
        let replica = Info::parse(b"role:slave\nmaster_link_status:down\nloading:1");
        check_kind(&replica, "r:1", &mut warnings).unwrap();
        assert!(warnings[0].contains("replica") && warnings[0].contains("down"), "{warnings:?}");
        assert!(warnings[1].contains("loading"), "{warnings:?}");
    }
}
