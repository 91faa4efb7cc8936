//! Writes a report as a page: one file that asks no other for anything, for screens, phones and paper.
//!
//! Nothing in it runs but the one script of ours, and nothing styles it but the one style sheet: the Content Security
//! Policy names both by their hashes, so that even markup that slipped in could do neither.

use base64::Engine as _;
use plimsoll_analysis::judgement::Judgement;
use plimsoll_analysis::record::BaselineRecord;
use sha2::{Digest as _, Sha256};

use crate::document::Block;
use crate::format;
use crate::section;
use markup::Markup;
use writer::Writer;

mod basis;
mod comparison;
mod findings;
mod grid;
pub(crate) mod markup;
mod objectives;
mod origin;
mod sort;
#[cfg(test)]
mod tests;
mod top;
mod trend;
mod window;
pub(crate) mod writer;

/// How the page looks.
const STYLE: &str = include_str!("html/page.css");
/// What sorts and filters its tables.
const SCRIPT: &str = include_str!("html/page.js");

/// A section of the page.
#[derive(Debug, Clone)]
struct Section {
    /// Its anchor, unique within the page.
    id: &'static str,
    /// Its heading, also in the contents.
    title: String,
    /// What stands below the heading.
    body: Markup,
}

/// The whole page.
pub(crate) fn page(record: &BaselineRecord, judgement: Option<&Judgement>) -> String {
    let mut writer = Writer::new(record);
    let top = top::top(record, judgement, &mut writer);
    let sections = sections(record, judgement, &mut writer);
    let mut page = head(record);
    page.raw("<body><a class=\"skip\" href=\"#report\">Skip to the report</a>").raw(SYMBOLS);
    page.raw("<div class=\"page\">").append(&contents(&sections));
    page.raw("<main id=\"report\">").append(&top);
    for section in &sections {
        page.raw("<section id=\"").raw(section.id).raw("\"><h2>").text(&section.title).raw("</h2>");
        page.append(&section.body).raw("</section>");
    }
    page.append(&footer(record)).raw("</main></div><script>").raw(SCRIPT).raw("</script></body></html>\n");
    page.into_string()
}

/// `sha256-...` of a text, as a Content Security Policy names it.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text)))
}

fn head(record: &BaselineRecord) -> Markup {
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    let mut head = Markup::new("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    head.raw("<meta http-equiv=\"Content-Security-Policy\"").attribute("content", &policy).raw(">");
    head.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    head.raw(
        "<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" content=\"no-referrer\">",
    );
    head.raw("<link rel=\"icon\" href=\"").raw(ICON).raw("\"><title>");
    head.text(&record.name).raw(": performance baseline</title><style>").raw(STYLE).raw("</style></head>");
    head
}

/// Our mark, a ring and a line through it: how deep a ship may be loaded.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Cg fill='none' stroke='%230b5d8a' stroke-width='3.5'%3E%3Ccircle cx='16' cy='16' r='9.5'/%3E%3Cpath d='M1 16h30'/%3E%3C/g%3E%3C/svg%3E";

/// Shapes beside verdicts: whoever does not see colours sees these, whoever sees nothing reads the word.
const SYMBOLS: &str = "<svg class=\"symbols\" aria-hidden=\"true\">\
<symbol id=\"i-good\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"7\"/><path d=\"M4.6 8.4l2.3 2.3 4.5-5\"/></symbol>\
<symbol id=\"i-warning\" viewBox=\"0 0 16 16\"><path d=\"M8 1.6l6.9 12.6H1.1z\"/><path d=\"M8 6v4M8 11.6v.6\"/></symbol>\
<symbol id=\"i-bad\" viewBox=\"0 0 16 16\"><path d=\"M5 1h6l4 4v6l-4 4H5l-4-4V5z\"/><path d=\"M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2\"/></symbol>\
<symbol id=\"i-unknown\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"7\"/><path d=\"M6 6.3c0-2.6 4-2.6 4 0 0 1.5-2 1.6-2 3M8 11.2v.7\"/></symbol>\
<symbol id=\"i-neutral\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"7\"/><path d=\"M5 6.6h6M5 9.6h6\"/></symbol>\
<symbol id=\"i-mark\" viewBox=\"0 0 32 32\"><circle cx=\"16\" cy=\"16\" r=\"9.5\"/><path d=\"M1 16h30\"/></symbol></svg>";

fn contents(sections: &[Section]) -> Markup {
    let mut nav = Markup::new("<nav aria-label=\"Contents\"><ul>");
    for section in sections {
        nav.raw("<li><a href=\"#").raw(section.id).raw("\">").text(&section.title).raw("</a></li>");
    }
    nav.raw("</ul></nav>");
    nav
}

fn sections(record: &BaselineRecord, judgement: Option<&Judgement>, writer: &mut Writer<'_>) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut add = |id: &'static str, title: &str, body: Markup| {
        if !body.is_empty() {
            sections.push(Section { id, title: title.to_owned(), body });
        }
    };
    if let Some(judgement) = judgement {
        add("objectives", "Objectives", objectives::body(judgement, writer));
        add("comparison", "Before and after", comparison::body(judgement, writer));
        add("findings", "Findings", findings::body(judgement, writer));
    }
    add("window", "The window in charts", window::body(record, judgement, writer));
    if let Some(judgement) = judgement {
        add("trend", "Trend", trend::body(&judgement.trend, writer));
    }
    for (id, title, blocks) in split(section::measured(record)) {
        add(id, title, writer.blocks(title, &blocks));
    }
    add("basis", "Where each figure comes from", basis::body(record, writer));
    let mut reading = section::closing(record);
    if !reading.is_empty() {
        add("reading", "How to read this", writer.blocks("How to read this", &reading.split_off(1)));
    }
    sections
}

/// The sections of the record: each heading with what follows it.
fn split(blocks: Vec<Block>) -> Vec<(&'static str, &'static str, Vec<Block>)> {
    let mut sections: Vec<(&'static str, &'static str, Vec<Block>)> = Vec::new();
    for block in blocks {
        match block {
            Block::Heading(title) => sections.push((anchor(title), title, Vec::new())),
            block => match sections.last_mut() {
                Some((.., blocks)) => blocks.push(block),
                None => sections.push(("more", "More", vec![block])),
            },
        }
    }
    sections
}

/// The anchor of a section.
fn anchor(title: &str) -> &'static str {
    match title {
        "Sources" => "sources",
        "Web" => "web",
        "API" => "api",
        "Database" => "database",
        "Query analysis" => "query-analysis",
        "Cache" => "cache",
        "Infrastructure" => "infrastructure",
        "Kubernetes" => "kubernetes",
        "Custom metrics" => "custom-metrics",
        "Cut to fit" => "cut",
        _ => "more",
    }
}

fn footer(record: &BaselineRecord) -> Markup {
    let mut footer = Markup::new("<footer><p>Plimsoll, from run ");
    footer.text(&record.run).raw(" of ").text(&record.namespace).raw("/").text(&record.name);
    footer.raw(", read ").text(&format::instant(record.collection_date)).raw(".</p></footer>");
    footer
}
