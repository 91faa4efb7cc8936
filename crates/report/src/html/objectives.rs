//! The objectives: each with its verdict, its value against its target, and what to do where it is not met.

use plimsoll_analysis::judgement::{Judgement, ObjectiveResult};
use plimsoll_analysis::request::Unit;

use super::findings;
use super::markup::Markup;
use super::writer::{Writer, class, verdict};
use crate::chart::{Bullet, bullet};
use crate::section::verdict as words;

pub(super) fn body(judgement: &Judgement, writer: &Writer<'_>) -> Markup {
    let mut out = Markup::default();
    if judgement.objectives.is_empty() {
        return out;
    }
    out.raw("<ul class=\"objectives\">");
    for objective in &judgement.objectives {
        item(objective, judgement, writer, &mut out);
    }
    out.raw("</ul>");
    out
}

fn item(objective: &ObjectiveResult, judgement: &Judgement, writer: &Writer<'_>, out: &mut Markup) {
    let (word, tone) = words::result(objective.result);
    out.raw("<li class=\"card ").raw(class(tone)).raw("\"><div class=\"what\"><h3>").text(&objective.name);
    out.raw("</h3><p>").text(words::title(&objective.indicator)).raw("</p></div><div class=\"how\">");
    verdict(word, tone, out);
    out.raw("</div><div class=\"gauge\"><p class=\"figures\"><span><b>");
    out.text(&words::value(objective).unwrap_or_else(|| "no value".to_owned())).raw("</b>");
    objective.path.iter().for_each(|path| writer.source(path, out));
    out.raw("</span><span class=\"target\">target ")
        .text(&words::target(&objective.target))
        .raw("</span></p>");
    out.append(&bullet(&Bullet {
        value: objective.value,
        low: objective.low,
        high: objective.high,
        target: words::target_value(objective),
        is_part: objective.unit == Unit::Ratio && objective.target.starts_with("greaterThan"),
        tone,
    }));
    if let Some(margin) = objective.margin_percent {
        let side = if margin >= 0.0 { " inside the target" } else { " beyond the target" };
        let margin = format!("{}%", crate::format::number(margin.abs()));
        out.raw("<p class=\"margin\">").text(&margin).raw(side).raw("</p>");
    }
    out.raw("</div>");
    // A plain pass explains itself.
    if words::needs_words(objective) {
        out.raw("<p class=\"message\">").text(words::message(objective).trim_end_matches('.')).raw(".");
        explained(objective, judgement, out);
        out.raw("</p>");
    }
    out.raw("</li>");
}

/// A link to the finding that explains a missed objective.
fn explained(objective: &ObjectiveResult, judgement: &Judgement, out: &mut Markup) {
    let Some(named) = &objective.finding else { return };
    out.raw(" <span>What explains it: ");
    match findings::position(judgement, named) {
        Some(position) => out.raw("<a href=\"#f").count(position + 1).raw("\">").text(named).raw("</a>"),
        None => out.text(named),
    };
    out.raw(".</span>");
}
