//! The short strings behind the columns of `kubectl get`.

use plimsoll_analysis::judgement::Judgement;
use plimsoll_analysis::record::BaselineRecord;

use crate::format;
use crate::section::{figures, verdict};

/// Stands for a figure that is missing beside one that is there, so that web and API stay in their places.
const MISSING: &str = "–";

/// What `status.summary` holds: the columns of `kubectl get`, preformatted. A column without a figure is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Objectives met of all: `4/5`. A warning counts as met.
    pub objectives: Option<String>,
    /// How the record compares with the earlier one: `Improved`, `Unchanged`, `Regressed` or `Inconclusive`.
    pub change: Option<String>,
    /// 95th percentile of the page load time: `412ms`; `>2.5s` where it lies past the last bucket.
    pub page_p95: Option<String>,
    /// 95th percentile of the API's response time.
    pub api_p95: Option<String>,
    /// 95th percentile of the database's query time: `60-240ms` for an interval, `<=240ms` or `>60ms` where one bound is
    /// missing.
    pub db_p95: Option<String>,
    /// Cache hits per hundred lookups, over the judged basis where there is one, else over the server's life: `94.2%`.
    pub cache_hit: Option<String>,
    /// Requests a second of web and API: `20.1/s, 19.8/s`; one alone where only one is in the record.
    pub requests: Option<String>,
    /// Failed requests per hundred of web and API: `0.12%, 0%`.
    pub errors: Option<String>,
    /// Least coverage of the web, API and custom figures, rounded down: `99.8%`.
    pub coverage: Option<String>,
}

/// The short strings of a record and of what was judged of it.
#[must_use]
pub fn summary(record: &BaselineRecord, judgement: Option<&Judgement>) -> Summary {
    let (web, api) = (figures::web(record), figures::api(record));
    let value = |figures: &[figures::Figure<'_>], name: &str| {
        figures.iter().find(|figure| figure.name == name).and_then(|figure| figure.value.clone())
    };
    let both = |name: &str| pair(!web.is_empty(), value(&web, name), !api.is_empty(), value(&api, name));
    let custom = figures::custom(record);
    let least = web
        .iter()
        .chain(&api)
        .chain(&custom)
        .filter(|figure| figure.value.is_some())
        .filter_map(|figure| figure.basis.and_then(|basis| basis.coverage_percent))
        .reduce(f64::min);
    let query_time = record.database_metrics.as_ref().and_then(|metrics| metrics.query_time_p95_ms);
    let hit_rate =
        record.cache_metrics.as_ref().and_then(|metrics| metrics.hit_rate_window.or(metrics.hit_rate));
    let objectives = judgement.map(|judgement| &judgement.objectives).filter(|all| !all.is_empty());
    let comparison = judgement.and_then(|judgement| judgement.comparison.as_ref());
    Summary {
        objectives: objectives.map(|all| {
            let met = all.iter().filter(|objective| objective.result.is_met()).count();
            format!("{met}/{}", all.len())
        }),
        change: comparison.map(|comparison| verdict::change_word(comparison.verdict).to_owned()),
        page_p95: value(&web, figures::P95),
        api_p95: value(&api, figures::P95),
        db_p95: query_time.map(|bounds| format::milliseconds_between(bounds.low, bounds.high)),
        cache_hit: hit_rate.map(format::percent),
        requests: both(figures::REQUESTS),
        errors: both(figures::ERRORS),
        coverage: least.map(format::coverage),
    }
}

/// `web, API`, or the one that the record has a section of.
fn pair(has_web: bool, web: Option<String>, has_api: bool, api: Option<String>) -> Option<String> {
    match (has_web, web, has_api, api) {
        (_, None, _, None) => None,
        (true, web, true, api) => {
            let shown = |value: Option<String>| value.unwrap_or_else(|| MISSING.to_owned());
            Some(format!("{}, {}", shown(web), shown(api)))
        }
        (_, web, _, api) => web.or(api),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_analysis::record::{CacheMetrics, DatabaseMetrics, QueryTime, QueryTimeMethod, RecordNames};

    use super::*;

    fn record(query_time: Option<(f64, Option<f64>)>, rates: [Option<f64>; 2]) -> BaselineRecord {
        let names = RecordNames { name: "dairy", namespace: "pasture", run: "dairy-1", run_key: "k" };
        let query_time_p95_ms =
            query_time.map(|(low, high)| QueryTime { low, high, method: QueryTimeMethod::StatementBounds });
        let [hit_rate, hit_rate_window] = rates;
        BaselineRecord {
            database_metrics: Some(DatabaseMetrics { query_time_p95_ms, ..DatabaseMetrics::default() }),
            cache_metrics: Some(CacheMetrics { hit_rate, hit_rate_window, ..CacheMetrics::default() }),
            ..BaselineRecord::empty(names, 300, jiff::Timestamp::UNIX_EPOCH)
        }
    }

    #[test]
    fn a_query_time_between_bounds_shows_those_that_there_are() {
        for (bounds, text) in
            [((60.0, Some(240.0)), "60-240ms"), ((0.0, Some(240.0)), "<=240ms"), ((60.0, None), ">60ms")]
        {
            assert_eq!(summary(&record(Some(bounds), [None; 2]), None).db_p95.as_deref(), Some(text));
        }
        assert_eq!(summary(&record(None, [None; 2]), None), Summary::default());
    }

    #[test]
    fn the_judged_hit_rate_comes_before_that_of_the_servers_life() {
        for (rates, text) in
            [([Some(94.2), Some(95.0)], "95%"), ([Some(94.2), None], "94.2%"), ([None, Some(0.0)], "0%")]
        {
            assert_eq!(summary(&record(None, rates), None).cache_hit.as_deref(), Some(text));
        }
    }
}
