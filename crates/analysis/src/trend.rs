//! Each indicator over the runs that are kept.

use indexmap::IndexMap;

use crate::indicator::measured;
use crate::judgement::{Trend, TrendPoint};
use crate::record::BaselineRecord;

/// The values of every indicator over `records`, which are oldest first. A run without a value is left out, and so is a value
/// of which only bounds are known; an indicator comes where the first record that has it puts it. A metric of the user's own
/// whose unit changed counts from the change on.
#[must_use]
pub fn trend(records: &[&BaselineRecord]) -> Vec<Trend> {
    let mut trends: IndexMap<String, Trend> = IndexMap::new();
    for record in records {
        for reading in measured(record) {
            let Some(value) = reading.value.filter(|value| value.is_finite()) else { continue };
            let point = TrendPoint { run: record.run.clone(), at: record.window.to, value };
            let trend = trends.entry(reading.name.clone()).or_insert_with(|| Trend {
                indicator: reading.name.clone(),
                unit: reading.unit,
                points: Vec::new(),
            });
            if trend.unit != reading.unit {
                trend.unit = reading.unit;
                trend.points.clear();
            }
            trend.points.push(point);
        }
    }
    trends.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{CustomMetric, RecordNames, WebMetrics};
    use crate::request::Unit;

    fn record(run: &str, day: i8, p95_ms: Option<f64>, metric: Option<(f64, Unit)>) -> BaselineRecord {
        let names = RecordNames { name: "dairy", namespace: "smart", run, run_key: "sha256:0" };
        let to = jiff::civil::date(2026, 11, day).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        let mut record = BaselineRecord::empty(names, 300, to);
        record.web_metrics = Some(WebMetrics { page_load_p95_ms: p95_ms, ..WebMetrics::default() });
        record.custom_metrics =
            metric.map(|(value, unit)| IndexMap::from([("queue".to_owned(), CustomMetric { value, unit })]));
        record
    }

    #[test]
    fn values_follow_each_other_and_runs_without_one_are_left_out() {
        let records = [
            record("a", 1, Some(400.0), None),
            record("b", 2, None, None),
            record("c", 3, Some(300.0), None),
        ];
        let found = trend(&records.each_ref());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].indicator.as_str(), found[0].unit), ("web.latency.p95", Unit::Seconds));
        let points: Vec<(&str, f64)> =
            found[0].points.iter().map(|point| (point.run.as_str(), point.value)).collect();
        assert_eq!(points, [("a", 0.4), ("c", 0.3)]);
        assert_eq!(found[0].points[1].at, records[2].window.to);
        assert_eq!(trend(&[]), []);
    }

    #[test]
    fn a_metric_that_changed_its_unit_begins_anew() {
        let records = [
            record("a", 1, None, Some((5.0, Unit::Count))),
            record("b", 2, None, Some((7.0, Unit::Bytes))),
            record("c", 3, None, Some((8.0, Unit::Bytes))),
        ];
        let found = trend(&records.each_ref());
        assert_eq!((found[0].unit, found[0].points.len(), found[0].points[0].value), (Unit::Bytes, 2, 7.0));
    }
}
