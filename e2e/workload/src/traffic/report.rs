//! What traffic did, counted so that every planned request is in exactly one place.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::latency::{Latencies, Quantiles};

/// What traffic did. `planned = completed + failed + unfinished + dropped`, always.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Host and port.
    pub target: String,
    /// Planned instants that came.
    pub planned: u64,
    /// Requests that were handed to a connection.
    pub sent: u64,
    /// Whole answers, of any status.
    pub completed: u64,
    /// Ended without a whole answer: no connection, a broken one, or too late.
    pub failed: u64,
    /// Still under way when the drain ended.
    pub unfinished: u64,
    /// Not tried, because too many were under way.
    pub dropped: u64,
    /// Those of `completed` with a status of 500 or more.
    pub errors: u64,
    /// `completed` by status.
    pub by_status: BTreeMap<u16, u64>,
    /// `failed` by cause: connect, http, timeout.
    pub by_failure: BTreeMap<String, u64>,
    /// Page load times that the target took, beside the requests.
    pub beacons: u64,
    /// From the first planned instant to the end of sending, in seconds.
    pub seconds: f64,
    /// From the planned instant to the last byte, over all that ended; absent when none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Quantiles>,
}

/// How a request ended.
pub(super) enum Outcome {
    /// With a whole answer of this status.
    Answered(u16),
    /// Without, for this cause.
    Failed(&'static str),
}

/// The counts under way. One lock: a report sees a request in one place only.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    sent: u64,
    dropped: u64,
    by_status: BTreeMap<u16, u64>,
    by_failure: BTreeMap<&'static str, u64>,
    beacons: u64,
    latencies: Latencies,
}

impl Tally {
    pub(super) fn dropped(&self) {
        self.change(|counts| counts.dropped += 1);
    }

    pub(super) fn beacon(&self) {
        self.change(|counts| counts.beacons += 1);
    }

    pub(super) fn ended(&self, outcome: &Outcome, sent: bool, latency: Duration) {
        self.change(|counts| {
            match outcome {
                Outcome::Answered(status) => *counts.by_status.entry(*status).or_default() += 1,
                Outcome::Failed(cause) => *counts.by_failure.entry(cause).or_default() += 1,
            }
            counts.sent += u64::from(sent);
            counts.latencies.add(latency);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn report(&self, target: String, planned: u64, sending: Duration) -> Report {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let completed = counts.by_status.values().sum();
        let failed = counts.by_failure.values().sum();
        let unfinished = planned.saturating_sub(completed + failed + counts.dropped);
        Report {
            target,
            planned,
            // Those under way have a connection or wait for one; they count as sent, since the target may have seen them.
            sent: counts.sent + unfinished,
            completed,
            failed,
            unfinished,
            dropped: counts.dropped,
            errors: counts.by_status.range(500..).map(|(_, count)| count).sum(),
            by_status: counts.by_status.clone(),
            by_failure: counts
                .by_failure
                .iter()
                .map(|(cause, count)| ((*cause).to_owned(), *count))
                .collect(),
            beacons: counts.beacons,
            seconds: sending.as_secs_f64(),
            latency_ms: counts.latencies.quantiles(),
        }
    }
}
