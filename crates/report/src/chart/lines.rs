//! Figures over the window, slot by slot. A gap breaks the line: what was not measured is not drawn.

use jiff::Timestamp;
use plimsoll_analysis::request::Unit;

use super::scale::{Scale, ticks_in, time_label, time_ticks};
use super::{HEIGHT, Markup, WIDTH, label, line, open, width_of};
use crate::format;

/// Top and bottom edge of the lines.
const TOP: f64 = 14.0;
const BOTTOM: f64 = HEIGHT - 26.0;
/// Most ticks of time.
const TIMES: i64 = 7;

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Its name, which stands at its end; empty where there is only one.
    pub(crate) name: &'static str,
    /// Its slots, rising, and their values.
    pub(crate) points: Vec<(u32, f64)>,
}

/// Lines over one window.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    /// Its name.
    pub(crate) title: String,
    /// What it shows, for those who do not see it.
    pub(crate) description: String,
    /// The lines, the most important first.
    pub(crate) lines: Vec<Line>,
    /// How many slots the window has.
    pub(crate) slots: u32,
    /// Beginning and end of the window.
    pub(crate) window: (Timestamp, Timestamp),
    /// What the values are measured in.
    pub(crate) unit: Unit,
    /// A target, where there is one.
    pub(crate) target: Option<f64>,
}

impl Lines {
    /// The picture, or nothing where there is no value.
    pub(crate) fn draw(&self, id: usize) -> Option<Markup> {
        let values = self.lines.iter().flat_map(|line| &line.points).map(|(_, value)| *value);
        let highest = values.filter(|value| value.is_finite()).reduce(f64::max)?;
        // A target far above everything would press the lines to the ground; then it is left out and said in words.
        let target = self.target.filter(|target| *target <= highest * 4.0);
        let end = target.map_or(highest, |target| highest.max(target)) * 1.05;
        let ticks = ticks_in(self.unit, end, 4);
        let texts: Vec<String> = ticks.iter().map(|tick| format::quantity(*tick, self.unit)).collect();
        let left = texts.iter().map(|text| width_of(text)).fold(20.0, f64::max) + 10.0;
        let names = self.lines.iter().map(|line| width_of(line.name)).fold(0.0, f64::max);
        let right = WIDTH - names - 10.0;
        let y = Scale::new((0.0, ticks.last().copied().unwrap_or(end)), (BOTTOM, TOP));
        let mut svg = open(id, (WIDTH, HEIGHT), &self.title, &self.description);
        for (tick, text) in ticks.iter().zip(&texts) {
            line(&mut svg, "grid", [left, y.at(*tick), right, y.at(*tick)]);
            label(&mut svg, "end", (left - 6.0, y.at(*tick) + 4.0), text);
        }
        self.times(&mut svg, (left, right));
        if let Some(target) = target {
            line(&mut svg, "target", [left, y.at(target), right, y.at(target)]);
            label(&mut svg, "start", (left + 4.0, y.at(target) - 5.0), "target");
        }
        let mut free = f64::NEG_INFINITY;
        for (index, drawn) in self.lines.iter().enumerate().rev() {
            self.path(&mut svg, drawn, index, (left, right), y);
        }
        let mut named: Vec<&Line> = self.lines.iter().filter(|line| !line.name.is_empty()).collect();
        let last = |line: &Line| line.points.last().map_or(0.0, |(_, value)| *value);
        named.sort_by(|one, other| last(other).total_cmp(&last(one)));
        for drawn in named.into_iter().filter(|line| !line.points.is_empty()) {
            let at = (y.at(last(drawn)) + 4.0).max(free).min(BOTTOM + 4.0);
            label(&mut svg, "start", (right + 6.0, at), drawn.name);
            free = at + 13.0;
        }
        svg.raw("</svg>");
        Some(svg)
    }

    fn times(&self, svg: &mut Markup, (left, right): (f64, f64)) {
        let (from, to) = self.window;
        let x = Scale::new((float(from), float(to)), (left, right));
        let ticks = time_ticks(from, to, TIMES);
        let mut free = f64::NEG_INFINITY;
        for tick in &ticks {
            let text = time_label(*tick, &ticks);
            let half = width_of(&text) / 2.0;
            let at = x.at(float(*tick));
            line(svg, "axis", [at, BOTTOM, at, BOTTOM + 4.0]);
            if at - half >= free && at + half <= WIDTH {
                label(svg, "middle", (at, BOTTOM + 17.0), &text);
                free = at + half + 6.0;
            }
        }
        line(svg, "axis", [left, BOTTOM, right, BOTTOM]);
    }

    fn path(&self, svg: &mut Markup, drawn: &Line, index: usize, ends: (f64, f64), y: Scale) {
        let x = Scale::new((0.0, f64::from(self.slots)), ends);
        let class = if index == 0 { "line first" } else { "line second" };
        let points: Vec<(u32, f64)> =
            drawn.points.iter().copied().filter(|(_, value)| value.is_finite()).collect();
        for run in points.chunk_by(|(one, _), (next, _)| *next == one.saturating_add(1)) {
            let at = |(slot, value): (u32, f64)| (x.at(f64::from(slot) + 0.5), y.at(value));
            if let [point] = run {
                let (x, y) = at(*point);
                svg.raw("<circle class=\"")
                    .raw(class)
                    .raw("\"")
                    .at("cx", x)
                    .at("cy", y)
                    .at("r", 2.0)
                    .raw("/>");
                continue;
            }
            svg.raw("<path class=\"").raw(class).raw("\" d=\"");
            for (index, point) in run.iter().enumerate() {
                let (x, y) = at(*point);
                svg.raw(if index == 0 { "M" } else { "L" }).number(x).raw(" ").number(y);
            }
            svg.raw("\"/>");
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 have few digits")]
fn float(at: Timestamp) -> f64 {
    at.as_second() as f64
}
