//! Figures with their basis: web, API and custom metrics, and the endpoints.

use plimsoll_analysis::record::{BaselineRecord, Basis, BasisKind, JUDGED_COVERAGE_PERCENT, Window};

use super::{basis_of_entry, has_basis, path_of};
use crate::document::{Block, Grid, Text, list, numbers, words};
use crate::format;

/// Name of the 95th percentile.
pub(crate) const P95: &str = "p95";
/// Name of the request rate.
pub(crate) const REQUESTS: &str = "Requests";
/// Name of the share of failed requests.
pub(crate) const ERRORS: &str = "Errors";

/// One figure, present or not.
#[derive(Debug, Clone)]
pub(crate) struct Figure<'a> {
    /// What several figures share, for example `Page load` of `p50` and `p95`.
    pub(crate) group: Option<&'static str>,
    /// Its name.
    pub(crate) name: String,
    /// The figure as text, or nothing where it could not be had.
    pub(crate) value: Option<String>,
    /// What it rests on, or why it is missing.
    pub(crate) basis: Option<&'a Basis>,
    /// What its samples are, one of them: `request`, `scrape`.
    pub(crate) sample: &'static str,
}

/// What the samples of most figures are.
pub(super) const SCRAPE: &str = "scrape";
/// What the samples of a latency are.
const REQUEST: &str = "request";
/// Why a figure is missing where the record does not say it.
pub(super) const NO_REASON: &str = "the record gives no reason";

impl Figure<'_> {
    /// Its group and its name.
    pub(crate) fn label(&self) -> String {
        self.group.map_or_else(|| self.name.clone(), |group| format!("{group} {}", self.name))
    }

    /// Whether its coverage allows it to be judged; a figure of an instant has none and is.
    pub(crate) fn is_judged(&self) -> bool {
        coverage_is_judged(self.basis)
    }
}

/// Whether the coverage of a basis reaches the bound.
pub(super) fn coverage_is_judged(basis: Option<&Basis>) -> bool {
    basis.and_then(|basis| basis.coverage_percent).is_none_or(|percent| percent >= JUDGED_COVERAGE_PERCENT)
}

/// The web figures, or none where the record has no web section.
pub(crate) fn web(record: &BaselineRecord) -> Vec<Figure<'_>> {
    const SECTION: &str = "web_metrics";
    if record.web_metrics.is_none() && !has_basis(record, SECTION) {
        return Vec::new();
    }
    let metrics = record.web_metrics.clone().unwrap_or_default();
    section(
        record,
        SECTION,
        "Page load",
        [
            ("p50", "page_load_p50_ms", metrics.page_load_p50_ms),
            ("p90", "page_load_p90_ms", metrics.page_load_p90_ms),
            (P95, "page_load_p95_ms", metrics.page_load_p95_ms),
            ("p99", "page_load_p99_ms", metrics.page_load_p99_ms),
        ],
        [metrics.requests_per_second, metrics.error_rate_percent],
    )
}

/// The API figures, or none where the record has no API section.
pub(crate) fn api(record: &BaselineRecord) -> Vec<Figure<'_>> {
    const SECTION: &str = "api_metrics";
    if record.api_metrics.is_none() && !has_basis(record, SECTION) {
        return Vec::new();
    }
    let metrics = record.api_metrics.clone().unwrap_or_default();
    section(
        record,
        SECTION,
        "Response",
        [
            ("p50", "response_time_p50_ms", metrics.response_time_p50_ms),
            ("p90", "response_time_p90_ms", metrics.response_time_p90_ms),
            (P95, "response_time_p95_ms", metrics.response_time_p95_ms),
            ("p99", "response_time_p99_ms", metrics.response_time_p99_ms),
        ],
        [metrics.requests_per_second, metrics.error_rate_percent],
    )
}

/// The figures of the user's own queries, missing ones too where the record says why.
pub(crate) fn custom(record: &BaselineRecord) -> Vec<Figure<'_>> {
    const SECTION: &str = "custom_metrics";
    let present = record.custom_metrics.iter().flatten();
    let mut figures: Vec<Figure<'_>> = present
        .map(|(name, metric)| Figure {
            group: None,
            name: name.clone(),
            value: Some(format::quantity(metric.value, metric.unit)),
            basis: basis_of_entry(record, SECTION, name),
            sample: SCRAPE,
        })
        .collect();
    for (path, basis) in &record.basis {
        let name = path.strip_prefix(SECTION).and_then(|rest| rest.strip_prefix('.'));
        if let Some(name) = name.filter(|name| !figures.iter().any(|figure| figure.name == *name)) {
            let name = name.to_owned();
            figures.push(Figure { group: None, name, value: None, basis: Some(basis), sample: SCRAPE });
        }
    }
    figures
}

fn section<'a>(
    record: &'a BaselineRecord,
    section: &str,
    group: &'static str,
    percentiles: [(&str, &str, Option<f64>); 4],
    [requests, errors]: [Option<f64>; 2],
) -> Vec<Figure<'a>> {
    let basis = |key: &str| basis_of_entry(record, section, key);
    let percentiles = percentiles.into_iter().map(|(name, key, value)| Figure {
        group: Some(group),
        name: name.to_owned(),
        value: value.map(|value| percentile(value, basis(key))),
        basis: basis(key),
        sample: REQUEST,
    });
    let rates = [
        (REQUESTS, "requests_per_second", requests.map(format::per_second)),
        (ERRORS, "error_rate_percent", errors.map(format::percent)),
    ];
    let rates = rates.into_iter().map(|(name, key, value)| Figure {
        group: None,
        name: name.to_owned(),
        value,
        basis: basis(key),
        sample: SCRAPE,
    });
    percentiles.chain(rates).collect()
}

/// A percentile in the last bucket is only known to lie past that bucket's lower bound, which is what
/// `histogram_quantile` gives then: `>2.5s`.
fn percentile(value: f64, basis: Option<&Basis>) -> String {
    let text = format::milliseconds(value);
    match basis.and_then(|basis| basis.resolution_ms.as_deref()) {
        Some([lower]) if value <= *lower => format!(">{text}"),
        _ => text,
    }
}

/// A section: its figures, then what a reader must know about them.
pub(super) fn blocks(title: &'static str, figures: &[Figure<'_>], record: &BaselineRecord) -> Vec<Block> {
    if figures.is_empty() {
        return Vec::new();
    }
    let grid = table(figures, record).block();
    let notes = list(notes(figures, NO_REASON));
    std::iter::once(Block::Heading(title)).chain(grid).chain(notes).collect()
}

/// The figures that are there; one without any basis has empty cells beside it.
pub(super) fn table(figures: &[Figure<'_>], record: &BaselineRecord) -> Grid {
    let mut grid = Grid::new([
        words("Figure"),
        numbers("Value"),
        words("True value"),
        words("Covers"),
        numbers("Samples"),
        numbers("Coverage"),
    ]);
    let of_window =
        figures.iter().all(|figure| figure.basis.is_none_or(|basis| basis.kind == BasisKind::Window));
    for figure in figures.iter().filter(|figure| figure.value.is_some()) {
        let basis = figure.basis;
        let cells = [
            Some(figure.label()),
            figure.value.clone(),
            basis.and_then(|basis| bounds(basis.resolution_ms.as_deref()?)),
            basis.filter(|_| !of_window).map(|basis| covers(basis, record)),
            basis.and_then(|basis| basis.samples).map(|samples| {
                let plural = if samples == 1 { "" } else { "s" };
                format!("{} {}{plural}", format::count(samples), figure.sample)
            }),
            basis.and_then(coverage),
        ];
        grid.row(cells).source(basis.and_then(|basis| path_of(record, basis)));
    }
    grid
}

/// `99.8%`, or `35.2%, not judged`.
pub(crate) fn coverage(basis: &Basis) -> Option<String> {
    let text = format::coverage(basis.coverage_percent?);
    Some(if coverage_is_judged(Some(basis)) { text } else { format!("{text}, not judged") })
}

/// The bounds between which a percentile lies.
pub(crate) fn bounds(resolution: &[f64]) -> Option<String> {
    match resolution {
        [lower] => Some(format!("above {}", format::milliseconds(*lower))),
        [lower, upper] if *lower <= 0.0 => Some(format!("up to {}", format::milliseconds(*upper))),
        [lower, upper] => {
            Some(format!("between {} and {}", format::milliseconds(*lower), format::milliseconds(*upper)))
        }
        _ => None,
    }
}

/// What a figure covers, where a section's figures are not all of the window.
pub(crate) fn covers(basis: &Basis, record: &BaselineRecord) -> String {
    match basis.kind {
        BasisKind::Window => "the window".to_owned(),
        BasisKind::Instant if basis.to == record.window.to => "the window's end".to_owned(),
        BasisKind::Instant => format!("at {}", format::instant(basis.to)),
        BasisKind::SincePreviousRun => format!("since the run of {}", format::instant(basis.from)),
        BasisKind::Sampled => {
            let length = format::length(&Window { from: basis.from, to: basis.to });
            format!("{length} sampled from {}", format::instant(basis.from))
        }
        BasisKind::Lifetime => format!("since {}", format::instant(basis.from)),
    }
}

/// What is missing and why, what is not judged and what it covers, and what the collector remarked; figures that
/// share a remark share a line. `no_reason` stands for a reason that the record does not give.
pub(super) fn notes(figures: &[Figure<'_>], no_reason: &str) -> Vec<Text> {
    let mut missing: Vec<(String, Vec<&Figure<'_>>)> = Vec::new();
    let mut covered: Vec<(String, Vec<&Figure<'_>>)> = Vec::new();
    let mut remarks: Vec<(String, Vec<&Figure<'_>>)> = Vec::new();
    for figure in figures {
        let note = figure.basis.and_then(|basis| basis.note.clone());
        if figure.value.is_none() {
            let reason = note.unwrap_or_else(|| no_reason.to_owned());
            group(&mut missing, reason, figure);
            continue;
        }
        if let Some(note) = note {
            group(&mut remarks, note, figure);
        }
        if let Some(basis) = figure.basis.filter(|_| !figure.is_judged()) {
            let part = basis.coverage_percent.map(format::coverage).unwrap_or_default();
            group(&mut covered, format!("{}, {part}", format::interval(basis.from, basis.to)), figure);
        }
    }
    let missing = missing
        .into_iter()
        .map(|(reason, of)| Text::new("Not measured: ").outside(&join(&of)).plain("; ").sentence(&reason));
    let covered = covered.into_iter().map(|(interval, of)| {
        Text::new("Not judged: ").outside(&join(&of)).plain(format!("; seen from {interval} of the window."))
    });
    let remarks = remarks
        .into_iter()
        .map(|(note, of)| Text::new("Note on ").outside(&join(&of)).plain(": ").sentence(&note));
    missing.chain(covered).chain(remarks).collect()
}

fn group<'f, 'a>(groups: &mut Vec<(String, Vec<&'f Figure<'a>>)>, key: String, figure: &'f Figure<'a>) {
    match groups.iter_mut().find(|(other, _)| *other == key) {
        Some((_, figures)) => figures.push(figure),
        None => groups.push((key, vec![figure])),
    }
}

/// `Page load p50, p90, Requests`: a group is named once.
fn join(figures: &[&Figure<'_>]) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut group = None;
    for figure in figures {
        let named = figure.group.is_some() && figure.group == group;
        names.push(if named { figure.name.clone() } else { figure.label() });
        group = figure.group;
    }
    names.join(", ")
}

/// The endpoints by rate, with their share of the response time.
pub(super) fn endpoints(record: &BaselineRecord) -> Vec<Block> {
    const RATES: &str = "api_metrics.top_endpoints";
    const SHARES: &str = "api_metrics.time_share_percent";
    let metrics = record.api_metrics.as_ref();
    let rates = metrics.and_then(|metrics| metrics.top_endpoints.as_ref());
    let shares = metrics.and_then(|metrics| metrics.time_share_percent.as_ref());
    let mut grid = Grid::new([
        words("Endpoint"),
        numbers("Requests"),
        numbers("Share of response time"),
        numbers("Coverage"),
    ]);
    for (endpoint, rate) in rates.into_iter().flatten() {
        // Coverage is worth a column only where an endpoint was seen too briefly.
        let own = basis_of_entry(record, RATES, endpoint).filter(|basis| !coverage_is_judged(Some(basis)));
        grid.row([
            Some(if endpoint.is_empty() { "(no label)".to_owned() } else { endpoint.clone() }),
            Some(format::per_second(*rate)),
            shares.and_then(|shares| shares.get(endpoint)).map(|share| format::percent(*share)),
            own.and_then(coverage),
        ])
        .source(Some(RATES));
    }
    let whole = |name: &str, path: &str, there: bool| Figure {
        group: None,
        name: name.to_owned(),
        value: there.then(String::new),
        basis: record.basis.get(path),
        sample: SCRAPE,
    };
    let mut maps = vec![whole("Requests by endpoint", RATES, rates.is_some())];
    if shares.is_some() || record.basis.contains_key(SHARES) {
        maps.push(whole("Share of response time", SHARES, shares.is_some()));
    }
    maps.retain(|map| map.value.is_some() || map.basis.is_some());
    let empty = rates.is_some_and(indexmap::IndexMap::is_empty);
    let none =
        empty.then(|| Block::Paragraph(Text::new("No endpoint answered a request within the window.")));
    grid.block().into_iter().chain(none).chain(list(notes(&maps, NO_REASON))).collect()
}
