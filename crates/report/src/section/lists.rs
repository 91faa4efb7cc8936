//! Lists of things that somebody should look at: what was found, what was looked for and not found, and what could
//! not be looked for and why.

use plimsoll_analysis::record::{BaselineRecord, Basis, Source, SourceState};

use super::figures::{self, Figure};
use super::path_of;
use crate::document::{Block, Grid, Text};
use crate::format;

/// One list of the record.
pub(super) struct Listed<'a> {
    /// Its heading.
    pub(super) title: &'static str,
    /// One of its entries, for example `unused index`.
    pub(super) one: &'static str,
    /// Several of them.
    pub(super) many: &'static str,
    /// What it rests on, or why it is missing.
    pub(super) basis: Option<&'a Basis>,
    /// How many entries it has; nothing where it is absent.
    pub(super) count: Option<usize>,
    /// What stands beside the number, for example the size of all entries.
    pub(super) total: Option<String>,
    /// Which entries it lists, one or more sentences.
    pub(super) caption: String,
    /// The entries.
    pub(super) grid: Grid,
}

impl<'a> Listed<'a> {
    /// As a figure without a text, for notes on it.
    fn figure(&self) -> Figure<'a> {
        Figure {
            group: None,
            name: self.many.to_owned(),
            value: self.count.map(|_| String::new()),
            basis: self.basis,
            sample: figures::SCRAPE,
        }
    }

    /// Heading, caption and table, where there is an entry.
    pub(super) fn blocks(self, record: &BaselineRecord) -> Vec<Block> {
        let Some(grid) = self.grid.block() else { return Vec::new() };
        vec![Block::Subheading(self.title), captioned(&self.caption, self.basis, record), grid]
    }
}

/// What a list is, and what its numbers cover, with the way to their basis.
pub(super) fn captioned(caption: &str, basis: Option<&Basis>, record: &BaselineRecord) -> Block {
    let counted = basis.map(|basis| counted(basis, record)).unwrap_or_default();
    let space = if caption.is_empty() || counted.is_empty() { "" } else { " " };
    let path = basis.and_then(|basis| path_of(record, basis));
    Block::Paragraph(Text::new(format!("{caption}{space}{counted}")).source(path))
}

/// What the numbers of a list cover, as a sentence.
pub(super) fn counted(basis: &Basis, record: &BaselineRecord) -> String {
    use plimsoll_analysis::record::BasisKind;
    let covers = figures::covers(basis, record);
    match basis.kind {
        BasisKind::Instant => format!("As of {}.", covers.trim_start_matches("at ")),
        BasisKind::Window => "Counted over the window.".to_owned(),
        BasisKind::Sampled => format!("Counted from {}.", format::interval(basis.from, basis.to)),
        BasisKind::SincePreviousRun => {
            format!("Counted since the previous run, from {}.", format::interval(basis.from, basis.to))
        }
        BasisKind::Lifetime => format!("Counted {covers}."),
    }
}

/// `Found: 2 unused indexes (340MiB).` and `None found: ...`, then what is to be said of single lists.
pub(super) fn verdict(lists: &[Listed<'_>], source: Option<&Source>) -> Vec<Text> {
    let found = lists.iter().filter_map(|listed| {
        let count = listed.count.filter(|count| *count > 0)?;
        let name = if count == 1 { listed.one } else { listed.many };
        let total = listed.total.as_ref().map(|total| format!(" ({total})")).unwrap_or_default();
        Some((format::count(u64::try_from(count).unwrap_or(u64::MAX)), format!(" {name}{total}")))
    });
    let none = lists.iter().filter(|listed| listed.count == Some(0)).map(|listed| listed.many);
    let mut items = Vec::new();
    let found: Vec<(String, String)> = found.collect();
    if let Some((last, others)) = found.split_last() {
        let mut text = Text::new("Found: ");
        for (count, name) in others {
            text = text.strong(count).plain(format!("{name}, "));
        }
        items.push(text.strong(&last.0).plain(format!("{}.", last.1)));
    }
    let none: Vec<&str> = none.collect();
    if !none.is_empty() {
        items.push(Text::new("None found: ").plain(none.join(", ")).plain("."));
    }
    let figures: Vec<Figure<'_>> = lists.iter().map(Listed::figure).collect();
    items.extend(notes(&figures, source));
    items
}

/// What is to be said of figures of one source. What is absent without a reason of its own is absent for the
/// source's reason: after a source that failed nothing is said, since its failure stands by itself, and what no
/// source was asked for is not missing.
pub(super) fn notes(figures: &[Figure<'_>], source: Option<&Source>) -> Vec<Text> {
    let asked = |figure: &&Figure<'_>| {
        figure.value.is_some()
            || figure.basis.is_some_and(|basis| basis.note.is_some())
            || source.is_some_and(|source| source.state != SourceState::Failed)
    };
    let known: Vec<Figure<'_>> = figures.iter().filter(asked).cloned().collect();
    let reason = match source {
        Some(source) if source.state == SourceState::Partial => {
            format!("{} was read in part, why stands at the top", source.name)
        }
        // All that was asked for was read.
        Some(_) => "not asked for, or the server does not say it".to_owned(),
        None => figures::NO_REASON.to_owned(),
    };
    figures::notes(&known, &reason)
}

/// A section of which nothing could be read: that it is missing, and where the reason stands.
pub(super) fn failed(source: Option<&Source>) -> Option<Block> {
    let source = source.filter(|source| source.state == SourceState::Failed)?;
    let mut text = Text::new("Nothing could be read: ").strong(&source.name).plain(" failed");
    if let Some(reason) = source.reason {
        text = text.plain(format!(" ({reason:?})"));
    }
    Some(Block::Paragraph(text.plain(". What to do stands at the top.")))
}

/// The source of a name, where it was asked for.
pub(super) fn source<'a>(record: &'a BaselineRecord, name: &str) -> Option<&'a Source> {
    record.sources.iter().find(|source| source.name == name)
}
