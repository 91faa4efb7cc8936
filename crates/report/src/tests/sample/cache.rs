//! Caches to report on.

use indexmap::IndexMap;
use plimsoll_analysis::record::{
    BaselineRecord, Basis, BasisKind, CacheAnalysis, CacheConfig, CacheMetrics, CacheRecommendation,
    CacheServer, Cost, GiantKey, KeyPattern, Keyspace, PrefixEstimate, Source,
};

pub(super) fn source() -> Source {
    let cost =
        Cost { commands: Some(3_214), bytes: Some(141_022), server_time_us: Some(8_120), ..Cost::default() };
    Source { cost: Some(cost), ..super::collected("redis", 62_002, 0, None) }
}

pub(super) fn metrics() -> CacheMetrics {
    CacheMetrics {
        hit_rate: Some(94.2),
        hit_rate_window: Some(95.04),
        used_memory_mb: Some(812.337_4),
        connected_clients: Some(43),
        total_keys: Some(204_112),
        evicted_keys: Some(0),
        expired_keys: Some(1_204_311),
    }
}

fn recommendation(issue: &str, current: &str, action: &str) -> CacheRecommendation {
    let [issue, current, action] = [issue, current, action].map(str::to_owned);
    CacheRecommendation { issue, current, action }
}

fn config(maxmemory: &str, policy: &str) -> CacheConfig {
    CacheConfig { maxmemory: maxmemory.to_owned(), eviction_policy: policy.to_owned() }
}

pub(super) fn analysis() -> CacheAnalysis {
    let estimate = |count, size_mb, low_mb, high_mb, without_ttl_percent| PrefixEstimate {
        count,
        size_mb,
        low_mb,
        high_mb,
        without_ttl_percent,
    };
    CacheAnalysis {
        hit_rate_percent: Some(94.2),
        memory_used_mb: Some(812.34),
        memory_peak_mb: Some(1_402.1),
        fragmentation_ratio: Some(1.62),
        connected_clients: Some(43),
        evicted_keys: Some(0),
        expired_keys: Some(1_204_311),
        key_patterns: Some(super::map(&[
            ("product", KeyPattern { count: 604, size_mb: 1.91 }),
            ("session", KeyPattern { count: 392, size_mb: 0.31 }),
            ("\\xff\\x00bin", KeyPattern { count: 4, size_mb: 0.0 }),
        ])),
        keyspace: Some(Keyspace {
            sampled_keys: 1_000,
            total_keys: 204_112,
            complete: false,
            estimates: super::map(&[
                ("product", estimate(123_283, 389.9, 371.2, 408.6, 2.0)),
                ("session", estimate(80_012, 63.3, 58.1, 68.5, 0.0)),
                ("(others)", estimate(817, 0.1, 0.01, 0.9, 100.0)),
            ]),
            giants: vec![GiantKey { prefix: "report".to_owned(), kind: "hash".to_owned(), size_mb: 214.0 }],
        }),
        current_config: Some(config("4096MB", "noeviction")),
        recommendations: Some(vec![
            recommendation(
                "No eviction policy set",
                "noeviction",
                "Set volatile-lru: 2% of the sampled keys have no expiry and look like data",
            ),
            recommendation(
                "High memory fragmentation",
                "1.62",
                "Consider MEMORY DOCTOR or restart during maintenance",
            ),
        ]),
        suggested_config: Some(
            [("maxmemory-policy", "volatile-lru"), ("lazyfree-lazy-eviction", "yes")]
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        ),
        active_sessions: Some(80_012),
        session_cache_enabled: Some(true),
        avg_session_size_kb: Some(0.81),
        sessions_complete: Some(false),
        server: Some(server("redis", "7.0.15", "master")),
    }
}

fn server(product: &str, version: &str, role: &str) -> CacheServer {
    let [product, version, role] = [product, version, role].map(str::to_owned);
    CacheServer { product, version, role }
}

pub(super) fn metrics_of_nothing() -> CacheMetrics {
    CacheMetrics {
        total_keys: Some(0),
        expired_keys: Some(0),
        hit_rate: None,
        hit_rate_window: None,
        ..metrics()
    }
}

pub(super) fn analysis_of_nothing() -> CacheAnalysis {
    let keyspace = Keyspace {
        sampled_keys: 0,
        total_keys: 0,
        complete: true,
        estimates: IndexMap::new(),
        giants: Vec::new(),
    };
    CacheAnalysis {
        hit_rate_percent: None,
        key_patterns: Some(IndexMap::new()),
        keyspace: Some(keyspace),
        current_config: Some(config("unlimited", "allkeys-lru")),
        recommendations: Some(Vec::new()),
        suggested_config: Some(IndexMap::new()),
        active_sessions: Some(0),
        session_cache_enabled: Some(false),
        avg_session_size_kb: None,
        sessions_complete: Some(true),
        server: Some(server("valkey", "8.1.1", "slave")),
        ..analysis()
    }
}

/// What a server says that refuses MEMORY USAGE, asked once.
pub(super) fn without_sampling(record: &mut BaselineRecord) {
    record.cache_metrics = Some(CacheMetrics { hit_rate_window: None, ..metrics() });
    record.cache_analysis = Some(CacheAnalysis {
        key_patterns: None,
        keyspace: None,
        avg_session_size_kb: None,
        recommendations: None,
        suggested_config: None,
        sessions_complete: Some(true),
        ..analysis()
    });
    record.basis.extend(basis());
    let once = super::missing("one look alone has no difference; set sampleDuration");
    record.basis.insert("cache_metrics.hit_rate_window".to_owned(), once);
    for path in ["cache_analysis.key_patterns", "cache_analysis.keyspace"] {
        record.basis.insert(path.to_owned(), super::missing("MEMORY USAGE was refused"));
    }
}

pub(super) fn basis() -> Vec<(String, Basis)> {
    let at = |text: &str| text.parse().unwrap();
    let none = Basis { coverage_percent: None, samples: None, ..super::basis() };
    let instant = Basis {
        kind: BasisKind::Instant,
        from: at("2026-11-23T02:00:02Z"),
        to: at("2026-11-23T02:00:02Z"),
        ..none.clone()
    };
    let sampled = Basis {
        kind: BasisKind::Sampled,
        from: at("2026-11-23T02:00:02Z"),
        to: at("2026-11-23T02:01:02Z"),
        samples: Some(20_412),
        ..none.clone()
    };
    let lifetime = Basis {
        kind: BasisKind::Lifetime,
        from: at("2026-11-01T00:00:00Z"),
        to: at("2026-11-23T02:01:02Z"),
        ..none
    };
    [
        ("cache_metrics.hit_rate_window", sampled),
        ("cache_metrics.hit_rate", lifetime.clone()),
        ("cache_metrics.evicted_keys", lifetime.clone()),
        ("cache_metrics.expired_keys", lifetime),
        ("cache_metrics.used_memory_mb", instant.clone()),
        ("cache_metrics.connected_clients", instant.clone()),
        ("cache_metrics.total_keys", instant.clone()),
        ("cache_analysis.memory_peak_mb", instant.clone()),
        ("cache_analysis.fragmentation_ratio", instant.clone()),
        ("cache_analysis.keyspace", instant.clone()),
        ("cache_analysis.current_config", instant.clone()),
        ("cache_analysis.active_sessions", Basis { samples: Some(39_211), ..instant.clone() }),
        ("cache_analysis.avg_session_size_kb", Basis { samples: Some(100), ..instant }),
    ]
    .into_iter()
    .map(|(path, basis)| (path.to_owned(), basis))
    .collect()
}

/// Puts a text wherever the cache has one.
pub(super) fn say(record: &mut BaselineRecord, text: &str) {
    let own = || text.to_owned();
    let Some(analysis) = &mut record.cache_analysis else { return };
    analysis.key_patterns = Some(super::map(&[(text, KeyPattern { count: 1, size_mb: 1.0 })]));
    if let Some(keyspace) = &mut analysis.keyspace {
        let estimate =
            PrefixEstimate { count: 1, size_mb: 1.0, low_mb: 0.5, high_mb: 2.0, without_ttl_percent: 0.0 };
        keyspace.estimates = super::map(&[(text, estimate), ("other", estimate)]);
        keyspace.giants = vec![GiantKey { prefix: own(), kind: own(), size_mb: 1.0 }];
    }
    analysis.current_config = Some(config(text, text));
    analysis.recommendations = Some(vec![recommendation(text, text, text)]);
    analysis.suggested_config = Some([(own(), own())].into_iter().collect());
    analysis.server = Some(server(text, text, text));
}
