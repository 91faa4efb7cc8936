//! The basis of every figure: what it was read from, what it covers, how many samples it rests on. The numbers are those
//! of the links beside the figures.

use plimsoll_analysis::record::{BaselineRecord, Basis, BasisKind};

use super::markup::Markup;
use super::origin;
use super::writer::Writer;
use crate::format;
use crate::section::figures;

/// Headings of the columns, and whether their cells are numbers.
const COLUMNS: [(&str, bool); 7] = [
    ("No.", true),
    ("Figure, and what it was read from", false),
    ("Covers", false),
    ("Coverage", true),
    ("Samples", true),
    ("True value", false),
    ("Note", false),
];

pub(super) fn body(record: &BaselineRecord, writer: &Writer<'_>) -> Markup {
    let mut out = Markup::default();
    if record.basis.is_empty() {
        return out;
    }
    out.raw("<p>Each figure by its path in <code>record.json</code>. The numbers are those of the links beside figures. One evaluation instant served every query of the run: <strong>");
    out.text(&format::instant(record.window.to)).raw("</strong>.</p>");
    out.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Where each figure comes from\"><table class=\"grid basis\"><thead><tr>");
    for (title, is_number) in COLUMNS {
        out.raw(if is_number { "<th scope=\"col\" class=\"n\">" } else { "<th scope=\"col\">" });
        out.raw(title).raw("</th>");
    }
    out.raw("</tr></thead><tbody>");
    for (path, basis) in &record.basis {
        row(path, basis, record, writer, &mut out);
    }
    out.raw("</tbody></table></div>");
    out
}

fn row(path: &str, basis: &Basis, record: &BaselineRecord, writer: &Writer<'_>, out: &mut Markup) {
    let Some(number) = writer.number(path) else { return };
    out.raw("<tr id=\"b").count(number).raw("\"><th scope=\"row\" class=\"n\">").count(number);
    out.raw("</th><td><code>").text(path).raw("</code>");
    if let Some(origin) = origin::of(path) {
        out.raw("<span class=\"below\">").text(origin).raw("</span>");
    }
    let (words, times) = covered(basis, record);
    out.raw("</td><td>").text(&words).raw("<span class=\"below\">").text(&times);
    out.raw("</span></td><td class=\"n\">");
    out.text(&figures::coverage(basis).unwrap_or_default()).raw("</td><td class=\"n\"");
    if let Some(samples) = basis.samples {
        out.attribute("data-v", &samples.to_string());
    }
    out.raw(">").text(&basis.samples.map(format::count).unwrap_or_default()).raw("</td><td>");
    let bounds = basis.resolution_ms.as_deref().and_then(figures::bounds);
    out.text(&bounds.unwrap_or_default()).raw("</td><td>");
    out.text(basis.note.as_deref().unwrap_or_default()).raw("</td></tr>");
}

/// What a figure covers, in words and in times to the second.
fn covered(basis: &Basis, record: &BaselineRecord) -> (String, String) {
    let words = match basis.kind {
        BasisKind::Window => "the window",
        BasisKind::Instant => "an instant",
        BasisKind::SincePreviousRun => "since the previous run",
        BasisKind::Sampled => "two looks of this run",
        BasisKind::Lifetime => "since the server's start or reset",
    };
    let times = match basis.kind {
        BasisKind::Instant if basis.to == record.window.to => {
            format!("{}, the window's end", format::instant(basis.to))
        }
        BasisKind::Instant => format::instant(basis.to),
        _ => format::interval(basis.from, basis.to),
    };
    (words.to_owned(), times)
}
