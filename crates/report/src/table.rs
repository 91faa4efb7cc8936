//! Writes a report for a terminal: aligned columns, no colours. Only cells are cut, and only where a width is given:
//! what goes to a file or to another program is whole.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::document::{Block, Column, Grid, Span, Text};
use crate::escape;
use crate::markdown::pad;

/// Widest line of a text, in columns of the terminal: longer ones are hard to read.
const TEXT_WIDTH: usize = 100;
/// A terminal is taken to have at least this many columns.
const LEAST_TERMINAL: usize = 40;
/// Between two columns, as kubectl does it.
const GAP: usize = 2;
/// A column is not narrowed below this.
const LEAST_WIDTH: usize = 8;

/// The blocks, rows at most `width` columns wide; a heading stands right above what it heads, everything else is set
/// apart by a blank line.
pub(crate) fn render(blocks: &[Block], width: Option<usize>) -> String {
    let page = Page { width: width.map(|width| width.max(LEAST_TERMINAL)) };
    let mut out = String::new();
    let mut after_heading = true;
    for block in blocks {
        if !after_heading {
            out.push('\n');
        }
        for line in page.lines(block) {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        after_heading = matches!(block, Block::Title(_) | Block::Heading(_) | Block::Subheading(_));
    }
    out
}

fn flatten(text: &Text) -> String {
    let spans = text.spans.iter().map(|span| match span {
        Span::Plain(text) | Span::Strong(text) | Span::Code(text) => escape::terminal(text),
        Span::Source(_) => String::new(),
    });
    spans.collect()
}

/// What a report is written on.
#[derive(Debug, Clone, Copy)]
struct Page {
    /// Columns that a row may have.
    width: Option<usize>,
}

impl Page {
    fn lines(self, block: &Block) -> Vec<String> {
        match block {
            Block::Title(text) | Block::Paragraph(text) => self.wrap(&flatten(text), ""),
            Block::Heading(text) | Block::Subheading(text) => self.wrap(text, ""),
            Block::List(items) => items.iter().flat_map(|item| self.wrap(&flatten(item), "  ")).collect(),
            Block::Numbered(items) => {
                let numbered = items.iter().enumerate();
                let item = |(index, item): (usize, &Text)| {
                    self.wrap(&format!("{}. {}", index + 1, flatten(item)), "  ")
                };
                numbered.flat_map(item).collect()
            }
            Block::Grid(grid) => self.rows(grid),
        }
    }

    fn rows(self, grid: &Grid) -> Vec<String> {
        let all = grid.columns();
        let is_prose: Vec<bool> = all.iter().map(|column| column.is_prose).collect();
        let columns: Vec<&Column> = all.into_iter().filter(|column| !column.is_prose).collect();
        let titles: Vec<String> = columns.iter().map(|column| column.title.to_uppercase()).collect();
        let (mut rows, mut sentences) = (Vec::new(), Vec::new());
        for cells in grid.rows() {
            let (mut row, mut below) = (Vec::new(), Vec::new());
            for (cell, is_prose) in cells.into_iter().map(escape::terminal).zip(&is_prose) {
                if *is_prose { &mut below } else { &mut row }.push(cell);
            }
            rows.push(row);
            sentences.push(below);
        }
        let widths = self.widths(&titles, &rows);
        let mut lines = vec![self.row(&titles, &widths, &columns)];
        for (row, below) in rows.iter().zip(sentences) {
            lines.push(self.row(row, &widths, &columns));
            lines.extend(below.iter().flat_map(|sentence| self.wrap(sentence, "    ")));
        }
        lines
    }

    fn row(self, cells: &[String], widths: &[usize], columns: &[&Column]) -> String {
        let cells: Vec<String> = cells
            .iter()
            .zip(widths)
            .zip(columns)
            .map(|((cell, width), column)| pad(&shorten(cell, *width), *width, column.align))
            .collect();
        let row = cells.join(&" ".repeat(GAP));
        // A table of very many columns may still be too wide; cutting beats wrapping, which no eye can undo.
        match self.width {
            Some(width) => fit(&row, width),
            None => row,
        }
    }

    /// The columns' widths: as wide as their cells, the widest narrowed until a row fits.
    fn widths(self, titles: &[String], rows: &[Vec<String>]) -> Vec<usize> {
        let widest = |index: usize| {
            let cells = std::iter::once(titles).chain(rows.iter().map(Vec::as_slice));
            cells.map(|cells| cells[index].width()).max()
        };
        let mut widths: Vec<usize> = (0..titles.len()).map(|index| widest(index).unwrap_or(0)).collect();
        let Some(room) = self.width else { return widths };
        let gaps = GAP * titles.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > room {
            match widths.iter_mut().filter(|width| **width > LEAST_WIDTH).max() {
                Some(width) => *width -= 1,
                None => break,
            }
        }
        widths
    }

    /// Breaks a text at spaces; a word longer than a line is broken where the line ends.
    fn wrap(self, text: &str, indent: &str) -> Vec<String> {
        let room = self.width.map_or(TEXT_WIDTH, |width| width.min(TEXT_WIDTH)) - indent.len();
        let mut lines = vec![String::new()];
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let mut word = word.to_owned();
            while !word.is_empty() {
                let line = lines.last_mut().expect("there is a first line");
                let gap = usize::from(!line.is_empty());
                if line.width() + gap + word.width() <= room {
                    line.push_str(&" ".repeat(gap));
                    line.push_str(&word);
                    break;
                }
                if line.is_empty() {
                    let part = fit(&word, room);
                    word.drain(..part.len());
                    line.push_str(&part);
                }
                lines.push(String::new());
            }
        }
        lines.iter().filter(|line| !line.is_empty()).map(|line| format!("{indent}{line}")).collect()
    }
}

/// Cuts a cell in its middle: names of pods and endpoints differ at their ends.
fn shorten(cell: &str, width: usize) -> String {
    if cell.width() <= width {
        return cell.to_owned();
    }
    let tail_width = width.saturating_sub(1) / 2;
    let head = fit(cell, width.saturating_sub(1) - tail_width);
    let tail: String = fit_reversed(cell, tail_width);
    format!("{head}…{tail}")
}

/// The longest beginning of a text that fits.
fn fit(text: &str, width: usize) -> String {
    taken(text.chars(), width).collect()
}

/// The longest end of a text that fits.
fn fit_reversed(text: &str, width: usize) -> String {
    let reversed: Vec<char> = taken(text.chars().rev(), width).collect();
    reversed.into_iter().rev().collect()
}

fn taken(characters: impl Iterator<Item = char>, width: usize) -> impl Iterator<Item = char> {
    let mut used = 0;
    characters.take_while(move |c| {
        used += c.width().unwrap_or(0);
        used <= width
    })
}
