//! Keys by which cells of numbers are sorted: `1.24s` comes after `412ms`, `2m5s` after both.

/// The number that a formatted figure begins with, in its base unit: seconds, bytes, parts of a hundred, things. What
/// stands before it (`about`, `>`, `<=`) and after it is left out. `None` where there is no number, or where the text
/// begins with that number itself, which needs no key.
pub(super) fn key(text: &str) -> Option<f64> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let before = &text[..start];
    let sign = if before.ends_with('-') { -1.0 } else { 1.0 };
    let (first, mut rest) = part(&text[start..])?;
    if before.is_empty() && rest.is_empty() && first.1 == 1.0 && !text.contains(',') {
        return None;
    }
    let (mut sum, mut scale) = (first.0 * first.1, first.1);
    // `2m5s` goes on with smaller units, `60-240ms` and `81.2MiB to 97MiB` do not.
    if scale > 1.0 && rest.starts_with(|c: char| c.is_ascii_digit()) {
        while let Some(((value, unit), after)) = part(rest).filter(|((_, unit), _)| *unit < scale) {
            sum += value * unit;
            scale = unit;
            rest = after;
        }
    } else if let Some(other) = rest.strip_prefix('-').filter(|_| first.1 == 1.0) {
        // The unit of the upper bound is the lower one's too.
        if let Some(((_, unit), _)) = part(other) {
            sum = first.0 * unit;
        }
    }
    Some(sign * sum)
}

/// A number with its unit, and the text behind them.
fn part(text: &str) -> Option<((f64, f64), &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',').unwrap_or(text.len());
    let value: f64 = text[..end].replace(',', "").parse().ok()?;
    let rest = &text[end..];
    let unit_end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let scale = match &rest[..unit_end] {
        "µs" => 1e-6,
        "ms" => 1e-3,
        "s" | "B" => 1.0,
        // Minutes of a duration are followed by seconds or nothing; `250m` of CPU is alone.
        "m" if rest[unit_end..].starts_with(|c: char| c.is_ascii_digit()) || value < 60.0 => 60.0,
        "m" => 1e-3,
        "h" => 3_600.0,
        "d" => 86_400.0,
        "w" => 604_800.0,
        "KiB" => 1_024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        "TiB" => 1_099_511_627_776.0,
        "PiB" => 1_125_899_906_842_624.0,
        _ => return Some(((value, 1.0), rest)),
    };
    Some(((value, scale), &rest[unit_end..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format;
    use proptest::prelude::*;

    #[test]
    fn figures_are_sorted_by_what_they_mean() {
        for (text, expected) in [
            ("412ms", Some(0.412)),
            ("1.24s", None),
            ("2m5s", Some(125.0)),
            ("4.2µs", Some(4.2e-6)),
            (">2.5s", Some(2.5)),
            ("60-240ms", Some(0.06)),
            ("0.4ms-1.24s", Some(0.0004)),
            ("-12.5%", Some(-12.5)),
            ("+12%", Some(12.0)),
            ("-52% to -48%", Some(-52.0)),
            ("1,204,000", Some(1_204_000.0)),
            ("about 1,200", Some(1_200.0)),
            ("81.2MiB to 97MiB", Some(81.2 * 1_048_576.0)),
            ("2.00KiB", Some(2_048.0)),
            ("20.1/s", Some(20.1)),
            ("61 of 97, 62.9%", Some(61.0)),
            ("99.8%, not judged", Some(99.8)),
            ("12", None),
            ("never", None),
        ] {
            match (key(text), expected) {
                (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-9, "{text}: {found}"),
                (found, expected) => assert_eq!(found, expected, "{text}"),
            }
        }
    }

    /// As the page's script sorts: by the key or, without one, by the number that the text begins with.
    fn sorted_by(text: &str) -> f64 {
        key(text).unwrap_or_else(|| {
            let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
            text[..end].parse().unwrap()
        })
    }

    proptest! {
        #[test]
        fn times_keep_their_order(one in -9f64..21.0, other in -9f64..21.0) {
            let [one, other] = [one.exp(), other.exp()];
            let keys = [one, other].map(|value| sorted_by(&format::milliseconds(value)));
            // Three digits are shown: closer ones may be equal.
            if one < other * 0.99 {
                prop_assert!(keys[0] < keys[1], "{} {}", format::milliseconds(one), format::milliseconds(other));
            }
        }

        #[test]
        fn amounts_keep_their_order(one in 0f64..34.0, other in 0f64..34.0) {
            let [one, other] = [one.exp(), other.exp()];
            let keys = [one, other].map(|value| sorted_by(&format::bytes(value)));
            if one < other * 0.99 {
                prop_assert!(keys[0] < keys[1], "{} {}", format::bytes(one), format::bytes(other));
            }
        }
    }
}
