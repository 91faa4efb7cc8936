//! Before and after: the four figures, the interval of each change, and what decided.

use plimsoll_analysis::judgement::{Better, Change, Comparison, Judgement};

use super::markup::Markup;
use super::writer::Writer;
use crate::chart::{Interval, intervals};
use crate::document::{Block, Text, list};
use crate::section::comparison as words;
use crate::section::verdict::{change_tone, change_word, title};

pub(super) fn body(judgement: &Judgement, writer: &mut Writer<'_>) -> Markup {
    let name = "Before and after";
    let Some(comparison) = &judgement.comparison else {
        let why = judgement.not_compared.as_deref();
        return why.map_or_else(Markup::default, |why| {
            let text = Text::default().strong("Not compared").plain(": ").sentence(why);
            writer.blocks(name, &[Block::Paragraph(text)])
        });
    };
    let mut blocks = vec![words::against(comparison)];
    blocks.extend(words::headline(comparison).block());
    blocks.extend(list(comparison.notes.iter().map(|note| Text::default().sentence(note)).collect()));
    let mut out = writer.blocks(name, &blocks);
    out.append(&changes(comparison, writer));
    if let Some(grid) = words::indicators(comparison).block() {
        let blocks = [Block::Subheading("Every indicator"), words::method(comparison), grid];
        out.append(&writer.blocks(name, &blocks));
    }
    out
}

/// The picture of all changes that were judged.
fn changes(comparison: &Comparison, writer: &mut Writer<'_>) -> Markup {
    let rows: Vec<Interval<'_>> = comparison.indicators.iter().filter_map(row).collect();
    let told: Vec<String> =
        rows.iter().map(|row| format!("{} {:.1}% ({})", row.title, row.value, row.word)).collect();
    let description = format!("Improvement of each indicator: {}.", told.join("; "));
    let allowed = comparison.allowed_change_percent;
    let mut out = Markup::default();
    if let Some(picture) = intervals(writer.chart(), &rows, allowed, &description) {
        out.raw("<figure class=\"wide\"><figcaption><h3>How sure it is</h3><p>Each change with the interval in which it lies; better is to the right. Shaded is the change for the worse that is allowed.</p></figcaption>");
        out.append(&picture).raw("</figure>");
    }
    out
}

fn row(change: &Change) -> Option<Interval<'_>> {
    let value = words::improvement(change)?;
    let bounds = change.low_percent.zip(change.high_percent).map(|(low, high)| {
        // Less is better: what is the lower end of the change is the upper one of the improvement.
        if change.better == Some(Better::Lower) { (-high, -low) } else { (low, high) }
    });
    Some(Interval {
        title: title(&change.indicator),
        value,
        bounds,
        tone: change_tone(change.verdict),
        word: change_word(change.verdict),
    })
}
