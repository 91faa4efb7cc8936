//! What a report consists of, before it is Markdown or a terminal's table.

use crate::escape;

/// Most characters of a cell.
const CELL_LENGTH: usize = 80;
/// Most characters of a message: as many as a record holds.
const MESSAGE_LENGTH: usize = 1024;
/// Most characters of a piece of code: a statement's text has 200, and a mark that it was cut.
const CODE_LENGTH: usize = 256;

/// A part of a report.
#[derive(Debug, Clone)]
pub(crate) enum Block {
    /// The report's own heading.
    Title(Text),
    /// A section's heading.
    Heading(&'static str),
    /// The heading of a part of a section.
    Subheading(&'static str),
    /// One paragraph.
    Paragraph(Text),
    /// Items, one line each.
    List(Vec<Text>),
    /// Rows and columns.
    Grid(Grid),
}

/// A run of text with emphasis.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    /// Its parts, in order.
    pub(crate) spans: Vec<Span>,
}

/// A part of a [`Text`].
#[derive(Debug, Clone)]
pub(crate) enum Span {
    /// As it is.
    Plain(String),
    /// Emphasised.
    Strong(String),
    /// Code, word for word.
    Code(String),
}

impl Text {
    /// A text that begins with words of ours.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::default().plain(text)
    }

    /// Appends words of ours.
    pub(crate) fn plain(mut self, text: impl Into<String>) -> Self {
        self.spans.push(Span::Plain(text.into()));
        self
    }

    /// Appends emphasised words.
    pub(crate) fn strong(mut self, text: &str) -> Self {
        self.spans.push(Span::Strong(escape::clean(text, CELL_LENGTH)));
        self
    }

    /// Appends a text of the measured world: on one line, cut to a sane length.
    pub(crate) fn outside(mut self, text: &str) -> Self {
        self.spans.push(Span::Plain(escape::clean(text, MESSAGE_LENGTH)));
        self
    }

    /// Appends code of the measured world: on one line, cut to a sane length, in code style.
    pub(crate) fn code(mut self, text: &str) -> Self {
        self.spans.push(Span::Code(escape::clean(text, CODE_LENGTH)));
        self
    }

    /// Appends a sentence of the measured world, with one full stop at its end.
    pub(crate) fn sentence(self, text: &str) -> Self {
        self.outside(text.trim().trim_end_matches('.')).plain(".")
    }
}

/// Which side a column's cells lean on: words left, numbers right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A column of a [`Grid`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// Its heading.
    pub(crate) title: &'static str,
    /// Which side its cells lean on.
    pub(crate) align: Align,
}

/// A column of words.
pub(crate) fn words(title: &'static str) -> Column {
    Column { title, align: Align::Left }
}

/// A column of numbers.
pub(crate) fn numbers(title: &'static str) -> Column {
    Column { title, align: Align::Right }
}

/// A table. A column without a single cell is not shown.
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    columns: Vec<Column>,
    rows: Vec<Vec<Option<String>>>,
}

impl Grid {
    /// A table without rows.
    pub(crate) fn new<const N: usize>(columns: [Column; N]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Appends a row; cells beyond the columns are dropped, missing ones are empty.
    pub(crate) fn row<const N: usize>(&mut self, cells: [Option<String>; N]) {
        let clean = |cell: String| {
            let cell = escape::clean(&cell, CELL_LENGTH);
            (!cell.is_empty()).then_some(cell)
        };
        let mut row: Vec<Option<String>> = cells.into_iter().map(|cell| cell.and_then(clean)).collect();
        row.resize(self.columns.len(), None);
        self.rows.push(row);
    }

    /// The table as a block, or nothing where it has no row.
    pub(crate) fn block(self) -> Option<Block> {
        (!self.rows.is_empty()).then_some(Block::Grid(self))
    }

    /// The columns that have a cell.
    pub(crate) fn columns(&self) -> Vec<Column> {
        self.shown().into_iter().map(|index| self.columns[index]).collect()
    }

    /// The rows, each with a cell for every column that is shown.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Vec<&str>> {
        let shown = self.shown();
        self.rows
            .iter()
            .map(move |row| shown.iter().map(|index| row[*index].as_deref().unwrap_or_default()).collect())
    }

    fn shown(&self) -> Vec<usize> {
        (0..self.columns.len()).filter(|index| self.rows.iter().any(|row| row[*index].is_some())).collect()
    }
}

/// A list as a block, or nothing where it has no item.
pub(crate) fn list(items: Vec<Text>) -> Option<Block> {
    (!items.is_empty()).then_some(Block::List(items))
}
