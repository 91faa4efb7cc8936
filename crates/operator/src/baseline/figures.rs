//! What a status says of objectives and change, as numbers for metrics (pure).

use plimsoll_analysis::request::Unit;
use plimsoll_analysis::threshold;
use plimsoll_api::PerformanceBaselineStatus;
use plimsoll_api::baseline::ObjectiveStatus;

use super::view::View;
use crate::gauges::{Figure, Figures};
use crate::rules::unit_of_objective;

/// Verdicts of a comparison: a label takes no other value.
const VERDICTS: [&str; 4] = ["Improved", "Unchanged", "Regressed", "Inconclusive"];

/// The figures of a status. An objective that the spec no longer has is gone at once.
#[must_use]
pub fn figures(view: &View, status: &PerformanceBaselineStatus) -> Figures {
    let of = |told: &ObjectiveStatus| {
        let objective = view.spec.objectives.iter().find(|objective| objective.name == told.name)?;
        let unit = unit_of_objective(&view.spec, objective)?;
        Some(Figure {
            name: told.name.clone(),
            value: told.value.as_deref().and_then(|text| number(text, unit)),
            // As it was judged: `lessThan 3s`.
            target: told.target.split_once(' ').and_then(|(_, bound)| threshold::parse(bound, unit).ok()),
            met: match told.result.as_str() {
                "Met" | "Warning" => Some(true),
                "Missed" => Some(false),
                _ => None,
            },
        })
    };
    let verdict = status.comparison.as_ref().map(|comparison| comparison.verdict.as_str());
    Figures {
        objectives: status.objectives.iter().filter_map(of).collect(),
        verdict: VERDICTS.into_iter().find(|known| Some(*known) == verdict),
    }
}

/// A figure as status shows it, read back in its base unit; `None` for bounds, such as `60-240ms` or `>2.5s`.
#[must_use]
pub fn number(text: &str, unit: Unit) -> Option<f64> {
    let number = exact(&text.replace(',', ""), unit)?;
    // Three digits were shown: 412ms is 0.412 and not 0.41200000000000003.
    Some(if number < 1_000.0 { (number * 1e12).round() / 1e12 } else { number })
}

fn exact(text: &str, unit: Unit) -> Option<f64> {
    match unit {
        Unit::Seconds => seconds(text),
        Unit::Ratio => {
            // The only bound that is a value: what is nearly all is never shown as all.
            let text = if text == ">99.99%" { "99.99%" } else { text };
            Some(decimal(text.strip_suffix('%')?)? / 100.0)
        }
        Unit::Bytes => {
            let units = [("KiB", 1), ("MiB", 2), ("GiB", 3), ("TiB", 4), ("PiB", 5), ("B", 0)];
            let (amount, power) =
                units.into_iter().find_map(|(name, power)| Some((text.strip_suffix(name)?, power)))?;
            Some(decimal(amount)? * 1_024f64.powi(power))
        }
        // An amount of CPU may be written as Kubernetes does.
        Unit::Count => match text.strip_suffix('m') {
            Some(thousandths) => Some(decimal(thousandths)? / 1_000.0),
            None => decimal(text),
        },
        Unit::PerSecond => decimal(text.strip_suffix("/s")?),
    }
}

/// A time of one or more parts: `412ms`, `1.24s`, `2m5s`.
fn seconds(text: &str) -> Option<f64> {
    let units = [("d", 86_400.0), ("h", 3_600.0), ("ms", 1e-3), ("µs", 1e-6), ("m", 60.0), ("s", 1.0)];
    let mut rest = text;
    let mut total = None;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (amount, after) = rest.split_at(end);
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (name, after) = after.split_at(letters);
        let length = units.into_iter().find(|(unit, _)| *unit == name)?.1;
        total = Some(total.unwrap_or(0.0) + decimal(amount)? * length);
        rest = after;
    }
    total
}

fn decimal(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse::<f64>().ok().filter(|number| is_plain && number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_report::format;
    use plimsoll_testkit::fixtures::{BaselineFixture as _, PROMETHEUS, baseline};
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_bound_is_no_number() {
        for (text, unit) in [
            ("60-240ms", Unit::Seconds),
            (">2.5s", Unit::Seconds),
            ("<=240ms", Unit::Seconds),
            ("", Unit::Seconds),
            ("3", Unit::Seconds),
            ("ms", Unit::Seconds),
            ("NaN", Unit::Count),
            ("inf", Unit::Count),
            ("1e3", Unit::Count),
            ("12", Unit::Ratio),
        ] {
            assert_eq!(number(text, unit), None, "{text}");
        }
        assert_eq!(number("2m5s", Unit::Seconds), Some(125.0));
        assert_eq!(number("250m", Unit::Count), Some(0.25));
        assert_eq!(number(">99.99%", Unit::Ratio), Some(0.9999));
    }

    #[test]
    fn a_status_becomes_numbers_and_what_is_inconclusive_is_neither_met_nor_missed() {
        let mut dairy = baseline("dairy").prometheus(PROMETHEUS).web();
        let objective = |name: &str, indicator: &str, bound: &str| json!({"name": name, "indicator": indicator, "lessThan": bound});
        dairy.spec.objectives = serde_json::from_value(json!([
            objective("pages", "web.latency.p95", "3s"),
            objective("slowest", "web.latency.p99", "5s"),
            objective("errors", "web.errorRatio", "1%"),
            objective("query", "database.queryTime.p95", "100ms"),
        ]))
        .unwrap();
        dairy.status = serde_json::from_value(json!({
            "objectives": [
                {"name": "pages", "result": "Met", "value": "412ms", "target": "lessThan 3s"},
                {"name": "slowest", "result": "Warning", "value": "4.8s", "target": "lessThan 5s"},
                {"name": "errors", "result": "Missed", "value": "1.5%", "target": "lessThan 1%"},
                {"name": "query", "result": "Inconclusive", "value": "60-240ms", "target": "lessThan 100ms"},
                {"name": "gone", "result": "Met", "value": "1s", "target": "lessThan 3s"},
            ],
            "comparison": {"against": "dairy-1", "verdict": "Improved"},
        }))
        .unwrap();
        let view = View::new(&dairy, "2026-11-24T10:00:00Z".parse().unwrap());
        let figures = figures(&view, &view.status);
        let shown: Vec<_> =
            figures.objectives.iter().map(|it| (it.name.as_str(), it.value, it.target, it.met)).collect();
        assert_eq!(
            shown,
            [
                ("pages", Some(0.412), Some(3.0), Some(true)),
                ("slowest", Some(4.8), Some(5.0), Some(true)),
                ("errors", Some(0.015), Some(0.01), Some(false)),
                ("query", None, Some(0.1), None),
            ]
        );
        assert_eq!(figures.verdict, Some("Improved"));
    }

    proptest! {
        #[test]
        fn what_reports_show_is_read_back(exponent in -6.0_f64..9.0, unit in 0..5_usize) {
            let unit = [Unit::Seconds, Unit::Ratio, Unit::Bytes, Unit::Count, Unit::PerSecond][unit];
            let value = 10f64.powf(exponent);
            let text = format::quantity(value, unit);
            let read = number(&text, unit);
            prop_assert!(read.is_some(), "{} {:?}", text, unit);
            // A long time is shown in its two largest units: 1d6h may be nearly 1d7h.
            let within = if unit == Unit::Seconds && value > 120.0 { 0.05 } else { 0.0101 };
            prop_assert!((read.unwrap() / value - 1.0).abs() < within, "{} of {}", text, value);
        }
    }
}
