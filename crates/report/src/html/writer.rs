//! Writes the parts of a document as HTML, and keeps what is counted over the whole page.

use std::collections::HashMap;

use plimsoll_analysis::record::BaselineRecord;

use super::grid;
use super::markup::Markup;
use crate::document::{Block, Span, Text, Tone};

/// Writes a page's parts.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    /// The number of each basis, by its path.
    numbers: HashMap<&'a str, usize>,
    /// How many charts were drawn.
    charts: usize,
}

impl<'a> Writer<'a> {
    /// A writer for the page of a record.
    pub(super) fn new(record: &'a BaselineRecord) -> Self {
        let paths = record.basis.keys().map(String::as_str);
        Self { numbers: paths.zip(1..).collect(), charts: 0 }
    }

    /// A number that no other chart has.
    pub(super) fn chart(&mut self) -> usize {
        self.charts += 1;
        self.charts
    }

    /// The number of the basis of a path: its own, or that of the map or list in which it is.
    pub(super) fn number(&self, path: &str) -> Option<usize> {
        let whole = path.rmatch_indices('.').map(|(end, _)| &path[..end]);
        std::iter::once(path).chain(whole).find_map(|path| self.numbers.get(path).copied())
    }

    /// A link to the basis of a path, in brackets as a reference has it; nothing where there is no basis.
    pub(super) fn source(&self, path: &str, out: &mut Markup) {
        if let Some(number) = self.number(path) {
            out.raw("<a class=\"source\" title=\"Where this comes from\" href=\"#b").count(number);
            out.raw("\"><span class=\"hidden\">basis </span>").count(number).raw("</a>");
        }
    }

    /// Text with its emphasis.
    pub(super) fn text(&self, text: &Text, out: &mut Markup) {
        for span in &text.spans {
            match span {
                Span::Plain(text) => {
                    out.text(text);
                }
                Span::Strong(text) => {
                    out.raw("<strong>").text(text).raw("</strong>");
                }
                Span::Code(text) => {
                    out.raw("<code>").text(text).raw("</code>");
                }
                Span::Source(path) => self.source(path, out),
            }
        }
    }

    /// Blocks in their order; `title` names tables that no subheading names.
    pub(super) fn blocks(&mut self, title: &str, blocks: &[Block]) -> Markup {
        let mut out = Markup::default();
        let mut name = title.to_owned();
        for block in blocks {
            match block {
                Block::Title(text) | Block::Paragraph(text) => {
                    out.raw("<p>");
                    self.text(text, &mut out);
                    out.raw("</p>");
                }
                Block::Heading(text) | Block::Subheading(text) => {
                    (*text).clone_into(&mut name);
                    out.raw("<h3>").text(text).raw("</h3>");
                }
                Block::List(items) => self.items("<ul>", items, "</ul>", &mut out),
                Block::Numbered(items) => self.items("<ol>", items, "</ol>", &mut out),
                Block::Grid(grid) => grid::table(self, grid, &name, &mut out),
            }
        }
        out
    }

    fn items(&self, open: &'static str, items: &[Text], close: &'static str, out: &mut Markup) {
        out.raw(open);
        for item in items {
            out.raw("<li>");
            self.text(item, out);
            out.raw("</li>");
        }
        out.raw(close);
    }
}

/// A verdict: its shape, its colour and its word.
pub(super) fn verdict(word: &str, tone: Tone, out: &mut Markup) {
    out.raw("<span class=\"verdict ").raw(class(tone)).raw("\">");
    shape(tone, out);
    out.text(word).raw("</span>");
}

/// The shape of a verdict; its word stands beside it.
pub(super) fn shape(tone: Tone, out: &mut Markup) {
    out.raw("<svg class=\"shape\" aria-hidden=\"true\"><use href=\"#i-").raw(class(tone)).raw("\"/></svg>");
}

/// The style sheet's class of a tone.
pub(crate) fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Warning => "warning",
        Tone::Bad => "bad",
        Tone::Unknown => "unknown",
        Tone::Neutral => "neutral",
    }
}
