//! What was judged of the record: the verdict in a line, and each objective.

use plimsoll_analysis::indicator;
use plimsoll_analysis::judgement::{
    ChangeVerdict, Comparison, Finding, Impact, Judgement, ObjectiveResult, ObjectiveVerdict,
};
use plimsoll_analysis::record::BaselineRecord;
use plimsoll_analysis::request::Unit;
use plimsoll_analysis::threshold;

use super::figures;
use crate::document::{Block, Grid, Text, Tone, list, numbers, verdict, words};
use crate::format;

/// How many names a sentence lists before it only counts.
const NAMED: usize = 5;

/// `Objectives: 4 of 5 met; missed: cache. Change: Improved against ... Findings: 3, 1 of high impact.`
pub(super) fn line(judgement: &Judgement) -> Option<Block> {
    let mut text = Text::default();
    let mut is_empty = true;
    if !judgement.objectives.is_empty() {
        text = objectives_line(text, &judgement.objectives);
        is_empty = false;
    }
    let space = |is_empty: bool| if is_empty { "" } else { " " };
    if let Some(comparison) = &judgement.comparison {
        text = change_line(text.plain(space(is_empty)), comparison);
        is_empty = false;
    } else if judgement.not_compared.is_some() {
        text = text.plain(space(is_empty)).plain("Change: ").strong("not compared").plain(".");
        is_empty = false;
    }
    text = findings_line(text.plain(space(is_empty)), &judgement.findings);
    Some(Block::Paragraph(text))
}

fn objectives_line(text: Text, objectives: &[ObjectiveResult]) -> Text {
    let mut text = text.plain("Objectives: ").strong(&met_of(objectives)).plain(" met");
    for (result, what) in
        [(ObjectiveVerdict::Missed, "missed"), (ObjectiveVerdict::Inconclusive, "inconclusive")]
    {
        let mut names = objectives.iter().filter(|objective| objective.result == result).peekable();
        if names.peek().is_some() {
            let names: Vec<&str> = names.map(|objective| objective.name.as_str()).collect();
            text = text.plain(format!("; {what}: ")).outside(&listed(&names));
        }
    }
    text.plain(".")
}

/// `4 of 5`.
pub(crate) fn met_of(objectives: &[ObjectiveResult]) -> String {
    let met = objectives.iter().filter(|objective| objective.result.is_met()).count();
    format!("{met} of {}", objectives.len())
}

/// The first names, and how many more there are.
pub(crate) fn listed(names: &[&str]) -> String {
    match names.get(NAMED..).map(<[&str]>::len).filter(|more| *more > 0) {
        Some(more) => format!("{} and {more} more", names[..NAMED].join(", ")),
        None => names.join(", "),
    }
}

fn change_line(text: Text, comparison: &Comparison) -> Text {
    let text = text.plain("Change: ").strong(change_word(comparison.verdict)).plain(" against run ");
    let text = text.outside(&comparison.against.run);
    let counts = counted(comparison);
    if counts.is_empty() { text.plain(".") } else { text.plain(format!(" ({counts}).")) }
}

/// `3 improved, 1 regressed`, of the judged indicators.
pub(crate) fn counted(comparison: &Comparison) -> String {
    let count = |verdict: ChangeVerdict| {
        let judged = comparison.indicators.iter().filter(|change| change.better.is_some());
        judged.filter(|change| change.verdict == verdict).count()
    };
    let parts: Vec<String> = [
        ChangeVerdict::Improved,
        ChangeVerdict::Regressed,
        ChangeVerdict::Unchanged,
        ChangeVerdict::Inconclusive,
    ]
    .into_iter()
    .map(|verdict| (count(verdict), change_word(verdict).to_lowercase()))
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{count} {word}"))
    .collect();
    parts.join(", ")
}

fn findings_line(text: Text, findings: &[Finding]) -> Text {
    if findings.is_empty() {
        return text.plain("Findings: ").strong("none").plain(".");
    }
    let high = findings.iter().filter(|finding| finding.impact == Impact::High).count();
    let text = text.plain("Findings: ").strong(&findings.len().to_string());
    if high > 0 {
        text.plain(format!(", {high} of high impact."))
    } else {
        text.plain(", none of high impact.")
    }
}

/// The word for a verdict on a change.
pub(crate) fn change_word(verdict: ChangeVerdict) -> &'static str {
    match verdict {
        ChangeVerdict::Improved => "Improved",
        ChangeVerdict::Unchanged => "Unchanged",
        ChangeVerdict::Regressed => "Regressed",
        ChangeVerdict::Inconclusive => "Inconclusive",
    }
}

/// How a verdict on a change is meant.
pub(crate) fn change_tone(verdict: ChangeVerdict) -> Tone {
    match verdict {
        ChangeVerdict::Improved => Tone::Good,
        ChangeVerdict::Unchanged => Tone::Neutral,
        ChangeVerdict::Regressed => Tone::Bad,
        ChangeVerdict::Inconclusive => Tone::Unknown,
    }
}

/// The word for how an objective came out, and how it is meant.
pub(crate) fn result(verdict: ObjectiveVerdict) -> (&'static str, Tone) {
    match verdict {
        ObjectiveVerdict::Met => ("Met", Tone::Good),
        ObjectiveVerdict::Warning => ("Warning", Tone::Warning),
        ObjectiveVerdict::Missed => ("Missed", Tone::Bad),
        ObjectiveVerdict::Inconclusive => ("Inconclusive", Tone::Unknown),
    }
}

/// What an indicator is called in reports.
pub(crate) fn title(name: &str) -> &str {
    match indicator::known(name) {
        Some(indicator) => indicator.title,
        None => name.strip_prefix(indicator::METRICS).unwrap_or(name),
    }
}

/// The objectives as a table, then what is to be said of those that were not plainly met.
pub(super) fn objectives(record: &BaselineRecord, judgement: &Judgement) -> Vec<Block> {
    let mut grid = Grid::new([
        words("Objective"),
        words("Judged"),
        numbers("Target"),
        numbers("Value"),
        words("Result"),
        numbers("Margin"),
        words("Basis"),
        numbers("Coverage"),
    ]);
    for objective in &judgement.objectives {
        let basis = objective.path.as_deref().and_then(|path| record.basis_of(path));
        let (word, tone) = result(objective.result);
        let cells = [
            Some(objective.name.clone().into()),
            Some(title(&objective.indicator).to_owned().into()),
            Some(target(&objective.target).into()),
            value(objective).map(Into::into),
            Some(verdict(word, tone)),
            objective.margin_percent.map(|margin| signed_percent(margin).into()),
            basis.map(|basis| figures::covers(basis, record).into()),
            basis.and_then(figures::coverage).map(Into::into),
        ];
        grid.cells(cells).source(objective.path.as_deref());
    }
    let Some(grid) = grid.block() else { return Vec::new() };
    let said = judgement.objectives.iter().filter(|objective| needs_words(objective)).map(|objective| {
        let (word, _) = result(objective.result);
        let text = Text::default().strong(&objective.name).plain(format!(" ({}): ", word.to_lowercase()));
        let text = text.sentence(message(objective));
        match &objective.finding {
            Some(finding) => text.plain(" What explains it: ").sentence(finding),
            None => text,
        }
    });
    std::iter::once(Block::Heading("Objectives")).chain([grid]).chain(list(said.collect())).collect()
}

/// Whether a row of figures does not say all: of an objective that is not plainly met.
pub(crate) fn needs_words(objective: &ObjectiveResult) -> bool {
    let bounds = objective.low.zip(objective.high);
    let is_certain = bounds.zip(target_value(objective)).is_none_or(|((low, high), target)| {
        // The value decides, and the true one may lie on the other side.
        !(low < target && target < high)
    });
    objective.result != ObjectiveVerdict::Met || !is_certain
}

/// What is to be said of an objective, without the finding that explains it, which is said beside it.
pub(crate) fn message(objective: &ObjectiveResult) -> &str {
    let message = objective.message.as_str();
    let finding = objective.finding.as_ref().map(|finding| format!("; see the finding {finding}"));
    finding.and_then(|finding| message.strip_suffix(finding.as_str())).unwrap_or(message)
}

/// The target as a number, in the objective's unit.
pub(crate) fn target_value(objective: &ObjectiveResult) -> Option<f64> {
    threshold::parse(objective.target.split_once(' ')?.1, objective.unit).ok()
}

/// `lessThan 3s` as people write it: `< 3s`.
pub(crate) fn target(target: &str) -> String {
    match target.split_once(' ') {
        Some(("lessThan", bound)) => format!("< {bound}"),
        Some(("greaterThan", bound)) => format!("> {bound}"),
        _ => target.to_owned(),
    }
}

/// The value, or the bounds between which it lies.
pub(crate) fn value(objective: &ObjectiveResult) -> Option<String> {
    match (objective.value, objective.low, objective.high) {
        (Some(value), ..) => Some(format::quantity(value, objective.unit)),
        (None, Some(low), high) if objective.unit == Unit::Seconds => {
            Some(format::milliseconds_between(low * 1_000.0, high.map(|high| high * 1_000.0)))
        }
        (None, Some(low), Some(high)) => Some(format!(
            "{} to {}",
            format::quantity(low, objective.unit),
            format::quantity(high, objective.unit)
        )),
        (None, Some(low), None) => Some(format!(">{}", format::quantity(low, objective.unit))),
        (None, None, Some(high)) => Some(format!("<={}", format::quantity(high, objective.unit))),
        (None, None, None) => None,
    }
}

/// A change or a margin in percent, with its sign: `+12.5%`, `-50%`, `0%`.
pub(crate) fn signed_percent(percent: f64) -> String {
    let text = format::number(percent);
    let sign = if percent > 0.0 && text != "0" { "+" } else { "" };
    format!("{sign}{text}%")
}
