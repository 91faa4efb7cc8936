//! Where things stand in a chart: scales, ticks, and how long an axis is.

use jiff::{SignedDuration, Timestamp};
use plimsoll_analysis::request::Unit;

/// Maps a range of values to a range of coordinates, linearly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// `low` is drawn at `from` and `high` at `to`. A range without length or without numbers is drawn at `from`.
    pub(crate) fn new((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        Self { low, high, from, to }
    }

    /// Where a value stands; one outside the range stands at its nearer end.
    pub(crate) fn at(self, value: f64) -> f64 {
        let length = self.high - self.low;
        if !length.is_finite() || length <= 0.0 || value.is_nan() {
            return self.from;
        }
        let part = ((value - self.low) / length).clamp(0.0, 1.0);
        self.from + part * (self.to - self.from)
    }
}

/// Ticks of an axis at round values (1, 2 or 5 times a power of ten, Heckbert's nice numbers) that cover `low` to `high`
/// with about `count` steps; the first is at most `low`, the last at least `high`. Values that are not finite, or no
/// range at all, give the axis from 0 to 1.
pub(crate) fn ticks(low: f64, high: f64, count: u32) -> Vec<f64> {
    let (low, high) =
        if low.is_finite() && high.is_finite() && low < high { (low, high) } else { (0.0, 1.0) };
    let step = nice((high - low) / f64::from(count.max(1)));
    let first = (low / step + 1e-9).floor();
    let last = (high / step - 1e-9).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "about `count` steps")]
    let steps = (last - first).clamp(1.0, 100.0) as u32;
    (0..=steps).map(|index| (first + f64::from(index)) * step).collect()
}

/// The least of 1, 2, 2.5, 5 and 10 times a power of ten that is no less than `value`, which is positive.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|step| step * power >= value * (1.0 - 1e-9));
    let nice = step.unwrap_or(10.0) * power;
    if nice > 0.0 && nice.is_finite() { nice } else { 1.0 }
}

/// The end of an axis that begins at 0 and holds a value, a little above it.
pub(crate) fn end_above(value: f64) -> f64 {
    if value.is_finite() && value > 0.0 {
        ticks(0.0, value * 1.05, 4).last().copied().unwrap_or(1.0)
    } else {
        1.0
    }
}

/// The ticks of an axis from 0 that is measured in a unit; those of bytes are round in powers of 1,024.
pub(crate) fn ticks_in(unit: Unit, end: f64, count: u32) -> Vec<f64> {
    let mut power = 1.0;
    while unit == Unit::Bytes && end.is_finite() && end / power >= 1_024.0 {
        power *= 1_024.0;
    }
    ticks(0.0, end / power, count).into_iter().map(|tick| tick * power).collect()
}

/// Lengths between two ticks of time, seconds.
const TIME_STEPS: [i64; 14] =
    [10, 30, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000];

/// Instants at round times (UTC) within a window, at most `most` of them, at least the window's end.
pub(crate) fn time_ticks(from: Timestamp, to: Timestamp, most: i64) -> Vec<Timestamp> {
    let (first, last) = (from.as_second(), to.as_second());
    let most = most.max(1);
    let fits = |step: &i64| last.div_euclid(*step) - first.div_euclid(*step) <= most;
    let Some(step) = TIME_STEPS.into_iter().find(fits) else { return vec![to] };
    let mut ticks = Vec::new();
    let mut at = (first.div_euclid(step) + i64::from(first.rem_euclid(step) > 0)) * step;
    while at <= last && ticks.len() < 100 {
        ticks.extend(Timestamp::from_second(at).ok());
        at += step;
    }
    if ticks.is_empty() { vec![to] } else { ticks }
}

/// How a tick of time is written: the day where ticks are days apart or it is midnight, else the time of day.
pub(crate) fn time_label(at: Timestamp, ticks: &[Timestamp]) -> String {
    let day = SignedDuration::from_hours(24);
    let are_days = ticks.windows(2).all(|pair| pair[0].duration_until(pair[1]) >= day);
    let is_midnight = at.as_second().rem_euclid(86_400) == 0;
    let form = if (are_days && ticks.len() > 1) || is_midnight { "%-d %b" } else { "%H:%M" };
    at.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_is_drawn_in_proportion_and_never_outside() {
        let scale = Scale::new((0.0, 10.0), (100.0, 0.0));
        for (value, at) in
            [(0.0, 100.0), (2.5, 75.0), (10.0, 0.0), (-3.0, 100.0), (99.0, 0.0), (f64::NAN, 100.0)]
        {
            assert!((scale.at(value) - at).abs() < 1e-9, "{value}");
        }
        assert!((Scale::new((5.0, 5.0), (3.0, 9.0)).at(5.0) - 3.0).abs() < 1e-9);
        assert!((Scale::new((0.0, f64::INFINITY), (3.0, 9.0)).at(5.0) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn ticks_are_round() {
        for ((low, high, count), expected) in [
            ((0.0, 412.0, 4), vec![0.0, 200.0, 400.0, 600.0]),
            ((0.0, 1.0, 4), vec![0.0, 0.25, 0.5, 0.75, 1.0]),
            ((-52.0, 12.0, 4), vec![-60.0, -40.0, -20.0, 0.0, 20.0]),
            ((5.0, 5.0, 4), vec![0.0, 0.25, 0.5, 0.75, 1.0]),
            ((0.0, f64::INFINITY, 2), vec![0.0, 0.5, 1.0]),
        ] {
            let found = ticks(low, high, count);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-9, "{low} to {high}: {found} for {expected}");
            }
        }
    }

    #[test]
    fn amounts_are_round_in_their_own_unit() {
        let gibibyte = 1_073_741_824.0;
        assert_eq!(ticks_in(Unit::Bytes, 2.2 * gibibyte, 3), [0.0, gibibyte, 2.0 * gibibyte, 3.0 * gibibyte]);
        assert_eq!(ticks_in(Unit::Count, 3.0, 3), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(ticks_in(Unit::Bytes, f64::INFINITY, 2), [0.0, 0.5, 1.0]);
    }

    #[test]
    fn times_fall_on_days_and_hours() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let labels = |from: &str, to: &str| {
            let ticks = time_ticks(at(from), at(to), 7);
            let labels = ticks.iter().map(|tick| time_label(*tick, &ticks));
            labels.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(
            labels("2026-11-16T02:00:00Z", "2026-11-23T02:00:00Z"),
            "17 Nov, 18 Nov, 19 Nov, 20 Nov, 21 Nov, 22 Nov, 23 Nov"
        );
        assert_eq!(
            labels("2026-11-16T21:00:00Z", "2026-11-17T03:00:00Z"),
            "21:00, 22:00, 23:00, 17 Nov, 01:00, 02:00, 03:00"
        );
        assert_eq!(labels("2026-11-16T21:00:01Z", "2026-11-16T21:00:05Z"), "21:00");
    }

    proptest! {
        #[test]
        fn ticks_cover_the_range_in_equal_steps(low in -1e6f64..1e6, length in 1e-6f64..1e7, count in 1u32..10) {
            let high = low + length;
            let ticks = ticks(low, high, count);
            prop_assert!(ticks.len() >= 2 && ticks.len() <= count as usize + 3, "{ticks:?}");
            let slack = length * 1e-6;
            prop_assert!(ticks[0] <= low + slack && ticks[ticks.len() - 1] >= high - slack, "{ticks:?}");
            let step = ticks[1] - ticks[0];
            for pair in ticks.windows(2) {
                prop_assert!((pair[1] - pair[0] - step).abs() <= step * 1e-6, "{ticks:?}");
            }
        }

        #[test]
        fn ticks_of_time_lie_within_the_window(from in 0i64..4_000_000_000, length in 1i64..10_000_000_000, most in 1i64..12) {
            let (from, to) = (Timestamp::from_second(from).unwrap(), Timestamp::from_second(from + length).unwrap());
            let ticks = time_ticks(from, to, most);
            prop_assert!(!ticks.is_empty() && ticks.len() <= usize::try_from(most).unwrap() + 1);
            prop_assert!(ticks.iter().all(|tick| *tick >= from && *tick <= to));
        }
    }
}
