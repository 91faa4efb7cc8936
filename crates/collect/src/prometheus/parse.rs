//! Answers of the Prometheus HTTP API (`/api/v1/query`, `/api/v1/query_range`) as types.

use std::borrow::Cow;
use std::fmt;

use plimsoll_analysis::histogram::NativeBucket;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

/// What a query gave.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub(crate) enum Data {
    Vector(Vec<Sample>),
    Matrix(Vec<Series>),
    Scalar(Point),
    String(serde::de::IgnoredAny),
}

impl Data {
    /// What it is and how much, for notes.
    pub(crate) fn describe(&self) -> String {
        let (kind, count) = match self {
            Self::Scalar(_) => return "a scalar".to_owned(),
            Self::String(_) => return "a string".to_owned(),
            Self::Vector(samples) => ("a vector", samples.len()),
            Self::Matrix(series) => ("a range vector", series.len()),
        };
        match count {
            1 => format!("{kind} of 1 series"),
            count => format!("{kind} of {count} series"),
        }
    }
}

/// One series of an instant vector: a number or a native histogram.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub(crate) struct Sample {
    #[serde(default)]
    pub(crate) metric: Labels,
    #[serde(default)]
    pub(crate) value: Option<Point>,
    #[serde(default)]
    pub(crate) histogram: Option<Box<HistogramPoint>>,
}

/// Labels of a series. Small: a hostile answer may hold hundreds of thousands of series.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Labels(Box<[(Box<str>, Box<str>)]>);

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Labels;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Labels(pairs.into_boxed_slice()))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl Sample {
    /// The value of a label; empty where it is absent, as in PromQL.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.metric.0.iter().find(|(key, _)| **key == *name).map_or("", |(_, value)| value)
    }

    /// Its number, NaN and infinities too.
    pub(crate) fn number(&self) -> Option<f64> {
        self.value.map(|point| point.1.0)
    }
}

/// One series of a range. Small, as [`Labels`] are.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub(crate) struct Series {
    #[serde(default)]
    pub(crate) metric: Bound,
    /// Points with numbers.
    #[serde(default)]
    pub(crate) values: Box<[Point]>,
    /// Points with native histograms.
    #[serde(default)]
    pub(crate) histograms: Box<[HistogramPoint]>,
}

/// The one label of a series of a range that is looked at: the upper bound of its bucket.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
pub(crate) struct Bound {
    #[serde(default)]
    le: Option<Box<str>>,
}

impl Bound {
    /// The bound in the histogram's unit; `None` where the series has none or it is no number.
    pub(crate) fn upper(&self) -> Option<f64> {
        self.le.as_deref()?.parse().ok()
    }
}

/// A time in seconds and a value.
#[derive(Debug, Clone, Copy, PartialEq, serde::Deserialize)]
pub(crate) struct Point(pub(crate) f64, pub(crate) Number);

/// A time in seconds and a native histogram.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub(crate) struct HistogramPoint(pub(crate) f64, pub(crate) Native);

/// A native histogram as the API writes it.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub(crate) struct Native {
    pub(crate) count: Number,
    #[serde(default)]
    buckets: Vec<NativeTuple>,
}

/// Rule of the bounds (which of them are inclusive), lower bound, upper bound, observations.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
struct NativeTuple(u8, Number, Number, Number);

impl Native {
    /// Its buckets in rising order, as the API gives them.
    pub(crate) fn buckets(&self) -> Vec<NativeBucket> {
        self.buckets
            .iter()
            .map(|NativeTuple(_, lower, upper, count)| NativeBucket {
                lower: lower.0,
                upper: upper.0,
                count: count.0,
            })
            .collect()
    }
}

/// A float as the API writes it: a string, since JSON has no `NaN`, `+Inf` and `-Inf`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number(pub(crate) f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| D::Error::custom("a value is not a number"))
    }
}

/// An answer with the warnings that came with it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) data: Data,
    pub(crate) warnings: Vec<String>,
}

/// Why an answer is none. No variant holds text of the answer, but for the error types that Prometheus defines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseError {
    #[error("an empty answer")]
    Empty,
    #[error("an HTML page")]
    Html,
    #[error("JSON that is cut off")]
    Cut,
    #[error("something that is not JSON")]
    NotJson,
    #[error("JSON that is not an answer of the Prometheus HTTP API")]
    OtherShape,
    #[error("an error of type {}", .0.unwrap_or("unknown"))]
    Refused(Option<&'static str>),
}

#[derive(serde::Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
    #[serde(default)]
    infos: Option<Vec<String>>,
    /// VictoriaMetrics' cluster says so where a storage node did not answer.
    #[serde(default, rename = "isPartial")]
    is_partial: bool,
}

/// Types of errors that Prometheus defines (`web/api/v1/api.go`).
const ERROR_TYPES: [&str; 8] = [
    "timeout",
    "canceled",
    "execution",
    "bad_data",
    "internal",
    "unavailable",
    "not_found",
    "not_acceptable",
];

/// Reads an answer with `status: success`.
pub(crate) fn answer(body: &[u8]) -> Result<Answer, ParseError> {
    let envelope: Envelope<'_> =
        serde_json::from_slice(body).map_err(|error| match (error_type(body), error.classify()) {
            (Some(kind), _) => ParseError::Refused(kind),
            (None, category) => malformed(body, category),
        })?;
    if envelope.status != "success" {
        return Err(error_type(body).map_or(ParseError::OtherShape, ParseError::Refused));
    }
    let mut warnings = envelope.warnings.unwrap_or_default();
    warnings.extend(envelope.infos.unwrap_or_default());
    if envelope.is_partial {
        warnings.push("the server says that its answer is partial".to_owned());
    }
    Ok(Answer { data: envelope.data.ok_or(ParseError::OtherShape)?, warnings })
}

/// The type of the error that an answer with `status: error` names: `Some(None)` for one that Prometheus does not
/// define, `None` where the answer is no such error.
pub(crate) fn error_type(body: &[u8]) -> Option<Option<&'static str>> {
    #[derive(serde::Deserialize)]
    struct Refusal<'a> {
        #[serde(borrow)]
        status: Cow<'a, str>,
        #[serde(default, borrow, rename = "errorType")]
        error_type: Option<Cow<'a, str>>,
    }
    let refusal: Refusal<'_> = serde_json::from_slice(body).ok()?;
    (refusal.status == "error").then(|| {
        let named = refusal.error_type?;
        ERROR_TYPES.into_iter().find(|known| *known == named)
    })
}

fn malformed(body: &[u8], category: serde_json::error::Category) -> ParseError {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => return ParseError::Empty,
        Some(b'<') => return ParseError::Html,
        Some(_) => {}
    }
    match category {
        serde_json::error::Category::Eof => ParseError::Cut,
        serde_json::error::Category::Data => ParseError::OtherShape,
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => ParseError::NotJson,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_as_prometheus_writes_them() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"a":"x"},"value":[1435781451.781,"1"]},
            {"metric":{},"value":[1435781451,"NaN"]},
            {"metric":{},"value":[1435781451.781,"+Inf"]},
            {"metric":{},"value":[1435781451.781,"-Inf"]},
            {"metric":{},"value":[1435781451.781,"1.5e-07"]}]},"warnings":["w"],"infos":["i"]}"#;
        let found = answer(body).unwrap();
        let Data::Vector(samples) = found.data else { panic!("not a vector") };
        let numbers: Vec<f64> = samples.iter().filter_map(Sample::number).collect();
        assert_eq!(numbers[0], 1.0);
        assert!(numbers[1].is_nan());
        assert_eq!(&numbers[2..], [f64::INFINITY, f64::NEG_INFINITY, 1.5e-7]);
        assert_eq!((samples[0].label("a"), samples[0].label("b")), ("x", ""));
        assert_eq!(found.warnings, ["w", "i"]);
    }

    #[test]
    fn every_result_type_is_told_apart() {
        for (data, expected) in [
            (r#"{"resultType":"scalar","result":[1,"2"]}"#, "a scalar"),
            (r#"{"resultType":"string","result":[1,"hello"]}"#, "a string"),
            (r#"{"result":[],"resultType":"vector"}"#, "a vector of 0 series"),
            (
                r#"{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}],"stats":{}}"#,
                "a vector of 1 series",
            ),
            (
                r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"]]},{"metric":{}}]}"#,
                "a range vector of 2 series",
            ),
        ] {
            let body = format!(r#"{{"status":"success","data":{data}}}"#);
            assert_eq!(answer(body.as_bytes()).unwrap().data.describe(), expected);
        }
    }

    #[test]
    fn a_native_histogram_is_read() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":
            [1700000000.5,{"count":"12","sum":"3.5","buckets":[[3,"-0.001","0.001","2"],[0,"0.5","1","10"]]}]}]}}"#;
        let Data::Vector(samples) = answer(body).unwrap().data else { panic!("not a vector") };
        let native = &samples[0].histogram.as_ref().unwrap().1;
        assert_eq!(native.count, Number(12.0));
        assert_eq!(native.buckets()[1], NativeBucket { lower: 0.5, upper: 1.0, count: 10.0 });
        assert_eq!(samples[0].number(), None);
    }

    #[test]
    fn a_range_has_the_bound_of_each_series_and_numbers_or_histograms() {
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"le":"+Inf","job":"x"},"values":[[10,"1"],[20.5,"NaN"]]},
            {"metric":{"job":"x"},"histograms":[[10,{"count":"2","sum":"1","buckets":[[0,"0.5","1","2"]]}]]},
            {"metric":{"le":"many"}}]}}"#;
        let Data::Matrix(series) = answer(body).unwrap().data else { panic!("not a matrix") };
        let bounds: Vec<Option<f64>> = series.iter().map(|one| one.metric.upper()).collect();
        assert_eq!(bounds, [Some(f64::INFINITY), None, None]);
        assert_eq!((series[0].values.len(), series[0].histograms.len(), series[2].values.len()), (2, 0, 0));
        assert_eq!((series[0].values[1].0, series[0].values[0].1), (20.5, Number(1.0)));
        let native = &series[1].histograms[0];
        assert_eq!((native.0, native.1.buckets()[0].count), (10.0, 2.0));
    }

    #[test]
    fn what_is_no_answer_is_named_without_its_text() {
        let deep = "[".repeat(100_000);
        for (body, expected) in [
            ("", ParseError::Empty),
            (" \n", ParseError::Empty),
            ("<html>canary</html>", ParseError::Html),
            ("canary", ParseError::NotJson),
            (r#"{"status":"success","data":{"resultType":"vector","result":[{"met"#, ParseError::Cut),
            (r#"{"canary":1}"#, ParseError::OtherShape),
            (r#"["canary"]"#, ParseError::OtherShape),
            (r#"{"status":"success"}"#, ParseError::OtherShape),
            (r#"{"status":"success","data":{"resultType":"canary","result":[]}}"#, ParseError::OtherShape),
            (
                r#"{"status":"success","data":{"resultType":"scalar","result":[1,"canary"]}}"#,
                ParseError::OtherShape,
            ),
            (
                r#"{"status":"success","data":{"resultType":"scalar","result":["1","2"]}}"#,
                ParseError::OtherShape,
            ),
            (
                r#"{"status":"error","errorType":"bad_data","error":"canary"}"#,
                ParseError::Refused(Some("bad_data")),
            ),
            (r#"{"status":"error","errorType":"canary","error":"canary"}"#, ParseError::Refused(None)),
            (
                r#"{"status":"error","data":{"a":1},"errorType":"execution"}"#,
                ParseError::Refused(Some("execution")),
            ),
            (r#"{"status":"odd"}"#, ParseError::OtherShape),
        ] {
            let error = answer(body.as_bytes()).unwrap_err();
            assert_eq!(error, expected, "{body}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        let wrapped = format!(r#"{{"status":"success","data":{deep}"#);
        assert!(answer(wrapped.as_bytes()).is_err());
        let unknown = format!(r#"{{"status":"success","other":{deep}"#);
        assert!(answer(unknown.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = answer(&body);
        }

        #[test]
        fn no_cut_of_an_answer_is_taken_for_one(end in 0usize..118) {
            let body = br#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1435781451.781,"1"]}]}}      "#;
            prop_assume!(end < body.trim_ascii().len());
            prop_assert!(answer(&body[..end]).is_err());
        }
    }
}
