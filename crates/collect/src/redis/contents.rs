//! What is in the server: a sample of its keys, its sessions, and the advice that follows from both and from `INFO`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_analysis::cache_rules::{CacheFacts, advise};
use plimsoll_analysis::record::{BaselineRecord, Basis, BasisKind};
use plimsoll_analysis::request::CacheRequest;
use redis::Value;

use super::client::Client;
use super::command::Command;
use super::figures::{Snapshot, snapshot};
use super::info::{Database, Info};
use super::sampling::{Findings, sample};
use super::scan::Walk;
use super::sessions::{self, Sessions};
use super::{Notes, STEPS};
use crate::failure::Failure;
use crate::progress::Progress;

/// Part of the time that the sample may take where sessions are counted afterwards.
const SAMPLE_PART: f64 = 0.6;

/// Reads what is in the server into the record. What was read before an error stays there.
pub(crate) async fn collect(
    client: &mut Client,
    cache: &CacheRequest,
    last: &Snapshot,
    progress: &dyn Progress,
    record: &mut BaselineRecord,
    notes: &mut Notes,
) -> Result<(), Failure> {
    let from = Timestamp::now();
    let mut findings = Findings::default();
    let mut found = None;
    let result = read(client, cache, last, progress, &mut findings, &mut found).await;
    let basis = Basis {
        kind: BasisKind::Instant,
        from,
        to: Timestamp::now(),
        coverage_percent: None,
        samples: None,
        resolution_ms: None,
        note: None,
    };
    record_sample(cache, &findings, last.info.databases.is_some(), &basis, record, notes);
    if let Some(sessions) = &found {
        record_sessions(sessions, &basis, record);
    }
    if let Some(counters) = record.counters.as_mut().and_then(|counters| counters.cache.as_mut()) {
        counters.own_hits = findings.own_hits;
        counters.own_misses = findings.own_misses;
    }
    let defragments = defragments(client, &last.info, result.is_ok()).await;
    record_advice(&last.info, &findings, found.as_ref(), defragments, record);
    notes.failures.append(&mut findings.failures);
    result?;
    same_server(client, last, notes).await
}

async fn read(
    client: &mut Client,
    cache: &CacheRequest,
    last: &Snapshot,
    progress: &dyn Progress,
    findings: &mut Findings,
    found: &mut Option<Sessions>,
) -> Result<(), Failure> {
    // A server that lists no databases has the first one at least.
    let first = || BTreeMap::from([(0, Database { keys: cache.sample_keys.max(1), expires: 0 })]);
    let databases = last.info.databases.clone().unwrap_or_else(first);
    let whole = Duration::from_millis(cache.max_duration_ms);
    let wants_sessions = !cache.session_prefix.is_empty();
    let begun = std::time::Instant::now();
    progress.step(2, STEPS, "cache keys");
    if cache.sample_keys > 0 {
        let part = if wants_sessions { whole.mul_f64(SAMPLE_PART) } else { whole };
        let mut walk = Walk::new(client, part, cache.duty_percent);
        sample(&mut walk, &databases, cache, last.info.used_memory_dataset, findings).await?;
    }
    progress.step(3, STEPS, "cache sessions");
    if !wants_sessions {
        return Ok(());
    }
    let of_sample = Sessions::of_sample(findings);
    if cache.sample_keys > 0 && of_sample.is_complete {
        *found = Some(of_sample);
        return Ok(());
    }
    let mut walk = Walk::new(client, whole.saturating_sub(begun.elapsed()), cache.duty_percent);
    *found = Some(sessions::count(&mut walk, &databases, &cache.session_prefix, findings).await?);
    Ok(())
}

fn record_sample(
    cache: &CacheRequest,
    findings: &Findings,
    are_totals_known: bool,
    basis: &Basis,
    record: &mut BaselineRecord,
    notes: &mut Notes,
) {
    if cache.sample_keys == 0 || !findings.has_memory() {
        return;
    }
    let Some(analysis) = &mut record.cache_analysis else { return };
    let keyspace = findings.sample.estimate();
    let read = keyspace.sampled_keys;
    if !keyspace.complete && read < cache.sample_keys.min(keyspace.total_keys) {
        notes.warnings.push(format!(
            "{read} keys were sampled and not {}: the time for it was over, or keys expired meanwhile; raise keyspace.maxDuration",
            cache.sample_keys
        ));
    }
    if findings.sample.misses_giants() {
        notes.warnings.push(
            "the server holds more data than the sampled keys stand for: there are large keys among the others, and the upper ends of the estimates allow for them; raise keyspace.maxDuration to find them"
                .to_owned(),
        );
    }
    let sampled = Basis {
        samples: Some(read),
        note: Some("SCAN in the order of the server's seeded hash; MEMORY USAGE from 5 elements of a collection, 100 of one beyond 1 MiB".to_owned()),
        ..basis.clone()
    };
    analysis.key_patterns = Some(findings.sample.patterns());
    record.basis.insert("cache_analysis.key_patterns".to_owned(), sampled.clone());
    if findings.has_expiry() && (are_totals_known || keyspace.complete) {
        analysis.keyspace = Some(keyspace);
        record.basis.insert("cache_analysis.keyspace".to_owned(), sampled);
    }
}

fn record_sessions(sessions: &Sessions, basis: &Basis, record: &mut BaselineRecord) {
    let Some(analysis) = &mut record.cache_analysis else { return };
    analysis.active_sessions = Some(sessions.count);
    analysis.sessions_complete = Some(sessions.is_complete);
    // None among some of the keys is not none.
    analysis.session_cache_enabled =
        (sessions.is_complete || sessions.count > 0).then_some(sessions.count > 0);
    analysis.avg_session_size_kb = sessions.mean_kib();
    let note = (!sessions.is_complete).then(|| "estimated from the sampled keys".to_owned());
    for name in ["active_sessions", "session_cache_enabled"] {
        record.basis.insert(format!("cache_analysis.{name}"), Basis { note: note.clone(), ..basis.clone() });
    }
    if analysis.avg_session_size_kb.is_some() {
        let measured = Basis { samples: Some(sessions.measured.len() as u64), ..basis.clone() };
        record.basis.insert("cache_analysis.avg_session_size_kb".to_owned(), measured);
    }
}

/// Whether the server defragments its memory by itself, asked only where that matters; a server that does not say is none
/// that does.
async fn defragments(client: &mut Client, info: &Info, can_ask: bool) -> Option<bool> {
    if !can_ask || info.fragmentation? <= 1.5 {
        return None;
    }
    match client.ask(Command::DefragSetting).await {
        Ok(Value::Array(pair)) => match pair.as_slice() {
            [_, Value::BulkString(value)] => Some(value == b"yes"),
            _ => None,
        },
        _ => None,
    }
}

fn record_advice(
    info: &Info,
    findings: &Findings,
    sessions: Option<&Sessions>,
    defragments: Option<bool>,
    record: &mut BaselineRecord,
) {
    let Some(analysis) = &mut record.cache_analysis else { return };
    // Without a policy and a limit no rule was looked at, which is not the same as no advice.
    if info.policy.is_none() || info.maxmemory.is_none() {
        return;
    }
    let expires = info.databases.as_ref().map(|databases| {
        databases.values().fold(0, |sum: u64, database| sum.saturating_add(database.expires))
    });
    let facts = CacheFacts {
        used_memory: info.used_memory,
        maxmemory: info.maxmemory,
        policy: info.policy.as_deref(),
        fragmentation: info.fragmentation,
        defragments,
        keys: info.total_keys(),
        expires,
        sessions: sessions.and_then(|sessions| sessions.facts(findings.has_expiry())),
        has_giants: analysis.keyspace.as_ref().is_some_and(|keyspace| !keyspace.giants.is_empty()),
    };
    let advice = advise(&facts);
    analysis.recommendations = Some(advice.recommendations);
    analysis.suggested_config = Some(advice.suggested_config);
}

/// Says where another server answered in the end than in the beginning.
async fn same_server(client: &mut Client, last: &Snapshot, notes: &mut Notes) -> Result<(), Failure> {
    let now = snapshot(client).await?;
    if now.info.run_id != last.info.run_id || now.info.role != last.info.role {
        notes.warnings.push(format!(
            "{} was restarted or changed its role while its keys were read (a failover): the figures of its keys are of two servers",
            client.shown()
        ));
    }
    Ok(())
}
