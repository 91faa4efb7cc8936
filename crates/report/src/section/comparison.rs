//! How the record compares with an earlier one: the four figures of the success criteria, then every indicator.

use plimsoll_analysis::judgement::{Alignment, Better, Change, Comparison, Judgement};

use super::verdict::{change_tone, change_word, signed_percent, title};
use crate::document::{Block, Cell, Grid, Text, list, numbers, prose, verdict, words};
use crate::format;

/// Heading of the section.
const HEADING: &str = "Before and after";
/// The figures of the short table, as its readers call them.
pub(crate) const HEADLINE: [(&str, &str); 4] = [
    ("web.latency.p95", "Page Load (P95)"),
    ("api.latency.p95", "API Response (P95)"),
    ("database.queryTime.p95", "DB Query (P95)"),
    ("cache.hitRatio", "Cache Hit Rate"),
];

pub(super) fn blocks(judgement: &Judgement) -> Vec<Block> {
    let Some(comparison) = &judgement.comparison else {
        let why = judgement.not_compared.as_deref();
        return why.map_or_else(Vec::new, |why| {
            let text = Text::default().strong("Not compared").plain(": ").sentence(why);
            vec![Block::Heading(HEADING), Block::Paragraph(text)]
        });
    };
    let mut blocks = vec![Block::Heading(HEADING)];
    blocks.extend(alone(comparison));
    blocks
}

/// A comparison without a heading.
pub(crate) fn alone(comparison: &Comparison) -> Vec<Block> {
    let mut blocks = vec![against(comparison)];
    blocks.extend(headline(comparison).block());
    blocks.extend(list(comparison.notes.iter().map(|note| Text::default().sentence(note)).collect()));
    if let Some(grid) = indicators(comparison).block() {
        blocks.extend([Block::Subheading("Every indicator"), method(comparison), grid]);
    }
    blocks
}

/// What is compared with what.
pub(crate) fn against(comparison: &Comparison) -> Block {
    let against = &comparison.against;
    let text = Text::default()
        .strong(change_word(comparison.verdict))
        .plain(" against run ")
        .outside(&against.run)
        .plain(" of baseline ")
        .outside(&against.name)
        .plain(format!(", window {}.", format::interval(against.window.from, against.window.to)));
    Block::Paragraph(text)
}

/// How the verdicts were reached.
pub(crate) fn method(comparison: &Comparison) -> Block {
    let alignment = match comparison.alignment {
        Alignment::None => "all of one window against all of the other",
        Alignment::HourOfWeek => "only the same hours of the week (UTC) against each other",
    };
    Block::Paragraph(Text::new(format!(
        "Compared: {alignment}. A change for the worse of {}% is allowed; the intervals hold together in {}% of comparisons, after a correction for how slots follow one another and for the number of indicators.",
        format::number(comparison.allowed_change_percent),
        format::number(comparison.confidence_percent),
    )))
}

/// The four figures: before, after and by how much it is better.
pub(crate) fn headline(comparison: &Comparison) -> Grid {
    let mut grid = Grid::new([words("Metric"), numbers("Before"), numbers("After"), numbers("Improvement")]);
    for (name, label) in HEADLINE {
        let Some(change) = comparison.indicators.iter().find(|change| change.indicator == name) else {
            continue;
        };
        let shown = |value: Option<f64>| value.map(|value| format::quantity(value, change.unit));
        if change.before.is_some() || change.after.is_some() {
            let improvement = improvement(change).map(whole_percent);
            grid.row([Some(label.to_owned()), shown(change.before), shown(change.after), improvement]);
        }
    }
    grid
}

/// By how many percent of its value before an indicator is better; negative where it is worse.
pub(crate) fn improvement(change: &Change) -> Option<f64> {
    let percent = change.change_percent.filter(|percent| percent.is_finite())?;
    match change.better {
        // 0 - x, since -0 would be written with its sign.
        Some(Better::Lower) => Some(0.0 - percent),
        Some(Better::Higher) => Some(percent),
        None => None,
    }
}

/// Whole percents from 1 up, as a table for people has them.
fn whole_percent(percent: f64) -> String {
    if percent.abs() >= 1.0 { format!("{percent:.0}%") } else { format!("{}%", format::number(percent)) }
}

/// Every indicator with what decided.
pub(crate) fn indicators(comparison: &Comparison) -> Grid {
    let mut grid = Grid::new([
        words("Indicator"),
        numbers("Before"),
        numbers("After"),
        numbers("Change"),
        numbers("Interval"),
        numbers("Samples"),
        numbers("Effective"),
        words("Verdict"),
        prose("Rule"),
    ]);
    for change in &comparison.indicators {
        let shown = |value: Option<f64>| value.map(|value| Cell::from(format::quantity(value, change.unit)));
        let pair = |[before, after]: [String; 2]| Cell::from(format!("{before} → {after}"));
        let path = plimsoll_analysis::indicator::known(&change.indicator).map(|indicator| indicator.path);
        let cells = [
            Some(title(&change.indicator).to_owned().into()),
            shown(change.before),
            shown(change.after),
            change.change_percent.map(|percent| signed_percent(percent).into()),
            interval(change).map(Into::into),
            change.samples.map(|samples| pair(samples.map(format::count))),
            change.effective_samples.map(|samples| pair(samples.map(format::number))),
            Some(verdict_of(change)),
            Some(change.rule.clone().into()),
        ];
        grid.cells(cells).source(path);
    }
    grid
}

/// The verdict; of an indicator without a better direction, that it is not judged.
fn verdict_of(change: &Change) -> Cell {
    match change.better {
        Some(_) => verdict(change_word(change.verdict), change_tone(change.verdict)),
        None => Cell::from("not judged".to_owned()),
    }
}

/// `-52% to -48%`.
pub(crate) fn interval(change: &Change) -> Option<String> {
    match (change.low_percent, change.high_percent) {
        (Some(low), Some(high)) => Some(format!("{} to {}", signed_percent(low), signed_percent(high))),
        (Some(low), None) => Some(format!("above {}", signed_percent(low))),
        (None, Some(high)) => Some(format!("below {}", signed_percent(high))),
        (None, None) => None,
    }
}
