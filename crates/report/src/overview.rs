//! What the baselines of a namespace say together: which optimisations can be seen, before and after, and what is left to
//! hand over.

use plimsoll_analysis::judgement::{Change, ChangeVerdict, Comparison, Judgement, ObjectiveVerdict};
use plimsoll_analysis::record::BaselineRecord;

use crate::document::{Block, Column, Grid, Text, list, words};
use crate::section::{comparison, verdict};
use crate::{format, markdown, table};
use changes::Category;

mod changes;
#[cfg(test)]
mod tests;

/// The baselines of a namespace.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// Name of the namespace.
    pub namespace: String,
    /// Its baselines, in the order in which they are to be told.
    pub baselines: Vec<BaselineOverview>,
}

/// What is known of one baseline.
#[derive(Debug, Clone, Default)]
pub struct BaselineOverview {
    /// Its name.
    pub name: String,
    /// The record of its newest run that is kept.
    pub record: Option<BaselineRecord>,
    /// What was said of that record.
    pub judgement: Option<Judgement>,
    /// The record that it was compared with, where it can still be read.
    pub before: Option<BaselineRecord>,
    /// Why record or judgement are missing, and what to do.
    pub missing: Option<String>,
    /// Whether a complete record for its current spec exists.
    pub is_ready: bool,
    /// Whether runs start by a schedule.
    pub is_scheduled: bool,
    /// Whether alerts are written for its objectives.
    pub has_alerts: bool,
}

impl BaselineOverview {
    fn comparison(&self) -> Option<&Comparison> {
        self.judgement.as_ref()?.comparison.as_ref()
    }
}

/// One line of the hand-off list.
struct Task {
    is_done: bool,
    text: Text,
}

/// The overview as GitHub-flavoured Markdown, ending in a newline.
#[must_use]
pub fn overview_markdown(overview: &Overview) -> String {
    let tasks: Vec<String> = tasks(overview)
        .iter()
        .map(|task| format!("- [{}] {}\n", if task.is_done { 'x' } else { ' ' }, markdown::line(&task.text)))
        .collect();
    format!("{}\n{}", markdown::render(&blocks(overview)), tasks.concat())
}

/// The overview for a terminal, ending in a newline; `width` as in [`crate::table`].
#[must_use]
pub fn overview_table(overview: &Overview, width: Option<usize>) -> String {
    let tasks = tasks(overview).into_iter().map(|task| {
        let mut text = Text::new(if task.is_done { "[x] " } else { "[ ] " });
        text.spans.extend(task.text.spans);
        text
    });
    let mut blocks = blocks(overview);
    blocks.extend(list(tasks.collect()));
    table::render(&blocks, width)
}

/// All but the hand-off list, whose heading is the last.
fn blocks(overview: &Overview) -> Vec<Block> {
    let mut blocks = vec![Block::Title(Text::new("Performance of namespace ").outside(&overview.namespace))];
    blocks.push(Block::Heading("Optimizations applied"));
    blocks.extend(optimizations(overview));
    blocks.push(Block::Heading("Performance metrics comparison"));
    blocks.extend(before_and_after(overview));
    blocks.push(Block::Heading("Handoffs"));
    blocks
}

/// What was changed, as far as two records show it, and what it brought.
fn optimizations(overview: &Overview) -> Vec<Block> {
    let mut columns: Vec<Column> = vec![words("Category"), words("Optimization"), words("Impact")];
    let compared: Vec<&BaselineOverview> =
        overview.baselines.iter().filter(|baseline| baseline.comparison().is_some()).collect();
    let names_them = compared.len() > 1;
    if names_them {
        columns.insert(0, words("Baseline"));
    }
    let mut grid = Grid::new(columns);
    for baseline in &compared {
        for [category, what, impact] in rows(baseline) {
            let name = names_them.then(|| Some(baseline.name.clone()));
            grid.row(name.into_iter().chain([category, what, impact].map(Some)));
        }
    }
    let note = "Seen in what the two records hold: tables read whole, slow statements, indexes, settings of the \
                database, configuration and keys of the cache, requests, limits, replicas and autoscalers. A change \
                of code, or a view, shows in the figures alone. Changes of one category share their impact.";
    match (grid.block(), compared.is_empty()) {
        (Some(grid), _) => vec![grid, Block::Paragraph(Text::new(note))],
        (None, false) => vec![Block::Paragraph(Text::new("None can be seen. ").plain(note))],
        (None, true) => vec![Block::Paragraph(Text::new(
            "None can be seen: no run is compared with an earlier one. Set spec.compareTo of a baseline.",
        ))],
    }
}

/// Category, optimisation and impact of one baseline.
fn rows(baseline: &BaselineOverview) -> Vec<[String; 3]> {
    let (Some(comparison), Some(after)) = (baseline.comparison(), &baseline.record) else {
        return Vec::new();
    };
    let seen = baseline.before.as_ref().map_or_else(Vec::new, |before| changes::seen(before, after));
    let mut rows = Vec::new();
    for category in Category::ALL {
        let impact = impact(comparison, category.indicators());
        let found = seen.iter().filter(|change| change.category == category);
        let mut found: Vec<String> = found.map(|change| change.text.clone()).collect();
        if found.is_empty() && !impact.is_empty() {
            found.push("no change of configuration seen".to_owned());
        }
        for (index, what) in found.into_iter().enumerate() {
            let impact = match (index, impact.is_empty()) {
                (0, _) => impact.clone(),
                (_, true) => String::new(),
                (_, false) => "with the above".to_owned(),
            };
            rows.push([category.title().to_owned(), what, impact]);
        }
    }
    let application = impact(comparison, &["web.", "api."]);
    if !application.is_empty() {
        rows.push(["Application".to_owned(), "everything together".to_owned(), application]);
    }
    rows
}

/// The figures that improved or regressed, of those whose names begin so.
fn impact(comparison: &Comparison, prefixes: &[&str]) -> String {
    let of_these = |change: &&Change| {
        change.better.is_some() && prefixes.iter().any(|prefix| change.indicator.starts_with(prefix))
    };
    let said = comparison.indicators.iter().filter(of_these).filter_map(|change| {
        let word = match change.verdict {
            ChangeVerdict::Improved => "better",
            ChangeVerdict::Regressed => "worse",
            ChangeVerdict::Unchanged | ChangeVerdict::Inconclusive => return None,
        };
        let title = verdict::title(&change.indicator);
        Some(match change.change_percent {
            Some(percent) => format!("{title} {}% {word}", format::number(percent.abs())),
            None => format!("{title} {word}"),
        })
    });
    said.collect::<Vec<_>>().join("; ")
}

/// The four figures of each baseline that is compared, and why the others are not.
fn before_and_after(overview: &Overview) -> Vec<Block> {
    let mut blocks = Vec::new();
    for baseline in &overview.baselines {
        let mut text = Text::default().strong(&baseline.name).plain(": ");
        let Some(comparison) = baseline.comparison() else {
            let why = baseline.judgement.as_ref().and_then(|judgement| judgement.not_compared.as_deref());
            let why = why.or(baseline.missing.as_deref());
            let why = why.unwrap_or("it is not compared with another run; set spec.compareTo");
            blocks.push(Block::Paragraph(text.sentence(why)));
            continue;
        };
        if let Block::Paragraph(against) = comparison::against(comparison) {
            text.spans.extend(against.spans);
        }
        blocks.push(Block::Paragraph(text));
        blocks.extend(comparison::headline(comparison).block());
        blocks.extend(list(comparison.notes.iter().map(|note| Text::default().sentence(note)).collect()));
    }
    if blocks.is_empty() {
        blocks.push(Block::Paragraph(Text::new("There is no baseline in this namespace.")));
    }
    blocks
}

/// What is to be handed over: done as far as the baselines show it, else what to do.
fn tasks(overview: &Overview) -> [Task; 4] {
    [documented(overview), optimized(overview), capacity(), monitored(overview)]
}

fn documented(overview: &Overview) -> Task {
    let ready: Vec<(&BaselineOverview, &BaselineRecord)> = overview
        .baselines
        .iter()
        .filter(|baseline| baseline.is_ready)
        .filter_map(|baseline| Some((baseline, baseline.record.as_ref()?)))
        .collect();
    let mut text = Text::new("Performance baseline documented: ");
    for (index, (baseline, record)) in ready.iter().enumerate() {
        text = text.plain(if index == 0 { "" } else { "; " }).outside(&baseline.name).plain(", run ");
        text = text.outside(&record.run).plain(format!(", {}", format::instant(record.collection_date)));
    }
    if ready.is_empty() {
        text =
            match overview.baselines.iter().find_map(|baseline| Some((baseline, baseline.missing.as_ref()?)))
            {
                Some((baseline, why)) => text.outside(&baseline.name).plain(": ").sentence(why),
                None if overview.baselines.is_empty() => text.plain("apply a PerformanceBaseline."),
                None => text.plain("no baseline is Ready; `kubectl plimsoll status` says why."),
            };
    }
    Task { is_done: !ready.is_empty(), text }
}

fn optimized(overview: &Overview) -> Task {
    let improved: Vec<&BaselineOverview> = overview
        .baselines
        .iter()
        .filter(|baseline| {
            baseline.comparison().is_some_and(|comparison| comparison.verdict == ChangeVerdict::Improved)
        })
        .collect();
    let mut text = Text::new("Optimizations applied: ");
    for (index, baseline) in improved.iter().enumerate() {
        let Some(comparison) = baseline.comparison() else { continue };
        text = text.plain(if index == 0 { "" } else { "; " }).outside(&baseline.name);
        text = text.plain(" is improved against run ").outside(&comparison.against.run);
        text = text.plain(format!(" ({})", verdict::counted(comparison)));
    }
    if improved.is_empty() {
        text = text.plain("no comparison shows an improvement; work through the findings of the report, then run the baseline again with spec.compareTo.");
    }
    Task { is_done: !improved.is_empty(), text }
}

fn capacity() -> Task {
    let text = "Capacity plan delivered: this version makes none; limits, autoscalers and connections in the report are what to start from.";
    Task { is_done: false, text: Text::new(text) }
}

/// Monitoring is verified where a baseline measures by a schedule, can judge each of its objectives, and writes alerts.
fn monitored(overview: &Overview) -> Task {
    let mut text = Text::new("Monitoring verified: ");
    let mut is_done = false;
    let mut first = true;
    for baseline in &overview.baselines {
        let lacks = lacks(baseline);
        text = text.plain(if first { "" } else { "; " }).outside(&baseline.name);
        first = false;
        if lacks.is_empty() {
            is_done = true;
            text = text.plain(" measures by its schedule, judges every objective and writes alerts");
        } else {
            text = text.plain(" lacks ").outside(&lacks.join(", "));
        }
    }
    if first {
        text = text.plain("apply a PerformanceBaseline with objectives, a schedule and prometheusRule.");
    }
    Task { is_done, text }
}

fn lacks(baseline: &BaselineOverview) -> Vec<&'static str> {
    let objectives = baseline.judgement.as_ref().map(|judgement| judgement.objectives.as_slice());
    let objectives = objectives.unwrap_or_default();
    let has_inconclusive =
        objectives.iter().any(|objective| objective.result == ObjectiveVerdict::Inconclusive);
    [
        (!baseline.is_ready, "a complete record (see status)"),
        (!baseline.is_scheduled, "a schedule (spec.schedule)"),
        (objectives.is_empty(), "objectives that were judged (spec.objectives)"),
        (has_inconclusive, "data for every objective (see the report)"),
        (!baseline.has_alerts, "alerts (spec.prometheusRule)"),
    ]
    .into_iter()
    .filter_map(|(lacks, what)| lacks.then_some(what))
    .collect()
}
