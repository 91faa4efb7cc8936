//! How indicators changed: for each its change with the interval in which it lies, better to the right.

use super::scale::{Scale, ticks};
use super::{Markup, class, label, line, open, width_of};
use crate::document::Tone;

/// Width of the picture: wider than others, since it is read row by row.
const WIDTH: f64 = 640.0;
/// Height of a row.
const ROW: f64 = 26.0;
/// Above the rows.
const TOP: f64 = 26.0;
/// Below them.
const BOTTOM: f64 = 24.0;
/// Changes beyond this many percent are drawn at the edge.
const MOST: f64 = 150.0;

/// One indicator.
#[derive(Debug, Clone)]
pub(crate) struct Interval<'a> {
    /// What it is called.
    pub(crate) title: &'a str,
    /// By how many percent it is better.
    pub(crate) value: f64,
    /// Between which bounds, percent.
    pub(crate) bounds: Option<(f64, f64)>,
    /// Its verdict.
    pub(crate) tone: Tone,
    /// Its verdict in a word.
    pub(crate) word: &'static str,
}

/// The picture; nothing without an indicator. `allowed` is the change for the worse that is allowed, percent.
pub(crate) fn intervals(id: usize, rows: &[Interval<'_>], allowed: f64, description: &str) -> Option<Markup> {
    if rows.is_empty() {
        return None;
    }
    let clamp = |value: f64| value.clamp(-MOST, MOST);
    let ends = rows.iter().flat_map(|row| {
        let (low, high) = row.bounds.unwrap_or((row.value, row.value));
        [clamp(low), clamp(high), clamp(row.value)]
    });
    let (low, high) = ends.fold((-allowed, allowed), |(low, high), end| (low.min(end), high.max(end)));
    let ticks = ticks(low, high, 6);
    let names = rows.iter().map(|row| width_of(row.title)).fold(0.0, f64::max);
    let words = rows.iter().map(|row| width_of(row.word)).fold(0.0, f64::max);
    let (left, right) = (names + 14.0, WIDTH - words - 18.0);
    let edge = (ticks.first().copied().unwrap_or(low), ticks.last().copied().unwrap_or(high));
    let x = Scale::new(edge, (left, right));
    let bottom = TOP + ROW * count(rows.len());
    let mut svg = open(id, (WIDTH, bottom + BOTTOM), "Change of each indicator", description);
    svg.raw("<rect class=\"allowed\"").at("x", x.at(-allowed)).at("y", TOP - 4.0);
    svg.at("width", x.at(0.0) - x.at(-allowed)).at("height", bottom - TOP + 4.0).raw("/>");
    for tick in &ticks {
        line(
            &mut svg,
            if tick.abs() < 1e-9 { "zero" } else { "grid" },
            [x.at(*tick), TOP - 4.0, x.at(*tick), bottom],
        );
        let text = if *tick > 1e-9 { format!("+{tick:.0}%") } else { format!("{:.0}%", tick + 0.0) };
        label(&mut svg, "middle", (x.at(*tick), bottom + 15.0), &text);
    }
    label(&mut svg, "end", (x.at(0.0) - 8.0, TOP - 10.0), "← worse");
    label(&mut svg, "start", (x.at(0.0) + 8.0, TOP - 10.0), "better →");
    for (index, row) in rows.iter().enumerate() {
        draw_row(&mut svg, row, TOP + ROW * (count(index) + 0.5), (left, right), x);
    }
    svg.raw("</svg>");
    Some(svg)
}

fn draw_row(svg: &mut Markup, row: &Interval<'_>, y: f64, (left, right): (f64, f64), x: Scale) {
    label(svg, "end", (left - 8.0, y + 4.0), row.title);
    svg.raw("<g class=\"").raw(class(row.tone)).raw("\">");
    if let Some((low, high)) = row.bounds {
        line(svg, "range", [x.at(low), y, x.at(high), y]);
        for end in [low, high] {
            line(svg, "range", [x.at(end), y - 4.0, x.at(end), y + 4.0]);
        }
    }
    svg.raw("<circle class=\"point\"").at("cx", x.at(row.value)).at("cy", y).at("r", 4.5).raw("/>");
    label(svg, "start", (right + 10.0, y + 4.0), row.word);
    svg.raw("</g>");
}

#[expect(clippy::cast_precision_loss, reason = "a row of a picture")]
fn count(value: usize) -> f64 {
    value as f64
}
