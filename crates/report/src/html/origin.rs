//! Of what each figure was asked, in short. The names of metrics stand in the spec; formulas in full are in the project's
//! page on measurement.

/// What a figure was read from, by the beginning of its path: the longest that fits holds.
const ORIGINS: [(&str, &str); 38] = [
    (
        "web_metrics.page_load_",
        "Prometheus: quantile of sum by (le) (increase(web.latencyHistogram[window]))",
    ),
    ("web_metrics.requests_per_second", "Prometheus: sum(increase(web.requestCounter)) over the time seen"),
    ("web_metrics.error_rate_percent", "Prometheus: the same sum with web.errorMatchers, of the sum without"),
    (
        "api_metrics.response_time_",
        "Prometheus: quantile of sum by (le) (increase(api.latencyHistogram[window]))",
    ),
    ("api_metrics.requests_per_second", "Prometheus: sum(increase(api.requestCounter)) over the time seen"),
    ("api_metrics.error_rate_percent", "Prometheus: the same sum with api.errorMatchers, of the sum without"),
    (
        "api_metrics.top_endpoints",
        "Prometheus: increase(api.requestCounter) by api.endpointLabel, over the time seen",
    ),
    (
        "api_metrics.time_share_percent",
        "Prometheus: increase of the histogram's _sum by api.endpointLabel, of all",
    ),
    (
        "infrastructure_metrics.cpu_usage_by_pod",
        "Prometheus: increase(container_cpu_usage_seconds_total) by pod, over the time seen",
    ),
    ("infrastructure_metrics.cpu_throttled", "Prometheus: throttled of all CFS periods by pod"),
    (
        "infrastructure_metrics.memory_mb_by_pod",
        "Prometheus: container_memory_usage_bytes by pod at the window's end",
    ),
    (
        "infrastructure_metrics.network_receive",
        "Prometheus: increase(container_network_receive_bytes_total) over the time seen",
    ),
    ("custom_metrics.", "Prometheus: the query of this name in spec.metrics or spec.objectives"),
    (
        "database_metrics.query_time_p95_ms",
        "Prometheus: bucket of database.latencyHistogram; without one, bounds from calls, mean and deviation in pg_stat_statements",
    ),
    ("database_metrics.connections", "PostgreSQL: pg_stat_activity of this database, by state"),
    ("database_metrics.top_tables", "PostgreSQL: pg_total_relation_size and estimated rows"),
    ("database_metrics.slow_queries", "PostgreSQL: pg_stat_statements, by total time over calls"),
    (
        "database_analysis.slow_queries",
        "PostgreSQL: pg_stat_statements, mean above database.slowQueryThreshold",
    ),
    (
        "database_analysis.missing_indexes",
        "PostgreSQL: pg_stat_user_tables, seq_scan above 100 and above idx_scan",
    ),
    (
        "database_analysis.unused_indexes",
        "PostgreSQL: pg_stat_user_indexes, fewer than 50 scans and more than 10 MiB",
    ),
    ("database_analysis.duplicate_indexes", "PostgreSQL: pg_index, columns that another index has first"),
    ("database_analysis.invalid_indexes", "PostgreSQL: pg_index, not valid, ready or live"),
    ("database_analysis.dead_tuples", "PostgreSQL: pg_stat_user_tables, n_dead_tup"),
    ("database_analysis.stale_statistics", "PostgreSQL: pg_stat_user_tables, n_mod_since_analyze"),
    ("database_analysis.cache_hit_ratio", "PostgreSQL: pg_stat_database, blks_hit of blks_hit and blks_read"),
    (
        "database_analysis.connection_headroom",
        "PostgreSQL: pg_stat_activity of the server, of max_connections less the reserved",
    ),
    ("database_analysis.settings", "PostgreSQL: pg_settings"),
    ("cache_metrics.hit_rate", "Redis: INFO stats, keyspace_hits of hits and misses"),
    ("cache_analysis.hit_rate", "Redis: INFO stats, keyspace_hits of hits and misses"),
    ("cache_metrics.total_keys", "Redis: INFO keyspace, over all databases"),
    ("cache_metrics.", "Redis: INFO"),
    ("cache_analysis.key_patterns", "Redis: SCAN and MEMORY USAGE of a sample of keys"),
    ("cache_analysis.keyspace", "Redis: estimate of all keys from the sample (Horvitz-Thompson)"),
    ("cache_analysis.recommendations", "the rules of this project, over Redis' INFO"),
    ("cache_analysis.active_sessions", "Redis: SCAN for cache.sessionPrefix"),
    ("cache_analysis.avg_session_size_kb", "Redis: MEMORY USAGE of the first 100 sessions"),
    ("cache_analysis.", "Redis: INFO"),
    ("kubernetes.", "the Kubernetes API, when the run was recorded"),
];

/// What the figure of a path was read from.
pub(super) fn of(path: &str) -> Option<&'static str> {
    let fitting = ORIGINS.iter().filter(|(beginning, _)| path.starts_with(beginning));
    fitting.max_by_key(|(beginning, _)| beginning.len()).map(|(_, origin)| *origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_holds() {
        assert_eq!(of("cache_metrics.hit_rate_window"), of("cache_metrics.hit_rate"));
        assert_eq!(of("cache_metrics.evicted_keys"), Some("Redis: INFO"));
        assert_ne!(of("cache_metrics.total_keys"), of("cache_metrics.evicted_keys"));
        assert_eq!(of("something.else"), None);
    }
}
