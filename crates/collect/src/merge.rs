//! Joins what the sources read, each into a record of its own, into one.

use plimsoll_analysis::record::{BaselineRecord, Counters, DatabaseMetrics, QueryTime, QueryTimeMethod};

/// Takes every section of `part` into `record`.
pub(crate) fn absorb(record: &mut BaselineRecord, part: BaselineRecord) {
    take(&mut record.web_metrics, part.web_metrics);
    take(&mut record.api_metrics, part.api_metrics);
    take(&mut record.database_analysis, part.database_analysis);
    take(&mut record.cache_metrics, part.cache_metrics);
    take(&mut record.cache_analysis, part.cache_analysis);
    take(&mut record.infrastructure_metrics, part.infrastructure_metrics);
    take(&mut record.custom_metrics, part.custom_metrics);
    take(&mut record.series, part.series);
    let mut basis = part.basis;
    if let Some(database) = part.database_metrics {
        let known = record.database_metrics.get_or_insert_with(DatabaseMetrics::default);
        take(&mut known.connections, database.connections);
        take(&mut known.top_tables, database.top_tables);
        take(&mut known.slow_queries, database.slow_queries);
        // A histogram measures what the statements' moments only bound.
        if is_better(known.query_time_p95_ms, database.query_time_p95_ms) {
            known.query_time_p95_ms = database.query_time_p95_ms;
        } else if known.query_time_p95_ms.is_some() {
            basis.remove(QUERY_TIME);
        }
    }
    if let Some(counters) = part.counters {
        let known = record.counters.get_or_insert_with(Counters::default);
        take(&mut known.database, counters.database);
        take(&mut known.cache, counters.cache);
    }
    record.basis.append(&mut basis);
    record.truncated.extend(part.truncated);
}

/// Path of the query time in `basis`.
const QUERY_TIME: &str = "database_metrics.query_time_p95_ms";

fn is_better(known: Option<QueryTime>, found: Option<QueryTime>) -> bool {
    match (known, found) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(known), Some(_)) => known.method != QueryTimeMethod::Histogram,
    }
}

fn take<T>(known: &mut Option<T>, found: Option<T>) {
    if found.is_some() {
        *known = found;
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_analysis::record::{Basis, BasisKind, RecordNames};

    use super::*;

    fn part(method: Option<QueryTimeMethod>) -> BaselineRecord {
        let names = RecordNames { name: "a", namespace: "b", run: "c", run_key: "d" };
        let to = "2026-11-24T00:00:00Z".parse().unwrap();
        let mut record = BaselineRecord::empty(names, 60, to);
        if let Some(method) = method {
            let time = QueryTime { low: 1.0, high: Some(2.0), method };
            record.database_metrics =
                Some(DatabaseMetrics { query_time_p95_ms: Some(time), ..DatabaseMetrics::default() });
            let basis = Basis {
                kind: BasisKind::Window,
                from: to,
                to,
                coverage_percent: None,
                samples: None,
                resolution_ms: None,
                note: Some(format!("{method:?}")),
            };
            record.basis.insert(QUERY_TIME.to_owned(), basis);
        }
        record
    }

    #[test]
    fn a_histogram_goes_before_bounds_with_its_basis_in_either_order() {
        use QueryTimeMethod::{Histogram, StatementBounds};
        for (first, second) in [(Histogram, StatementBounds), (StatementBounds, Histogram)] {
            let mut record = part(None);
            absorb(&mut record, part(Some(first)));
            absorb(&mut record, part(Some(second)));
            let time = record.database_metrics.as_ref().unwrap().query_time_p95_ms.unwrap();
            assert_eq!(time.method, Histogram);
            assert_eq!(record.basis[QUERY_TIME].note.as_deref(), Some("Histogram"));
        }
    }
}
