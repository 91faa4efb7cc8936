//! Tables. They scroll inside their own box; the script sorts them by a click or a key, and shows long ones in part.

use super::markup::Markup;
use super::sort;
use super::writer::{Writer, verdict};
use crate::document::{Align, Cell, Column, Grid};

/// Bytes of a word that are too many for a narrow screen.
const LONG_WORD: usize = 28;

/// Writes a table; `name` is what a screen reader calls it. Sentences stand in a row of their own below the row they are
/// of, so that figures keep their columns on narrow screens.
pub(super) fn table(writer: &Writer<'_>, grid: &Grid, name: &str, out: &mut Markup) {
    let columns = grid.columns();
    let across = columns.iter().filter(|column| !column.is_prose).count().to_string();
    out.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\"").attribute("aria-label", name);
    out.raw("><table class=\"grid\"><thead><tr>");
    for column in columns.iter().filter(|column| !column.is_prose) {
        out.raw("<th scope=\"col\"").raw(class(column, None)).raw(">").text(&column.title).raw("</th>");
    }
    out.raw("</tr></thead><tbody>");
    for (cells, source) in grid.shown_rows() {
        let mut sentences = Vec::new();
        out.raw("<tr>");
        for (index, (cell, column)) in cells.into_iter().zip(&columns).enumerate() {
            match (index, column.is_prose) {
                (_, true) => sentences.extend(cell.map(|cell| (&column.title, &cell.text))),
                (0, false) => {
                    out.raw("<th scope=\"row\"").raw(class(column, cell)).raw(">");
                    value(cell, out);
                    source.iter().for_each(|path| writer.source(path, out));
                    out.raw("</th>");
                }
                (_, false) => figure(cell, column, out),
            }
        }
        out.raw("</tr>");
        if !sentences.is_empty() {
            out.raw("<tr class=\"more\"><td").attribute("colspan", &across).raw(">");
            for (title, sentence) in sentences {
                out.raw("<p><span class=\"hidden\">").text(title).raw(": </span>").text(sentence).raw("</p>");
            }
            out.raw("</td></tr>");
        }
    }
    out.raw("</tbody></table></div>");
}

/// A cell but the first; one of numbers carries its key to sort by.
fn figure(cell: Option<&Cell>, column: &Column, out: &mut Markup) {
    out.raw("<td").raw(class(column, cell));
    let key = cell.filter(|_| column.align == Align::Right).and_then(|cell| sort::key(&cell.text));
    if let Some(key) = key {
        out.attribute("data-v", &key.to_string());
    }
    out.raw(">");
    value(cell, out);
    out.raw("</td>");
}

/// The style sheet's class of a cell: whether it holds a number, and whether a word in it is so long that it may be broken
/// anywhere.
fn class(column: &Column, cell: Option<&Cell>) -> &'static str {
    let is_long = cell.is_some_and(|cell| cell.text.split(' ').any(|word| word.len() > LONG_WORD));
    match (column.align, is_long) {
        (Align::Right, false) => " class=\"n\"",
        (Align::Right, true) => " class=\"n long\"",
        (Align::Left, true) => " class=\"long\"",
        (Align::Left, false) => "",
    }
}

fn value(cell: Option<&Cell>, out: &mut Markup) {
    match cell {
        None => {}
        Some(Cell { text, tone: Some(tone) }) => verdict(text, *tone, out),
        Some(Cell { text, tone: None }) => {
            out.text(text);
        }
    }
}
