//! A sample of the keys: type, memory and time to live of some thousand of them, and the giants among the others where the
//! server's own account says that there must be some.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};

use super::answers::{taken_expiry, taken_kind, taken_memory};
use super::command::Command;
use super::fault::Fault;
use super::info::Database;
use super::names::prefix;
use super::scan::Walk;
use crate::failure::Failure;
use plimsoll_analysis::keyspace::{Sample, SampledKey, Stratum};
use plimsoll_analysis::request::CacheRequest;

/// Elements of a collection from which its memory is estimated, as the server's own default.
const ELEMENTS: u32 = 5;
/// Elements where the collection is large: fewer would say little of it.
const MORE_ELEMENTS: u32 = 100;
/// From here on a collection is large, bytes.
const LARGE: u64 = 1024 * 1024;
/// Keys of a prefix of which everything is asked. Of further ones it is only their memory: whether keys expire is known
/// well enough from so many, and a type matters only for those of [`NOTABLE`] bytes.
const DETAILED: u32 = 1000;
/// Of further keys every so many is asked everything too, since the first ones may lie in one end of a database.
const EVERY: usize = 16;
/// From here on the type of a key is asked in any case, bytes: it may be a giant.
const NOTABLE: u64 = 64 * 1024;
/// Most giants kept that are found beyond the sample.
const MAX_FOUND: usize = 200;

/// Remembers by their hashes which keys were seen: `SCAN` may give one twice while its table grows or shrinks.
#[derive(Default)]
pub(crate) struct Seen {
    state: RandomState,
    hashes: HashSet<u64, BuildHasherDefault<Itself>>,
}

/// The hash of a hash is the hash.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Most keys remembered; beyond, one that is given twice counts twice.
const MAX_SEEN: usize = 1_000_000;

impl Seen {
    /// With room for so many keys, so that it need not grow on the way.
    pub(crate) fn for_keys(keys: u64) -> Self {
        let keys = usize::try_from(keys).unwrap_or(MAX_SEEN).min(MAX_SEEN);
        Self {
            hashes: HashSet::with_capacity_and_hasher(keys, BuildHasherDefault::default()),
            ..Self::default()
        }
    }

    /// Whether a key of a database is new.
    pub(crate) fn is_new(&mut self, database: u32, key: &[u8]) -> bool {
        self.hashes.len() >= MAX_SEEN || self.hashes.insert(self.state.hash_one((database, key)))
    }
}

/// A session that was sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionKey {
    pub(crate) bytes: u64,
    pub(crate) expires: Option<bool>,
}

/// What was found, as far as reading came.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) sample: Sample,
    /// Sessions among the sampled keys, by the place of their database in the sample.
    pub(crate) sessions: Vec<(usize, SessionKey)>,
    /// Keys of each prefix of which everything was asked, by the place of its name in the sample.
    detailed: Vec<u32>,
    /// Lookups that the server counts as hits and as misses.
    pub(crate) own_hits: u64,
    pub(crate) own_misses: u64,
    /// Commands that the server does not let us send, each a failure once.
    pub(crate) failures: Vec<Failure>,
    pub(crate) lacks: Lacks,
}

/// Which commands about keys the server refused.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lacks {
    pub(crate) kind: bool,
    pub(crate) memory: bool,
    pub(crate) expiry: bool,
}

impl Findings {
    /// Whether the memory of keys could be read: without it there is no sample.
    pub(crate) fn has_memory(&self) -> bool {
        !self.lacks.memory
    }

    /// Whether it could be read which keys expire.
    pub(crate) fn has_expiry(&self) -> bool {
        !self.lacks.expiry
    }

    /// Counts a lookup as the server does.
    pub(crate) fn looked_up(&mut self, was_there: bool) {
        if was_there {
            self.own_hits += 1;
        } else {
            self.own_misses += 1;
        }
    }
}

/// One database on the way.
struct Place {
    database: u32,
    /// Its place in the sample.
    stratum: usize,
    /// Keys that may still be sampled.
    quota: u64,
    cursor: u64,
    /// Keys that a step gave and the quota did not take.
    left: Vec<Vec<u8>>,
    is_at_end: bool,
}

/// How many keys of each database are sampled: in proportion to its keys, and one at least.
fn quotas(databases: &BTreeMap<u32, Database>, sample_keys: u64) -> Vec<(u32, u64, u64)> {
    let all: u128 = databases.values().map(|database| u128::from(database.keys)).sum();
    let share = |keys: u64| {
        let part = (u128::from(keys) * u128::from(sample_keys)).div_ceil(all.max(1));
        u64::try_from(part).unwrap_or(u64::MAX).min(sample_keys)
    };
    databases.iter().map(|(index, database)| (*index, database.keys, share(database.keys))).collect()
}

/// Samples every database, then looks for giants where some must have been missed. What was found before an error stays
/// in `findings`.
pub(crate) async fn sample(
    walk: &mut Walk<'_>,
    databases: &BTreeMap<u32, Database>,
    cache: &CacheRequest,
    dataset_bytes: Option<u64>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    findings.sample.dataset_bytes = dataset_bytes;
    let mut seen = Seen::for_keys(cache.sample_keys);
    let mut places = Vec::new();
    for (database, total, quota) in quotas(databases, cache.sample_keys) {
        findings.sample.strata.push(Stratum { total, complete: total == 0, keys: Vec::new() });
        let stratum = findings.sample.strata.len() - 1;
        places.push(Place { database, stratum, quota, cursor: 0, left: Vec::new(), is_at_end: false });
    }
    for place in &mut places {
        if walk.is_over() || !findings.has_memory() {
            break;
        }
        match walk.select(place.database).await {
            Ok(()) => sample_one(walk, place, cache, &mut seen, findings).await?,
            Err(failure) if failure.stops => return Err(failure),
            Err(failure) => {
                place.is_at_end = true;
                findings.failures.push(failure);
            }
        }
    }
    if findings.has_memory() && findings.sample.misses_giants() {
        for place in &mut places {
            hunt(walk, place, cache, &mut seen, findings).await?;
        }
    }
    Ok(())
}

async fn sample_one(
    walk: &mut Walk<'_>,
    place: &mut Place,
    cache: &CacheRequest,
    seen: &mut Seen,
    findings: &mut Findings,
) -> Result<(), Failure> {
    while !place.is_at_end && place.quota > 0 && !walk.is_over() {
        let step = walk.step(place.cursor, None).await?;
        place.cursor = step.cursor;
        place.is_at_end = step.cursor == 0;
        let mut keys = step.keys;
        keys.retain(|key| seen.is_new(place.database, key));
        let mut rest = &keys[..];
        while !rest.is_empty() && place.quota > 0 && !walk.is_over() && findings.has_memory() {
            let wanted = rest.len().min(usize::try_from(place.quota).unwrap_or(usize::MAX));
            let read = read(walk, place, &rest[..wanted], cache, findings).await?;
            place.quota = place.quota.saturating_sub(read as u64);
            rest = &rest[read..];
        }
        place.left = rest.to_vec();
    }
    findings.sample.strata[place.stratum].complete =
        place.is_at_end && place.left.is_empty() && findings.has_memory();
    Ok(())
}

/// Reads the first of some keys; how many were read.
async fn read(
    walk: &mut Walk<'_>,
    place: &Place,
    keys: &[Vec<u8>],
    cache: &CacheRequest,
    findings: &mut Findings,
) -> Result<usize, Failure> {
    let lacks = findings.lacks;
    let asked = details(keys, cache, findings);
    let (taken, replies) = walk
        .ask(keys, |at, key, commands| {
            commands.push(Command::MemoryUsage { key, samples: ELEMENTS });
            if asked[at].in_detail && !lacks.kind {
                commands.push(Command::Type(key));
            }
            if asked[at].in_detail && !lacks.expiry {
                commands.push(Command::TimeToLive(key));
            }
        })
        .await?;
    let mut replies = replies.into_iter();
    for (key, Asked { prefix, in_detail }) in keys.iter().zip(asked).take(taken) {
        let memory = replies.next().unwrap_or(Err(Fault::Other));
        let kind = (in_detail && !lacks.kind).then(|| replies.next().unwrap_or(Err(Fault::Other)));
        let expiry = (in_detail && !lacks.expiry).then(|| replies.next().unwrap_or(Err(Fault::Other)));
        let kind = taken_kind(walk, findings, kind.as_ref())?;
        let expires = taken_expiry(walk, findings, expiry.as_ref())?;
        let Some(bytes) = taken_memory(walk, findings, &memory)? else { continue };
        let kind = if in_detail || bytes < NOTABLE { kind } else { kind_of(walk, findings, key).await? };
        // It expired or was deleted since the step that gave its name.
        let Some(kind) = kind else { continue };
        let bytes = if bytes >= LARGE && kind != "string" {
            again(walk, findings, key).await?.unwrap_or(bytes)
        } else {
            bytes
        };
        let expires = in_detail.then_some(expires);
        let is_session = !cache.session_prefix.is_empty() && key.starts_with(cache.session_prefix.as_bytes());
        if is_session {
            findings.sessions.push((place.stratum, SessionKey { bytes, expires }));
        }
        if in_detail {
            findings.detailed.resize(findings.detailed.len().max(prefix + 1), 0);
            findings.detailed[prefix] += 1;
        }
        let kind = findings.sample.intern(&kind);
        findings.sample.strata[place.stratum].keys.push(SampledKey { prefix, kind, bytes, expires });
    }
    Ok(taken)
}

/// What is asked of a key beside its memory.
#[derive(Debug, Clone, Copy)]
struct Asked {
    prefix: usize,
    in_detail: bool,
}

/// Of which keys everything is asked.
fn details(keys: &[Vec<u8>], cache: &CacheRequest, findings: &mut Findings) -> Vec<Asked> {
    let asked = keys.iter().enumerate().map(|(at, key)| {
        let prefix = findings.sample.intern(&prefix(key, cache.delimiter.as_bytes()));
        let known = findings.detailed.get(prefix).copied().unwrap_or_default();
        Asked { prefix, in_detail: known < DETAILED || at % EVERY == 0 }
    });
    asked.collect()
}

/// Asks for the type of one key; `None` where it is gone.
async fn kind_of(
    walk: &mut Walk<'_>,
    findings: &mut Findings,
    key: &[u8],
) -> Result<Option<Cow<'static, str>>, Failure> {
    let keys = [key.to_vec()];
    let lacks = findings.lacks.kind;
    let (_, replies) = walk
        .ask(&keys, |_, key, commands| {
            if !lacks {
                commands.push(Command::Type(key));
            }
        })
        .await?;
    taken_kind(walk, findings, replies.first())
}

/// Asks once more for the memory of a large collection, from more of its elements.
async fn again(walk: &mut Walk<'_>, findings: &mut Findings, key: &[u8]) -> Result<Option<u64>, Failure> {
    let keys = [key.to_vec()];
    let (_, replies) = walk
        .ask(&keys, |_, key, commands| commands.push(Command::MemoryUsage { key, samples: MORE_ELEMENTS }))
        .await?;
    let reply = replies.into_iter().next().unwrap_or(Err(Fault::Other));
    taken_memory(walk, findings, &reply)
}

/// Looks at the memory of the keys that were not sampled, until what the server accounts for is explained.
async fn hunt(
    walk: &mut Walk<'_>,
    place: &mut Place,
    cache: &CacheRequest,
    seen: &mut Seen,
    findings: &mut Findings,
) -> Result<(), Failure> {
    if (place.is_at_end && place.left.is_empty()) || walk.is_over() {
        return Ok(());
    }
    walk.select(place.database).await?;
    let threshold = findings.sample.giant_threshold().unwrap_or(u64::MAX);
    loop {
        let keys = std::mem::take(&mut place.left);
        let mut rest = &keys[..];
        while !rest.is_empty() && !walk.is_over() && findings.has_memory() {
            let (taken, replies) = walk
                .ask(rest, |_, key, commands| commands.push(Command::MemoryUsage { key, samples: ELEMENTS }))
                .await?;
            for (key, reply) in rest[..taken].iter().zip(replies) {
                let Some(bytes) = taken_memory(walk, findings, &reply)? else { continue };
                if bytes >= threshold {
                    found(walk, key, bytes, cache, findings).await?;
                }
            }
            rest = &rest[taken..];
        }
        if place.is_at_end || walk.is_over() || !findings.has_memory() || !findings.sample.misses_giants() {
            return Ok(());
        }
        let step = walk.step(place.cursor, None).await?;
        place.cursor = step.cursor;
        place.is_at_end = step.cursor == 0;
        place.left = step.keys;
        place.left.retain(|key| seen.is_new(place.database, key));
    }
}

/// Keeps a giant that was found beyond the sample.
async fn found(
    walk: &mut Walk<'_>,
    key: &[u8],
    bytes: u64,
    cache: &CacheRequest,
    findings: &mut Findings,
) -> Result<(), Failure> {
    if findings.sample.found.len() >= MAX_FOUND {
        return Ok(());
    }
    let Some(kind) = kind_of(walk, findings, key).await? else { return Ok(()) };
    let bytes = if kind == "string" { bytes } else { again(walk, findings, key).await?.unwrap_or(bytes) };
    let prefix = findings.sample.intern(&prefix(key, cache.delimiter.as_bytes()));
    let kind = findings.sample.intern(&kind);
    findings.sample.found.push(SampledKey { prefix, kind, bytes, expires: None });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn databases(keys: &[u64]) -> BTreeMap<u32, Database> {
        let each = keys.iter().map(|keys| Database { keys: *keys, expires: 0 });
        (0..).zip(each).collect()
    }

    #[test]
    fn databases_are_sampled_by_their_share_and_none_is_forgotten() {
        let shares = |keys: &[u64], wanted| -> Vec<u64> {
            quotas(&databases(keys), wanted).into_iter().map(|(_, _, quota)| quota).collect()
        };
        assert_eq!(shares(&[1000], 100), [100]);
        assert_eq!(shares(&[9000, 1000], 100), [90, 10]);
        assert_eq!(shares(&[999_999, 1], 1000), [1000, 1]);
        assert_eq!(shares(&[u64::MAX, u64::MAX], 10), [5, 5]);
        assert_eq!(shares(&[0], 10), [0]);
        assert_eq!(shares(&[5, 5], 0), [0, 0]);
    }

    #[test]
    fn a_key_given_twice_is_new_once_in_each_database() {
        let mut seen = Seen::default();
        assert!(seen.is_new(0, b"a") && seen.is_new(1, b"a") && seen.is_new(0, b"b"));
        assert!(!seen.is_new(0, b"a"));
    }
}
