//! What somebody should look at, and how the indicators moved over the runs kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plimsoll_analysis::judgement::{Finding, Impact, Judgement, Trend};

use super::verdict::title;
use crate::document::{Block, Grid, Text, numbers, words};
use crate::format;

/// Most runs that have a column.
const MOST_RUNS: usize = 6;

/// The findings, the largest expected effect first.
pub(super) fn blocks(judgement: &Judgement) -> Vec<Block> {
    if judgement.findings.is_empty() {
        return vec![
            Block::Heading("Findings"),
            Block::Paragraph(Text::new("None: no rule found anything that somebody should look at.")),
        ];
    }
    let items = judgement.findings.iter().map(item).collect();
    vec![
        Block::Heading("Findings"),
        Block::Paragraph(Text::new("The largest expected effect first.")),
        Block::Numbered(items),
    ]
}

/// `High: slow-statement S1, up to 62% of its tier. What was seen. Do: what to do. Explains: ...`
fn item(finding: &Finding) -> Text {
    let mut text = Text::default().strong(impact(finding.impact)).plain(" ").code(&finding.id);
    text = text.plain(" ").strong(&finding.subject);
    if let Some(effect) = finding.effect_percent {
        text = text.plain(format!(", up to {} of its tier", format::percent(effect)));
    }
    text = text.plain(": ").sentence(&finding.evidence).plain(" Do: ").sentence(&finding.action);
    if !finding.explains.is_empty() {
        let titles: Vec<&str> = finding.explains.iter().map(|name| title(name)).collect();
        text = text.plain(" Can explain: ").sentence(&titles.join(", "));
    }
    text
}

/// The word for an impact.
pub(crate) fn impact(impact: Impact) -> &'static str {
    match impact {
        Impact::High => "High",
        Impact::Medium => "Medium",
        Impact::Low => "Low",
    }
}

/// A column a run, the oldest first; the newest ones where there are many.
pub(crate) fn trend(trends: &[Trend]) -> Vec<Block> {
    let mut runs: BTreeMap<(Timestamp, &str), ()> = BTreeMap::new();
    for point in trends.iter().flat_map(|trend| &trend.points) {
        runs.insert((point.at, &point.run), ());
    }
    let all: Vec<(Timestamp, &str)> = runs.into_keys().collect();
    let shown = &all[all.len().saturating_sub(MOST_RUNS)..];
    let columns = shown.iter().map(|(at, _)| numbers(at.strftime("%F %H:%M").to_string()));
    let mut grid = Grid::new(std::iter::once(words("Indicator")).chain(columns));
    for trend in trends {
        let value = |(_, run): &(Timestamp, &str)| {
            let point = trend.points.iter().find(|point| point.run == *run)?;
            Some(format::quantity(point.value, trend.unit))
        };
        let name = Some(title(&trend.indicator).to_owned());
        grid.row(std::iter::once(name).chain(shown.iter().map(value)));
    }
    let Some(grid) = grid.block() else { return Vec::new() };
    let runs = match all.len() {
        1 => "One run is kept.".to_owned(),
        count if count > MOST_RUNS => format!("The newest {MOST_RUNS} of the {count} runs kept"),
        count => format!("The {count} runs kept"),
    };
    let caption = match all.len() {
        1 => runs,
        _ => format!("{runs}, the oldest first, each by the end of its window (UTC)."),
    };
    vec![Block::Heading("Trend"), Block::Paragraph(Text::new(caption)), grid]
}
