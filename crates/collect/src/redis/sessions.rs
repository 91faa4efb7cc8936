//! Sessions: the keys that begin with the session prefix, counted exactly where the time allows, else estimated.

use std::collections::BTreeMap;

use plimsoll_analysis::cache_rules;
use redis::Value;

use super::answers::{taken_expiry, taken_memory};
use super::command::Command;
use super::fault::Fault;
use super::info::Database;
use super::names::begins_with;
use super::sampling::{Findings, Seen, SessionKey};
use super::scan::Walk;
use crate::failure::Failure;

/// How many sessions are measured, as in the seed.
const MEASURED: usize = 100;
/// Elements of a session's collection from which its memory is estimated: sessions are small, so all of most.
const ELEMENTS: u32 = 20;

/// What is known of the sessions.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sessions {
    /// How many there are; an estimate where not every key was looked at.
    pub(crate) count: u64,
    /// Whether every key was looked at.
    pub(crate) is_complete: bool,
    /// At most 100 of them.
    pub(crate) measured: Vec<SessionKey>,
}

impl Sessions {
    /// Mean memory of those measured, KiB.
    pub(crate) fn mean_kib(&self) -> Option<f64> {
        let sum: f64 = self.measured.iter().map(|session| session.bytes as f64).sum();
        (!self.measured.is_empty()).then(|| sum / self.measured.len() as f64 / 1024.0)
    }

    /// For the advice; `None` where it is not known whether they expire.
    pub(crate) fn facts(&self, has_expiry: bool) -> Option<cache_rules::Sessions> {
        let all_expire = self.measured.iter().all(|session| session.expires != Some(false));
        (has_expiry && !self.measured.is_empty())
            .then_some(cache_rules::Sessions { count: self.count, all_expire })
    }

    /// The sessions among sampled keys: exact where every key was sampled, else each for as many as its database's sample
    /// stands for.
    pub(crate) fn of_sample(findings: &Findings) -> Self {
        let strata = &findings.sample.strata;
        let weight = |place: usize| {
            let stratum = &strata[place];
            if stratum.complete { 1.0 } else { stratum.total as f64 / stratum.keys.len().max(1) as f64 }
        };
        let count: f64 = findings.sessions.iter().map(|(place, _)| weight(*place).max(1.0)).sum();
        let measured = findings.sessions.iter().take(MEASURED).map(|(_, session)| *session).collect();
        Self { count: count.round() as u64, is_complete: findings.sample.is_complete(), measured }
    }
}

/// Counts the keys of all databases that begin with `session_prefix`, and measures the first hundred. What an error or the end of
/// the time cuts short is estimated from the sample.
pub(crate) async fn count(
    walk: &mut Walk<'_>,
    databases: &BTreeMap<u32, Database>,
    session_prefix: &str,
    findings: &mut Findings,
) -> Result<Sessions, Failure> {
    let pattern = begins_with(session_prefix);
    let mut found = Sessions { is_complete: true, ..Sessions::default() };
    let mut seen = Seen::default();
    for database in databases.iter().filter(|(_, database)| database.keys > 0).map(|(index, _)| *index) {
        if let Err(failure) = walk.select(database).await {
            if failure.stops {
                return Err(failure);
            }
            found.is_complete = false;
            continue;
        }
        let mut cursor = 0;
        loop {
            if walk.is_over() {
                found.is_complete = false;
                break;
            }
            let step = walk.step(cursor, Some(&pattern)).await?;
            let mut keys = step.keys;
            // A server that matches otherwise than the pattern says counts nothing for us.
            keys.retain(|key| key.starts_with(session_prefix.as_bytes()) && seen.is_new(database, key));
            found.count += keys.len() as u64;
            measure(walk, &keys, &mut found, findings).await?;
            cursor = step.cursor;
            if cursor == 0 {
                break;
            }
        }
    }
    if !found.is_complete {
        found.count = found.count.max(Sessions::of_sample(findings).count);
    }
    Ok(found)
}

async fn measure(
    walk: &mut Walk<'_>,
    keys: &[Vec<u8>],
    found: &mut Sessions,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let mut rest = keys;
    while !rest.is_empty() && found.measured.len() < MEASURED && findings.has_memory() {
        let wanted = &rest[..rest.len().min(MEASURED - found.measured.len())];
        let has_expiry = findings.has_expiry();
        let (taken, replies) = walk
            .ask(wanted, |_, key, commands| {
                commands.push(Command::MemoryUsage { key, samples: ELEMENTS });
                if has_expiry {
                    commands.push(Command::TimeToLive(key));
                }
            })
            .await?;
        let mut replies = replies.into_iter();
        let mut next = || -> Result<Value, Fault> { replies.next().unwrap_or(Err(Fault::Other)) };
        for _ in 0..taken {
            let memory = next();
            let expiry = has_expiry.then(&mut next);
            let expires = taken_expiry(walk, findings, expiry.as_ref())?;
            if let Some(bytes) = taken_memory(walk, findings, &memory)? {
                found.measured.push(SessionKey { bytes, expires: Some(expires) });
            }
        }
        rest = &rest[taken..];
    }
    Ok(())
}
