//! The findings, ranked.

use plimsoll_analysis::judgement::{Finding, Impact, Judgement};

use super::markup::Markup;
use super::writer::{Writer, verdict};
use crate::document::Tone;
use crate::format;
use crate::section::findings::impact;
use crate::section::verdict::title;

pub(super) fn body(judgement: &Judgement, writer: &Writer<'_>) -> Markup {
    let mut out = Markup::default();
    if judgement.findings.is_empty() {
        out.raw("<p>None: no rule found anything that somebody should look at.</p>");
        return out;
    }
    out.raw("<p>The largest expected effect first.</p><ol class=\"findings\">");
    for (index, finding) in judgement.findings.iter().enumerate() {
        out.raw("<li class=\"card\" id=\"f").count(index + 1).raw("\"><div class=\"heading\">");
        verdict(impact(finding.impact), tone(finding.impact), &mut out);
        out.raw("<h3>").text(&finding.subject).raw("</h3><code>").text(&finding.id).raw("</code>");
        if let Some(effect) = finding.effect_percent {
            out.raw("<span class=\"effect\">up to <b>")
                .text(&format::percent(effect))
                .raw("</b> of its tier</span>");
        }
        out.raw("</div><p>").text(&finding.evidence);
        finding.paths.iter().for_each(|path| writer.source(path, &mut out));
        out.raw("</p><p class=\"action\"><b>Do:</b> ").text(&finding.action).raw("</p>");
        explains(finding, &mut out);
        out.raw("</li>");
    }
    out.raw("</ol>");
    out
}

fn explains(finding: &Finding, out: &mut Markup) {
    if !finding.explains.is_empty() {
        let titles: Vec<&str> = finding.explains.iter().map(|name| title(name)).collect();
        out.raw("<p class=\"explains\">Can explain: ").text(&titles.join(", ")).raw("</p>");
    }
}

/// Where the finding that an objective names stands: it is named by its rule and its subject.
pub(super) fn position(judgement: &Judgement, named: &str) -> Option<usize> {
    judgement.findings.iter().position(|finding| {
        let rest = named.strip_prefix(finding.id.as_str());
        rest.is_some_and(|rest| rest.trim_start_matches([':', ' ']) == finding.subject)
    })
}

/// How an impact is meant.
pub(super) fn tone(impact: Impact) -> Tone {
    match impact {
        Impact::High => Tone::Bad,
        Impact::Medium => Tone::Warning,
        Impact::Low => Tone::Neutral,
    }
}
