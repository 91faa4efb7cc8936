//! How indicators changed: for each its change with the interval in which it lies, better to the right.

use super::scale::{Scale, ticks};
use super::{Markup, class, label, line, open};
use crate::document::Tone;
use crate::escape::clean;

/// Width of the picture.
const WIDTH: f64 = 480.0;
/// Height of a row: a line of words and the interval below it, so that names take no room from intervals on a phone.
const ROW: f64 = 44.0;
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
    for tick in &ticks {
        let text = if *tick > 1e-9 { format!("+{tick:.0}%") } else { format!("{:.0}%", tick + 0.0) };
        label(&mut svg, "middle", (x.at(*tick), bottom + 17.0), &text);
    }
    label(&mut svg, "start", (LEFT, TOP - 10.0), "← worse");
    label(&mut svg, "end", (RIGHT, TOP - 10.0), "better →");
    for (index, row) in rows.iter().enumerate() {
        let top = TOP + ROW * count(index);
        track(&mut svg, top + ROW - 12.0, &ticks, allowed, x);
        draw_row(&mut svg, row, top, x);
    }
    svg.raw("</svg>");
    Some(svg)
}

/// What an interval is drawn on: a strip with the ticks and the change that is allowed. Words stand between the strips.
fn track(svg: &mut Markup, y: f64, ticks: &[f64], allowed: f64, x: Scale) {
    const HALF: f64 = 9.0;
    let mut strip = |class: &'static str, low: f64, high: f64| {
        svg.raw("<rect class=\"").raw(class).raw("\"").at("x", low).at("y", y - HALF);
        svg.at("width", high - low).at("height", 2.0 * HALF).raw("/>");
    };
    strip("strip", LEFT, RIGHT);
    strip("allowed", x.at(-allowed), x.at(0.0));
    for tick in ticks {
        let class = if tick.abs() < 1e-9 { "zero" } else { "grid" };
        line(svg, class, [x.at(*tick), y - HALF, x.at(*tick), y + HALF]);
    }
}

fn draw_row(svg: &mut Markup, row: &Interval<'_>, top: f64, x: Scale) {
    let y = top + ROW - 12.0;
    label(svg, "start", (LEFT, top + 14.0), &clean(row.title, MOST_TITLE));
    svg.raw("<g class=\"").raw(class(row.tone)).raw("\">");
    if let Some((low, high)) = row.bounds {
        line(svg, "range", [x.at(low), y, x.at(high), y]);
        for end in [low, high] {
            line(svg, "range", [x.at(end), y - 4.0, x.at(end), y + 4.0]);
        }
    }
    svg.raw("<circle class=\"point\"").at("cx", x.at(row.value)).at("cy", y).at("r", 4.5).raw("/>");
    label(svg, "end", (RIGHT, top + 14.0), row.word);
    svg.raw("</g>");
}

#[expect(clippy::cast_precision_loss, reason = "a row of a picture")]
fn count(value: usize) -> f64 {
    value as f64
}
