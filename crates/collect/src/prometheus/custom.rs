//! The record's `custom_metrics`: the user's own queries.

use indexmap::IndexMap;
use plimsoll_analysis::record::CustomMetric;
use plimsoll_analysis::request::MetricRequest;

use super::parse::Data;
use super::queries::Query;
use super::session::{Session, add_note};

/// Asks each query at the evaluation instant; `None` where none was asked for or could be read.
pub(crate) async fn collect(
    session: &mut Session<'_>,
    metrics: &[MetricRequest],
) -> Option<IndexMap<String, CustomMetric>> {
    let mut found = IndexMap::new();
    let mut read = 0;
    for metric in metrics {
        session.begin(&format!("metric {}", metric.name));
        let query = Query::new(metric.query.clone());
        let Ok(data) = session.instant(query.clone()).await else { continue };
        read += 1;
        if let (true, Ok(query)) = (may_be_a_number(&data), query) {
            session.plan.numbers.push((metric.name.clone(), query));
        }
        let mut basis = session.instant_basis();
        match one_number(&data) {
            Ok(value) => {
                found.insert(metric.name.clone(), CustomMetric { value, unit: metric.unit });
            }
            Err(note) => add_note(&mut basis, &note),
        }
        session.set_basis(format!("custom_metrics.{}", metric.name), basis);
    }
    (read > 0).then_some(found)
}

/// Whether the query gives one number at some time, though perhaps not at this one.
fn may_be_a_number(data: &Data) -> bool {
    match data {
        Data::Scalar(_) => true,
        Data::Vector(samples) => samples.len() <= 1 && samples.iter().all(|one| one.value.is_some()),
        Data::Matrix(_) | Data::String(_) => false,
    }
}

/// The number that a result is, or what it is instead and what to do.
fn one_number(data: &Data) -> Result<f64, String> {
    let number = match data {
        Data::Scalar(point) => point.1.0,
        Data::Vector(samples) => match samples.as_slice() {
            [] => {
                return Err(
                    "no series at the evaluation instant; check the names and label matchers".to_owned()
                );
            }
            [sample] => sample.number().ok_or_else(|| {
                "a native histogram and not a number; take histogram_quantile() or histogram_avg() of it"
                    .to_owned()
            })?,
            many => {
                return Err(format!("{} series; aggregate them with sum(), avg() or max()", many.len()));
            }
        },
        Data::Matrix(_) => {
            return Err(format!("{}; put it into a function such as avg_over_time()", data.describe()));
        }
        Data::String(_) => return Err("a string and not a number".to_owned()),
    };
    if number.is_nan() {
        return Err("NaN: often 0 divided by 0, or a quantile of nothing".to_owned());
    }
    if number.is_infinite() {
        return Err("infinite: often a division by 0".to_owned());
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prometheus::parse::answer;

    #[test]
    fn a_result_is_one_number_or_says_what_it_is_and_what_to_do() {
        for (data, expected) in [
            (r#"{"resultType":"scalar","result":[1,"0.25"]}"#, Ok(0.25)),
            (r#"{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"7"]}]}"#, Ok(7.0)),
            (r#"{"resultType":"vector","result":[]}"#, Err("no series")),
            (
                r#"{"resultType":"vector","result":[{"value":[1,"7"]},{"value":[1,"7"]},{"value":[1,"7"]}]}"#,
                Err("3 series; aggregate"),
            ),
            (
                r#"{"resultType":"vector","result":[{"histogram":[1,{"count":"1","sum":"1"}]}]}"#,
                Err("native histogram"),
            ),
            (r#"{"resultType":"vector","result":[{"value":[1,"NaN"]}]}"#, Err("NaN")),
            (r#"{"resultType":"scalar","result":[1,"-Inf"]}"#, Err("infinite")),
            (r#"{"resultType":"matrix","result":[{"values":[[1,"7"]]}]}"#, Err("avg_over_time")),
            (r#"{"resultType":"string","result":[1,"x"]}"#, Err("a string")),
        ] {
            let body = format!(r#"{{"status":"success","data":{data}}}"#);
            match (one_number(&answer(body.as_bytes()).unwrap().data), expected) {
                (Ok(number), Ok(expected)) => assert_eq!(number, expected, "{data}"),
                (Err(note), Err(expected)) => assert!(note.contains(expected), "{data}: {note}"),
                (found, expected) => panic!("{data}: {found:?} and not {expected:?}"),
            }
        }
    }
}
