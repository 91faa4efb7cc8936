//! A distribution: one column a bucket. Buckets are drawn equally wide, since their bounds grow about as a power does.

use super::scale::{Scale, ticks};
use super::{HEIGHT, Markup, WIDTH, label, line, open, width_of};
use crate::format;

/// Left, right, top and bottom edge of the columns.
const LEFT: f64 = 44.0;
const RIGHT: f64 = WIDTH - 10.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = HEIGHT - 26.0;

/// One bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Column {
    /// Its upper bound in milliseconds; nothing in the last bucket, which has none.
    pub(crate) bound: Option<f64>,
    /// Observations inside it, percent of all.
    pub(crate) percent: f64,
}

/// A value that is marked.
#[derive(Debug, Clone)]
pub(crate) struct Marker {
    /// What it is.
    pub(crate) label: String,
    /// In milliseconds.
    pub(crate) value: f64,
    /// Whether it is a target and no figure.
    pub(crate) is_target: bool,
}

/// A distribution of times.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    /// Its name.
    pub(crate) title: String,
    /// What it shows, for those who do not see it.
    pub(crate) description: String,
    /// Its buckets, rising.
    pub(crate) columns: Vec<Column>,
    /// What is marked.
    pub(crate) markers: Vec<Marker>,
}

impl Columns {
    /// The buckets that are drawn, with the lower bound of the first: empty ones at both ends are not.
    fn drawn(&self) -> (f64, &[Column]) {
        let has_any = |column: &Column| column.percent > 0.0;
        let first = self.columns.iter().position(has_any).unwrap_or(0);
        let end = self.columns.iter().rposition(has_any).map_or(0, |last| last + 1);
        let low = first.checked_sub(1).and_then(|before| self.columns[before].bound).unwrap_or(0.0);
        (low, &self.columns[first..end])
    }

    /// The picture, or nothing where there is no observation.
    pub(crate) fn draw(&self, id: usize) -> Option<Markup> {
        let (low, columns) = self.drawn();
        let highest = columns.iter().map(|column| column.percent).fold(0.0, f64::max);
        if columns.is_empty() || highest <= 0.0 {
            return None;
        }
        let ticks = ticks(0.0, highest, 3);
        let top = ticks.last().copied().unwrap_or(100.0);
        let y = Scale::new((0.0, top), (BOTTOM, TOP));
        let mut svg = open(id, (WIDTH, HEIGHT), &self.title, &self.description);
        for tick in &ticks {
            line(&mut svg, "grid", [LEFT, y.at(*tick), RIGHT, y.at(*tick)]);
            label(&mut svg, "end", (LEFT - 6.0, y.at(*tick) + 4.0), &format!("{}%", format::number(*tick)));
        }
        let width = (RIGHT - LEFT) / count(columns.len());
        let mut lower = low;
        let mut free = f64::NEG_INFINITY;
        bound(&mut svg, LEFT, low, &mut free);
        for (index, column) in columns.iter().enumerate() {
            let x = LEFT + width * count(index);
            let height = BOTTOM - y.at(column.percent);
            svg.raw("<rect class=\"column\"").at("x", x + 1.0).at("y", BOTTOM - height);
            svg.at("width", (width - 2.0).max(1.0)).at("height", height).raw("><title>");
            let range = format::milliseconds_between(lower, column.bound);
            svg.text(&format!("{range}: {}", format::percent(column.percent))).raw("</title></rect>");
            if let Some(upper) = column.bound {
                bound(&mut svg, x + width, upper, &mut free);
                lower = upper;
            }
        }
        line(&mut svg, "axis", [LEFT, BOTTOM, RIGHT, BOTTOM]);
        self.mark(&mut svg, low, columns, width);
        svg.raw("</svg>");
        Some(svg)
    }

    /// Draws the markers, their labels in two rows so that neighbours do not meet.
    fn mark(&self, svg: &mut Markup, low: f64, columns: &[Column], width: f64) {
        let place = |value: f64| {
            let mut lower = low;
            for (index, column) in columns.iter().enumerate() {
                let x = LEFT + width * count(index);
                match column.bound {
                    Some(upper) if value > upper => lower = upper,
                    Some(upper) => return Scale::new((lower, upper), (x, x + width)).at(value),
                    // Nothing says how far into the last bucket it lies.
                    None => return x + width / 2.0,
                }
            }
            RIGHT
        };
        let mut free = [f64::NEG_INFINITY; 2];
        let mut markers: Vec<&Marker> = self.markers.iter().filter(|marker| marker.value >= low).collect();
        markers.sort_by(|one, other| one.value.total_cmp(&other.value));
        for marker in markers {
            let x = place(marker.value);
            let half = width_of(&marker.label) / 2.0;
            let middle = x.clamp(LEFT + half, (RIGHT - half).max(LEFT + half));
            let row = usize::from(middle - half < free[0]);
            line(svg, if marker.is_target { "target" } else { "marker" }, [x, TOP - 3.0, x, BOTTOM]);
            if middle - half >= free[row] {
                label(svg, "middle", (middle, if row == 0 { TOP - 6.0 } else { TOP - 18.0 }), &marker.label);
                free[row] = middle + half + 4.0;
            }
        }
    }
}

/// Writes a bucket's bound below the axis, unless the one before it takes its place.
fn bound(svg: &mut Markup, x: f64, value: f64, free: &mut f64) {
    let text = if value == 0.0 { "0".to_owned() } else { format::milliseconds(value) };
    let half = width_of(&text) / 2.0;
    let middle = x.min(WIDTH - half);
    if middle - half >= *free {
        label(svg, "middle", (middle, BOTTOM + 16.0), &text);
        *free = middle + half + 6.0;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a histogram has few buckets")]
fn count(value: usize) -> f64 {
    value as f64
}
