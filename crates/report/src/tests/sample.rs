//! Records to report on.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use plimsoll_analysis::record::{
    ApiMetrics, Autoscaler, AutoscalerMetric, BaselineRecord, Basis, BasisKind, Container, Cost,
    CustomMetric, InfrastructureMetrics, KubernetesFacts, RecordNames, Replicas, Source, SourceReason,
    SourceState, UnknownFact, Usage, WebMetrics, Window, Workload,
};
use plimsoll_analysis::request::Unit;

#[path = "sample/cache.rs"]
mod cache;
#[path = "sample/database.rs"]
mod database;
#[path = "sample/judgement.rs"]
pub(crate) mod judgement;

fn window() -> Window {
    Window { from: "2026-11-16T02:00:00Z".parse().unwrap(), to: "2026-11-23T02:00:00Z".parse().unwrap() }
}

/// A basis of the window, nearly whole.
pub(crate) fn basis() -> Basis {
    Basis {
        kind: BasisKind::Window,
        from: "2026-11-16T02:00:11Z".parse().unwrap(),
        to: "2026-11-23T01:59:56Z".parse().unwrap(),
        coverage_percent: Some(99.87),
        samples: Some(40_318),
        resolution_ms: None,
        note: None,
    }
}

fn latency(bounds: &[f64]) -> Basis {
    Basis { samples: Some(12_156_480), resolution_ms: Some(bounds.to_vec()), ..basis() }
}

fn missing(note: &str) -> Basis {
    Basis { coverage_percent: None, samples: None, note: Some(note.to_owned()), ..basis() }
}

fn map<V: Copy>(entries: &[(&str, V)]) -> IndexMap<String, V> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect()
}

fn quantities(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn collected(name: &str, duration: u64, queries: u64, bytes: Option<u64>) -> Source {
    Source {
        name: name.to_owned(),
        state: SourceState::Collected,
        reason: None,
        message: None,
        duration_ms: Some(duration),
        cost: Some(Cost { queries: Some(queries), bytes, ..Cost::default() }),
        warnings: Vec::new(),
    }
}

fn not_collected(name: &str, state: SourceState, reason: SourceReason, message: &str) -> Source {
    Source {
        state,
        reason: Some(reason),
        message: Some(message.to_owned()),
        cost: None,
        ..collected(name, 10_004, 0, None)
    }
}

/// A record with a list of so many statements, each with a text of its own, and as many pods and endpoints.
pub(crate) fn with_rows(rows: u32) -> BaselineRecord {
    let mut record = full();
    let named = |name: &str| {
        let figure = |row| (format!("{name}-{row}"), f64::from(row % 997) / 7.0);
        (0..rows).map(figure).collect::<IndexMap<String, f64>>()
    };
    database::repeat(&mut record, rows);
    record.api_metrics.as_mut().unwrap().top_endpoints = Some(named("/api/v1/endpoints"));
    record.infrastructure_metrics.as_mut().unwrap().memory_mb_by_pod = Some(named("pod"));
    record
}

/// No source, no figure.
pub(crate) fn empty() -> BaselineRecord {
    let names = RecordNames {
        name: "smart-dairy",
        namespace: "smart-dairy",
        run: "smart-dairy-3f9c2a71b0",
        run_key: "sha256:3f9c2a71b0",
    };
    BaselineRecord {
        collection_date: "2026-11-23T02:00:04Z".parse().unwrap(),
        complete: true,
        ..BaselineRecord::empty(names, 604_800, window().to)
    }
}

/// Everything that a record can hold.
pub(crate) fn full() -> BaselineRecord {
    let mut record = BaselineRecord {
        sources: vec![
            Source {
                warnings: vec![
                    "PromQL info: metric might not be a counter, name does not end in _total".to_owned(),
                ],
                ..collected("prometheus", 412, 19, Some(81_234))
            },
            database::source(),
            cache::source(),
            collected("kubernetes", 61, 7, None),
        ],
        database_metrics: Some(database::metrics()),
        database_analysis: Some(database::analysis()),
        cache_metrics: Some(cache::metrics()),
        cache_analysis: Some(cache::analysis()),
        web_metrics: Some(WebMetrics {
            page_load_p50_ms: Some(187.4),
            page_load_p90_ms: Some(338.2),
            page_load_p95_ms: Some(412.3),
            page_load_p99_ms: Some(2_500.0),
            requests_per_second: Some(20.114),
            error_rate_percent: Some(0.1234),
        }),
        api_metrics: Some(ApiMetrics {
            response_time_p50_ms: Some(41.7),
            response_time_p90_ms: Some(133.0),
            response_time_p95_ms: Some(181.0),
            response_time_p99_ms: Some(466.0),
            requests_per_second: Some(19.83),
            error_rate_percent: Some(0.0),
            top_endpoints: Some(map(&[
                ("/api/v1/collections", 12.5),
                ("/api/v1/farmers/{id}", 7.24),
                ("", 0.09),
            ])),
            time_share_percent: Some(map(&[("/api/v1/collections", 71.02), ("/api/v1/farmers/{id}", 28.7)])),
        }),
        infrastructure_metrics: Some(InfrastructureMetrics {
            cpu_throttled_percent_by_pod: None,
            cpu_usage_by_pod: Some(map(&[
                ("odoo-7f9c8d6b54-x2x9k", 48.21),
                ("odoo-7f9c8d6b54-k9w2z", 39.9),
                ("odoo-7f9c8d6b54-bbbbb", 12.0),
                ("api-5d4f9c7b68-zq7xw", 9.4),
                ("(others)", 31.5),
            ])),
            memory_mb_by_pod: Some(map(&[
                ("odoo-7f9c8d6b54-x2x9k", 412.25),
                ("odoo-7f9c8d6b54-k9w2z", 398.5),
                ("api-5d4f9c7b68-zq7xw", 88.0),
                ("(others)", 1_331.2),
            ])),
            network_receive_mbps: Some(1.2345),
            network_receive_mib_per_second: Some(1.2345),
            pods_summed: Some(12),
        }),
        kubernetes: Some(kubernetes()),
        custom_metrics: Some(
            [
                ("odoo-workers-busy".to_owned(), CustomMetric { value: 0.4, unit: Unit::Ratio }),
                ("backup-age".to_owned(), CustomMetric { value: 7_384.0, unit: Unit::Seconds }),
            ]
            .into_iter()
            .collect(),
        ),
        truncated: [("api_metrics.top_endpoints".to_owned(), 120)].into_iter().collect(),
        ..empty()
    };
    record.basis = full_basis();
    record.basis.extend(database::basis());
    record.basis.extend(cache::basis());
    record
}

/// A database and a cache in which nothing was found that somebody should look at.
pub(crate) fn nothing_found() -> BaselineRecord {
    let mut record = BaselineRecord {
        sources: vec![database::source(), cache::source()],
        database_metrics: Some(database::metrics_of_nothing()),
        database_analysis: Some(database::analysis_of_nothing()),
        cache_metrics: Some(cache::metrics_of_nothing()),
        cache_analysis: Some(cache::analysis_of_nothing()),
        ..empty()
    };
    record.basis.extend(database::basis());
    record.basis.extend(cache::basis());
    record.basis.retain(|path, _| !path.starts_with("cache_metrics.hit_rate"));
    record
        .basis
        .insert("database_metrics.query_time_p95_ms".to_owned(), missing("no statement was executed"));
    record
}

/// A database without pg_stat_statements and a cache that refuses some commands; one snapshot of each.
pub(crate) fn in_part() -> BaselineRecord {
    let extension = "pg_stat_statements is not installed in database smartdairy; run CREATE EXTENSION pg_stat_statements there";
    let denied = "user plimsoll may not run MEMORY USAGE; add +memory|usage to its rules";
    let mut record = BaselineRecord {
        complete: false,
        sources: vec![
            not_collected("postgres", SourceState::Partial, SourceReason::ExtensionMissing, extension),
            not_collected("redis", SourceState::Partial, SourceReason::Forbidden, denied),
        ],
        ..empty()
    };
    database::without_statements(&mut record);
    cache::without_sampling(&mut record);
    record
}

fn full_basis() -> BTreeMap<String, Basis> {
    let instant = Basis {
        kind: BasisKind::Instant,
        from: window().to,
        to: window().to,
        coverage_percent: None,
        samples: Some(1),
        ..basis()
    };
    let young = Basis { coverage_percent: Some(11.4), ..basis() };
    let cpu_of_a_young_pod = "infrastructure_metrics.cpu_usage_by_pod.odoo-7f9c8d6b54-bbbbb";
    [
        ("web_metrics.page_load_p50_ms", latency(&[100.0, 250.0])),
        ("web_metrics.page_load_p90_ms", latency(&[250.0, 500.0])),
        ("web_metrics.page_load_p95_ms", latency(&[250.0, 500.0])),
        ("web_metrics.page_load_p99_ms", latency(&[2_500.0])),
        ("web_metrics.requests_per_second", Basis { note: Some("3 counter resets".to_owned()), ..basis() }),
        ("web_metrics.error_rate_percent", Basis { note: Some("3 counter resets".to_owned()), ..basis() }),
        ("api_metrics.response_time_p50_ms", latency(&[0.0, 50.0])),
        ("api_metrics.response_time_p90_ms", latency(&[100.0, 250.0])),
        ("api_metrics.response_time_p95_ms", latency(&[100.0, 250.0])),
        ("api_metrics.response_time_p99_ms", latency(&[250.0, 500.0])),
        ("api_metrics.requests_per_second", basis()),
        ("api_metrics.error_rate_percent", basis()),
        ("api_metrics.top_endpoints", basis()),
        ("infrastructure_metrics.cpu_usage_by_pod", basis()),
        (cpu_of_a_young_pod, young),
        ("infrastructure_metrics.memory_mb_by_pod", instant.clone()),
        ("infrastructure_metrics.network_receive_mib_per_second", basis()),
        ("custom_metrics.odoo-workers-busy", instant.clone()),
        ("custom_metrics.backup-age", instant),
        ("custom_metrics.queue-length", missing("the query gave no series; check the metric's name.")),
    ]
    .into_iter()
    .map(|(path, basis)| (path.to_owned(), basis))
    .collect()
}

fn kubernetes() -> KubernetesFacts {
    let odoo = Workload {
        kind: "Deployment".to_owned(),
        name: "odoo".to_owned(),
        replicas: Replicas { desired: 2, current: 2, ready: 2 },
        restarts: Some(3),
        containers: vec![Container {
            name: "odoo".to_owned(),
            requests: quantities(&[("cpu", "500m"), ("memory", "512Mi")]),
            limits: quantities(&[("cpu", "2"), ("memory", "1Gi")]),
        }],
        autoscaler: Some(Autoscaler {
            name: "odoo-hpa".to_owned(),
            min_replicas: 2,
            max_replicas: 10,
            current_replicas: 2,
            desired_replicas: 2,
            metrics: vec![metric("cpu", "70%", Some("88%")), metric("http_requests_per_second", "100", None)],
            problems: vec!["ScalingActive=False: FailedGetPodsMetric".to_owned()],
        }),
        usage: None,
    };
    let api = Workload {
        kind: "Deployment".to_owned(),
        name: "api".to_owned(),
        replicas: Replicas { desired: 3, current: 3, ready: 2 },
        restarts: Some(0),
        containers: vec![
            Container {
                name: "api".to_owned(),
                requests: quantities(&[("cpu", "250m")]),
                limits: quantities(&[("memory", "256Mi")]),
            },
            Container { name: "proxy".to_owned(), requests: BTreeMap::new(), limits: BTreeMap::new() },
        ],
        autoscaler: Some(Autoscaler {
            name: "api-hpa".to_owned(),
            min_replicas: 1,
            max_replicas: 3,
            current_replicas: 3,
            desired_replicas: 3,
            metrics: vec![metric("cpu", "70%", Some("69%"))],
            problems: Vec::new(),
        }),
        usage: Some(Usage { cpu_percent_of_core: 37.5, memory_mib: 264.0, pods: 3 }),
    };
    KubernetesFacts {
        workloads: vec![api, odoo],
        unknown: vec![UnknownFact {
            fact: "restarts of DaemonSets".to_owned(),
            message: "pods is forbidden; add the rule {apiGroups: [\"\"], resources: [\"pods\"], verbs: [\"list\"]} to the operator's Role".to_owned(),
        }],
    }
}

fn metric(name: &str, target: &str, current: Option<&str>) -> AutoscalerMetric {
    AutoscalerMetric { name: name.to_owned(), target: target.to_owned(), current: current.map(str::to_owned) }
}

/// Prometheus could not be reached; the cluster answered in part.
pub(crate) fn failed() -> BaselineRecord {
    let unreachable = "cannot connect to http://prometheus.monitoring:9090: connection refused; check that the Service prometheus exists in namespace monitoring and that a NetworkPolicy lets pods of smart-dairy reach it";
    let forbidden = "horizontalpodautoscalers could not be listed; see the fact's message.";
    let refused =
        "user plimsoll was refused by postgres:5432 (28P01); check username and password in Secret pg";
    let certificate = "the certificate of redis:6379 is for redis.other, not for redis; set tls.serverName";
    BaselineRecord {
        complete: false,
        sources: vec![
            not_collected("prometheus", SourceState::Failed, SourceReason::Unreachable, unreachable),
            not_collected("postgres", SourceState::Failed, SourceReason::AuthenticationFailed, refused),
            not_collected("redis", SourceState::Failed, SourceReason::TLSFailed, certificate),
            not_collected("kubernetes", SourceState::Partial, SourceReason::Forbidden, forbidden),
        ],
        kubernetes: Some(KubernetesFacts {
            workloads: Vec::new(),
            unknown: vec![UnknownFact {
                fact: "horizontalpodautoscalers".to_owned(),
                message: "add list on horizontalpodautoscalers (autoscaling) to the operator's Role"
                    .to_owned(),
            }],
        }),
        ..empty()
    }
}

/// A system that was installed a day before the run, without an error counter.
pub(crate) fn partial_coverage() -> BaselineRecord {
    let day =
        Basis { from: "2026-11-22T02:00:00Z".parse().unwrap(), coverage_percent: Some(14.28), ..basis() };
    let web = |bounds: &[f64]| Basis {
        resolution_ms: Some(bounds.to_vec()),
        samples: Some(1_728_000),
        ..day.clone()
    };
    BaselineRecord {
        sources: vec![collected("prometheus", 1_204, 12, Some(9_600))],
        web_metrics: Some(WebMetrics {
            page_load_p50_ms: Some(0.85),
            page_load_p95_ms: Some(4.2),
            requests_per_second: Some(20.0),
            ..WebMetrics::default()
        }),
        basis: [
            ("web_metrics.page_load_p50_ms", web(&[0.0, 1.0])),
            ("web_metrics.page_load_p95_ms", web(&[2.5, 5.0])),
            ("web_metrics.requests_per_second", day.clone()),
            (
                "web_metrics.error_rate_percent",
                missing("no series matches http_requests_total{job=\"odoo\"}"),
            ),
            ("api_metrics", missing("no series of api_requests_total within the window")),
            ("api_metrics.requests_per_second", missing("no series of api_requests_total within the window")),
        ]
        .into_iter()
        .map(|(path, basis)| (path.to_owned(), basis))
        .collect(),
        ..empty()
    }
}

/// A record whose every text of the measured world is `text`.
pub(crate) fn saying(text: &str) -> BaselineRecord {
    let mut record = full();
    let own = || text.to_owned();
    record.name = own();
    record.namespace = own();
    record.run = own();
    record.complete = false;
    for source in &mut record.sources {
        source.name = own();
        source.state = SourceState::Failed;
        source.message = Some(own());
        source.warnings = vec![own()];
    }
    let figures = map(&[(text, 1.0), ("other", 2.0)]);
    if let Some(api) = &mut record.api_metrics {
        api.top_endpoints = Some(figures.clone());
    }
    if let Some(infrastructure) = &mut record.infrastructure_metrics {
        infrastructure.cpu_usage_by_pod = Some(figures.clone());
        infrastructure.memory_mb_by_pod = Some(figures);
    }
    if let Some(kubernetes) = &mut record.kubernetes {
        kubernetes.unknown = vec![UnknownFact { fact: own(), message: own() }];
        for workload in &mut kubernetes.workloads {
            workload.kind = own();
            workload.name = own();
            for container in &mut workload.containers {
                container.requests.insert("cpu".to_owned(), own());
                container.limits.insert(own(), own());
            }
            if let Some(autoscaler) = &mut workload.autoscaler {
                autoscaler.name = own();
                autoscaler.problems = vec![own()];
                for metric in &mut autoscaler.metrics {
                    metric.name = own();
                    metric.target = own();
                    metric.current = Some(own());
                }
            }
        }
    }
    database::say(&mut record, text);
    cache::say(&mut record, text);
    record.custom_metrics = Some(map(&[(text, CustomMetric { value: 1.0, unit: Unit::Count })]));
    record.truncated = [(own(), 3)].into_iter().collect();
    for basis in record.basis.values_mut() {
        basis.note = Some(own());
    }
    record
}
