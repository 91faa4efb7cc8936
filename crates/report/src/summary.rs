//! The short strings behind the columns of `kubectl get`.

use plimsoll_analysis::record::BaselineRecord;

use crate::format;
use crate::section::figures;

/// Stands for a figure that is missing beside one that is there, so that web and API stay in their places.
const MISSING: &str = "–";

/// What `status.summary` holds: the columns of `kubectl get`, preformatted. A column without a figure is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// 95th percentile of the page load time: `412ms`; `>2.5s` where it lies past the last bucket.
    pub page_p95: Option<String>,
    /// 95th percentile of the API's response time.
    pub api_p95: Option<String>,
    /// Requests a second of web and API: `20.1/s, 19.8/s`; one alone where only one is in the record.
    pub requests: Option<String>,
    /// Failed requests per hundred of web and API: `0.12%, 0%`.
    pub errors: Option<String>,
    /// Least coverage of the web, API and custom figures, rounded down: `99.8%`.
    pub coverage: Option<String>,
}

/// The short strings of a record.
#[must_use]
pub fn summary(record: &BaselineRecord) -> Summary {
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
    Summary {
        page_p95: value(&web, figures::P95),
        api_p95: value(&api, figures::P95),
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
