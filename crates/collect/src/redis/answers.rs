//! Answers about keys: what they say, and what their errors mean for the rest of reading.

use std::borrow::Cow;

use redis::Value;

use super::client::Reply;
use super::fault::Fault;
use super::sampling::Findings;
use super::scan::Walk;
use crate::failure::Failure;

/// Name of a type that the server does not let us read.
const UNKNOWN_TYPE: &str = "unknown";

/// Notes once that a command is refused; an error of the whole server ends reading.
fn refused(
    walk: &Walk<'_>,
    failures: &mut Vec<Failure>,
    lacks: &mut bool,
    fault: Fault,
    command: &str,
) -> Result<(), Failure> {
    let failure = fault.failure(command, walk.client.shown());
    if fault == Fault::NoKeyPermission {
        // One failure for all such keys.
        if !failures.iter().any(|known| known.message.ends_with(&failure.message)) {
            failures.push(failure.reading("keys by prefix"));
        }
        return Ok(());
    }
    if failure.stops || !matches!(fault, Fault::NoPermission | Fault::UnknownCommand) {
        return Err(failure);
    }
    if !std::mem::replace(lacks, true) {
        failures.push(failure.reading("keys by prefix"));
    }
    Ok(())
}

/// Memory of a key, bytes; `None` where the key is gone or the command refused.
pub(crate) fn taken_memory(
    walk: &Walk<'_>,
    findings: &mut Findings,
    answer: &Reply,
) -> Result<Option<u64>, Failure> {
    match answer {
        Ok(Value::Int(bytes)) => Ok(Some(u64::try_from(*bytes).unwrap_or_default())),
        Ok(Value::Nil) => Ok(None),
        Ok(_) => Err(walk.odd("MEMORY USAGE")),
        Err(fault) => {
            refused(walk, &mut findings.failures, &mut findings.lacks.memory, *fault, "MEMORY USAGE")?;
            Ok(None)
        }
    }
}

/// Redis' own types, which most keys have.
const TYPES: [&str; 6] = ["string", "hash", "list", "set", "zset", "stream"];

/// Type of a key; `None` where the key is gone. A module's own name of a type is cut and without control characters.
pub(crate) fn taken_kind(
    walk: &Walk<'_>,
    findings: &mut Findings,
    answer: Option<&Reply>,
) -> Result<Option<Cow<'static, str>>, Failure> {
    match answer {
        None => Ok(Some(Cow::Borrowed(UNKNOWN_TYPE))),
        Some(Ok(Value::SimpleString(kind))) => {
            findings.looked_up(kind != "none");
            let known = TYPES.into_iter().find(|name| name == kind).map(Cow::Borrowed);
            let named = || known.unwrap_or_else(|| Cow::Owned(crate::failure::cleaned(kind, 32)));
            Ok((kind != "none").then(named))
        }
        Some(Ok(_)) => Err(walk.odd("TYPE")),
        Some(Err(fault)) => {
            refused(walk, &mut findings.failures, &mut findings.lacks.kind, *fault, "TYPE")?;
            Ok(Some(Cow::Borrowed(UNKNOWN_TYPE)))
        }
    }
}

/// Whether a key has a time to live. A key that is gone counts as one that had.
pub(crate) fn taken_expiry(
    walk: &Walk<'_>,
    findings: &mut Findings,
    answer: Option<&Reply>,
) -> Result<bool, Failure> {
    match answer {
        None => Ok(false),
        Some(Ok(Value::Int(millis))) => {
            findings.looked_up(*millis != -2);
            Ok(*millis != -1)
        }
        Some(Ok(_)) => Err(walk.odd("PTTL")),
        Some(Err(fault)) => {
            refused(walk, &mut findings.failures, &mut findings.lacks.expiry, *fault, "PTTL")?;
            Ok(false)
        }
    }
}
