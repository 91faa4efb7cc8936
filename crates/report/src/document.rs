//! What a report consists of, before it is Markdown or a terminal's table.

use std::borrow::Cow;

use crate::escape;

/// Most characters of a cell: the longest name of Kubernetes has 253.
const CELL_LENGTH: usize = 256;
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
    /// Items in an order that matters.
    Numbered(Vec<Text>),
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
    /// Path of the basis that the words before it rest on: a link where a page can have one, nothing elsewhere.
    Source(String),
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

    /// Appends a link to the basis of a path.
    pub(crate) fn source(mut self, path: Option<&str>) -> Self {
        self.spans.extend(path.map(|path| Span::Source(path.to_owned())));
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
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Its heading.
    pub(crate) title: Cow<'static, str>,
    /// Which side its cells lean on.
    pub(crate) align: Align,
    /// Whether its cells are sentences, which a terminal writes below their row.
    pub(crate) is_prose: bool,
}

/// A column of words.
pub(crate) fn words(title: impl Into<Cow<'static, str>>) -> Column {
    Column { title: title.into(), align: Align::Left, is_prose: false }
}

/// A column of numbers.
pub(crate) fn numbers(title: impl Into<Cow<'static, str>>) -> Column {
    Column { title: title.into(), align: Align::Right, is_prose: false }
}

/// A column of sentences.
pub(crate) fn prose(title: impl Into<Cow<'static, str>>) -> Column {
    Column { title: title.into(), align: Align::Left, is_prose: true }
}

/// How a word is meant, for places that have colours and shapes. The word itself always says it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Near a bound.
    Warning,
    /// As it should not be.
    Bad,
    /// Not to be said.
    Unknown,
    /// Neither good nor bad.
    Neutral,
}

/// A cell that has a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Its text.
    pub(crate) text: String,
    /// How it is meant, where it is a verdict.
    pub(crate) tone: Option<Tone>,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, tone: None }
    }
}

/// A verdict as a cell.
pub(crate) fn verdict(text: impl Into<String>, tone: Tone) -> Cell {
    Cell { text: text.into(), tone: Some(tone) }
}

/// A row of a [`Grid`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    cells: Vec<Option<Cell>>,
    source: Option<String>,
}

impl Row {
    /// Says which path of the record the row is of, so that its basis can be found.
    pub(crate) fn source(&mut self, path: Option<&str>) {
        self.source = path.map(str::to_owned);
    }
}

/// A table. A column without a single cell is not shown.
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

impl Grid {
    /// A table without rows.
    pub(crate) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Appends a row; cells beyond the columns are dropped, missing ones are empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Option<String>>) -> &mut Row {
        self.cells(cells.into_iter().map(|cell| cell.map(Cell::from)))
    }

    /// Appends a row of cells that may be verdicts; cells beyond the columns are dropped, missing ones are empty.
    pub(crate) fn cells(&mut self, cells: impl IntoIterator<Item = Option<Cell>>) -> &mut Row {
        let clean = |(cell, column): (Option<Cell>, &Column)| {
            let cell = cell?;
            let length = if column.is_prose { MESSAGE_LENGTH } else { CELL_LENGTH };
            let text = escape::clean(&cell.text, length);
            (!text.is_empty()).then_some(Cell { text, ..cell })
        };
        let mut cells: Vec<Option<Cell>> = cells.into_iter().zip(&self.columns).map(clean).collect();
        cells.resize(self.columns.len(), None);
        self.rows.push(Row { cells, source: None });
        self.rows.last_mut().expect("a row was just added")
    }

    /// The table as a block, or nothing where it has no row.
    pub(crate) fn block(self) -> Option<Block> {
        (!self.rows.is_empty()).then_some(Block::Grid(self))
    }

    /// The columns that have a cell.
    pub(crate) fn columns(&self) -> Vec<&Column> {
        self.shown().into_iter().map(|index| &self.columns[index]).collect()
    }

    /// The rows, each with a text for every column that is shown.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Vec<&str>> {
        self.shown_rows().map(|(cells, _)| {
            cells.into_iter().map(|cell| cell.map(|cell| cell.text.as_str()).unwrap_or_default()).collect()
        })
    }

    /// The rows, each with a cell for every column that is shown, and with the path that it is of.
    pub(crate) fn shown_rows(&self) -> impl Iterator<Item = (Vec<Option<&Cell>>, Option<&str>)> {
        let shown = self.shown();
        self.rows.iter().map(move |row| {
            (shown.iter().map(|index| row.cells[*index].as_ref()).collect(), row.source.as_deref())
        })
    }

    fn shown(&self) -> Vec<usize> {
        let has_cell = |index: &usize| self.rows.iter().any(|row| row.cells[*index].is_some());
        (0..self.columns.len()).filter(has_cell).collect()
    }
}

/// A list as a block, or nothing where it has no item.
pub(crate) fn list(items: Vec<Text>) -> Option<Block> {
    (!items.is_empty()).then_some(Block::List(items))
}
