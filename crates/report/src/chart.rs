//! Charts as SVG: pictures with a name and a description, coloured by the page's style sheet. What they show also stands
//! in a table, so that nobody needs to see them.

mod columns;
mod intervals;
mod lines;
pub(crate) mod scale;
mod small;

pub(crate) use columns::{Column, Columns, Marker};
pub(crate) use intervals::{Interval, intervals};
pub(crate) use lines::{Line, Lines};
pub(crate) use small::{Bullet, bar, bullet, sparkline};

use crate::html::markup::Markup;
use crate::html::writer::class;

/// Width of a chart in its own units; a page shows it about as wide.
const WIDTH: f64 = 440.0;
/// Height of a chart.
const HEIGHT: f64 = 200.0;
/// Width of a character of a label, about.
const CHARACTER: f64 = 7.3;

/// Opens a picture of a size. `id` is unique within the page.
fn open(id: usize, (width, height): (f64, f64), title: &str, description: &str) -> Markup {
    let mut svg = Markup::new("<svg class=\"chart\" role=\"img\" viewBox=\"0 0");
    svg.raw(" ").number(width).raw(" ").number(height).raw("\" aria-labelledby=\"c").count(id);
    svg.raw("t c").count(id).raw("d\"><title id=\"c").count(id).raw("t\">").text(title);
    svg.raw("</title><desc id=\"c").count(id).raw("d\">").text(description).raw("</desc>");
    svg
}

/// A line between two points.
fn line(svg: &mut Markup, class: &'static str, [x1, y1, x2, y2]: [f64; 4]) {
    svg.raw("<line class=\"").raw(class).raw("\"");
    svg.at("x1", x1).at("y1", y1).at("x2", x2).at("y2", y2).raw("/>");
}

/// A text whose `anchor` (start, middle, end) stands at a point.
fn label(svg: &mut Markup, anchor: &'static str, (x, y): (f64, f64), text: &str) {
    svg.raw("<text text-anchor=\"").raw(anchor).raw("\"");
    svg.at("x", x).at("y", y).raw(">").text(text).raw("</text>");
}

/// How wide a label is, about.
fn width_of(text: &str) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a label has few characters")]
    let characters = text.chars().count() as f64;
    characters * CHARACTER
}
