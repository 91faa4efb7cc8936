//! Every query that we send, built in one place and parsed before it is sent.
//!
//! Only functions that Prometheus 2 and 3, Thanos, Mimir and VictoriaMetrics all have; `offset` and not `@`, which
//! is younger. The formulas and why they are so: `docs/measurement.md`.

use std::time::Duration;

use plimsoll_analysis::duration;
use plimsoll_analysis::promql::{self, PromqlError};

/// A query that has been parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query(String);

impl Query {
    /// Parses a query, ours or a user's.
    pub(crate) fn new(text: impl Into<String>) -> Result<Self, PromqlError> {
        let text = text.into();
        promql::check_query(&text)?;
        Ok(Self(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// An instant vector selector: a metric's name and label matchers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Selector {
    name: String,
    matchers: String,
}

impl Selector {
    /// Joins matchers that users wrote, each a list that may be empty or end in a comma.
    pub(crate) fn new(name: impl Into<String>, matchers: &[&str]) -> Result<Self, PromqlError> {
        let mut joined = String::new();
        for part in matchers {
            promql::check_matchers(part)?;
            if part.trim().is_empty() {
                continue;
            }
            let with_comma = format!("{joined},{part}");
            joined = if joined.is_empty() {
                (*part).to_owned()
            } else if promql::check_matchers(&with_comma).is_ok() {
                with_comma
            } else {
                // The list before ends in a comma of its own.
                format!("{joined}{part}")
            };
        }
        promql::check_matchers(&joined)?;
        let selector = Self { name: named(name.into(), true)?, matchers: joined };
        promql::check_query(&selector.text())?;
        Ok(selector)
    }

    /// The metric of the same matchers whose name ends so, for example `_bucket`.
    pub(crate) fn suffixed(&self, suffix: &str) -> Self {
        Self { name: format!("{}{suffix}", self.name), matchers: self.matchers.clone() }
    }

    /// The same metric with one more matcher, `label="value"`.
    pub(crate) fn with(&self, label: &str, value: &str) -> Result<Self, PromqlError> {
        Self::new(self.name.clone(), &[&format!("{label}={}", promql::quoted(value)), &self.matchers])
    }

    pub(crate) fn text(&self) -> String {
        if self.matchers.is_empty() {
            return self.name.clone();
        }
        format!("{}{{{}}}", self.name, self.matchers)
    }
}

/// Checks the name of a metric, or of a label where colons are not allowed: a name is no place for an expression.
fn named(name: String, colons: bool) -> Result<String, PromqlError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    let is_name = name.chars().all(allowed) && name.chars().next().is_some_and(|c| !c.is_ascii_digit());
    if is_name { Ok(name) } else { Err(PromqlError::Query { why: format!("{name:?} is not a name") }) }
}

/// A range of time that ends some time before the evaluation instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) length: Duration,
    pub(crate) offset: Duration,
}

impl Range {
    /// Over a selector, for example `x{a="b"}[5m] offset 3s`.
    fn of(self, selector: &Selector) -> String {
        let range = format!("{}[{}]", selector.text(), duration::format(self.length));
        if self.offset.is_zero() {
            return range;
        }
        format!("{range} offset {}", duration::format(self.offset))
    }
}

/// A query, or why it could not be built.
pub(crate) type Built = Result<Query, PromqlError>;

/// Whether any series has samples in the step that ends at each point of a range query: on Prometheus 2 far cheaper
/// than `timestamp()` over a range, and it misses no sample however long the step is.
pub(crate) fn present(selector: &Selector, step: Duration) -> Built {
    let range = Range { length: step, offset: Duration::ZERO };
    Query::new(format!("max(count_over_time({}))", range.of(selector)))
}

/// Time of the newest sample of any series.
pub(crate) fn newest_sample(selector: &Selector) -> Built {
    Query::new(format!("max(timestamp({}))", selector.text()))
}

/// Scrapes of the series that was scraped most often.
pub(crate) fn scrapes(selector: &Selector, range: Range) -> Built {
    Query::new(format!("max(count_over_time({}))", range.of(selector)))
}

/// Scrapes of a series, the median over the series.
pub(crate) fn usual_scrapes(selector: &Selector, range: Range) -> Built {
    Query::new(format!("quantile(0.5, count_over_time({}))", range.of(selector)))
}

/// Summed buckets of a classic histogram.
pub(crate) fn classic_buckets(histogram: &Selector, range: Range) -> Built {
    Query::new(format!("sum by (le) (increase({}))", range.of(&histogram.suffixed("_bucket"))))
}

/// Sum of a native histogram.
pub(crate) fn native_sum(histogram: &Selector, range: Range) -> Built {
    Query::new(format!("sum(increase({}))", range.of(histogram)))
}

/// A quantile of the sum of a native histogram.
pub(crate) fn native_quantile(histogram: &Selector, range: Range, q: f64) -> Built {
    Query::new(format!("histogram_quantile({q}, sum(increase({})))", range.of(histogram)))
}

/// Increase of a counter, summed over its series.
pub(crate) fn increase(counter: &Selector, range: Range) -> Built {
    Query::new(format!("sum(increase({}))", range.of(counter)))
}

/// Increase of a counter by a label.
pub(crate) fn increase_by(counter: &Selector, range: Range, label: &str) -> Built {
    let label = named(label.to_owned(), false)?;
    Query::new(format!("sum by ({label}) (increase({}))", range.of(counter)))
}

/// Sum of the observations of a native histogram by a label.
pub(crate) fn native_total_by(histogram: &Selector, range: Range, label: &str) -> Built {
    let label = named(label.to_owned(), false)?;
    Query::new(format!("histogram_sum(sum by ({label}) (increase({})))", range.of(histogram)))
}

/// cAdvisor's rows of containers in a namespace: neither the pod's sum (`container=""`) nor its sandbox (`POD`).
pub(crate) fn containers(metric: &str, namespace: &str) -> Result<Selector, PromqlError> {
    Selector::new(
        metric,
        &[&format!("namespace={},container!=\"\",container!=\"POD\"", promql::quoted(namespace))],
    )
}

/// cAdvisor's network rows of a namespace's pods.
pub(crate) fn pod_network(namespace: &str) -> Result<Selector, PromqlError> {
    let matchers = format!("namespace={},pod!=\"\"", promql::quoted(namespace));
    Selector::new("container_network_receive_bytes_total", &[&matchers])
}

/// Sum over a pod's containers; where two scrape jobs see the same containers (cAdvisor and the kubelet's resource
/// metrics share names), the larger sum and not both.
fn by_pod(inner: &str) -> Built {
    Query::new(format!("max by (pod) (sum by (pod, job, metrics_path) ({inner}))"))
}

/// Increase by pod.
pub(crate) fn increase_by_pod(counter: &Selector, range: Range) -> Built {
    by_pod(&format!("increase({})", range.of(counter)))
}

/// Value by pod at the instant.
pub(crate) fn value_by_pod(gauge: &Selector) -> Built {
    by_pod(&gauge.text())
}

/// Cores that all pods used.
pub(crate) fn cores(counter: &Selector, range: Range) -> Built {
    let by_pod = by_pod(&format!("rate({})", range.of(counter)))?;
    Query::new(format!("sum({})", by_pod.as_str()))
}

/// Value summed over all pods.
pub(crate) fn sum_of_pods(gauge: &Selector) -> Built {
    Query::new(format!("sum({})", value_by_pod(gauge)?.as_str()))
}

/// Scrapes of each pod's series that was scraped most often.
pub(crate) fn scrapes_by_pod(selector: &Selector, range: Range) -> Built {
    Query::new(format!("max by (pod) (count_over_time({}))", range.of(selector)))
}

/// End of the step with each pod's first sample, in seconds since the epoch.
pub(crate) fn first_step_by_pod(selector: &Selector, window: Duration, step: Duration) -> Built {
    step_by_pod("min_over_time", selector, window, step)
}

/// End of the step with each pod's last sample, in seconds since the epoch.
pub(crate) fn last_step_by_pod(selector: &Selector, window: Duration, step: Duration) -> Built {
    step_by_pod("max_over_time", selector, window, step)
}

fn step_by_pod(function: &str, selector: &Selector, window: Duration, step: Duration) -> Built {
    let samples = scrapes_by_pod(selector, Range { length: step, offset: Duration::ZERO })?;
    let (window, step) = (duration::format(window), duration::format(step));
    Query::new(format!("{function}(({} * 0 + time())[{window}:{step}])", samples.as_str()))
}

/// Increase summed over one row a pod and interface: some runtimes report a pod's interface twice, for its group and
/// for its sandbox.
pub(crate) fn network_increase(counter: &Selector, range: Range) -> Built {
    Query::new(format!("sum(max by (pod, interface) (increase({})))", range.of(counter)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use promql_parser::parser;

    const WEEK: Range = Range { length: Duration::from_secs(604_800), offset: Duration::ZERO };
    const PART: Range =
        Range { length: Duration::from_millis(3_585_001), offset: Duration::from_millis(250) };

    #[test]
    fn every_query_that_is_sent_parses() {
        let counter = Selector::new("http_requests_total", &["job=\"odoo\"", "status=~\"5..\""]).unwrap();
        let histogram = Selector::new("http_request_duration_seconds", &["job=\"odoo\""]).unwrap();
        let cpu = containers("container_cpu_usage_seconds_total", "smart-dairy").unwrap();
        let (window, step) = (WEEK.length, Duration::from_secs(31));
        let queries = [
            newest_sample(&counter),
            scrapes(&counter, WEEK),
            classic_buckets(&histogram, WEEK),
            native_sum(&histogram, WEEK),
            native_quantile(&histogram, WEEK, 0.95),
            increase(&counter, PART),
            increase_by(&counter, PART, "endpoint"),
            native_total_by(&histogram, WEEK, "endpoint"),
            increase_by_pod(&cpu, WEEK),
            value_by_pod(&cpu),
            scrapes_by_pod(&cpu, WEEK),
            present(&counter, step),
            first_step_by_pod(&cpu, window, step),
            last_step_by_pod(&cpu, window, step),
            usual_scrapes(&counter, WEEK),
            cores(&cpu, PART),
            sum_of_pods(&cpu),
            network_increase(&pod_network("smart-dairy").unwrap(), PART),
        ];
        for query in queries {
            let query = query.unwrap();
            assert!(parser::parse(query.as_str()).is_ok(), "{}", query.as_str());
        }
    }

    #[test]
    fn queries_read_as_a_person_would_write_them() {
        let histogram = Selector::new("http_request_duration_seconds", &["job=\"odoo\""]).unwrap();
        assert_eq!(
            classic_buckets(&histogram, WEEK).unwrap().as_str(),
            "sum by (le) (increase(http_request_duration_seconds_bucket{job=\"odoo\"}[7d]))"
        );
        let counter = Selector::new("api_requests_total", &[""]).unwrap();
        assert_eq!(
            increase(&counter, PART).unwrap().as_str(),
            "sum(increase(api_requests_total[59m45s1ms] offset 250ms))"
        );
        let cpu = containers("x", "ns").unwrap();
        assert_eq!(
            first_step_by_pod(&cpu, WEEK.length, Duration::from_secs(31)).unwrap().as_str(),
            "min_over_time((max by (pod) (count_over_time(x{namespace=\"ns\",container!=\"\",container!=\"POD\"}[31s])) \
             * 0 + time())[7d:31s])"
        );
    }

    #[test]
    fn lists_of_matchers_are_joined_however_they_end() {
        for (parts, expected) in [
            (vec!["", ""], "x"),
            (vec!["a=\"b\"", ""], "x{a=\"b\"}"),
            (vec!["", "c=\"d\""], "x{c=\"d\"}"),
            (vec!["a=\"b\"", "c=\"d\""], "x{a=\"b\",c=\"d\"}"),
            (vec!["a=\"b\",", "c=\"d\""], "x{a=\"b\",c=\"d\"}"),
            (vec!["a=\"b\" # why\n", "c=\"d\""], "x{a=\"b\" # why\n,c=\"d\"}"),
        ] {
            assert_eq!(Selector::new("x", &parts).unwrap().text(), expected);
        }
    }

    #[test]
    fn nothing_leaves_a_selector() {
        assert!(Selector::new("x", &["a=\"b\"} or vector(1) #"]).is_err());
        assert!(Selector::new("x or y", &["a=\"b\""]).is_err());
        assert!(Selector::new("", &["a=\"b\""]).is_err());
        let counter = Selector::new("job:x:rate5m", &[]).unwrap();
        for label in ["", "a) (y", "a,b", "a:b", "1a"] {
            assert!(increase_by(&counter, WEEK, label).is_err(), "{label}");
            assert!(native_total_by(&counter, WEEK, label).is_err(), "{label}");
        }
        let hostile = containers("x", "a\"} or y{b=\"\\").unwrap();
        assert_eq!(
            hostile.text(),
            "x{namespace=\"a\\\"} or y{b=\\\"\\\\\",container!=\"\",container!=\"POD\"}"
        );
    }

    #[test]
    fn one_more_matcher_stands_before_the_users() {
        let bucket = Selector::new("x", &["a=\"b\","]).unwrap().suffixed("_bucket");
        assert_eq!(bucket.with("le", "+Inf").unwrap().text(), "x_bucket{le=\"+Inf\",a=\"b\",}");
    }
}
