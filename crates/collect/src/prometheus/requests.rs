//! Rates of a counter of requests, and the share that failed.

use plimsoll_analysis::coverage::Coverage;

use super::queries::{self, Range, Selector};
use super::session::{Session, Unread};

/// What a counter of requests says, each part absent where it could not be had.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) per_second: Option<f64>,
    pub(crate) error_percent: Option<f64>,
    /// For further figures of the same counter.
    pub(crate) counted: Option<Counted>,
}

/// A counter with the range over which it was seen.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    pub(crate) counter: Selector,
    pub(crate) coverage: Coverage,
    pub(crate) samples: Option<u64>,
    /// From the first to the last sample.
    pub(crate) range: Range,
    /// Its length, which rates divide by.
    pub(crate) seconds: f64,
}

/// Names of a counter and of its failed part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counter<'a> {
    pub(crate) name: &'a str,
    pub(crate) matchers: &'a str,
    pub(crate) error_matchers: &'a str,
}

/// Reads rate and error ratio and sets their basis under `section`.
pub(crate) async fn requests(session: &mut Session<'_>, counter: Counter<'_>, section: &str) -> Requests {
    let rate_path = format!("{section}.requests_per_second");
    let error_path = format!("{section}.error_rate_percent");
    let Ok(Some(counted)) = count(session, counter, &[&rate_path, &error_path]).await else {
        return Requests::default();
    };
    let mut found = Requests::default();
    let basis = |session: &Session<'_>| {
        let mut basis = session.window_basis(Some(&counted.coverage));
        basis.samples = counted.samples;
        basis
    };
    if let Ok(total) = session.number(queries::increase(&counted.counter, counted.range)).await {
        match total {
            None => {
                let note = "no series was scraped twice, so that no increase is known";
                session.absent(&rate_path, Some(&counted.coverage), note);
                session.absent(&error_path, Some(&counted.coverage), note);
            }
            Some(total) => {
                found.per_second = Some(total / counted.seconds);
                session.set_basis(&rate_path, basis(session));
                if total <= 0.0 {
                    let note = "no request was counted, so that there is no share of failed ones";
                    session.absent(&error_path, Some(&counted.coverage), note);
                } else if let Ok(failed) = failed(session, counter, &counted).await {
                    found.error_percent = Some((failed / total * 100.0).min(100.0));
                    session.set_basis(&error_path, basis(session));
                }
            }
        }
    }
    found.counted = Some(counted);
    found
}

/// Finds when the counter was seen; `None` with a note under each path where it was not.
async fn count(
    session: &mut Session<'_>,
    counter: Counter<'_>,
    paths: &[&str],
) -> Result<Option<Counted>, Unread> {
    let selector = session.built(Selector::new(counter.name, &[counter.matchers]))?;
    let note = match session.seen(&selector).await? {
        Some(coverage) if coverage.extent() > 0.0 => {
            let (range, seconds) = session.covered(&coverage);
            let samples = session.scrapes(&selector).await.ok().flatten();
            return Ok(Some(Counted { counter: selector, coverage, samples, range, seconds }));
        }
        Some(_) => "only one scrape in the window; a rate needs two".to_owned(),
        None => format!(
            "no series of {} in the window; check the metric's name and the matchers",
            selector.text()
        ),
    };
    for path in paths {
        session.absent(*path, None, &note);
    }
    Ok(None)
}

/// Increase of failed requests: 0 where no series matches, since there are requests.
async fn failed(session: &mut Session<'_>, counter: Counter<'_>, counted: &Counted) -> Result<f64, Unread> {
    let errors = Selector::new(counter.name, &[counter.matchers, counter.error_matchers]);
    let errors = session.built(errors)?;
    Ok(session.number(queries::increase(&errors, counted.range)).await?.unwrap_or(0.0))
}
