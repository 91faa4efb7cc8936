//! What the report is of, whether it is complete, and the figures that most readers come for.

use plimsoll_analysis::record::{BaselineRecord, Source, SourceState};

use super::figures::{self, Figure};
use super::{cache, database};
use crate::document::{Block, Text};
use crate::format;

/// The report's own heading.
pub(super) fn title(record: &BaselineRecord) -> Block {
    Block::Title(Text::new("Performance baseline ").outside(&record.name))
}

pub(super) fn blocks(record: &BaselineRecord) -> Vec<Block> {
    let mut blocks = vec![Block::List(vec![
        Text::new("Namespace ").outside(&record.namespace).plain(", run ").outside(&record.run),
        Text::new("Window ").plain(format::interval(record.window.from, record.window.to)),
        state(record),
    ])];
    blocks.extend(headline(record).map(Block::Paragraph));
    // Paragraphs, since a list right after a list would become part of it.
    blocks.extend(problems(record).into_iter().map(Block::Paragraph));
    blocks
}

/// Why sources were not collected whole, one text a source.
pub(crate) fn problems(record: &BaselineRecord) -> Vec<Text> {
    record.sources.iter().filter_map(problem).collect()
}

/// Complete or not, and when reading ended.
fn state(record: &BaselineRecord) -> Text {
    let mut text = Text::default().strong(if record.complete { "Complete" } else { "Not complete" });
    let line = state_line(record);
    text = text.plain(": ");
    text.spans.extend(line.spans);
    text
}

/// Which sources were collected, and when reading ended.
pub(crate) fn state_line(record: &BaselineRecord) -> Text {
    let read = format!(" Reading ended {}.", format::instant(record.collection_date));
    if record.complete {
        return Text::new(match record.sources.len() {
            0 => format!("no source was asked for.{read}"),
            1 => format!("the one source was collected.{read}"),
            count => format!("all {count} sources were collected.{read}"),
        });
    }
    let named: Vec<String> = record
        .sources
        .iter()
        .filter_map(|source| match source.state {
            SourceState::Collected => None,
            SourceState::Partial => Some(format!("{} was read in part", source.name)),
            SourceState::Failed => Some(format!("{} failed", source.name)),
        })
        .collect();
    if named.is_empty() {
        Text::new(format!("the record does not say why.{read}"))
    } else {
        Text::default().sentence(&named.join(", ")).plain(read)
    }
}

/// Why a source was not collected whole, in its own words, which name the remedy.
fn problem(source: &Source) -> Option<Text> {
    let what = match source.state {
        SourceState::Collected => return None,
        SourceState::Partial => " was read in part",
        SourceState::Failed => " failed",
    };
    let mut text = Text::default().strong(&source.name).plain(what);
    if let Some(reason) = source.reason {
        text = text.plain(format!(" ({reason:?})"));
    }
    Some(match &source.message {
        Some(message) => text.plain(": ").sentence(message),
        None => text.plain("; it left no message."),
    })
}

/// `Web: p95 412ms, requests 20.1/s, errors 0.12%. API: ...`: the figures of `kubectl get`, in a sentence a section.
fn headline(record: &BaselineRecord) -> Option<Text> {
    let rates = [figures::P95, figures::REQUESTS, figures::ERRORS];
    let sections: [(&str, Vec<Figure<'_>>, &[&str]); 4] = [
        ("Web", figures::web(record), &rates),
        ("API", figures::api(record), &rates),
        ("Database", database::figures(record), &[database::P95, database::CONNECTIONS]),
        ("Cache", cache::figures(record), &[cache::HIT_RATE, cache::LIFETIME_HIT_RATE, cache::MEMORY]),
    ];
    let mut text = Text::default();
    let mut empty = true;
    for (section, figures, wanted) in sections {
        // The hit rate since the start is of interest where there is no other.
        let judged = figures.iter().any(|figure| figure.name == cache::HIT_RATE && figure.value.is_some());
        let wanted = |figure: &&Figure<'_>| {
            wanted.contains(&figure.name.as_str()) && !(judged && figure.name == cache::LIFETIME_HIT_RATE)
        };
        let mut separator = format!("{}{section}: ", if empty { "" } else { " " });
        let mut named = false;
        for figure in figures.iter().filter(wanted) {
            let Some(value) = &figure.value else { continue };
            text = text.plain(format!("{separator}{} ", figure.name.to_lowercase())).strong(value);
            if !figure.is_judged() {
                text = text.plain(" (not judged)");
            }
            ", ".clone_into(&mut separator);
            named = true;
        }
        if named {
            text = text.plain(".");
            empty = false;
        }
    }
    (!empty).then_some(text)
}
