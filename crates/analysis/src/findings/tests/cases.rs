//! For each rule a record that fires it, and one that just does not.

use crate::findings::RULES;
use crate::judgement::Impact;
use crate::record::*;

/// A change to the healthy record.
pub(super) type Change = fn(&mut BaselineRecord);

/// The rule, what it is about, a record that fires it, and one that is as near to it as can be and does not.
pub(super) struct Case {
    pub(super) id: &'static str,
    pub(super) subject: &'static str,
    pub(super) impact: Impact,
    pub(super) seeded: Change,
    pub(super) nearly: Change,
}

pub(super) fn api(record: &mut BaselineRecord) -> &mut ApiMetrics {
    record.api_metrics.as_mut().unwrap()
}

pub(super) fn database(record: &mut BaselineRecord) -> &mut DatabaseAnalysis {
    record.database_analysis.as_mut().unwrap()
}

pub(super) fn cache(record: &mut BaselineRecord) -> &mut CacheAnalysis {
    record.cache_analysis.as_mut().unwrap()
}

pub(super) fn hits(record: &mut BaselineRecord, percent: f64, evicted: u64) {
    let metrics = record.cache_metrics.as_mut().unwrap();
    (metrics.hit_rate_window, metrics.evicted_keys) = (Some(percent), Some(evicted));
}

pub(super) fn few_lookups(record: &mut BaselineRecord, lookups: u64) {
    hits(record, 10.0, 0);
    record.basis.get_mut("cache_metrics.hit_rate_window").unwrap().samples = Some(lookups);
}

pub(super) fn few_blocks(record: &mut BaselineRecord, blocks: u64) {
    database(record).cache_hit_ratio = Some(0.5);
    record.basis.get_mut("database_analysis.cache_hit_ratio").unwrap().samples = Some(blocks);
}

pub(super) fn errors(record: &mut BaselineRecord, requests_per_second: f64, percent: f64) {
    let metrics = record.web_metrics.as_mut().unwrap();
    metrics.requests_per_second = Some(requests_per_second);
    metrics.error_rate_percent = Some(percent);
}

pub(super) fn connections(record: &mut BaselineRecord, used: u64) {
    database(record).connection_headroom = Some(ConnectionHeadroom { used, max: 100 });
}

/// A cache whose only large prefix has this much memory, without a TTL.
pub(super) fn small(record: &mut BaselineRecord, size_mb: f64) {
    cache(record).keyspace.as_mut().unwrap().estimates.shift_remove("farmer");
    prefix(record, 100.0, size_mb);
}

pub(super) fn prefix(record: &mut BaselineRecord, without_ttl_percent: f64, size_mb: f64) {
    let estimates = &mut cache(record).keyspace.as_mut().unwrap().estimates;
    let one = estimates.get_mut("session").unwrap();
    (one.without_ttl_percent, one.size_mb) = (without_ttl_percent, size_mb);
}

pub(super) fn recommend(record: &mut BaselineRecord, issue: &str, current: &str) {
    let one = CacheRecommendation {
        issue: issue.to_owned(),
        current: current.to_owned(),
        action: "do so".to_owned(),
    };
    cache(record).recommendations = Some(vec![one]);
}

pub(super) fn throttled(record: &mut BaselineRecord, pod: &str, percent: f64) {
    let metrics = record.infrastructure_metrics.as_mut().unwrap();
    metrics.cpu_throttled_percent_by_pod.as_mut().unwrap().insert(pod.to_owned(), percent);
}

pub(super) fn odoo(record: &mut BaselineRecord) -> &mut Workload {
    let workloads = &mut record.kubernetes.as_mut().unwrap().workloads;
    workloads.iter_mut().find(|workload| workload.name == "odoo").unwrap()
}

pub(super) fn hpa(record: &mut BaselineRecord) -> &mut Autoscaler {
    odoo(record).autoscaler.as_mut().unwrap()
}

pub(super) fn slow(total_ms: f64) -> SlowStatement {
    SlowStatement {
        calls: 10,
        avg_ms: total_ms / 10.0,
        total_ms,
        rows: 10,
        query: Some("SELECT sum(quantity) FROM collection WHERE day = $1".to_owned()),
        query_id: "-42".to_owned(),
        label: Some("Daily summary".to_owned()),
    }
}

pub(super) fn index(index_scans: u64) -> UnusedIndex {
    UnusedIndex {
        schema: "public".to_owned(),
        table: "collection".to_owned(),
        index: "collection_note".to_owned(),
        size_bytes: 20 << 20,
        size: "20 MB".to_owned(),
        index_scans,
    }
}

pub(super) fn scanned(rows: f64) -> Vec<MissingIndex> {
    vec![MissingIndex {
        schema: "dairy".to_owned(),
        table: "collection".to_owned(),
        seq_scan: 900,
        seq_tup_read: (rows * 900.0) as u64,
        idx_scan: 3,
        avg_rows_per_seq_scan: rows,
    }]
}

pub(super) const CASES: [Case; RULES.len()] = [
    Case {
        id: "endpoint-time",
        subject: "/api/v1/reports",
        impact: Impact::Medium,
        seeded: |record| {
            let share = ("/api/v1/reports".to_owned(), 20.0);
            api(record).time_share_percent.as_mut().unwrap().extend([share]);
        },
        nearly: |record| {
            let share = ("/api/v1/reports".to_owned(), 19.9);
            api(record).time_share_percent.as_mut().unwrap().extend([share]);
        },
    },
    Case {
        id: "error-ratio",
        subject: "web requests",
        impact: Impact::Medium,
        seeded: |record| record.web_metrics.as_mut().unwrap().error_rate_percent = Some(1.0),
        nearly: |record| record.web_metrics.as_mut().unwrap().error_rate_percent = Some(0.99),
    },
    Case {
        id: "statement-time",
        subject: "Daily summary",
        impact: Impact::Medium,
        // The healthy record's statements take 90 s over an hour.
        seeded: |record| database(record).slow_queries = Some(vec![slow(10_000.0)]),
        nearly: |record| database(record).slow_queries = Some(vec![slow(8_999.0)]),
    },
    Case {
        id: "sequential-scan",
        subject: "dairy.collection",
        impact: Impact::Medium,
        seeded: |record| database(record).missing_indexes = Some(scanned(1_000.0)),
        nearly: |record| database(record).missing_indexes = Some(scanned(999.0)),
    },
    Case {
        id: "unused-index",
        subject: "collection_note",
        impact: Impact::Low,
        seeded: |record| database(record).unused_indexes = Some(vec![index(3)]),
        nearly: |record| database(record).unused_indexes = None,
    },
    Case {
        id: "duplicate-index",
        subject: "collection_note",
        impact: Impact::Low,
        seeded: |record| {
            let UnusedIndex { schema, table, index, size_bytes, size, .. } = index(0);
            let covered_by = "collection_note_day".to_owned();
            database(record).duplicate_indexes =
                Some(vec![DuplicateIndex { schema, table, index, covered_by, size_bytes, size }]);
        },
        nearly: |record| database(record).duplicate_indexes = None,
    },
    Case {
        id: "invalid-index",
        subject: "collection_note",
        impact: Impact::Medium,
        seeded: |record| {
            let UnusedIndex { schema, table, index, size_bytes, size, .. } = index(0);
            database(record).invalid_indexes =
                Some(vec![InvalidIndex { schema, table, index, size_bytes, size }]);
        },
        nearly: |record| database(record).invalid_indexes = None,
    },
    Case {
        id: "connection-saturation",
        subject: "connections of the server",
        impact: Impact::Medium,
        seeded: |record| {
            database(record).connection_headroom = Some(ConnectionHeadroom { used: 80, max: 100 });
        },
        nearly: |record| {
            database(record).connection_headroom = Some(ConnectionHeadroom { used: 79, max: 100 });
        },
    },
    Case {
        id: "buffer-misses",
        subject: "shared buffers",
        impact: Impact::Medium,
        seeded: |record| database(record).cache_hit_ratio = Some(0.949),
        nearly: |record| database(record).cache_hit_ratio = Some(0.95),
    },
    Case {
        id: "stale-statistics",
        subject: "collection",
        impact: Impact::Medium,
        seeded: |record| {
            database(record).stale_statistics = Some(vec![StaleStatistics {
                schema: "public".to_owned(),
                table: "collection".to_owned(),
                rows: 1_000_000,
                modified_since_analyze: 400_000,
                last_analyzed: None,
            }]);
        },
        nearly: |record| database(record).stale_statistics = None,
    },
    Case {
        id: "dead-rows",
        subject: "collection",
        impact: Impact::Medium,
        seeded: |record| {
            database(record).dead_tuples = Some(vec![DeadTuples {
                schema: "public".to_owned(),
                table: "collection".to_owned(),
                live: 30_000,
                dead: 90_000,
                dead_percent: 75.0,
                last_vacuumed: Some("2026-11-01T00:00:00Z".parse().unwrap()),
            }]);
        },
        nearly: |record| database(record).dead_tuples = None,
    },
    Case {
        id: "cache-eviction-loss",
        subject: "session",
        impact: Impact::Medium,
        seeded: |record| hits(record, 89.9, 1),
        nearly: |record| hits(record, 90.0, 1_000_000),
    },
    Case {
        id: "cache-misses",
        subject: "all keys",
        impact: Impact::Medium,
        seeded: |record| hits(record, 89.9, 0),
        nearly: |record| hits(record, 90.0, 0),
    },
    Case {
        id: "keys-without-ttl",
        subject: "session",
        impact: Impact::Low,
        seeded: |record| prefix(record, 50.0, 25.0),
        nearly: |record| prefix(record, 49.9, 25.0),
    },
    Case {
        id: "cache-memory",
        subject: "cache",
        impact: Impact::Medium,
        seeded: |record| recommend(record, "High memory utilization", "93.8%"),
        nearly: |record| recommend(record, "Another issue", "93.8%"),
    },
    Case {
        id: "cache-eviction-policy",
        subject: "cache",
        impact: Impact::Medium,
        seeded: |record| recommend(record, "No eviction policy set", "noeviction"),
        nearly: |record| recommend(record, "Another issue", "noeviction"),
    },
    Case {
        id: "cache-fragmentation",
        subject: "cache",
        impact: Impact::Low,
        seeded: |record| recommend(record, "High memory fragmentation", "1.62"),
        nearly: |record| recommend(record, "Another issue", "1.62"),
    },
    Case {
        id: "cpu-throttling",
        subject: "Deployment odoo",
        impact: Impact::Medium,
        seeded: |record| throttled(record, "odoo-7f9c8d6b54-x2x9k", 10.0),
        nearly: |record| throttled(record, "odoo-7f9c8d6b54-x2x9k", 9.9),
    },
    Case {
        id: "memory-near-limit",
        subject: "Deployment odoo",
        impact: Impact::High,
        // Two pods of 512 MiB each.
        seeded: |record| odoo(record).usage.as_mut().unwrap().memory_mib = 921.6,
        nearly: |record| odoo(record).usage.as_mut().unwrap().memory_mib = 921.5,
    },
    Case {
        id: "restarts",
        subject: "Deployment odoo",
        impact: Impact::Medium,
        seeded: |record| odoo(record).restarts = Some(3),
        nearly: |record| odoo(record).restarts = Some(2),
    },
    Case {
        id: "autoscaler-at-maximum",
        subject: "odoo-hpa (Deployment odoo)",
        impact: Impact::High,
        seeded: |record| hpa(record).max_replicas = 2,
        nearly: |record| hpa(record).max_replicas = 3,
    },
    Case {
        id: "autoscaler-behind",
        subject: "odoo-hpa (Deployment odoo)",
        impact: Impact::Medium,
        seeded: |record| hpa(record).desired_replicas = 3,
        nearly: |record| hpa(record).desired_replicas = 2,
    },
    Case {
        id: "autoscaler-problem",
        subject: "odoo-hpa (Deployment odoo)",
        impact: Impact::High,
        seeded: |record| {
            hpa(record).problems = vec!["ScalingActive=False: FailedGetResourceMetric".to_owned()];
        },
        nearly: |record| hpa(record).problems.clear(),
    },
];
