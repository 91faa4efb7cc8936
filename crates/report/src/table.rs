//! Writes a report for a terminal: aligned columns, no colours, at most [`WIDTH`] columns wide.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::document::{Block, Column, Grid, Span, Text};
use crate::escape;
use crate::markdown::pad;

/// Widest line, in columns of the terminal.
pub(crate) const WIDTH: usize = 100;
/// Between two columns, as kubectl does it.
const GAP: usize = 2;
/// A column is not narrowed below this.
const LEAST_WIDTH: usize = 8;

/// The blocks; a heading stands right above what it heads, everything else is set apart by a blank line.
pub(crate) fn render(blocks: &[Block]) -> String {
    let mut out = String::new();
    let mut after_heading = true;
    for block in blocks {
        if !after_heading {
            out.push('\n');
        }
        for line in lines(block) {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        after_heading = matches!(block, Block::Title(_) | Block::Heading(_) | Block::Subheading(_));
    }
    out
}

fn lines(block: &Block) -> Vec<String> {
    match block {
        Block::Title(text) => wrap(&flatten(text), ""),
        Block::Heading(text) | Block::Subheading(text) => wrap(text, ""),
        Block::Paragraph(text) => wrap(&flatten(text), ""),
        Block::List(items) => items.iter().flat_map(|item| wrap(&flatten(item), "  ")).collect(),
        Block::Grid(grid) => rows(grid),
    }
}

fn flatten(text: &Text) -> String {
    let spans = text.spans.iter().map(|span| match span {
        Span::Plain(text) | Span::Strong(text) | Span::Code(text) => escape::terminal(text),
    });
    spans.collect()
}

fn rows(grid: &Grid) -> Vec<String> {
    let columns = grid.columns();
    let titles: Vec<String> = columns.iter().map(|column| column.title.to_uppercase()).collect();
    let rows: Vec<Vec<String>> =
        grid.rows().map(|cells| cells.into_iter().map(escape::terminal).collect()).collect();
    let widths = widths(&titles, &rows);
    std::iter::once(&titles).chain(&rows).map(|cells| row(cells, &widths, &columns)).collect()
}

fn row(cells: &[String], widths: &[usize], columns: &[Column]) -> String {
    let cells: Vec<String> = cells
        .iter()
        .zip(widths)
        .zip(columns)
        .map(|((cell, width), column)| pad(&shorten(cell, *width), *width, column.align))
        .collect();
    // A table of very many columns may still be too wide; cutting beats wrapping, which no eye can undo.
    fit(&cells.join(&" ".repeat(GAP)), WIDTH)
}

/// The columns' widths: as wide as their cells, the widest narrowed until a row fits.
fn widths(titles: &[String], rows: &[Vec<String>]) -> Vec<usize> {
    let widest = |index: usize| {
        std::iter::once(titles).chain(rows.iter().map(Vec::as_slice)).map(|cells| cells[index].width()).max()
    };
    let mut widths: Vec<usize> = (0..titles.len()).map(|index| widest(index).unwrap_or(0)).collect();
    let gaps = GAP * titles.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > WIDTH {
        match widths.iter_mut().filter(|width| **width > LEAST_WIDTH).max() {
            Some(width) => *width -= 1,
            None => break,
        }
    }
    widths
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

/// Breaks a text at spaces; a word longer than a line is broken where the line ends.
fn wrap(text: &str, indent: &str) -> Vec<String> {
    let room = WIDTH - indent.len();
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
