//! One run against one server: the instant and window of every query, what was answered, and where figures come from.
//!
//! Queries are sent one at a time. The server belongs to the system under measurement, and a measurement should not
//! be felt there; it also bounds our memory by one answer, and a run has some thirty queries, not thousands.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_analysis::coverage::{self, Coverage, Span};
use plimsoll_analysis::promql::PromqlError;
use plimsoll_analysis::record::{Basis, BasisKind, SourceReason, Window};

use super::client::Client;
use super::parse::{Data, Labels, Sample, Series};
use super::queries::{self, Query, Range, Selector};
use super::series::Plan;
use crate::failure::{Failure, cleaned};
use crate::progress::Progress;

/// Steps that the window is cut into to see its gaps.
const GRID_POINTS: u64 = 10_000;
/// Longest of these steps in seconds: a gap of Prometheus' lookback is seen.
const MAX_GRID_STEP: u64 = 240;
/// Most points that one range query asks for; Prometheus refuses more than 11,000.
const MAX_RANGE_POINTS: u64 = 10_000;
/// Queries that may fail one after another before the rest is not asked.
const MAX_FAILURES_IN_A_ROW: u32 = 3;
/// Most warnings that are kept, and most characters of each.
pub(crate) const MAX_WARNINGS: usize = 10;
const MAX_WARNING: usize = 300;
/// Clocks that differ by more than so many seconds shift the window noticeably.
const MAX_CLOCK_DIFFERENCE: i64 = 60;

/// Something was not read; the session has noted why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unread;

/// What a run asked and got so far.
pub(crate) struct Session<'a> {
    client: Client,
    window: Window,
    progress: &'a dyn Progress,
    steps: usize,
    total_steps: usize,
    what: String,
    stopped: bool,
    failures_in_a_row: u32,
    seen: BTreeMap<Selector, Option<Coverage>>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) warnings: Vec<String>,
    pub(crate) basis: BTreeMap<String, Basis>,
    /// What is read slot by slot in the end.
    pub(crate) plan: Plan,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        client: Client,
        window: Window,
        progress: &'a dyn Progress,
        total_steps: usize,
    ) -> Self {
        Self {
            client,
            window,
            progress,
            steps: 0,
            total_steps,
            what: String::new(),
            stopped: false,
            failures_in_a_row: 0,
            seen: BTreeMap::new(),
            failures: Vec::new(),
            warnings: Vec::new(),
            basis: BTreeMap::new(),
            plan: Plan::default(),
        }
    }

    /// The client, for what it cost.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The window.
    pub(crate) fn window(&self) -> Window {
        self.window
    }

    /// Gives each further query at most so long.
    pub(crate) fn hurry(&mut self, most: Duration) {
        self.client.hurry(most);
    }

    /// Begins a step of the run, which messages and progress name.
    pub(crate) fn begin(&mut self, what: &str) {
        self.what = what.to_owned();
        self.progress.step(self.steps, self.total_steps, what);
        self.steps += 1;
    }

    /// Turns to a part of the step, which messages and progress name from now on.
    pub(crate) fn turn_to(&mut self, what: &str) {
        self.what = what.to_owned();
        self.progress.step(self.steps.saturating_sub(1), self.total_steps, what);
    }

    /// The window as seconds since the epoch.
    pub(crate) fn span(&self) -> Span {
        Span { from: seconds(self.window.from), to: seconds(self.window.to) }
    }

    /// The whole window as the range of a selector.
    pub(crate) fn whole(&self) -> Range {
        Range { length: self.length(), offset: Duration::ZERO }
    }

    pub(crate) fn length(&self) -> Duration {
        Duration::try_from(self.window.to.duration_since(self.window.from)).unwrap_or_default()
    }

    /// The range from the first to the last sample that was seen, and its length in seconds.
    ///
    /// One millisecond longer than that, since Prometheus 3 leaves out a sample at the very start of a range; on
    /// Prometheus 2 it changes nothing. VictoriaMetrics counts from the last sample at or before the start, and would
    /// count from the one before the first.
    pub(crate) fn covered(&self, coverage: &Coverage) -> (Range, f64) {
        let millis = |seconds: f64| Duration::from_millis((seconds * 1000.0).round().max(0.0) as u64);
        let (extent, offset) = (millis(coverage.extent()), millis(self.span().to - coverage.last));
        let more = Duration::from_millis(u64::from(!self.client.is_victoria_metrics()));
        (Range { length: extent + more, offset }, extent.as_secs_f64())
    }

    /// Asks for the value at the evaluation instant.
    pub(crate) async fn instant(&mut self, query: Result<Query, PromqlError>) -> Result<Data, Unread> {
        let query = self.built(query)?;
        let time = decimal(self.window.to.as_millisecond());
        self.ask("query", &[("query", query.as_str()), ("time", &time)]).await
    }

    /// Asks for an instant vector; a scalar is one sample without labels.
    pub(crate) async fn vector(&mut self, query: Result<Query, PromqlError>) -> Result<Vec<Sample>, Unread> {
        match self.instant(query).await? {
            Data::Vector(samples) => Ok(samples),
            Data::Scalar(point) => {
                Ok(vec![Sample { metric: Labels::default(), value: Some(point), histogram: None }])
            }
            Data::Matrix(_) | Data::String(_) => Err(self.note_shape()),
        }
    }

    /// Asks for one number; `None` where there are no series, or where it is not finite.
    pub(crate) async fn number(&mut self, query: Result<Query, PromqlError>) -> Result<Option<f64>, Unread> {
        let samples = self.vector(query).await?;
        Ok(samples.first().and_then(Sample::number).filter(|number| number.is_finite()))
    }

    /// Asks for numbers by a label; those that are not finite are left out.
    pub(crate) async fn by_label(
        &mut self,
        query: Result<Query, PromqlError>,
        label: &str,
    ) -> Result<Vec<(String, f64)>, Unread> {
        let samples = self.vector(query).await?;
        let numbers = samples.iter().filter_map(|sample| {
            sample
                .number()
                .filter(|number| number.is_finite())
                .map(|number| (sample.label(label).to_owned(), number))
        });
        Ok(numbers.collect())
    }

    /// Which part of the window any series of a selector was seen in; `None` where there is no sample. Asked once.
    pub(crate) async fn seen(&mut self, selector: &Selector) -> Result<Option<Coverage>, Unread> {
        if let Some(known) = self.seen.get(selector) {
            return Ok(*known);
        }
        let step = grid_step(self.length());
        let query = self.built(queries::present(selector, Duration::from_secs(step)))?;
        let mut ends = Vec::new();
        for range in grid(self.window, step) {
            let series = self.matrix(&query, range, step).await?;
            ends.extend(series.iter().flat_map(|one| &one.values).map(|point| point.0));
        }
        let mut found = coverage::coverage(&ends, self.span(), step as f64);
        if let Some(coverage) = &mut found {
            // Rates divide by this time, hence the very samples and not the ends of their steps.
            let (first, last) = (coverage.first, coverage.last);
            coverage.first = self.newest_at(selector, first).await?.unwrap_or(first);
            coverage.last = match self.newest_at(selector, last).await? {
                Some(newest) => newest,
                // The series ended within the step; what lies before it is whole.
                None => (last - step as f64).max(coverage.first),
            };
        }
        self.seen.insert(selector.clone(), found);
        Ok(found)
    }

    /// Asks for a range vector: points from the first to the last of `ends`, in milliseconds since the epoch, with a step
    /// in seconds.
    pub(crate) async fn matrix(
        &mut self,
        query: &Query,
        (start, end): (i64, i64),
        step: u64,
    ) -> Result<Vec<Series>, Unread> {
        let (start, end, step) = (decimal(start), decimal(end), step.to_string());
        let mut parameters =
            vec![("query", query.as_str()), ("start", &*start), ("end", &*end), ("step", &*step)];
        if self.client.is_victoria_metrics() {
            // It moves start and end to multiples of the step else, so that its cache can be used.
            parameters.push(("nocache", "1"));
        }
        match self.ask("query_range", &parameters).await? {
            Data::Matrix(series) => Ok(series),
            Data::Vector(_) | Data::Scalar(_) | Data::String(_) => Err(self.note_shape()),
        }
    }

    /// Time of the newest sample of a selector at a time, both in seconds since the epoch.
    async fn newest_at(&mut self, selector: &Selector, at: f64) -> Result<Option<f64>, Unread> {
        let query = self.built(queries::newest_sample(selector))?;
        let time = decimal((at * 1000.0).round() as i64);
        let data = self.ask("query", &[("query", query.as_str()), ("time", &time)]).await?;
        let Data::Vector(samples) = data else { return Err(self.note_shape()) };
        let newest = samples.first().and_then(Sample::number).filter(|newest| newest.is_finite());
        Ok(newest.map(|newest| newest.clamp(self.span().from, at)))
    }

    /// How often the series of a selector was scraped that was scraped most often.
    pub(crate) async fn scrapes(&mut self, selector: &Selector) -> Result<Option<u64>, Unread> {
        let scrapes = self.number(queries::scrapes(selector, self.whole())).await?;
        Ok(scrapes.map(rounded))
    }

    /// Notes a failure that is not of a query's answer, for example of matchers that do not parse.
    pub(crate) fn fail(&mut self, failure: Failure) -> Unread {
        self.stopped |= failure.stops;
        tracing::warn!(what = %self.what, reason = ?failure.reason, message = %failure.message, "not read");
        self.failures.push(failure.reading(&self.what));
        Unread
    }

    /// Unpacks a query or a selector, and notes why it could not be built.
    pub(crate) fn built<T>(&mut self, built: Result<T, PromqlError>) -> Result<T, Unread> {
        built.map_err(|error| {
            let message = cleaned(&error.to_string(), 600);
            self.fail(Failure::of_query(SourceReason::BadAnswer, message))
        })
    }

    /// Whether nothing further is asked.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    async fn ask(&mut self, endpoint: &str, parameters: &[(&str, &str)]) -> Result<Data, Unread> {
        if self.stopped {
            return Err(Unread);
        }
        let asked = self.client.ask(endpoint, parameters).await;
        self.note_clock();
        match asked {
            Ok(answer) => {
                self.failures_in_a_row = 0;
                for warning in answer.warnings {
                    self.warn(&warning);
                }
                Ok(answer.data)
            }
            Err(failure) => {
                self.failures_in_a_row += 1;
                let unread = self.fail(failure);
                self.stopped |= self.failures_in_a_row >= MAX_FAILURES_IN_A_ROW;
                Err(unread)
            }
        }
    }

    fn note_shape(&mut self) -> Unread {
        let message = format!(
            "{} gave a result of another type than the query has; check that it is a Prometheus HTTP API",
            self.client.shown()
        );
        self.fail(Failure::of_query(SourceReason::BadAnswer, message))
    }

    fn note_clock(&mut self) {
        let Some(ahead) = self.client.clock_ahead().filter(|ahead| ahead.abs() > MAX_CLOCK_DIFFERENCE) else {
            return;
        };
        let direction = if ahead > 0 { "ahead of" } else { "behind" };
        self.warn(&format!(
            "the server's clock is {} s {direction} ours: the window is off by as much; set the clocks",
            ahead.abs()
        ));
    }

    fn warn(&mut self, text: &str) {
        let warning = cleaned(text, MAX_WARNING);
        if self.warnings.len() < MAX_WARNINGS && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

/// Where figures come from.
impl Session<'_> {
    /// Basis of a figure over the window: from the first to the last sample where there are any.
    pub(crate) fn window_basis(&self, coverage: Option<&Coverage>) -> Basis {
        let window = self.window;
        let gaps = coverage.filter(|coverage| coverage.gaps > 0).map(|coverage| match coverage.gaps {
            1 => "1 gap without samples".to_owned(),
            gaps => format!("{gaps} gaps without samples"),
        });
        Basis {
            kind: BasisKind::Window,
            from: coverage.map_or(window.from, |found| timestamp(found.first, window.from)),
            to: coverage.map_or(window.to, |found| timestamp(found.last, window.to)),
            coverage_percent: Some(coverage.map_or(0.0, |found| hundredths(found.percent(self.span())))),
            samples: None,
            resolution_ms: None,
            note: gaps,
        }
    }

    /// Basis of a figure at the evaluation instant.
    pub(crate) fn instant_basis(&self) -> Basis {
        Basis {
            kind: BasisKind::Instant,
            from: self.window.to,
            to: self.window.to,
            coverage_percent: None,
            samples: None,
            resolution_ms: None,
            note: None,
        }
    }

    /// Sets the basis of a figure, by its path in the record.
    pub(crate) fn set_basis(&mut self, path: impl Into<String>, basis: Basis) {
        self.basis.insert(path.into(), basis);
    }

    /// Says why a figure over the window is absent.
    pub(crate) fn absent(&mut self, path: impl Into<String>, coverage: Option<&Coverage>, note: &str) {
        let mut basis = self.window_basis(coverage);
        add_note(&mut basis, note);
        self.set_basis(path, basis);
    }
}

/// Adds a sentence to a basis' note.
pub(crate) fn add_note(basis: &mut Basis, note: &str) {
    basis.note = Some(match basis.note.take() {
        None => note.to_owned(),
        Some(before) => format!("{before}; {note}"),
    });
}

/// A count that arithmetic made a float.
pub(crate) fn rounded(count: f64) -> u64 {
    count.round().max(0.0) as u64
}

fn hundredths(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}

fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

fn timestamp(seconds: f64, otherwise: Timestamp) -> Timestamp {
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).unwrap_or(otherwise)
}

/// Milliseconds since the epoch as the API reads them: seconds with three decimals.
fn decimal(millis: i64) -> String {
    format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000))
}

/// Length of a step in seconds.
fn grid_step(length: Duration) -> u64 {
    length.as_secs().div_ceil(GRID_POINTS).clamp(1, MAX_GRID_STEP)
}

/// The ends of the steps of a window as ranges of at most [`MAX_RANGE_POINTS`] points, each from its first to its last
/// in milliseconds since the epoch. The last one is the evaluation instant, and no step begins before the window.
fn grid(window: Window, step: u64) -> Vec<(i64, i64)> {
    let step = i64::try_from(step * 1000).unwrap_or(i64::MAX);
    let (from, to) = (window.from.as_millisecond(), window.to.as_millisecond());
    let mut left = (to - from) / step;
    let mut ranges = Vec::new();
    let mut end = to;
    while left > 0 {
        let points = left.min(MAX_RANGE_POINTS as i64);
        ranges.push((end - (points - 1) * step, end));
        end -= points * step;
        left -= points;
    }
    ranges.reverse();
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(seconds: i64) -> Window {
        let to = Timestamp::from_millisecond(1_790_000_000_123).unwrap();
        Window { from: to - jiff::SignedDuration::from_secs(seconds), to }
    }

    #[test]
    fn the_grid_is_fine_for_short_windows_and_split_for_long_ones() {
        for (days, step, parts) in [(1, 9, 1), (7, 61, 1), (30, 240, 2), (92, 240, 4)] {
            let length = Duration::from_secs(days * 86_400);
            assert_eq!(grid_step(length), step, "{days} days");
            assert_eq!(grid(window(days as i64 * 86_400), step).len(), parts, "{days} days");
        }
        assert_eq!(grid_step(Duration::from_secs(60)), 1);
        assert_eq!(grid(window(60), 1), [(1_789_999_941_123, 1_790_000_000_123)]);
    }

    #[test]
    fn times_are_written_with_milliseconds() {
        assert_eq!(decimal(1_790_000_000_023), "1790000000.023");
        assert_eq!(decimal(5), "0.005");
    }

    proptest! {
        #[test]
        fn the_grid_has_every_point_once(seconds in 240i64..10_000_000, step in 1u64..240) {
            let window = window(seconds);
            let ranges = grid(window, step);
            let step = step as i64 * 1000;
            let points: i64 = ranges.iter().map(|(start, end)| (end - start) / step + 1).sum();
            prop_assert_eq!(points, seconds * 1000 / step);
            prop_assert!(ranges.windows(2).all(|pair| pair[1].0 - pair[0].1 == step));
            prop_assert!(ranges.iter().all(|(start, end)| (end - start) / step < 11_000));
            prop_assert_eq!(ranges.last().map(|range| range.1), Some(window.to.as_millisecond()));
            prop_assert!(ranges[0].0 - step >= window.from.as_millisecond());
        }
    }
}
