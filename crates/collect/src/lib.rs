//! Every read of the measured world: Prometheus, PostgreSQL and Redis to typed facts.
//!
//! [`collect`] turns a request into a record and never fails: a source that could not be read is an entry of the
//! record with the reason and what to do. It is the very code that a Job runs and that `plimsoll collect` runs.

mod failure;
pub mod guard;
pub mod keys;
mod limit;
mod merge;
mod postgres;
pub mod progress;
mod prometheus;
mod redis;
mod tls;

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use plimsoll_analysis::record::{BaselineRecord, RecordNames};
use plimsoll_analysis::request::BaselineRequest;

pub use guard::AddressPolicy;
pub use keys::{Keys, MissingKey};
pub use limit::TimeLimit;
pub use progress::{NoProgress, Progress};

use merge::absorb;

/// What every source of a run shares.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// Values of the keys that the request names.
    pub keys: &'a Keys,
    /// Which addresses may be contacted.
    pub policy: &'a AddressPolicy,
    /// Until when may be read: what is not read by then counts as timed out, and what is read stays.
    pub limit: &'a TimeLimit,
    /// Who is told how far reading is.
    pub progress: &'a dyn Progress,
}

/// Reads what `request` asks for, all sources at once: none waits for another or hides it.
///
/// `now` is the evaluation instant where the request fixes none, cut to milliseconds; every query has this one instant.
///
/// The record leaves `kubernetes` absent: the operator adds those facts and its own source.
pub async fn collect(request: &BaselineRequest, means: Means<'_>, now: Timestamp) -> BaselineRecord {
    let started = Instant::now();
    let mut record = empty_record(request, now);
    let prometheus = async {
        let source = request.prometheus.as_ref()?;
        let mut part = empty_record(request, now);
        let source = prometheus::collect(request, source, means, &mut part).await;
        Some((source, part))
    };
    let postgres = async {
        let source = request.postgres.as_ref()?;
        let mut part = empty_record(request, now);
        let source = postgres::collect(request, source, means, &mut part).await;
        Some((source, part))
    };
    let redis = async {
        let source = request.redis.as_ref()?;
        let mut part = empty_record(request, now);
        let source = redis::collect(request, source, means, &mut part).await;
        Some((source, part))
    };
    let (prometheus, postgres, redis) = tokio::join!(prometheus, postgres, redis);
    for (source, part) in [prometheus, postgres, redis].into_iter().flatten() {
        record.sources.push(source);
        absorb(&mut record, part);
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
