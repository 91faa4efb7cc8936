//! A record of a system in which nothing is to be mended.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::record::*;

fn map<V: Copy>(entries: &[(&str, V)]) -> IndexMap<String, V> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect()
}

fn amounts(cpu: &str, memory: &str) -> BTreeMap<String, String> {
    [("cpu", cpu), ("memory", memory)].map(|(name, amount)| (name.to_owned(), amount.to_owned())).into()
}

fn basis(kind: BasisKind) -> Basis {
    Basis {
        kind,
        from: "2026-11-24T09:00:00Z".parse().unwrap(),
        to: "2026-11-24T10:00:00Z".parse().unwrap(),
        coverage_percent: (kind == BasisKind::Window).then_some(99.8),
        samples: Some(240_000),
        resolution_ms: None,
        note: None,
    }
}

/// Every section that a rule reads, an hour of traffic.
pub(super) fn healthy() -> BaselineRecord {
    let names = RecordNames { name: "dairy", namespace: "smart", run: "dairy-1", run_key: "sha256:0" };
    let mut record = BaselineRecord::empty(names, 3_600, "2026-11-24T10:00:00Z".parse().unwrap());
    record.complete = true;
    record.web_metrics = Some(WebMetrics {
        page_load_p95_ms: Some(412.0),
        requests_per_second: Some(20.0),
        error_rate_percent: Some(0.1),
        ..WebMetrics::default()
    });
    record.api_metrics = Some(ApiMetrics {
        response_time_p95_ms: Some(181.0),
        requests_per_second: Some(20.0),
        error_rate_percent: Some(0.0),
        top_endpoints: Some(map(&[
            ("/api/v1/collections", 12.5),
            ("/api/v1/farmers", 7.0),
            ("/api/v1/reports", 0.5),
        ])),
        time_share_percent: Some(map(&[
            ("/api/v1/collections", 58.0),
            ("/api/v1/farmers", 33.0),
            ("/api/v1/reports", 9.0),
        ])),
        ..ApiMetrics::default()
    });
    record.database_metrics = Some(DatabaseMetrics::default());
    record.database_analysis = Some(database());
    record.cache_metrics = Some(CacheMetrics {
        hit_rate: Some(95.0),
        hit_rate_window: Some(96.0),
        used_memory_mb: Some(60.0),
        evicted_keys: Some(0),
        expired_keys: Some(1_200),
        ..CacheMetrics::default()
    });
    record.cache_analysis = Some(cache());
    record.infrastructure_metrics = Some(InfrastructureMetrics {
        cpu_usage_by_pod: Some(map(&[("odoo-7f9c8d6b54-x2x9k", 48.0), ("postgres-0", 20.0)])),
        cpu_throttled_percent_by_pod: Some(map(&[("odoo-7f9c8d6b54-x2x9k", 0.5)])),
        memory_mb_by_pod: Some(map(&[("odoo-7f9c8d6b54-x2x9k", 300.0), ("postgres-0", 900.0)])),
        ..InfrastructureMetrics::default()
    });
    record.kubernetes = Some(KubernetesFacts { workloads: vec![odoo(), postgres()], unknown: Vec::new() });
    bases(&mut record);
    record
}

fn bases(record: &mut BaselineRecord) {
    for (path, kind) in [
        ("web_metrics", BasisKind::Window),
        ("api_metrics", BasisKind::Window),
        ("infrastructure_metrics", BasisKind::Window),
        ("database_analysis.slow_queries", BasisKind::SincePreviousRun),
        ("database_analysis.cache_hit_ratio", BasisKind::SincePreviousRun),
        ("database_analysis.connection_headroom", BasisKind::Instant),
        ("database_analysis.missing_indexes", BasisKind::Lifetime),
        ("cache_metrics.hit_rate_window", BasisKind::SincePreviousRun),
        ("cache_analysis.keyspace", BasisKind::Instant),
    ] {
        record.basis.insert(path.to_owned(), basis(kind));
    }
}

fn database() -> DatabaseAnalysis {
    DatabaseAnalysis {
        slow_queries: Some(Vec::new()),
        top_statements: Some(Vec::new()),
        execution_time_ms: Some(90_000.0),
        missing_indexes: Some(Vec::new()),
        unused_indexes: Some(Vec::new()),
        duplicate_indexes: Some(Vec::new()),
        invalid_indexes: Some(Vec::new()),
        stale_statistics: Some(Vec::new()),
        dead_tuples: Some(Vec::new()),
        cache_hit_ratio: Some(0.995),
        settings: Some(IndexMap::from([("shared_buffers".to_owned(), "4GB".to_owned())])),
        connection_headroom: Some(ConnectionHeadroom { used: 24, max: 97 }),
        ..DatabaseAnalysis::default()
    }
}

fn cache() -> CacheAnalysis {
    let prefix = |count, size_mb| PrefixEstimate {
        count,
        size_mb,
        low_mb: size_mb * 0.9,
        high_mb: size_mb * 1.1,
        without_ttl_percent: 1.0,
    };
    CacheAnalysis {
        fragmentation_ratio: Some(1.1),
        keyspace: Some(Keyspace {
            sampled_keys: 1_000,
            total_keys: 20_000,
            complete: false,
            estimates: map(&[("session", prefix(14_000, 25.0)), ("farmer", prefix(6_000, 20.0))]),
            giants: Vec::new(),
        }),
        current_config: Some(CacheConfig {
            maxmemory: "512MB".to_owned(),
            eviction_policy: "allkeys-lru".to_owned(),
        }),
        recommendations: Some(Vec::new()),
        ..CacheAnalysis::default()
    }
}

fn workload(kind: &str, name: &str, replicas: i32, memory: &str) -> Workload {
    Workload {
        kind: kind.to_owned(),
        name: name.to_owned(),
        replicas: Replicas { desired: replicas, current: replicas, ready: replicas },
        restarts: Some(0),
        containers: vec![Container {
            name: name.to_owned(),
            requests: amounts("500m", memory),
            limits: amounts("2", memory),
        }],
        autoscaler: None,
        usage: Some(Usage { cpu_percent_of_core: 80.0, memory_mib: 600.0, pods: 2 }),
    }
}

fn odoo() -> Workload {
    let metric = AutoscalerMetric {
        name: "cpu".to_owned(),
        target: "70%".to_owned(),
        current: Some("45%".to_owned()),
    };
    Workload {
        autoscaler: Some(Autoscaler {
            name: "odoo-hpa".to_owned(),
            min_replicas: 1,
            max_replicas: 10,
            current_replicas: 2,
            desired_replicas: 2,
            metrics: vec![metric],
            problems: Vec::new(),
        }),
        ..workload("Deployment", "odoo", 2, "512Mi")
    }
}

fn postgres() -> Workload {
    workload("StatefulSet", "postgres", 1, "4Gi")
}
