//! Reads amounts as Kubernetes writes them: `500m`, `1.5Gi`, `2`, `1e3`.

/// The amount in its base unit (cores, bytes), or nothing where the text is no Quantity.
///
/// The grammar is that of `k8s.io/apimachinery/pkg/api/resource.Quantity`: a decimal number, then a decimal
/// (n, u, m, k, M, G, T, P, E) or a binary suffix (Ki, Mi, Gi, Ti, Pi, Ei), or an exponent.
#[must_use]
pub fn parse(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let scale = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1_024f64,
        "Mi" => 1_024f64.powi(2),
        "Gi" => 1_024f64.powi(3),
        "Ti" => 1_024f64.powi(4),
        "Pi" => 1_024f64.powi(5),
        "Ei" => 1_024f64.powi(6),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?;
            10f64.powi(exponent)
        }
    };
    let amount = number.parse::<f64>().ok()? * scale;
    amount.is_finite().then_some(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_in_base_units() {
        for (text, amount) in [
            ("500m", Some(0.5)),
            ("2", Some(2.0)),
            ("1.5Gi", Some(1_610_612_736.0)),
            ("128Mi", Some(134_217_728.0)),
            ("1G", Some(1e9)),
            ("1e3", Some(1e3)),
            ("12E", Some(12e18)),
            ("1E2", Some(100.0)),
            ("100n", Some(1e-7)),
            ("0", Some(0.0)),
            ("", None),
            ("m", None),
            ("1.5 Gi", None),
            ("1mi", None),
            ("1e999", None),
            ("NaN", None),
            ("1-2", None),
        ] {
            let read = parse(text);
            let same = match (read, amount) {
                (Some(read), Some(amount)) => (read - amount).abs() <= amount * 1e-12,
                (read, amount) => read == amount,
            };
            assert!(same, "{text}: {read:?}");
        }
    }
}
