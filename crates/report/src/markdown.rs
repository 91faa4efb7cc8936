//! Writes a report as GitHub-flavoured Markdown.

use crate::document::{Align, Block, Grid, Span, Text};
use crate::escape;

/// Cells are padded to at most this many columns: one long cell would spread all the others of its column.
const PADDED: usize = 60;

/// The blocks, a blank line between two.
pub(crate) fn render(blocks: &[Block]) -> String {
    let blocks: Vec<String> = blocks.iter().map(block).collect();
    format!("{}\n", blocks.join("\n\n"))
}

fn block(block: &Block) -> String {
    match block {
        Block::Title(text) => format!("# {}", line(text)),
        Block::Heading(text) => format!("## {}", escape::markdown(text)),
        Block::Subheading(text) => format!("### {}", escape::markdown(text)),
        Block::Paragraph(text) => line(text),
        Block::List(items) => {
            let items: Vec<String> = items.iter().map(|item| format!("- {}", line(item))).collect();
            items.join("\n")
        }
        Block::Numbered(items) => {
            let numbered = items.iter().enumerate();
            let items: Vec<String> =
                numbered.map(|(index, item)| format!("{}. {}", index + 1, line(item))).collect();
            items.join("\n")
        }
        Block::Grid(grid) => table(grid),
    }
}

/// A text on one line, with its emphasis.
pub(crate) fn line(text: &Text) -> String {
    let spans: String = text
        .spans
        .iter()
        .map(|span| match span {
            Span::Plain(text) => escape::markdown(text),
            Span::Strong(text) if text.is_empty() => String::new(),
            Span::Strong(text) => format!("**{}**", escape::markdown(text)),
            Span::Code(text) => escape::code_span(text),
            Span::Source(_) => String::new(),
        })
        .collect();
    escape::block_start(&spans)
}

/// Cells are padded, so that the raw text reads as a table too.
fn table(grid: &Grid) -> String {
    let columns = grid.columns();
    let header: Vec<String> = columns.iter().map(|column| escape::markdown(&column.title)).collect();
    let rows: Vec<Vec<String>> =
        grid.rows().map(|cells| cells.into_iter().map(escape::markdown).collect()).collect();
    let width = |index: usize| {
        let cells = rows.iter().map(|row| row[index].as_str());
        cells
            .chain([header[index].as_str()])
            .map(unicode_width::UnicodeWidthStr::width)
            .max()
            .unwrap_or(0)
            .clamp(3, PADDED)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let write = |cells: &[String]| -> String {
        let cells: Vec<String> = cells
            .iter()
            .zip(&widths)
            .zip(&columns)
            .map(|((cell, width), column)| pad(cell, *width, column.align))
            .collect();
        format!("| {} |", cells.join(" | "))
    };
    let rule: Vec<String> = columns
        .iter()
        .zip(&widths)
        .map(|(column, width)| match column.align {
            Align::Left => "-".repeat(*width),
            Align::Right => format!("{}:", "-".repeat(width - 1)),
        })
        .collect();
    let lines: Vec<String> =
        [write(&header), write(&rule)].into_iter().chain(rows.iter().map(|row| write(row))).collect();
    lines.join("\n")
}

/// Pads a cell to a width in columns of a fixed-width font.
pub(crate) fn pad(cell: &str, width: usize, align: Align) -> String {
    let space = " ".repeat(width.saturating_sub(unicode_width::UnicodeWidthStr::width(cell)));
    match align {
        Align::Left => format!("{cell}{space}"),
        Align::Right => format!("{space}{cell}"),
    }
}
