//! What a reader sees first: what the page is of, the verdict, what went wrong, and the figures most come for.

use plimsoll_analysis::indicator;
use plimsoll_analysis::judgement::{Impact, Judgement, ObjectiveResult, ObjectiveVerdict};
use plimsoll_analysis::record::BaselineRecord;

use super::markup::Markup;
use super::writer::{Writer, class, shape};
use crate::document::{Span, Text, Tone};
use crate::format;
use crate::section::{comparison, header, verdict};
use crate::summary;

pub(super) fn top(record: &BaselineRecord, judgement: Option<&Judgement>, writer: &mut Writer<'_>) -> Markup {
    let mut out =
        Markup::new("<header><svg class=\"mark\" aria-hidden=\"true\"><use href=\"#i-mark\"/></svg>");
    out.raw("<p class=\"over\">Performance baseline</p><h1>").text(&record.name).raw("</h1><p class=\"of\">");
    out.text(&format::interval(record.window.from, record.window.to)).raw("<br>namespace <b>");
    out.text(&record.namespace).raw("</b>, run <b>").text(&record.run).raw("</b></p></header>");
    out.raw("<ul class=\"verdicts\">");
    if let Some(judgement) = judgement {
        objectives(&judgement.objectives, writer, &mut out);
        change(judgement, writer, &mut out);
        findings(judgement, writer, &mut out);
    }
    completeness(record, writer, &mut out);
    out.raw("</ul>");
    let problems = header::problems(record);
    if !problems.is_empty() {
        out.raw("<div class=\"problems\" role=\"note\">");
        for problem in &problems {
            out.raw("<p>");
            writer.text(problem, &mut out);
            out.raw("</p>");
        }
        out.raw("</div>");
    }
    out.append(&figures(record, judgement, writer));
    out
}

/// One verdict: what it is of, the verdict in large letters, and a line that explains it.
struct Tile<'a> {
    of: &'static str,
    href: &'static str,
    tone: Tone,
    word: &'a str,
    line: Text,
}

impl Tile<'_> {
    fn write(&self, writer: &Writer<'_>, out: &mut Markup) {
        out.raw("<li class=\"").raw(class(self.tone)).raw("\"><h2><a href=\"").raw(self.href).raw("\">");
        out.raw(self.of).raw("</a></h2><p class=\"word\">");
        shape(self.tone, out);
        out.text(self.word).raw("</p><p>");
        writer.text(&self.line, out);
        out.raw("</p></li>");
    }
}

fn objectives(all: &[ObjectiveResult], writer: &Writer<'_>, out: &mut Markup) {
    if all.is_empty() {
        return;
    }
    let has = |verdict: ObjectiveVerdict| all.iter().any(|objective| objective.result == verdict);
    let tone = [ObjectiveVerdict::Missed, ObjectiveVerdict::Inconclusive, ObjectiveVerdict::Warning]
        .into_iter()
        .find(|verdict| has(*verdict))
        .map_or(Tone::Good, |verdict| verdict::result(verdict).1);
    let of = |result: ObjectiveVerdict, what: &str| {
        let names: Vec<&str> =
            all.iter().filter(|one| one.result == result).map(|one| one.name.as_str()).collect();
        (!names.is_empty()).then(|| format!("{what}: {}", verdict::listed(&names)))
    };
    let said: Vec<String> = [
        of(ObjectiveVerdict::Missed, "Missed"),
        of(ObjectiveVerdict::Inconclusive, "Inconclusive"),
        of(ObjectiveVerdict::Warning, "Near the target"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let line = if said.is_empty() { "All are met.".to_owned() } else { format!("{}.", said.join(". ")) };
    let word = format!("{} met", verdict::met_of(all));
    let line = Text::default().outside(&line);
    Tile { of: "Objectives", href: "#objectives", tone, word: &word, line }.write(writer, out);
}

fn change(judgement: &Judgement, writer: &Writer<'_>, out: &mut Markup) {
    if let Some(comparison) = &judgement.comparison {
        let counts = verdict::counted(comparison);
        let mut line = Text::new("Against run ").outside(&comparison.against.run).plain(".");
        if !counts.is_empty() {
            line = line.plain(format!(" Of the indicators, {counts}."));
        }
        let word = verdict::change_word(comparison.verdict);
        let tone = verdict::change_tone(comparison.verdict);
        Tile { of: "Change", href: "#comparison", tone, word, line }.write(writer, out);
    } else if let Some(why) = &judgement.not_compared {
        let line = Text::default().outside(why);
        let (tone, word) = (Tone::Unknown, "Not compared");
        Tile { of: "Change", href: "#comparison", tone, word, line }.write(writer, out);
    }
}

fn findings(judgement: &Judgement, writer: &Writer<'_>, out: &mut Markup) {
    let count = |impact: Impact| judgement.findings.iter().filter(|one| one.impact == impact).count();
    let tone = match (count(Impact::High), count(Impact::Medium), judgement.findings.len()) {
        (1.., ..) => Tone::Bad,
        (0, 1.., _) => Tone::Warning,
        (0, 0, 1..) => Tone::Neutral,
        _ => Tone::Good,
    };
    let counted: Vec<String> = [(Impact::High, "high"), (Impact::Medium, "medium"), (Impact::Low, "low")]
        .into_iter()
        .map(|(impact, word)| (count(impact), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let (word, line) = match judgement.findings.len() {
        0 => ("None".to_owned(), "No rule found anything to look at.".to_owned()),
        all => (all.to_string(), format!("By impact: {}.", counted.join(", "))),
    };
    let line = Text::new(line);
    Tile { of: "Findings", href: "#findings", tone, word: &word, line }.write(writer, out);
}

fn completeness(record: &BaselineRecord, writer: &Writer<'_>, out: &mut Markup) {
    let (tone, word) =
        if record.complete { (Tone::Good, "Complete") } else { (Tone::Warning, "Not complete") };
    let mut line = header::state_line(record);
    // Here it stands alone as a sentence.
    if let Some(Span::Plain(first)) = line.spans.first_mut() {
        let mut rest = first.chars();
        let initial = rest.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
        *first = format!("{initial}{}", rest.as_str());
    }
    Tile { of: "Record", href: "#sources", tone, word, line }.write(writer, out);
}

/// The figures of `kubectl get`, large; with the value before where there is one.
fn figures(record: &BaselineRecord, judgement: Option<&Judgement>, writer: &Writer<'_>) -> Markup {
    let summary = summary(record, None);
    let values = [summary.page_p95, summary.api_p95, summary.db_p95, summary.cache_hit];
    let mut out = Markup::default();
    for ((name, label), value) in comparison::HEADLINE.into_iter().zip(values) {
        let Some(value) = value else { continue };
        if out.is_empty() {
            out.raw("<ul class=\"tiles\">");
        }
        out.raw("<li><h3>").raw(label).raw("</h3><p class=\"value\">").text(&value);
        let path = indicator::known(name).map(|indicator| indicator.path);
        path.iter().for_each(|path| writer.source(path, &mut out));
        out.raw("</p>");
        before(name, judgement, &mut out);
        let unjudged = indicator::read(record, name).and_then(|reading| reading.why_unjudged());
        if unjudged.is_some() {
            out.raw("<p>shown, not judged</p>");
        }
        out.raw("</li>");
    }
    if !out.is_empty() {
        out.raw("</ul>");
    }
    out
}

fn before(name: &str, judgement: Option<&Judgement>, out: &mut Markup) {
    let comparison = judgement.and_then(|judgement| judgement.comparison.as_ref());
    let change = comparison.and_then(|all| all.indicators.iter().find(|change| change.indicator == name));
    let Some(change) = change else { return };
    let Some(before) = change.before else { return };
    out.raw("<p>before ").text(&format::quantity(before, change.unit)).raw(", <b class=\"");
    out.raw(class(verdict::change_tone(change.verdict))).raw("\">");
    out.raw(verdict::change_word(change.verdict)).raw("</b></p>");
}
