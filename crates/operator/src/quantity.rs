//! Amounts as Kubernetes writes them, as numbers. Pure.

/// Suffixes and what they multiply by (Kubernetes API conventions, "Quantity").
const SUFFIXES: [(&str, f64); 14] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
];

/// The number that a quantity such as `250m`, `64Mi` or `12345n` stands for; `None` where it is none.
#[must_use]
pub fn parse(text: &str) -> Option<f64> {
    let suffix = SUFFIXES.iter().find(|(suffix, _)| text.ends_with(suffix));
    let (number, factor) = match suffix {
        Some((suffix, factor)) => (&text[..text.len() - suffix.len()], *factor),
        None => (text, 1.0),
    };
    if !number.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    number.parse::<f64>().ok().map(|number| number * factor).filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_their_units() {
        for (text, number) in [
            ("250m", 0.25),
            ("2", 2.0),
            ("64Mi", 67_108_864.0),
            ("12345678n", 0.012_345_678),
            ("1e3", 1000.0),
            ("0", 0.0),
        ] {
            let parsed = parse(text).unwrap();
            assert!((parsed - number).abs() < 1e-9, "{text}: {parsed}");
        }
        for text in ["", "Mi", "x", "1 Mi", "NaN", "inf", "1_000"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
