//! The PromQL of alerts (pure): the figure that an indicator names, as it is now and not over a run's window.
//!
//! Names and matchers come from a validated spec; every expression is parsed once more as a whole, so that nothing that
//! a spec says can end a selector and begin something else.

use plimsoll_analysis::promql::{self, Gives};
use plimsoll_api::PerformanceBaselineSpec;

/// Over how long a rate is taken: the usual five scrapes and more.
const RANGE: &str = "5m";

/// The metrics of an exporter that Plimsoll does not read itself, and so only assumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Assumes {
    /// The metrics are those that the spec names.
    Nothing,
    /// Those of oliver006/redis_exporter.
    RedisExporter,
    /// Those of prometheus-community/postgres_exporter.
    PostgresExporter,
    /// Those of the kubelets' cAdvisor.
    Cadvisor,
}

impl Assumes {
    /// What the alert's annotation says; `None` where nothing is assumed.
    pub(super) fn text(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::RedisExporter => Some("metrics of redis_exporter"),
            Self::PostgresExporter => Some("metrics of postgres_exporter"),
            Self::Cadvisor => Some("a scrape of the kubelets' /metrics/cadvisor"),
        }
    }
}

/// A figure as PromQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Figure {
    /// An expression that gives a vector; ready to be compared.
    pub(super) expr: String,
    /// What must be scraped for it.
    pub(super) assumes: Assumes,
}

/// The figure of an indicator, or why no rule can be made of it.
pub(super) fn figure(
    spec: &PerformanceBaselineSpec,
    namespace: &str,
    indicator: &str,
) -> Result<Figure, String> {
    if let Some(name) = indicator.strip_prefix(plimsoll_analysis::indicator::METRICS) {
        let metric = spec.metrics.iter().find(|metric| metric.name == name);
        return own(&metric.ok_or_else(|| format!("spec.metrics has no {name}"))?.query);
    }
    let missing = |section: &str| format!("spec.{section} is not set");
    let (tier, rest) = indicator.split_once('.').unwrap_or((indicator, ""));
    match tier {
        "web" => {
            let web = spec.web.as_ref().ok_or_else(|| missing("web"))?;
            requests(&web.latency_histogram, &web.request_counter, [&web.matchers, &web.error_matchers], rest)
        }
        "api" => {
            let api = spec.api.as_ref().ok_or_else(|| missing("api"))?;
            requests(&api.latency_histogram, &api.request_counter, [&api.matchers, &api.error_matchers], rest)
        }
        "database" => database(spec, rest),
        "cache" => cache(spec, rest),
        "infrastructure" => infrastructure(namespace, rest),
        _ => Err("no metric is known for it".to_owned()),
    }
}

/// A query of the user's own, on lines of its own: a comment at its end must not take the comparison along.
pub(super) fn own(query: &str) -> Result<Figure, String> {
    let open = match promql::gives(query).map_err(|error| error.to_string())? {
        // Two scalars compare only to a number, which is no alert.
        Gives::Scalar => "vector(",
        Gives::Vector => "(",
        Gives::Other => return Err("its query gives no number that could be compared".to_owned()),
    };
    checked(format!("{open}\n{query}\n)"), Assumes::Nothing)
}

fn requests(
    histogram: &str,
    counter: &str,
    [matchers, errors]: [&str; 2],
    figure: &str,
) -> Result<Figure, String> {
    if let Some(percentile) = figure.strip_prefix("latency.p") {
        return quantile(histogram, matchers, percentile);
    }
    let all = rate(&selector(counter, &[matchers])?);
    match figure {
        "requestRate" => checked(format!("sum({all})"), Assumes::Nothing),
        "errorRatio" => {
            let failed = rate(&selector(counter, &[matchers, errors])?);
            // Without a failed request there is no series of them, which is a ratio of 0.
            checked(format!("(sum({failed}) or vector(0)) / sum({all})"), Assumes::Nothing)
        }
        _ => Err("no metric is known for it".to_owned()),
    }
}

/// A quantile of a classic or of a native histogram, whichever there is.
fn quantile(histogram: &str, matchers: &str, percentile: &str) -> Result<Figure, String> {
    let q = match percentile {
        "50" => "0.5",
        "90" => "0.9",
        "95" => "0.95",
        "99" => "0.99",
        _ => return Err("no such percentile".to_owned()),
    };
    let classic = rate(&selector(&format!("{histogram}_bucket"), &[matchers])?);
    let native = rate(&selector(histogram, &[matchers])?);
    let expr = format!(
        "(histogram_quantile({q}, sum by (le) ({classic})) or histogram_quantile({q}, sum({native})))"
    );
    checked(expr, Assumes::Nothing)
}

fn database(spec: &PerformanceBaselineSpec, figure: &str) -> Result<Figure, String> {
    let section = spec.database.as_ref().ok_or("spec.database is not set")?;
    let ours = exporter_matchers(spec);
    match figure {
        "queryTime.p95" => match &section.latency_histogram {
            Some(histogram) => quantile(histogram, &section.matchers, "95"),
            None => Err(
                "spec.database.latencyHistogram is not set, and pg_stat_statements gives no percentile to watch"
                    .to_owned(),
            ),
        },
        "cacheHitRatio" => {
            let database = spec.sources.postgres.as_ref().and_then(|source| source.database.as_deref());
            let database =
                database.map(|name| format!("datname={}", promql::quoted(name))).unwrap_or_default();
            let by = |metric: &str| -> Result<String, String> {
                Ok(format!("sum by (instance) ({})", rate(&selector(metric, &[&database, ours])?)))
            };
            let (hit, read) = (by("pg_stat_database_blks_hit")?, by("pg_stat_database_blks_read")?);
            checked(format!("{hit} / ({hit} + {read})"), Assumes::PostgresExporter)
        }
        "connectionUse" => {
            let used = selector("pg_stat_database_numbackends", &[ours])?;
            let most = selector("pg_settings_max_connections", &[ours])?;
            checked(
                format!("sum by (instance) ({used}) / max by (instance) ({most})"),
                Assumes::PostgresExporter,
            )
        }
        _ => Err("no metric is known for it".to_owned()),
    }
}

fn cache(spec: &PerformanceBaselineSpec, figure: &str) -> Result<Figure, String> {
    match figure {
        "hitRatio" => hit_ratio(spec),
        "memory" => {
            checked(selector("redis_memory_used_bytes", &[exporter_matchers(spec)])?, Assumes::RedisExporter)
        }
        _ => Err("no metric is known for it".to_owned()),
    }
}

/// Hits of all lookups, for each server.
pub(super) fn hit_ratio(spec: &PerformanceBaselineSpec) -> Result<Figure, String> {
    let ours = exporter_matchers(spec);
    let hits = rate(&selector("redis_keyspace_hits_total", &[ours])?);
    let misses = rate(&selector("redis_keyspace_misses_total", &[ours])?);
    checked(format!("{hits} / ({hits} + {misses})"), Assumes::RedisExporter)
}

/// cAdvisor's containers of the namespace, summed as the baseline sums them: neither a pod's sum nor its sandbox, and
/// where two scrape jobs see the same containers, the larger sum.
fn infrastructure(namespace: &str, figure: &str) -> Result<Figure, String> {
    let matchers = format!("namespace={},container!=\"\",container!=\"POD\"", promql::quoted(namespace));
    let inner = match figure {
        "cpu" => rate(&selector("container_cpu_usage_seconds_total", &[&matchers])?),
        "memory" => selector("container_memory_usage_bytes", &[&matchers])?,
        _ => return Err("no metric is known for it".to_owned()),
    };
    let expr = format!("sum(max by (pod) (sum by (pod, job, metrics_path) ({inner})))");
    checked(expr, Assumes::Cadvisor)
}

pub(super) fn exporter_matchers(spec: &PerformanceBaselineSpec) -> &str {
    spec.prometheus_rule.as_ref().map_or("", |rule| rule.exporter_matchers.as_str())
}

/// A selector of a metric with lists of matchers, each of which may be empty or end in a comma.
pub(super) fn selector(metric: &str, matchers: &[&str]) -> Result<String, String> {
    let mut joined = String::new();
    for part in matchers.iter().filter(|part| !part.trim().is_empty()) {
        promql::check_matchers(part).map_err(|error| error.to_string())?;
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
    promql::check_matchers(&joined).map_err(|error| error.to_string())?;
    Ok(if joined.is_empty() { metric.to_owned() } else { format!("{metric}{{{joined}}}") })
}

pub(super) fn rate(selector: &str) -> String {
    format!("rate({selector}[{RANGE}])")
}

pub(super) fn checked(expr: String, assumes: Assumes) -> Result<Figure, String> {
    match promql::gives(&expr) {
        Ok(Gives::Vector) => Ok(Figure { expr, assumes }),
        Ok(_) => Err("its expression gives no series".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
