//! The Redis source: what a request asks for of a Redis or Valkey server, as sections of a record.
//!
//! One connection, commands of a fixed set ([`command`]), each exchange bounded in time and bytes ([`client`],
//! [`resp`]). The order is: the server's figures, the second snapshot of its counters, then the keys, so that our own
//! lookups stand in no figure.

mod address;
mod answers;
mod client;
mod command;
mod connect;
mod contents;
mod fault;
mod figures;
mod info;
mod names;
mod pace;
mod resp;
mod sampling;
mod scan;
mod sentinel;
mod sessions;
mod wire;

use std::time::Instant;

use plimsoll_analysis::record::{BaselineRecord, Source, SourceReason};
use plimsoll_analysis::request::{BaselineRequest, RedisRequest};

use self::address::Address;
use self::client::{Client, Spent};
use self::connect::{Secured, Way, connect};
use crate::Means;
use crate::failure::{Failure, judged};
use crate::progress::Progress;

/// Name of the source in a record.
const NAME: &str = "redis";
/// What to do where the server says nothing of what was asked for.
const NO_DATA: &str = "the server answered and INFO holds no figure of what was asked for; check that it is a Redis or \
                       Valkey, and what stands between it and us";
/// How many steps a run has, for progress.
const STEPS: usize = 4;
/// Most warnings that a record takes of one source.
const MAX_WARNINGS: usize = 10;

/// What is gathered beside the record while a server is read.
#[derive(Debug, Default)]
struct Notes {
    failures: Vec<Failure>,
    warnings: Vec<String>,
    spent: Spent,
}

/// Reads every section that the request asks of the server into the record, and says how the source answered.
pub(crate) async fn collect(
    request: &BaselineRequest,
    source: &RedisRequest,
    means: Means<'_>,
    record: &mut BaselineRecord,
) -> Source {
    let started = Instant::now();
    means.progress.step(0, STEPS, "cache server");
    let mut notes = Notes::default();
    if let Err(failure) = read(request, source, means, record, &mut notes).await {
        notes.failures.push(failure);
    }
    let has_data = record.cache_metrics.is_some() || record.cache_analysis.is_some();
    let mut judged = judged(NAME, &notes.failures, has_data, NO_DATA);
    judged.cost = Some(notes.spent.cost());
    notes.warnings.truncate(MAX_WARNINGS);
    judged.warnings = notes.warnings;
    means.progress.step(STEPS, STEPS, NAME);
    judged.duration_ms = Some(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    judged
}

/// Reads what can be read. An error ends reading; what was read before it stays in the record.
async fn read(
    request: &BaselineRequest,
    source: &RedisRequest,
    means: Means<'_>,
    record: &mut BaselineRecord,
    notes: &mut Notes,
) -> Result<(), Failure> {
    let policy = means.policy.and(&request.forbidden_addresses).map_err(|error| {
        Failure::of_source(SourceReason::Unreachable, format!("forbidden_addresses: {error}"))
    })?;
    let address = Address::read(&source.access, means.keys, source.sentinel.is_some())?;
    notes.warnings.extend(address.warnings.iter().cloned());
    let secured = Secured::read(source.tls.as_ref(), address.wants_tls, means)?;
    let way = Way { policy: &policy, limit: means.limit, secured: secured.as_ref() };
    let mut client = match &source.sentinel {
        None => connect(&address, way, &mut notes.warnings).await?,
        Some(sentinel) => sentinel::master(&address, sentinel, means.keys, way, notes).await?,
    };
    let result = sections(&mut client, request, means.progress, record, notes).await;
    notes.spent = notes.spent.and(client.spent());
    result
}

async fn sections(
    client: &mut Client,
    request: &BaselineRequest,
    progress: &dyn Progress,
    record: &mut BaselineRecord,
    notes: &mut Notes,
) -> Result<(), Failure> {
    let Some(cache) = &request.cache else { return Ok(()) };
    let first = figures::snapshot(client).await?;
    figures::check_kind(&first.info, client.shown(), &mut notes.warnings)?;
    figures::record_lifetime(&first, record);
    progress.step(1, STEPS, "cache sample");
    let last = figures::second_snapshot(client, &first, request.sample_seconds, record, notes).await?;
    figures::record_counters(&last, record);
    contents::collect(client, cache, &last, progress, record, notes).await
}
