//! Rules on web and API requests.

use super::{API_LATENCY, Rule, effect, entry, finding, names};
use crate::format::{count, milliseconds, per_second, percent};
use crate::indicator;
use crate::judgement::{Finding, Impact};
use crate::objective::requests;
use crate::ranking::OTHERS;
use crate::record::BaselineRecord;

/// Part of the API's response time from which on an endpoint is worth a look, percent.
const TIME_SHARE_PERCENT: f64 = 20.0;
/// An endpoint takes more time than its requests would let expect from this many times their part on.
const TIMES_ITS_REQUESTS: f64 = 2.0;
/// 95th percentile of the API above which its endpoints matter however they share the time, milliseconds; the seed's
/// success criterion.
const SLOW_API_MS: f64 = 500.0;
/// Failed requests per hundred from which on they are worth a look.
const ERROR_PERCENT: f64 = 1.0;
/// Failed requests per hundred from which on many users feel them.
const MANY_ERRORS_PERCENT: f64 = 5.0;
/// Fewest requests of which a ratio of errors says anything.
const MIN_REQUESTS: u64 = 100;

/// Endpoints by total time.
pub(super) const ENDPOINT_TIME: Rule = Rule {
    id: "endpoint-time",
    fires: || {
        format!(
            "an endpoint takes at least {TIME_SHARE_PERCENT}% of the API's response time, and that is {TIMES_ITS_REQUESTS} times its part of the requests or the API's p95 is above {SLOW_API_MS} ms"
        )
    },
    find: endpoint_time,
};

fn endpoint_time(record: &BaselineRecord) -> Vec<Finding> {
    const SHARES: &str = "api_metrics.time_share_percent";
    const RATES: &str = "api_metrics.top_endpoints";
    let Some(api) = record.api_metrics.as_ref().filter(|_| record.is_judged(SHARES)) else {
        return Vec::new();
    };
    let rates = api.top_endpoints.as_ref();
    let all = api
        .requests_per_second
        .or_else(|| rates.map(|rates| rates.values().sum()))
        .filter(|all: &f64| *all > 0.0);
    let is_slow = api.response_time_p95_ms.is_some_and(|p95| p95 > SLOW_API_MS);
    let shares = api.time_share_percent.iter().flatten();
    let high = shares.filter(|(endpoint, share)| **share >= TIME_SHARE_PERCENT && *endpoint != OTHERS);
    let found = high.filter_map(|(endpoint, share)| {
        let rate = rates.and_then(|rates| rates.get(endpoint)).copied();
        let part = rate.zip(all).map(|(rate, all)| rate / all * 100.0);
        let is_heavy = part.is_some_and(|part| *share >= TIMES_ITS_REQUESTS * part);
        if !is_slow && !is_heavy {
            return None;
        }
        let mut evidence = format!("{} of the API's response time", percent(*share));
        if let (Some(rate), Some(part)) = (rate, part) {
            evidence.push_str(&format!(" with {} of its requests ({})", percent(part), per_second(rate)));
        }
        if let Some(p95) = api.response_time_p95_ms {
            evidence.push_str(&format!("; the API's p95 is {}", milliseconds(p95)));
        }
        let subject = if endpoint.is_empty() { "(no endpoint)" } else { endpoint };
        Some(Finding {
            effect_percent: effect(*share),
            evidence,
            action: format!(
                "Make this endpoint faster first: its statements, what it could take from the cache, the size of its answer. It can save up to {} of the API's response time",
                percent(*share)
            ),
            paths: vec![entry(SHARES, endpoint), entry(RATES, endpoint)],
            explains: names(&API_LATENCY),
            ..finding(&ENDPOINT_TIME, if is_slow { Impact::High } else { Impact::Medium }, subject)
        })
    });
    found.collect()
}

/// Failed requests.
pub(super) const ERROR_RATIO: Rule = Rule {
    id: "error-ratio",
    fires: || {
        format!(
            "at least {ERROR_PERCENT}% of the web or API requests fail, of {MIN_REQUESTS} requests or more; High from {MANY_ERRORS_PERCENT}%"
        )
    },
    find: error_ratio,
};

fn error_ratio(record: &BaselineRecord) -> Vec<Finding> {
    let tiers = [
        ("web requests", "web.errorRatio", "web.requestRate"),
        ("API requests", "api.errorRatio", "api.requestRate"),
    ];
    let found = tiers.into_iter().filter_map(|(subject, ratio, rate)| {
        let reading = indicator::read(record, ratio).filter(|reading| reading.why_unjudged().is_none())?;
        let failed = reading.value? * 100.0;
        let asked = requests(record, rate)?;
        if failed < ERROR_PERCENT || asked < MIN_REQUESTS {
            return None;
        }
        let impact = if failed >= MANY_ERRORS_PERCENT { Impact::High } else { Impact::Medium };
        Some(Finding {
            effect_percent: effect(failed),
            evidence: format!("{} of about {} requests failed", percent(failed), count(asked)),
            action: "Group the failed requests by status and path, and read the logs of the pods at their time: a limit of connections, a timeout and a restart look alike from outside".to_owned(),
            paths: vec![reading.path],
            explains: names(&[ratio]),
            ..finding(&ERROR_RATIO, impact, subject)
        })
    });
    found.collect()
}
