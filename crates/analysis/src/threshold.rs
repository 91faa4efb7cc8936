//! The bound of a threshold, written with its unit: `3s`, `90%`, `512Mi`, `20/s`, `100`.

use crate::request::Unit;
use crate::{duration, quantity};

/// Why a text is no bound of its unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ThresholdError {
    text: String,
    expected: &'static str,
}

/// Reads a bound in the base unit: seconds, 0 to 1, bytes, things, things a second.
///
/// # Errors
/// [`ThresholdError`] says how a bound of that unit is written.
pub fn parse(text: &str, unit: Unit) -> Result<f64, ThresholdError> {
    let (read, expected) = match unit {
        Unit::Seconds => (
            duration::parse(text).ok().map(|length| length.as_secs_f64()),
            "a time; write whole numbers with units, for example 3s, 500ms or 1s500ms",
        ),
        Unit::Ratio => (
            text.strip_suffix('%').and_then(number).map(|percent| percent / 100.0),
            "a part in percent; write for example 90% or 0.5%",
        ),
        Unit::Bytes => (
            quantity::parse(text),
            "an amount of bytes; write a Kubernetes quantity, for example 512Mi or 2Gi",
        ),
        Unit::Count => (number(text), "a number; write for example 100 or 0.5"),
        Unit::PerSecond => (
            text.strip_suffix("/s").and_then(number),
            "a rate; write a number a second, for example 20/s or 0.5/s",
        ),
    };
    read.ok_or_else(|| ThresholdError { text: text.to_owned(), expected })
}

/// A plain decimal number, not negative.
fn number(text: &str) -> Option<f64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse::<f64>().ok().filter(|number| is_plain && number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_read_in_the_base_unit_of_its_figure() {
        for (text, unit, bound) in [
            ("3s", Unit::Seconds, 3.0),
            ("500ms", Unit::Seconds, 0.5),
            ("1s500ms", Unit::Seconds, 1.5),
            ("90%", Unit::Ratio, 0.9),
            ("0.5%", Unit::Ratio, 0.005),
            ("512Mi", Unit::Bytes, 536_870_912.0),
            ("100", Unit::Count, 100.0),
            ("20/s", Unit::PerSecond, 20.0),
        ] {
            assert!((parse(text, unit).unwrap() - bound).abs() < 1e-12, "{text}");
        }
    }

    #[test]
    fn a_bound_without_its_unit_or_of_another_is_refused_with_an_example() {
        for (text, unit, example) in [
            ("3", Unit::Seconds, "3s"),
            ("90%", Unit::Seconds, "3s"),
            ("0.9", Unit::Ratio, "90%"),
            ("-1%", Unit::Ratio, "90%"),
            ("%", Unit::Ratio, "90%"),
            ("1e3", Unit::Count, "100"),
            ("", Unit::Count, "100"),
            ("20", Unit::PerSecond, "20/s"),
            ("lots", Unit::Bytes, "512Mi"),
        ] {
            let error = parse(text, unit).unwrap_err().to_string();
            assert!(error.contains(example), "{text}: {error}");
        }
    }
}
