//! The Redis source: what a request asks for, as sections of a record.

use plimsoll_analysis::record::{BaselineRecord, Source, SourceReason};
use plimsoll_analysis::request::{BaselineRequest, RedisRequest};

use crate::Means;
use crate::failure::{Failure, judged};

/// Name of the source in a record.
const NAME: &str = "redis";

/// Reads every section that the request asks of the server into the record, and says how the source answered.
pub(crate) async fn collect(
    _request: &BaselineRequest,
    _source: &RedisRequest,
    _means: Means<'_>,
    _record: &mut BaselineRecord,
) -> Source {
    let failure = Failure::of_source(SourceReason::Unavailable, "this version does not read the source yet");
    judged(NAME, &[failure], false, "")
}
