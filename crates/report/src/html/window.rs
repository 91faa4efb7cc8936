//! The window in charts: how the times are distributed, how figures moved from slot to slot, and where the time went.

use plimsoll_analysis::histogram::{Bucket, ClassicHistogram};
use plimsoll_analysis::indicator::{self, METRICS};
use plimsoll_analysis::judgement::Judgement;
use plimsoll_analysis::record::{BaselineRecord, HistogramSeries, RatioSeries, Series};
use plimsoll_analysis::request::Unit;

use super::markup::Markup;
use super::writer::Writer;
use crate::chart::{Column, Columns, Line, Lines, Marker, bar};
use crate::format;
use crate::section::verdict;

/// Histograms: key, name of the figure, what one observation is, and the other's plural.
const HISTOGRAMS: [(&str, &str, &str); 3] = [
    ("web.latency", "Page load time", "page loads"),
    ("api.latency", "API response time", "responses"),
    ("database.queryTime", "Query time", "queries"),
];
/// Ratios: key, name of the rate, name of the share of failed ones.
const RATIOS: [(&str, &str, &str); 2] =
    [("web.errorRatio", "Page requests", "Page errors"), ("api.errorRatio", "API requests", "API errors")];
/// Most bars of a list.
const MOST_BARS: usize = 10;

pub(super) fn body(
    record: &BaselineRecord,
    judgement: Option<&Judgement>,
    writer: &mut Writer<'_>,
) -> Markup {
    let mut figures = Markup::default();
    if let Some(series) = &record.series {
        let mut charts = Charts { record, judgement, series, writer, out: Markup::default() };
        for (key, name, observations) in HISTOGRAMS {
            if let Some(histogram) = series.histograms.get(key) {
                charts.distribution((key, name, observations), histogram);
                charts.percentiles(key, name, histogram);
            }
        }
        for (key, requests, errors) in RATIOS {
            if let Some(ratio) = series.ratios.get(key) {
                charts.rate(requests, errors, ratio);
            }
        }
        charts.numbers();
        figures = charts.out;
    }
    figures.append(&endpoints(record)).append(&statements(record));
    if figures.is_empty() {
        return figures;
    }
    let mut out = Markup::new("<div class=\"charts\">");
    out.append(&figures).raw("</div>");
    out
}

/// One figure with its caption.
fn figure(title: &str, line: &str, picture: &Markup, out: &mut Markup) {
    out.raw("<figure><figcaption><h3>").text(title).raw("</h3><p>").text(line).raw("</p></figcaption>");
    out.append(picture).raw("</figure>");
}

/// The charts of a record's series.
struct Charts<'a, 'w> {
    record: &'a BaselineRecord,
    judgement: Option<&'a Judgement>,
    series: &'a Series,
    writer: &'a mut Writer<'w>,
    out: Markup,
}

impl Charts<'_, '_> {
    fn distribution(&mut self, (key, name, observations): (&str, &str, &str), histogram: &HistogramSeries) {
        let mut counts = vec![0.0; histogram.bounds_ms.len() + 1];
        for slot in &histogram.counts {
            counts.iter_mut().zip(slot).for_each(|(sum, count)| *sum += count);
        }
        let all: f64 = counts.iter().sum();
        if all <= 0.0 {
            return;
        }
        let bounds = histogram.bounds_ms.iter().copied().map(Some).chain([None]);
        let columns =
            bounds.zip(&counts).map(|(bound, count)| Column { bound, percent: count / all * 100.0 });
        let mut markers = Vec::new();
        let mut told = Vec::new();
        for (label, quantile) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
            let recorded = indicator::read(self.record, &format!("{key}.{label}"));
            let recorded = recorded.and_then(|reading| reading.value).map(|seconds| seconds * 1_000.0);
            let Some(value) = recorded.or_else(|| quantile_of(&histogram.bounds_ms, &counts, quantile))
            else {
                continue;
            };
            told.push(format!("{label} {}", format::milliseconds(value)));
            markers.push(Marker { label: label.to_owned(), value, is_target: false });
        }
        if let Some(target) = self.target(&format!("{key}.p95"), Unit::Seconds) {
            markers.push(Marker { label: "target".to_owned(), value: target * 1_000.0, is_target: true });
        }
        let title = format!("{name}: distribution");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive count")]
        let count = format::count(all.round() as u64);
        let line = format!("{count} {observations}: {}.", told.join(", "));
        let chart =
            Columns { title: title.clone(), description: line.clone(), columns: columns.collect(), markers };
        if let Some(picture) = chart.draw(self.writer.chart()) {
            figure(&title, &line, &picture, &mut self.out);
        }
    }

    fn percentiles(&mut self, key: &str, name: &str, histogram: &HistogramSeries) {
        let line = |name: &'static str, quantile: f64| {
            let slots = histogram.slots.iter().zip(&histogram.counts);
            let points = slots.filter_map(|(slot, counts)| {
                let value = quantile_of(&histogram.bounds_ms, counts, quantile)?;
                Some((*slot, value / 1_000.0))
            });
            Line { name, points: points.collect() }
        };
        let target = self.target(&format!("{key}.p95"), Unit::Seconds);
        let lines = vec![line("p95", 0.95), line("p50", 0.5)];
        self.lines(&format!("{name}: over the window"), lines, Unit::Seconds, target);
    }

    fn rate(&mut self, requests: &str, errors: &str, ratio: &RatioSeries) {
        #[expect(clippy::cast_precision_loss, reason = "seconds of a slot")]
        let step = self.series.step_seconds.max(1) as f64;
        let slots = || ratio.slots.iter().copied().zip(ratio.part.iter().zip(&ratio.whole));
        let rate =
            Line { name: "", points: slots().map(|(slot, (_, whole))| (slot, whole / step)).collect() };
        self.lines(&format!("{requests} a second"), vec![rate], Unit::PerSecond, None);
        let failed = slots().filter(|(_, (_, whole))| **whole > 0.0);
        let points: Vec<(u32, f64)> = failed.map(|(slot, (part, whole))| (slot, part / whole)).collect();
        // A flat line at 0 tells nothing that the figure does not.
        if points.iter().any(|(_, share)| *share > 0.0) {
            self.lines(errors, vec![Line { name: "", points }], Unit::Ratio, None);
        }
    }

    fn numbers(&mut self) {
        for (key, number) in &self.series.numbers {
            let reading = indicator::read(self.record, key);
            let title = reading.as_ref().map_or(key.as_str(), |reading| reading.title.as_str());
            let unit = reading.as_ref().map_or(Unit::Count, |reading| reading.unit);
            let points = number.slots.iter().copied().zip(number.values.iter().copied()).collect();
            let target = self.target(key, unit);
            let name = key.strip_prefix(METRICS).unwrap_or(title);
            self.lines(name, vec![Line { name: "", points }], unit, target);
        }
    }

    /// A chart of lines, with least and most of the first of them in words.
    fn lines(&mut self, title: &str, lines: Vec<Line>, unit: Unit, target: Option<f64>) {
        let Some(first) = lines.first().filter(|line| !line.points.is_empty()) else { return };
        let values = || first.points.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
        let (Some(least), Some(most)) = (values().reduce(f64::min), values().reduce(f64::max)) else {
            return;
        };
        let name = if first.name.is_empty() { String::new() } else { format!("{} ", first.name) };
        let seen = first.points.len();
        let length = format::duration(std::time::Duration::from_secs(self.series.step_seconds));
        let mut line = format!(
            "{name}{} to {}, in {seen} of {} slots of {length}",
            format::quantity(least, unit),
            format::quantity(most, unit),
            self.series.slots
        );
        if let Some(target) = target {
            line.push_str(&format!("; target {}", format::quantity(target, unit)));
        }
        line.push('.');
        let window = (self.record.window.from, self.record.window.to);
        let chart = Lines {
            title: title.to_owned(),
            description: line.clone(),
            lines,
            slots: self.series.slots,
            window,
            unit,
            target,
        };
        if let Some(picture) = chart.draw(self.writer.chart()) {
            figure(title, &line, &picture, &mut self.out);
        }
    }

    /// The target of the objective on an indicator.
    fn target(&self, indicator: &str, unit: Unit) -> Option<f64> {
        let objectives = &self.judgement?.objectives;
        let objective = objectives.iter().find(|objective| objective.indicator == indicator)?;
        verdict::target_value(objective).filter(|_| objective.unit == unit)
    }
}

/// A quantile of buckets in milliseconds, by Prometheus' rule.
fn quantile_of(bounds: &[f64], counts: &[f64], quantile: f64) -> Option<f64> {
    let mut sum = 0.0;
    let bounds = bounds.iter().copied().chain([f64::INFINITY]);
    let buckets = bounds.zip(counts).map(|(upper_bound, count)| {
        sum += count;
        Bucket { upper_bound, cumulative: sum }
    });
    ClassicHistogram::new(buckets.collect()).ok()?.quantile(quantile).map(|quantile| quantile.value)
}

/// A list of bars, the longest first.
fn bars(title: &str, line: &str, rows: &[(String, f64, String)], out: &mut Markup) {
    let largest = rows.iter().map(|(_, value, _)| *value).fold(0.0, f64::max);
    out.raw("<figure><figcaption><h3>").text(title).raw("</h3><p>").text(line);
    out.raw("</p></figcaption><ul class=\"bars\">");
    for (name, value, text) in rows.iter().take(MOST_BARS) {
        out.raw("<li><span>").text(&crate::escape::clean(name, 80)).raw("</span><b>").text(text).raw("</b>");
        out.append(&bar(*value, largest)).raw("</li>");
    }
    out.raw("</ul></figure>");
}

fn endpoints(record: &BaselineRecord) -> Markup {
    let mut out = Markup::default();
    let Some(metrics) = &record.api_metrics else { return out };
    let shares = metrics.time_share_percent.as_ref().filter(|shares| !shares.is_empty());
    let rates = metrics.top_endpoints.as_ref().filter(|rates| !rates.is_empty());
    let named = |name: &str| if name.is_empty() { "(no label)".to_owned() } else { name.to_owned() };
    if let Some(shares) = shares {
        let mut rows: Vec<(String, f64, String)> =
            shares.iter().map(|(name, share)| (named(name), *share, format::percent(*share))).collect();
        rows.sort_by(|one, other| other.1.total_cmp(&one.1));
        bars("Where the API's time goes", "Share of the total response time.", &rows, &mut out);
    } else if let Some(rates) = rates {
        let rows: Vec<(String, f64, String)> =
            rates.iter().map(|(name, rate)| (named(name), *rate, format::per_second(*rate))).collect();
        bars("Busiest endpoints", "Requests a second.", &rows, &mut out);
    }
    out
}

fn statements(record: &BaselineRecord) -> Markup {
    let mut out = Markup::default();
    let slow = record.database_analysis.as_ref().and_then(|analysis| analysis.slow_queries.as_ref());
    let mut rows: Vec<(String, f64, String)> = slow
        .into_iter()
        .flatten()
        .map(|statement| {
            let text = statement.label.as_ref().or(statement.query.as_ref()).unwrap_or(&statement.query_id);
            (text.clone(), statement.total_ms, format::milliseconds(statement.total_ms))
        })
        .collect();
    rows.sort_by(|one, other| other.1.total_cmp(&one.1));
    if !rows.is_empty() {
        bars("Where the slow statements' time goes", "Total execution time of each.", &rows, &mut out);
    }
    out
}
