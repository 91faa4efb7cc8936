//! The record's `series`: figures slot by slot, read after everything else.
//!
//! They serve comparisons and charts, and no figure needs them. What of them cannot be read is therefore a warning of the
//! source and not a part that is missing: a slow server must not make a run incomplete whose figures are all there.

use std::collections::BTreeMap;
use std::time::Duration;

use indexmap::IndexMap;
use plimsoll_analysis::histogram::{Bucket, ClassicHistogram};
use plimsoll_analysis::indicator::METRICS;
use plimsoll_analysis::promql::PromqlError;
use plimsoll_analysis::record::{HistogramSeries, NumberSeries, RatioSeries, Series};

use super::latency::Latency;
use super::parse;
use super::queries::{self, Built, Query, Range, Selector};
use super::requests::{Counter, Requests};
use super::session::{MAX_WARNINGS, Session, Unread};
use super::slots::{Grid, MOST, common, significant, thousandths};
use crate::failure::cleaned;

/// Longest that one of these queries may take: less than the figures' own, since the measured system's server computes it.
const QUERY_TIMEOUT: Duration = Duration::from_secs(20);
/// Scrapes that a slot has at least: `increase` over fewer is mostly extrapolation.
const SCRAPES: f64 = 4.0;
/// Part of a slot's usual scrapes below which a use of CPU is left out: time that was not seen would count as idle.
const SEEN_PART: f64 = 0.8;
/// Digits of plain numbers.
const DIGITS: usize = 6;
/// Most characters of the warning.
const MAX_WARNING: usize = 600;

/// What is read slot by slot, as the figures before were found.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Key of the series, histogram, and whether it is a native one.
    histograms: Vec<(&'static str, Selector, bool)>,
    /// Key of the series, counter of all requests, and of failed ones.
    ratios: Vec<(&'static str, Selector, Option<Selector>)>,
    /// The pods' CPU counters.
    pub(crate) cpu: Option<Selector>,
    /// The pods' memory.
    pub(crate) memory: Option<Selector>,
    /// The user's own queries by name.
    pub(crate) numbers: Vec<(String, Query)>,
}

impl Plan {
    /// Plans a histogram, where it was found.
    pub(crate) fn histogram<const N: usize>(&mut self, key: &'static str, found: &Latency<N>) {
        let histogram = found.histogram.clone();
        self.histograms.extend(histogram.map(|histogram| (key, histogram, found.is_native)));
    }

    /// Plans the ratio of failed requests, where requests were counted.
    pub(crate) fn ratio(&mut self, key: &'static str, found: &Requests, counter: Counter<'_>) {
        let Some(counted) = &found.counted else { return };
        let errors = Selector::new(counter.name, &[counter.matchers, counter.error_matchers]).ok();
        self.ratios.push((key, counted.counter.clone(), errors));
    }

    /// The selectors whose scrapes decide how long a slot is: those that are judged, else the pods'.
    fn scraped(&self) -> Result<Vec<Selector>, PromqlError> {
        let histograms = self.histograms.iter().map(|(_, histogram, is_native)| match is_native {
            true => Ok(histogram.clone()),
            false => histogram.suffixed("_bucket").with("le", "+Inf"),
        });
        let ratios = self.ratios.iter().map(|(_, counter, _)| Ok(counter.clone()));
        let mut all: Vec<Selector> = histograms.chain(ratios).collect::<Result<_, _>>()?;
        if all.is_empty() {
            all.extend(self.cpu.clone());
        }
        Ok(all)
    }
}

/// How many steps these reads have, for progress.
pub(crate) const STEPS: usize = 4;

/// Reads what is planned; `None` where there is nothing of it.
pub(crate) async fn collect(session: &mut Session<'_>) -> Option<Series> {
    let plan = std::mem::take(&mut session.plan);
    if session.is_stopped() {
        return None;
    }
    let before = session.failures.len();
    session.hurry(QUERY_TIMEOUT);
    let found = read(session, &plan).await.ok().flatten();
    let failures = session.failures.split_off(before.min(session.failures.len()));
    if let Some(first) = failures.first() {
        let more = match failures.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let warning = format!(
            "some figures were not read slot by slot, so that a comparison says Inconclusive of them: {}{more}",
            first.message
        );
        session.warnings.insert(0, cleaned(&warning, MAX_WARNING));
        session.warnings.truncate(MAX_WARNINGS);
    }
    found
}

async fn read(session: &mut Session<'_>, plan: &Plan) -> Result<Option<Series>, Unread> {
    session.begin("length of slots");
    let Some(grid) = grid(session, plan).await? else { return Ok(None) };
    let mut series = Series { step_seconds: grid.step, slots: grid.slots, ..Series::default() };
    session.begin("latency by slot");
    for (key, histogram, is_native) in &plan.histograms {
        session.turn_to(&format!("{key} by slot"));
        let read = if *is_native {
            native(session, grid, histogram).await
        } else {
            classic(session, grid, histogram).await
        };
        let read = read.ok().filter(|read| !read.slots.is_empty());
        series.histograms.extend(read.map(|read| ((*key).to_owned(), read)));
    }
    session.begin("requests by slot");
    for (key, counter, errors) in &plan.ratios {
        session.turn_to(&format!("{key} by slot"));
        let read = ratio(session, grid, counter, errors.as_ref()).await;
        let read = read.ok().filter(|read| !read.slots.is_empty());
        series.ratios.extend(read.map(|read| ((*key).to_owned(), read)));
    }
    session.begin("numbers by slot");
    series.numbers = numbers(session, grid, plan).await;
    let is_empty = series.histograms.is_empty() && series.ratios.is_empty() && series.numbers.is_empty();
    Ok((!is_empty).then_some(series))
}

async fn numbers(session: &mut Session<'_>, grid: Grid, plan: &Plan) -> IndexMap<String, NumberSeries> {
    let mut found = Vec::new();
    if let Some(selector) = &plan.cpu {
        session.turn_to("CPU by slot");
        found.push(("infrastructure.cpu".to_owned(), cpu(session, grid, selector).await));
    }
    if let Some(selector) = &plan.memory {
        session.turn_to("memory by slot");
        let memory = by_slot(session, grid, queries::sum_of_pods(selector)).await;
        found.push(("infrastructure.memory".to_owned(), memory.map(plain)));
    }
    for (name, query) in &plan.numbers {
        session.turn_to(&format!("metric {name} by slot"));
        let numbers = by_slot(session, grid, Ok(query.clone())).await;
        found.push((format!("{METRICS}{name}"), numbers.map(plain)));
    }
    let read = found.into_iter().filter_map(|(key, read)| Some((key, read.ok()?)));
    read.filter(|(_, read)| !read.slots.is_empty()).collect()
}

/// The shortest slots in which series have [`SCRAPES`] scrapes; `None` where the window has no room for one.
async fn grid(session: &mut Session<'_>, plan: &Plan) -> Result<Option<Grid>, Unread> {
    let window = session.window();
    let scraped = session.built(plan.scraped())?;
    let mut found = Grid::new(window, 0);
    for selector in &scraped {
        while let Some(grid) = found {
            let scrapes = scrapes(session, grid, selector).await?;
            let Some(usual) = median(scrapes.into_values()).filter(|usual| *usual < SCRAPES) else { break };
            // Where targets are scraped at different moments, a slot with one scrape of each says too little of the
            // interval: then the longer slots are looked at in turn.
            let needed = (grid.step as f64 * SCRAPES / usual.max(1.0)).ceil();
            found = Grid::new(window, (needed as u64).max(grid.step + 1));
        }
    }
    Ok(found)
}

/// How often a series of a selector was scraped in each slot: the median over the series.
async fn scrapes(
    session: &mut Session<'_>,
    grid: Grid,
    selector: &Selector,
) -> Result<BTreeMap<u32, f64>, Unread> {
    by_slot(session, grid, queries::usual_scrapes(selector, slot(grid))).await
}

async fn classic(
    session: &mut Session<'_>,
    grid: Grid,
    histogram: &Selector,
) -> Result<HistogramSeries, Unread> {
    let found = matrix(session, grid, queries::classic_buckets(histogram, slot(grid))).await?;
    let mut slots: BTreeMap<u32, Vec<Bucket>> = BTreeMap::new();
    for series in &found {
        let Some(upper_bound) = series.metric.upper() else { continue };
        for (slot, cumulative) in points(grid, series) {
            slots.entry(slot).or_default().push(Bucket { upper_bound, cumulative });
        }
    }
    let slots = slots
        .into_iter()
        .filter_map(|(slot, buckets)| Some((slot, ClassicHistogram::new(buckets).ok()?.intervals())));
    Ok(common(slots.collect()))
}

async fn native(
    session: &mut Session<'_>,
    grid: Grid,
    histogram: &Selector,
) -> Result<HistogramSeries, Unread> {
    let found = matrix(session, grid, queries::native_sum(histogram, slot(grid))).await?;
    let mut slots: BTreeMap<u32, _> = BTreeMap::new();
    for point in found.iter().flat_map(|series| &series.histograms) {
        if let Some(slot) = grid.slot_at(point.0) {
            slots.insert(slot, point.1.buckets());
        }
    }
    Ok(common(slots.into_iter().collect()))
}

/// Failed and all requests; with requests and no series that matches the errors none failed.
async fn ratio(
    session: &mut Session<'_>,
    grid: Grid,
    counter: &Selector,
    errors: Option<&Selector>,
) -> Result<RatioSeries, Unread> {
    // Without a selector of errors the figure before has said why.
    let errors = errors.ok_or(Unread)?;
    let whole = by_slot(session, grid, queries::increase(counter, slot(grid))).await?;
    let part = by_slot(session, grid, queries::increase(errors, slot(grid))).await?;
    let mut ratio = RatioSeries::default();
    for (slot, whole) in whole.into_iter().filter(|(_, whole)| *whole <= MOST) {
        let part = part.get(&slot).copied().unwrap_or_default().clamp(0.0, whole.max(0.0));
        ratio.slots.push(slot);
        ratio.part.push(thousandths(part));
        ratio.whole.push(thousandths(whole.max(0.0)));
    }
    Ok(ratio)
}

/// Cores that all pods used: over the slot, or over the last few scrapes where it has fewer.
async fn cpu(session: &mut Session<'_>, grid: Grid, selector: &Selector) -> Result<NumberSeries, Unread> {
    let scrapes = scrapes(session, grid, selector).await?;
    let Some(usual) = median(scrapes.values().copied()) else { return Ok(NumberSeries::default()) };
    let mut range = slot(grid);
    range.length = range.length.mul_f64((SCRAPES / usual.max(1.0)).max(1.0).ceil());
    let cores = by_slot(session, grid, queries::cores(selector, range)).await?;
    // One scrape less than usual is jitter.
    let seen = |slot: &u32| scrapes.get(slot).is_some_and(|scrapes| scrapes + 1.0 >= SEEN_PART * usual);
    Ok(plain(cores.into_iter().filter(|(slot, _)| seen(slot))))
}

fn plain(values: impl IntoIterator<Item = (u32, f64)>) -> NumberSeries {
    let (slots, values) = values.into_iter().map(|(slot, value)| (slot, significant(value, DIGITS))).unzip();
    NumberSeries { slots, values }
}

/// The finite numbers of the slots in which exactly one series has one; the others are gaps.
async fn by_slot(session: &mut Session<'_>, grid: Grid, query: Built) -> Result<BTreeMap<u32, f64>, Unread> {
    let found = matrix(session, grid, query).await?;
    let mut numbers: BTreeMap<u32, Option<f64>> = BTreeMap::new();
    for (slot, number) in found.iter().flat_map(|series| points(grid, series)) {
        numbers.entry(slot).and_modify(|known| *known = None).or_insert(Some(number));
    }
    Ok(numbers.into_iter().filter_map(|(slot, number)| Some((slot, number?))).collect())
}

async fn matrix(session: &mut Session<'_>, grid: Grid, query: Built) -> Result<Vec<parse::Series>, Unread> {
    let query = session.built(query)?;
    session.matrix(&query, grid.ends(), grid.step).await
}

/// The finite numbers of a series by slot.
fn points(grid: Grid, series: &parse::Series) -> impl Iterator<Item = (u32, f64)> {
    series.values.iter().filter_map(move |point| {
        let number = Some(point.1.0).filter(|number| number.is_finite())?;
        Some((grid.slot_at(point.0)?, number))
    })
}

/// A slot as the range of a selector.
fn slot(grid: Grid) -> Range {
    Range { length: Duration::from_secs(grid.step), offset: Duration::ZERO }
}

/// The lower median; `None` of nothing.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}
