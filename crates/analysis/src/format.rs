//! Numbers as people read them: three significant digits, trailing zeros dropped, the unit chosen by size.
//!
//! Figures from 1,000 up (which only the largest unit of a kind reaches) keep their whole part.

use std::time::Duration;

use crate::duration as prometheus;
use crate::record::Window;
use crate::request::Unit;
use jiff::Timestamp;

/// Digits that carry meaning: latencies come from buckets and rates from scrapes, more would be pretence.
const SIGNIFICANT_DIGITS: i32 = 3;
/// From here on a time reads better as minutes and seconds.
const LONG_MILLISECONDS: f64 = 120_000.0;

/// A time in milliseconds: `412ms`, `1.24s`, `0.85ms`; below a hundredth of a millisecond `4.2µs`, from two
/// minutes up whole seconds as a duration, `2m5s`.
#[must_use]
pub fn milliseconds(value: f64) -> String {
    let size = value.abs();
    if size >= LONG_MILLISECONDS {
        let seconds = (size / 1_000.0).round();
        let sign = if value < 0.0 { "-" } else { "" };
        // Beyond what a Duration holds there is no reader either.
        return match Duration::try_from_secs_f64(seconds) {
            Ok(seconds) => format!("{sign}{}", duration(seconds)),
            Err(_) => format!("{}s", number(value / 1_000.0)),
        };
    }
    if rounded(size) >= 1_000.0 {
        format!("{}s", number(value / 1_000.0))
    } else if size > 0.0 && size < 0.01 {
        format!("{}µs", number(value * 1_000.0))
    } else {
        format!("{}ms", number(value))
    }
}

/// A time that is only known to lie between two bounds, in milliseconds: `60-240ms`, `0.4ms-1.2s`; with nothing above it
/// `>60ms`, with nothing below it `<=240ms`.
#[must_use]
pub fn milliseconds_between(low: f64, high: Option<f64>) -> String {
    let Some(high) = high else { return format!(">{}", milliseconds(low)) };
    if low <= 0.0 {
        return format!("<={}", milliseconds(high));
    }
    let (low, high) = (milliseconds(low), milliseconds(high));
    if low == high {
        return high;
    }
    // The unit stands once where it is one; `2m5s` has none that could be left out.
    let unit = |text: &str| text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').to_owned();
    match low.strip_suffix(&unit(&high)) {
        Some(number) if unit(&low) == unit(&high) && unit(&low).chars().all(char::is_alphabetic) => {
            format!("{number}-{high}")
        }
        _ => format!("{low}-{high}"),
    }
}

/// A rate: `20.1/s`.
#[must_use]
pub fn per_second(value: f64) -> String {
    format!("{}/s", number(value))
}

/// A percentage, given in percent: `0.12%`. What is not all is never rounded to `100%`.
#[must_use]
pub fn percent(value: f64) -> String {
    if value < 100.0 && rounded(value) >= 100.0 {
        if value >= 99.99 { ">99.99%".to_owned() } else { format!("{}%", rounded_down(value, 2)) }
    } else {
        format!("{}%", number(value))
    }
}

/// Coverage in percent, rounded down to a tenth, so that what misses a bound never reads as if it met it.
#[must_use]
pub fn coverage(value: f64) -> String {
    format!("{}%", rounded_down(value, 1))
}

/// An amount of memory, given in MiB: `210MiB`, `1.24GiB`.
#[must_use]
pub fn mebibytes(value: f64) -> String {
    bytes(value * 1_048_576.0)
}

/// An amount of bytes, in powers of 1,024: `812B`, `79.3KiB`, `1.24GiB`.
#[must_use]
pub fn bytes(value: f64) -> String {
    let mut value = value;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if rounded(value.abs()) < 1_000.0 {
            break;
        }
        value /= 1_024.0;
        unit = larger;
    }
    format!("{}{unit}", number(value))
}

/// An amount of CPU, given in cores, as Kubernetes writes it: `250m`, `2`.
#[must_use]
pub fn cores(value: f64) -> String {
    let whole = (value.round() - value).abs() < 1e-9;
    if whole || value.abs() >= 10.0 {
        number(value)
    } else {
        // A quantity that could be pasted into a manifest has no commas.
        format!("{}m", number(value * 1_000.0).replace(',', ""))
    }
}

/// A count: `123,456`.
#[must_use]
pub fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// A number of any kind: three significant digits, from 1,000 up the whole part with commas.
#[must_use]
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let exponent = rounded(value).abs().log10().floor();
    #[expect(clippy::cast_possible_truncation, reason = "the exponent of an f64 lies within 324 of 0")]
    let decimals = (SIGNIFICANT_DIGITS - 1 - exponent as i32).max(0);
    let text = format!("{value:.*}", usize::try_from(decimals).unwrap_or(0));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    grouped(text)
}

/// A figure in its unit; a `Ratio` of 0 to 1 is shown in percent.
#[must_use]
pub fn quantity(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Seconds => milliseconds(value * 1_000.0),
        Unit::Ratio => percent(value * 100.0),
        Unit::Bytes => bytes(value),
        Unit::Count => number(value),
        Unit::PerSecond => per_second(value),
    }
}

/// A duration in its two largest units: `7d`, `1h30m`, `2m5s`.
#[must_use]
pub fn duration(value: Duration) -> String {
    let exact = prometheus::format(value);
    let starts: Vec<usize> = exact
        .char_indices()
        .filter(|(index, c)| {
            c.is_ascii_digit() && (*index == 0 || !exact.as_bytes()[index - 1].is_ascii_digit())
        })
        .map(|(index, _)| index)
        .collect();
    match starts.get(2) {
        Some(third) => exact[..*third].to_owned(),
        None => exact,
    }
}

/// An instant in UTC, to the second: `2026-11-23 02:00:04 UTC`.
#[must_use]
pub fn instant(value: Timestamp) -> String {
    format!("{} UTC", value.strftime("%F %T"))
}

/// Two instants in UTC and the time between them: `2026-11-23 01:55:00 to 02:00:00 UTC (5m)`.
#[must_use]
pub fn interval(from: Timestamp, to: Timestamp) -> String {
    let same_day = from.strftime("%F").to_string() == to.strftime("%F").to_string();
    let end = if same_day { to.strftime("%T") } else { to.strftime("%F %T") };
    format!("{} to {end} UTC ({})", from.strftime("%F %T"), length(&Window { from, to }))
}

/// The length of a window, in whole seconds: `7d`. One that ends before it begins has none.
#[must_use]
pub fn length(window: &Window) -> String {
    let milliseconds = window.to.as_millisecond().saturating_sub(window.from.as_millisecond());
    duration(Duration::from_secs(u64::try_from(milliseconds).unwrap_or(0).saturating_add(500) / 1_000))
}

/// The value at three significant digits, to decide on a unit.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the exponent of an f64 lies within 324 of 0")]
    let exponent = value.abs().log10().floor() as i32;
    // Dividing by a power of ten that is exact keeps 999.5 from rounding the wrong way.
    let step = SIGNIFICANT_DIGITS - 1 - exponent;
    if step >= 0 {
        (value * 10f64.powi(step)).round() / 10f64.powi(step)
    } else {
        (value / 10f64.powi(-step)).round() * 10f64.powi(-step)
    }
}

/// The value cut after some decimals, without trailing zeros.
fn rounded_down(value: f64, decimals: i32) -> String {
    let scale = 10f64.powi(decimals);
    // A value such as 99.8 may lie a hair below itself in binary.
    let down = (value * scale + 1e-6).floor() / scale;
    down.to_string()
}

/// Commas between thousands of the whole part.
fn grouped(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.find('.').map_or((digits, ""), |dot| digits.split_at(dot));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_choose_their_unit() {
        for (value, text) in [
            (412.3, "412ms"),
            (1_240.0, "1.24s"),
            (0.85, "0.85ms"),
            (0.8512, "0.851ms"),
            (0.0, "0ms"),
            (0.0042, "4.2µs"),
            (0.01, "0.01ms"),
            (12.0, "12ms"),
            (99.96, "100ms"),
            (999.4, "999ms"),
            (999.7, "1s"),
            (61_000.0, "61s"),
            (119_999.0, "120s"),
            (125_000.0, "2m5s"),
            (93_784_000.0, "1d2h"),
            (-412.3, "-412ms"),
        ] {
            assert_eq!(milliseconds(value), text, "{value}");
        }
    }

    #[test]
    fn a_time_between_bounds_has_its_unit_once() {
        for (low, high, text) in [
            (60.0, Some(240.0), "60-240ms"),
            (0.4, Some(1_240.0), "0.4ms-1.24s"),
            (1_000.0, Some(2_500.0), "1-2.5s"),
            (60.0, None, ">60ms"),
            (0.0, Some(240.0), "<=240ms"),
            (85.2, Some(85.2), "85.2ms"),
            (125_000.0, Some(185_000.0), "2m5s-3m5s"),
            (0.0, None, ">0ms"),
        ] {
            assert_eq!(milliseconds_between(low, high), text);
        }
    }

    #[test]
    fn rates_and_counts_keep_three_digits_and_no_more() {
        for (value, text) in [
            (20.1, "20.1/s"),
            (0.001_234, "0.00123/s"),
            (0.0, "0/s"),
            (100.0, "100/s"),
            (1_234_567.4, "1,234,567/s"),
            (999.96, "1,000/s"),
            (7.0 / 3.0, "2.33/s"),
        ] {
            assert_eq!(per_second(value), text, "{value}");
        }
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(12), "12");
        assert_eq!(number(-1_234.5), "-1,234");
        assert_eq!(number(f64::NAN), "NaN");
    }

    #[test]
    fn what_is_not_all_is_never_a_hundred_percent() {
        for (value, text) in [
            (0.0, "0%"),
            (0.1234, "0.123%"),
            (94.2, "94.2%"),
            (99.97, "99.97%"),
            (99.999, ">99.99%"),
            (100.0, "100%"),
            (123.45, "123%"),
        ] {
            assert_eq!(percent(value), text, "{value}");
        }
    }

    #[test]
    fn coverage_is_rounded_down() {
        for (value, text) in
            [(99.8, "99.8%"), (79.96, "79.9%"), (99.99, "99.9%"), (100.0, "100%"), (0.04, "0%")]
        {
            assert_eq!(coverage(value), text, "{value}");
        }
    }

    #[test]
    fn amounts_choose_powers_of_1024() {
        for (value, text) in
            [(210.0, "210MiB"), (1_269.76, "1.24GiB"), (0.5, "512KiB"), (0.0, "0B"), (1_023.9, "1GiB")]
        {
            assert_eq!(mebibytes(value), text, "{value}");
        }
        for (value, text) in [(812.0, "812B"), (81_234.0, "79.3KiB"), (1_000.0, "0.977KiB")] {
            assert_eq!(bytes(value), text, "{value}");
        }
        for (value, text) in [(0.25, "250m"), (2.0, "2"), (1.5, "1500m"), (0.0, "0"), (12.34, "12.3")] {
            assert_eq!(cores(value), text, "{value}");
        }
    }

    #[test]
    fn intervals_name_the_day_once_where_it_is_one() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(
            interval(at("2026-11-23T01:55:00Z"), at("2026-11-23T02:00:00.4Z")),
            "2026-11-23 01:55:00 to 02:00:00 UTC (5m)"
        );
        assert_eq!(
            interval(at("2026-11-16T02:00:00Z"), at("2026-11-23T02:00:00Z")),
            "2026-11-16 02:00:00 to 2026-11-23 02:00:00 UTC (7d)"
        );
        assert_eq!(
            length(&Window { from: at("2026-11-23T02:00:00Z"), to: at("2026-11-23T01:00:00Z") }),
            "0s"
        );
        assert_eq!(instant(at("2026-11-23T02:00:04Z")), "2026-11-23 02:00:04 UTC");
    }

    #[test]
    fn a_users_figure_is_shown_in_its_unit() {
        for (value, unit, text) in [
            (0.4, Unit::Ratio, "40%"),
            (0.25, Unit::Seconds, "250ms"),
            (86_400.0, Unit::Seconds, "1d"),
            (1_048_576.0, Unit::Bytes, "1MiB"),
            (12.0, Unit::Count, "12"),
            (3.5, Unit::PerSecond, "3.5/s"),
        ] {
            assert_eq!(quantity(value, unit), text);
        }
    }

    proptest! {
        #[test]
        fn a_number_reads_back_within_half_a_unit_of_its_third_digit(value in 1e-9f64..1e12) {
            let read: f64 = number(value).replace(',', "").parse().unwrap();
            prop_assert!((read - value).abs() <= value * 0.005_000_1, "{} for {}", number(value), value);
        }

        #[test]
        fn a_time_reads_back_within_half_a_unit_of_its_third_digit(value in 1e-6f64..119_000.0) {
            let text = milliseconds(value);
            let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap();
            let scale = match &text[split..] { "µs" => 1e-3, "ms" => 1.0, "s" => 1e3, other => panic!("{other}") };
            let read = text[..split].parse::<f64>().unwrap() * scale;
            prop_assert!((read - value).abs() <= value * 0.005_000_1, "{text} for {value}");
        }
    }
}
