//! How indicators changed: for each its change with the interval in which it lies, better to the right.

use super::scale::{Scale, ticks};
use super::{Markup, class, label, line, open};
use crate::document::Tone;
use crate::escape::clean;

/// Width of the picture.
const WIDTH: f64 = 480.0;
/// Height of a row: a line of words and the interval below it, so that names take no room from intervals on a phone.
const ROW: f64 = 40.0;
/// Above the rows.
const TOP: f64 = 22.0;
/// Below them.
const BOTTOM: f64 = 22.0;
/// Left and right edge of the intervals: half a label of the axis is further out.
const LEFT: f64 = 20.0;
const RIGHT: f64 = WIDTH - 20.0;
/// Most characters of a name: its verdict stands in the same line.
const MOST_TITLE: usize = 44;
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
    let edge = (ticks.first().copied().unwrap_or(low), ticks.last().copied().unwrap_or(high));
    let x = Scale::new(edge, (LEFT, RIGHT));
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
    label(&mut svg, "start", (LEFT, TOP - 10.0), "← worse");
    label(&mut svg, "end", (RIGHT, TOP - 10.0), "better →");
    for (index, row) in rows.iter().enumerate() {
        draw_row(&mut svg, row, TOP + ROW * count(index), x);
    }
    svg.raw("</svg>");
    Some(svg)
}

fn draw_row(svg: &mut Markup, row: &Interval<'_>, top: f64, x: Scale) {
    let y = top + ROW - 12.0;
    label(svg, "start", (LEFT, top + 15.0), &clean(row.title, MOST_TITLE));
    svg.raw("<g class=\"").raw(class(row.tone)).raw("\">");
    if let Some((low, high)) = row.bounds {
        line(svg, "range", [x.at(low), y, x.at(high), y]);
        for end in [low, high] {
            line(svg, "range", [x.at(end), y - 4.0, x.at(end), y + 4.0]);
        }
    }
    svg.raw("<circle class=\"point\"").at("cx", x.at(row.value)).at("cy", y).at("r", 4.5).raw("/>");
    label(svg, "end", (RIGHT, top + 15.0), row.word);
    svg.raw("</g>");
}

#[expect(clippy::cast_precision_loss, reason = "a row of a picture")]
fn count(value: usize) -> f64 {
    value as f64
}
