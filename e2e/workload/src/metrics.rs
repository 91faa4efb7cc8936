//! The metrics that the seed's queries read, and the two histograms beside them.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::routes::Role;

/// Media type of [`Metrics::encode`]: OpenMetrics text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Label value of every path that is not a route, so that strangers cannot make series.
pub const OTHER: &str = "other";

/// Upper bounds of the buckets of request and page histograms, in seconds. The targets of the seed, 0.1, 0.5 and 3 s, are
/// among them: an objective on a bound is judged without interpolation.
pub const BUCKETS: [f64; 14] =
    [0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0];

/// Upper bounds of the buckets of the database histogram, in seconds.
pub const DB_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

type Labels = Vec<(&'static str, String)>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// The metrics of one service.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    route_label: &'static str,
    requests: Family<Labels, Counter>,
    durations: Histograms,
    queries: Histograms,
    page_loads: Option<Histograms>,
    workers_busy: Option<Gauge<f64, AtomicU64>>,
}

impl Metrics {
    /// Registers the metrics of a role, every series of a known route at 0: a series that starts with its first request
    /// loses that request in `rate` and `increase`.
    #[must_use]
    pub fn new(role: Role) -> Self {
        let mut registry = Registry::default();
        let (prefix, route_label) = match role {
            Role::Odoo => ("http", "path"),
            Role::Api => ("api", "endpoint"),
        };
        let requests = Family::<Labels, Counter>::default();
        let durations = Histograms::new_with_constructor(|| Histogram::new(BUCKETS));
        let queries = Histograms::new_with_constructor(|| Histogram::new(DB_BUCKETS));
        registry.register(format!("{prefix}_requests"), "Answered requests", requests.clone());
        registry.register(
            format!("{prefix}_request_duration_seconds"),
            "Time from a request's arrival to its answer",
            durations.clone(),
        );
        registry.register("db_query_duration_seconds", "Time of a database query", queries.clone());
        let mut metrics = Self {
            registry,
            route_label,
            requests,
            durations,
            queries,
            page_loads: None,
            workers_busy: None,
        };
        if role == Role::Odoo {
            metrics.register_web();
        }
        metrics.start_series(role);
        metrics
    }

    fn register_web(&mut self) {
        let page_loads = Histograms::new_with_constructor(|| Histogram::new(BUCKETS));
        let workers_busy = Gauge::<f64, AtomicU64>::default();
        self.registry.register(
            "rum_page_load_seconds",
            "Page load times as browsers report them",
            page_loads.clone(),
        );
        self.registry.register(
            "odoo_workers_busy",
            "Share of the workers that are busy",
            workers_busy.clone(),
        );
        self.page_loads = Some(page_loads);
        self.workers_busy = Some(workers_busy);
    }

    fn start_series(&self, role: Role) {
        for route in role.routes() {
            drop(self.durations.get_or_create(&self.route(route.path)));
            drop(self.requests.get_or_create(&self.route_status(route.path, 200)));
            if let Some(failure) = &route.failure {
                drop(self.requests.get_or_create(&self.route_status(route.path, failure.status)));
            }
            if let Some(page_loads) = &self.page_loads {
                drop(page_loads.get_or_create(&vec![("page", route.path.to_owned())]));
            }
            for query in route.queries {
                drop(self.queries.get_or_create(&vec![("query", query.name.to_owned())]));
            }
        }
    }

    fn route(&self, path: &str) -> Labels {
        vec![(self.route_label, path.to_owned())]
    }

    fn route_status(&self, path: &str, status: u16) -> Labels {
        vec![(self.route_label, path.to_owned()), ("status", status.to_string())]
    }

    /// Counts one answered request. `path` is a route's or [`OTHER`].
    pub fn answered(&self, path: &str, status: u16, took: Duration) {
        self.requests.get_or_create(&self.route_status(path, status)).inc();
        self.durations.get_or_create(&self.route(path)).observe(took.as_secs_f64());
    }

    /// Counts one database query.
    pub fn queried(&self, query: &str, took: Duration) {
        self.queries.get_or_create(&vec![("query", query.to_owned())]).observe(took.as_secs_f64());
    }

    /// Counts one page load that a browser reported. A role without pages counts none.
    pub fn page_loaded(&self, page: &str, took: Duration) {
        if let Some(page_loads) = &self.page_loads {
            page_loads.get_or_create(&vec![("page", page.to_owned())]).observe(took.as_secs_f64());
        }
    }

    /// Writes all metrics as OpenMetrics text. `workers_busy`, 0 to 1, is what the gauge shows: it is read at the scrape,
    /// since a gauge that each request sets could be left at the value of a slower one.
    ///
    /// # Errors
    /// None in practice: writing to a string does not fail.
    pub fn encode(&self, workers_busy: f64) -> Result<String, std::fmt::Error> {
        if let Some(gauge) = &self.workers_busy {
            gauge.set(workers_busy);
        }
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_web_application_has_the_seeds_names() {
        let metrics = Metrics::new(Role::Odoo);
        metrics.answered("/my/orders", 500, Duration::from_millis(12));
        metrics.queried("orders", Duration::from_millis(3));
        metrics.page_loaded("/my/orders", Duration::from_millis(30));
        let text = metrics.encode(0.25).unwrap();
        for line in [
            r#"http_requests_total{path="/my/orders",status="500"} 1"#,
            r#"http_requests_total{path="/web",status="200"} 0"#,
            r#"http_request_duration_seconds_bucket{le="0.01",path="/my/orders"} 0"#,
            r#"http_request_duration_seconds_bucket{le="0.015",path="/my/orders"} 1"#,
            r#"http_request_duration_seconds_count{path="/my/orders"} 1"#,
            r#"db_query_duration_seconds_count{query="orders"} 1"#,
            r#"rum_page_load_seconds_count{page="/my/orders"} 1"#,
            "odoo_workers_busy 0.25",
            "# EOF",
        ] {
            assert!(text.lines().any(|got| got == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("_total_total") && !text.contains("api_"));
    }

    #[test]
    fn the_api_has_the_seeds_names_and_no_pages() {
        let metrics = Metrics::new(Role::Api);
        metrics.answered("/api/v1/payments", 503, Duration::from_millis(700));
        metrics.page_loaded("/api/v1/payments", Duration::from_millis(1));
        let text = metrics.encode(1.0).unwrap();
        for line in [
            r#"api_requests_total{endpoint="/api/v1/payments",status="503"} 1"#,
            r#"api_requests_total{endpoint="/api/v1/farmers",status="200"} 0"#,
            r#"api_request_duration_seconds_bucket{le="0.5",endpoint="/api/v1/payments"} 0"#,
            r#"api_request_duration_seconds_bucket{le="1.0",endpoint="/api/v1/payments"} 1"#,
        ] {
            assert!(text.lines().any(|got| got == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("http_") && !text.contains("rum_") && !text.contains("odoo_workers_busy"));
    }
}
