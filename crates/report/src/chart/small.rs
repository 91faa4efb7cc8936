//! Charts that stand in a line or a card: a value against its target, a share, a trend.

use super::class;
use super::scale::{Scale, end_above};
use super::{Markup, line};
use crate::document::Tone;

/// Width of such a chart in its own units; it is stretched to its place.
const WIDTH: f64 = 200.0;
/// Height of a bar.
const BAR: f64 = 16.0;
/// Size of a trend.
const SPARK: (f64, f64) = (160.0, 44.0);

/// A value and its target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bullet {
    /// The value, where there is one.
    pub(crate) value: Option<f64>,
    /// Lower bound, where an interval is known.
    pub(crate) low: Option<f64>,
    /// Upper bound.
    pub(crate) high: Option<f64>,
    /// The target, where it is known as a number.
    pub(crate) target: Option<f64>,
    /// Whether the values are parts of one and more is better: then the axis ends at one.
    pub(crate) is_part: bool,
    /// How the value is meant.
    pub(crate) tone: Tone,
}

/// The bar of a value with its target as a mark, or the range where only bounds are known. Decoration: the words beside
/// it say the same.
pub(crate) fn bullet(bullet: &Bullet) -> Markup {
    let known = [bullet.value, bullet.low, bullet.high, bullet.target];
    let highest = known.into_iter().flatten().filter(|value| value.is_finite()).fold(0.0, f64::max);
    let end = if bullet.is_part && highest <= 1.0 { 1.0 } else { end_above(highest) };
    let x = Scale::new((0.0, end), (0.0, WIDTH));
    let mut svg = small((WIDTH, BAR));
    svg.raw("<rect class=\"track\"")
        .at("x", 0.0)
        .at("y", 3.0)
        .at("width", WIDTH)
        .at("height", 10.0)
        .raw("/>");
    svg.raw("<g class=\"").raw(class(bullet.tone)).raw("\">");
    match (bullet.value, bullet.low, bullet.high) {
        (Some(value), ..) => {
            svg.raw("<rect class=\"fill\"").at("x", 0.0).at("y", 3.0);
            svg.at("width", x.at(value).max(1.0)).at("height", 10.0).raw("/>");
        }
        (None, Some(low), high) => {
            let end = x.at(high.unwrap_or(end));
            svg.raw("<rect class=\"between\"").at("x", x.at(low)).at("y", 3.0);
            svg.at("width", (end - x.at(low)).max(1.0)).at("height", 10.0).raw("/>");
        }
        (None, None, _) => {}
    }
    svg.raw("</g>");
    if let Some(target) = bullet.target {
        line(&mut svg, "mark", [x.at(target), 0.0, x.at(target), BAR]);
    }
    svg.raw("</svg>");
    svg
}

/// The bar of a part of the largest.
pub(crate) fn bar(value: f64, largest: f64) -> Markup {
    let x = Scale::new((0.0, largest), (0.0, WIDTH));
    let mut svg = small((WIDTH, BAR));
    svg.raw("<rect class=\"column\"").at("x", 0.0).at("y", 2.0);
    svg.at("width", x.at(value).max(1.0)).at("height", 12.0).raw("/></svg>");
    svg
}

/// A trend: its values in equal steps, from 0 or from a little below the least where they lie close together.
pub(crate) fn sparkline(values: &[f64]) -> Option<Markup> {
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let (low, high) = (finite.iter().copied().reduce(f64::min)?, finite.iter().copied().reduce(f64::max)?);
    let (width, height) = SPARK;
    // Where nothing changed the line is in the middle.
    let span = if high > low { (low, high) } else { (low - 1.0, high + 1.0) };
    let y = Scale::new(span, (height - 6.0, 6.0));
    let x = Scale::new((0.0, count(finite.len().saturating_sub(1)).max(1.0)), (1.0, width - 6.0));
    let mut svg = Markup::new(
        "<svg class=\"spark\" aria-hidden=\"true\" preserveAspectRatio=\"xMinYMid\" viewBox=\"0 0 160 44\">",
    );
    let at = |index: usize| (x.at(count(index)), y.at(finite[index]));
    svg.raw("<path class=\"line first\" d=\"");
    for index in 0..finite.len() {
        let (x, y) = at(index);
        svg.raw(if index == 0 { "M" } else { "L" }).number(x).raw(" ").number(y);
    }
    svg.raw("\"/>");
    let (x, y) = at(finite.len() - 1);
    svg.raw("<circle class=\"point\"").at("cx", x).at("cy", y).at("r", 3.5).raw("/></svg>");
    Some(svg)
}

fn small((width, height): (f64, f64)) -> Markup {
    let mut svg =
        Markup::new("<svg class=\"bar\" aria-hidden=\"true\" preserveAspectRatio=\"none\" viewBox=\"0 0");
    svg.raw(" ").number(width).raw(" ").number(height).raw("\">");
    svg
}

#[expect(clippy::cast_precision_loss, reason = "a trend has few runs")]
fn count(value: usize) -> f64 {
    value as f64
}
