//! Each indicator over the runs kept.

use plimsoll_analysis::judgement::Trend;

use super::markup::Markup;
use super::writer::Writer;
use crate::chart::sparkline;
use crate::format;
use crate::section::findings;
use crate::section::verdict::title;

pub(super) fn body(trends: &[Trend], writer: &mut Writer<'_>) -> Markup {
    let mut out = Markup::default();
    let lasting: Vec<&Trend> = trends.iter().filter(|trend| trend.points.len() > 1).collect();
    if !lasting.is_empty() {
        out.raw("<ul class=\"trends\">");
        lasting.iter().for_each(|trend| card(trend, &mut out));
        out.raw("</ul>");
    }
    // The heading is the section's own.
    let blocks: Vec<_> = findings::trend(trends).into_iter().skip(1).collect();
    out.append(&writer.blocks("Trend", &blocks));
    out
}

fn card(trend: &Trend, out: &mut Markup) {
    let (Some(first), Some(last)) = (trend.points.first(), trend.points.last()) else { return };
    let values: Vec<f64> = trend.points.iter().map(|point| point.value).collect();
    out.raw("<li class=\"card\"><h3>").text(title(&trend.indicator)).raw("</h3>");
    if let Some(picture) = sparkline(&values) {
        out.append(&picture);
    }
    out.raw("<p><b>").text(&format::quantity(last.value, trend.unit)).raw("</b> <span>from ");
    out.text(&format::quantity(first.value, trend.unit)).raw(" over ").count(values.len());
    out.raw(" runs</span></p></li>");
}
