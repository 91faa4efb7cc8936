//! Objects and records to test with. Their names are unlike their kinds, so that a mixed-up field shows.

use jiff::Timestamp;
use plimsoll_analysis::record::{
    ApiMetrics, BaselineRecord, Basis, BasisKind, CacheCounters, CacheMetrics, Connections, Cost, Counters,
    DatabaseAnalysis, DatabaseCounters, DatabaseMetrics, QueryTime, QueryTimeMethod, RecordNames, Source,
    SourceReason, SourceState, StatementCounter, StatementMean, WebMetrics, Window,
};
use plimsoll_analysis::request::BaselineRequest;
use plimsoll_api::baseline::{
    ApiMetricsSpec, CacheSpec, DatabaseSpec, PerformanceBaselineSpec, WebMetricsSpec,
};
use plimsoll_api::common::{PostgresSource, PrometheusSource, RedisSource, WorkloadSource};
use plimsoll_api::{PerformanceBaseline, RUN_ANNOTATION};
use serde::de::DeserializeOwned;
use serde_json::json;

/// Namespace of every fixture.
pub const NAMESPACE: &str = "pasture";
/// Where the fixtures' Prometheus is.
pub const PROMETHEUS: &str = "http://prometheus.monitoring:9090";

/// A baseline with a UID, generation 1 and the schema's defaults, in [`NAMESPACE`]; without any source yet.
#[must_use]
pub fn baseline(name: &str) -> PerformanceBaseline {
    let spec: PerformanceBaselineSpec = with_defaults(&json!({"sources": {}}));
    let mut baseline = PerformanceBaseline::new(name, spec);
    baseline.metadata.namespace = Some(NAMESPACE.to_owned());
    baseline.metadata.uid = Some("c0c0a000-0000-4000-8000-00000000c0c0".to_owned());
    baseline.metadata.generation = Some(1);
    baseline
}

/// What [`baseline`] is made into, step by step.
pub trait BaselineFixture: Sized {
    /// Measures a Prometheus server at `url`.
    #[must_use]
    fn prometheus(self, url: &str) -> Self;
    /// Measures the database `herd` of the PostgreSQL server `postgres`, as the Secret `pg` says, with the defaults.
    #[must_use]
    fn postgres(self) -> Self;
    /// Measures the Redis server `redis`, as the Secret `cache` says, with the defaults.
    #[must_use]
    fn redis(self) -> Self;
    /// Records the namespace's workloads.
    #[must_use]
    fn workloads(self) -> Self;
    /// Collects web metrics by their default names.
    #[must_use]
    fn web(self) -> Self;
    /// Collects API metrics by their default names.
    #[must_use]
    fn api(self) -> Self;
    /// Looks back over `window`, for example `5m`.
    #[must_use]
    fn window(self, window: &str) -> Self;
    /// Runs by a five-field cron expression, in UTC.
    #[must_use]
    fn schedule(self, cron: &str) -> Self;
    /// Is judged by these objectives, each as the spec writes it.
    #[must_use]
    fn objectives(self, objectives: &serde_json::Value) -> Self;
    /// Is compared as `spec.compareTo` writes it.
    #[must_use]
    fn compared_to(self, compare_to: &serde_json::Value) -> Self;
    /// Starts no new run.
    #[must_use]
    fn suspended(self) -> Self;
    /// Asks for a run by the annotation `plimsoll.dev/run`.
    #[must_use]
    fn annotated(self, run: &str) -> Self;
    /// Is another object of the same name.
    #[must_use]
    fn uid(self, uid: &str) -> Self;
    /// Was edited `generation - 1` times.
    #[must_use]
    fn generation(self, generation: i64) -> Self;
    /// Lives in another namespace.
    #[must_use]
    fn namespace(self, namespace: &str) -> Self;
}

impl BaselineFixture for PerformanceBaseline {
    fn prometheus(mut self, url: &str) -> Self {
        let source: PrometheusSource = with_defaults(&json!({"url": url}));
        self.spec.sources.prometheus = Some(source);
        self
    }

    fn postgres(mut self) -> Self {
        let source: PostgresSource = with_defaults(
            &json!({"host": "postgres", "database": "herd", "credentials": {"secretRef": {"name": "pg"}}}),
        );
        let section: DatabaseSpec = with_defaults(&json!({}));
        self.spec.sources.postgres = Some(source);
        self.spec.database = Some(section);
        self
    }

    fn redis(mut self) -> Self {
        let source: RedisSource =
            with_defaults(&json!({"host": "redis", "credentials": {"secretRef": {"name": "cache"}}}));
        let section: CacheSpec = with_defaults(&json!({}));
        self.spec.sources.redis = Some(source);
        self.spec.cache = Some(section);
        self
    }

    fn workloads(mut self) -> Self {
        let source: WorkloadSource = with_defaults(&json!({"selector": {}}));
        self.spec.sources.workloads = Some(source);
        self
    }

    fn web(mut self) -> Self {
        let web: WebMetricsSpec = with_defaults(&json!({}));
        self.spec.web = Some(web);
        self
    }

    fn api(mut self) -> Self {
        let api: ApiMetricsSpec = with_defaults(&json!({}));
        self.spec.api = Some(api);
        self
    }

    fn window(mut self, window: &str) -> Self {
        window.clone_into(&mut self.spec.window);
        self
    }

    fn schedule(mut self, cron: &str) -> Self {
        self.spec.schedule = Some(cron.to_owned());
        self
    }

    fn objectives(mut self, objectives: &serde_json::Value) -> Self {
        self.spec.objectives = with_defaults(objectives);
        self
    }

    fn compared_to(mut self, compare_to: &serde_json::Value) -> Self {
        self.spec.compare_to = Some(with_defaults(compare_to));
        self
    }

    fn suspended(mut self) -> Self {
        self.spec.suspend = true;
        self
    }

    fn annotated(mut self, run: &str) -> Self {
        let annotations = self.metadata.annotations.get_or_insert_default();
        annotations.insert(RUN_ANNOTATION.to_owned(), run.to_owned());
        self
    }

    fn uid(mut self, uid: &str) -> Self {
        self.metadata.uid = Some(uid.to_owned());
        self
    }

    fn generation(mut self, generation: i64) -> Self {
        self.metadata.generation = Some(generation);
        self
    }

    fn namespace(mut self, namespace: &str) -> Self {
        self.metadata.namespace = Some(namespace.to_owned());
        self
    }
}

/// A part of a spec in which everything that `given` leaves out has the schema's default.
fn with_defaults<T: DeserializeOwned>(given: &serde_json::Value) -> T {
    serde_json::from_value(given.clone()).expect("every field that is not given has a default")
}

/// A complete record of the run that `request` asks for, as its Job would measure it at `now`: the figures of each
/// section that the request asks for, with full coverage, and counters that grow by the hour of `now`.
#[must_use]
pub fn record_of(request: &BaselineRequest, now: Timestamp) -> BaselineRecord {
    let names = RecordNames {
        name: &request.name,
        namespace: &request.namespace,
        run: &request.run,
        run_key: &request.run_key,
    };
    let empty = BaselineRecord::empty(names, request.window_seconds, request.to.unwrap_or(now));
    let window = empty.window;
    let asked = [
        ("prometheus", request.prometheus.is_some()),
        ("postgres", request.postgres.is_some()),
        ("redis", request.redis.is_some()),
    ];
    let (database, cache) = (request.database.is_some(), request.cache.is_some());
    let counters = Counters {
        database: database.then(|| database_counters(now)),
        cache: cache.then(|| cache_counters(now)),
    };
    let mut record = BaselineRecord {
        collection_date: now,
        sources: asked.into_iter().filter(|(_, is_asked)| *is_asked).map(|(name, _)| source(name)).collect(),
        web_metrics: request.web.as_ref().map(|_| web_metrics()),
        api_metrics: request.api.as_ref().map(|_| api_metrics()),
        database_metrics: database.then(database_metrics),
        database_analysis: database.then(|| DatabaseAnalysis {
            slow_queries: Some(Vec::new()),
            cache_hit_ratio: Some(0.97),
            ..DatabaseAnalysis::default()
        }),
        cache_metrics: cache.then(cache_metrics),
        counters: (database || cache).then_some(counters),
        ..empty
    };
    for section in ["web_metrics", "api_metrics"] {
        record.basis.insert(section.to_owned(), full_basis(window));
    }
    let sampled = Basis { kind: BasisKind::Sampled, coverage_percent: None, ..full_basis(window) };
    for (figure, is_there) in [
        ("database_metrics.slow_queries", database),
        ("database_metrics.query_time_p95_ms", database),
        ("database_analysis.slow_queries", database),
        ("database_analysis.cache_hit_ratio", database),
        ("cache_metrics.hit_rate_window", cache),
    ] {
        if is_there {
            record.basis.insert(figure.to_owned(), sampled.clone());
        }
    }
    record.settle();
    record
}

fn source(name: &str) -> Source {
    Source {
        name: name.to_owned(),
        state: SourceState::Collected,
        reason: None,
        message: None,
        duration_ms: Some(412),
        cost: Some(Cost { queries: Some(19), bytes: Some(81_234), ..Cost::default() }),
        warnings: Vec::new(),
    }
}

fn database_metrics() -> DatabaseMetrics {
    DatabaseMetrics {
        connections: Some(Connections { active: 3, idle: 11, total: 14 }),
        top_tables: Some(Vec::new()),
        slow_queries: Some(vec![StatementMean {
            calls: 2,
            avg_time_ms: 31.0,
            query: Some("SELECT $1".to_owned()),
            query_id: "-77".to_owned(),
        }]),
        query_time_p95_ms: Some(QueryTime {
            low: 60.0,
            high: Some(240.0),
            method: QueryTimeMethod::StatementBounds,
        }),
    }
}

fn cache_metrics() -> CacheMetrics {
    CacheMetrics {
        hit_rate: Some(88.0),
        hit_rate_window: Some(94.2),
        used_memory_mb: Some(12.5),
        connected_clients: Some(6),
        total_keys: Some(20_000),
        evicted_keys: Some(0),
        expired_keys: Some(17),
    }
}

/// Whole hours of an instant, as a counter.
fn hours(now: Timestamp) -> u64 {
    u64::try_from(now.as_second() / 3_600).unwrap_or(0)
}

/// Each hour one statement is called 100 times at 5 ms, and of 1,000 blocks 900 are found in memory.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn database_counters(now: Timestamp) -> DatabaseCounters {
    let calls = hours(now) * 100;
    DatabaseCounters {
        at: now,
        database: 5,
        started: Some(Timestamp::UNIX_EPOCH),
        database_reset: None,
        statements_reset: Some(Timestamp::UNIX_EPOCH),
        dealloc: Some(0),
        blks_hit: hours(now) * 900,
        blks_read: hours(now) * 100,
        statements: vec![StatementCounter {
            query_id: "-77".to_owned(),
            calls,
            total_ms: calls as f64 * 5.0,
            squares_ms2: calls as f64 * 25.0,
            rows: calls,
            query: Some("SELECT $1".to_owned()),
        }],
        others: None,
        tables: Vec::new(),
    }
}

/// Each hour 80 lookups of 100 find their key.
fn cache_counters(now: Timestamp) -> CacheCounters {
    CacheCounters {
        at: now,
        run_id: "f00d".repeat(10),
        started: Some(Timestamp::UNIX_EPOCH),
        hits: hours(now) * 80,
        misses: hours(now) * 20,
        own_hits: 0,
        own_misses: 0,
        evicted: 0,
        expired: 17,
    }
}

fn web_metrics() -> WebMetrics {
    WebMetrics {
        page_load_p50_ms: Some(210.0),
        page_load_p90_ms: Some(840.0),
        page_load_p95_ms: Some(1_230.0),
        page_load_p99_ms: Some(2_900.0),
        requests_per_second: Some(17.5),
        error_rate_percent: Some(0.2),
    }
}

fn api_metrics() -> ApiMetrics {
    ApiMetrics {
        response_time_p50_ms: Some(31.0),
        response_time_p90_ms: Some(120.0),
        response_time_p95_ms: Some(180.0),
        response_time_p99_ms: Some(450.0),
        requests_per_second: Some(63.0),
        error_rate_percent: Some(0.05),
        top_endpoints: Some([("/collections".to_owned(), 41.0), ("/farmers".to_owned(), 22.0)].into()),
        time_share_percent: None,
    }
}

fn full_basis(window: Window) -> Basis {
    Basis {
        kind: BasisKind::Window,
        from: window.from,
        to: window.to,
        coverage_percent: Some(100.0),
        samples: Some(5_250),
        resolution_ms: None,
        note: None,
    }
}

/// The record of a run of [`baseline`]`("dairy")` over five minutes, with web and API figures.
#[must_use]
pub fn record() -> BaselineRecord {
    let request: BaselineRequest = with_defaults(&json!({
        "schema": plimsoll_analysis::request::SCHEMA,
        "name": "dairy", "namespace": NAMESPACE, "uid": "c0c0a000-0000-4000-8000-00000000c0c0",
        "run": "dairy-0123456789", "run_key": format!("sha256:{}", "01".repeat(32)), "window_seconds": 300,
        "prometheus": {"url": PROMETHEUS},
        "web": {"latency_histogram": "h", "request_counter": "c", "matchers": "", "error_matchers": ""},
        "api": {
            "latency_histogram": "h", "request_counter": "c", "matchers": "", "error_matchers": "",
            "endpoint_label": "endpoint", "top": 10,
        },
    }));
    record_of(&request, crate::FixedClock::default().now())
}

/// Makes the record's first source fail, as a server that answers with `reason` does, and takes its figures out.
pub fn fail_source(record: &mut BaselineRecord, reason: SourceReason, message: &str) {
    if let Some(source) = record.sources.first_mut() {
        source.state = SourceState::Failed;
        source.reason = Some(reason);
        source.message = Some(message.to_owned());
    }
    record.web_metrics = None;
    record.api_metrics = None;
    record.basis.clear();
    record.settle();
}
