//! Prometheus-style durations: `7d`, `1h30m`, `90s`, `250ms`.
//!
//! The grammar is Prometheus' own (`model.ParseDuration`): a sequence of integers each followed by a unit, units
//! in falling order and each at most once. A year is 365 days, a week 7 days, a day 24 hours.

use std::time::Duration;

/// Units in the order in which they may appear, with their length in milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text is empty.
    #[error("a duration is missing; write a number and a unit, for example 5m or 7d")]
    Empty,
    /// A number has no unit, a unit is unknown, repeated or out of order.
    #[error(
        "{text:?} is not a duration; write numbers with units from y, w, d, h, m, s, ms, largest first, for example 1h30m"
    )]
    Syntax {
        /// The text as given.
        text: String,
    },
    /// The duration does not fit in 64 bits of milliseconds.
    #[error("{text:?} is too long a duration")]
    Overflow {
        /// The text as given.
        text: String,
    },
}

/// Parses a Prometheus-style duration.
///
/// `0` alone and `0s` are zero, as in Prometheus.
///
/// # Errors
/// [`DurationError`] names the text and shows the form that is expected.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let syntax = || DurationError::Syntax { text: text.to_owned() };
    let overflow = || DurationError::Overflow { text: text.to_owned() };
    let mut rest = text;
    let mut next_unit = 0;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(syntax());
        }
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let index = UNITS.iter().position(|(name, _)| *name == unit).ok_or_else(syntax)?;
        if index < next_unit {
            return Err(syntax());
        }
        next_unit = index + 1;
        let number: u64 = number.parse().map_err(|_| overflow())?;
        total = number
            .checked_mul(UNITS[index].1)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(overflow)?;
        rest = after;
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration the way [`parse`] reads it, in the largest units that are exact: 5400 s is `1h30m`.
///
/// Weeks and years are not used, since people read `7d` and `365d` faster. Parts below a millisecond are dropped.
#[must_use]
pub fn format(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, length) in &UNITS[2..] {
        let count = rest / length;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(name);
            rest %= length;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_of_the_design_are_read() {
        for (text, seconds) in [
            ("7d", 604_800),
            ("30s", 30),
            ("5m", 300),
            ("1h30m", 5_400),
            ("1w", 604_800),
            ("0s", 0),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("1s500ms"), Ok(Duration::from_millis(1_500)));
    }

    #[test]
    fn what_prometheus_refuses_is_refused() {
        for text in ["5 m", "-1s", "1h30", "PT5M", "5m1h", "1h1h", "m", "1.5h", "5µs", "5M", " 5m", "1ns"] {
            assert_eq!(parse(text), Err(DurationError::Syntax { text: text.to_owned() }), "{text}");
        }
        assert_eq!(parse(""), Err(DurationError::Empty));
        assert!(matches!(parse("99999999999999999999s"), Err(DurationError::Overflow { .. })));
        assert!(matches!(parse("999999999999y"), Err(DurationError::Overflow { .. })));
    }

    proptest! {
        #[test]
        fn a_formatted_duration_is_read_back_unchanged(millis in 0u64..=20 * 365 * 86_400_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,24}") {
            let _ = parse(&text);
        }
    }
}
