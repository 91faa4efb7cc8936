//! Query time of a database, where the spec names a histogram of it.

use plimsoll_analysis::record::{DatabaseMetrics, QueryTime, QueryTimeMethod};

use super::latency::{Wanted, latency};
use super::session::Session;

/// How many steps the section has, for progress.
pub(crate) const STEPS: usize = 1;

const P95: Wanted<'static> = (0.95, "database_metrics.query_time_p95_ms");

/// Reads the bounds of the bucket that holds the 95th percentile; `None` where there is none.
pub(crate) async fn collect(
    session: &mut Session<'_>,
    histogram: &str,
    matchers: &str,
) -> Option<DatabaseMetrics> {
    session.begin("query time");
    let found = latency(session, histogram, matchers, [P95]).await;
    session.plan.histogram("database.queryTime", &found);
    let [bounds] = found.bounds_ms;
    let (low, high) = bounds?;
    let query_time_p95_ms = Some(QueryTime { low, high, method: QueryTimeMethod::Histogram });
    Some(DatabaseMetrics { query_time_p95_ms, ..DatabaseMetrics::default() })
}
