//! Every read of the measured world: Prometheus to typed facts.
//!
//! [`collect`] turns a request into a record and never fails: a source that could not be read is an entry of the
//! record with the reason and what to do. It is the very code that a Job runs and that `plimsoll collect` runs.

pub mod guard;
pub mod keys;
pub mod progress;
mod prometheus;

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use plimsoll_analysis::record::{BaselineRecord, RecordNames};
use plimsoll_analysis::request::BaselineRequest;

pub use guard::AddressPolicy;
pub use keys::{Keys, MissingKey};
pub use progress::{NoProgress, Progress};

use prometheus::Means;

/// Reads what `request` asks for, source by source.
///
/// `keys` are the values of the keys that the request names, or why they could not be read. Reading ends by
/// `deadline`: what is not read by then counts as timed out. `now` is the evaluation instant where the request fixes
/// none, cut to milliseconds; every query has this one instant.
///
/// The record leaves `kubernetes` absent: the operator adds those facts and its own source.
pub async fn collect(
    request: &BaselineRequest,
    keys: &Result<Keys, MissingKey>,
    policy: &AddressPolicy,
    deadline: Instant,
    progress: &dyn Progress,
    now: Timestamp,
) -> BaselineRecord {
    let started = Instant::now();
    let mut record = empty_record(request, now);
    if let Some(source) = &request.prometheus {
        let means = Means { keys, policy, deadline, progress };
        let source = prometheus::collect(request, source, means, &mut record).await;
        record.sources.push(source);
    }
    let elapsed = SignedDuration::try_from(started.elapsed()).unwrap_or_default();
    record.collection_date = in_millis(now.saturating_add(elapsed).unwrap_or(now));
    record.settle();
    record
}

fn empty_record(request: &BaselineRequest, now: Timestamp) -> BaselineRecord {
    let names = RecordNames {
        name: &request.name,
        namespace: &request.namespace,
        run: &request.run,
        run_key: &request.run_key,
    };
    BaselineRecord::empty(names, request.window_seconds, in_millis(request.to.unwrap_or(now)))
}

/// A time as Prometheus keeps it: in milliseconds, cut.
fn in_millis(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}
