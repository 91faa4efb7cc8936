//! What a Redis or Valkey server said. The seed's keys keep their names. "mb" is MiB (1,048,576 bytes), as in the seed.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Figures of a cache; the seed's keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CacheMetrics {
    /// Hits per hundred lookups over the server's life; absent without lookups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hit_rate: Option<f64>,
    /// Hits per hundred lookups over the judged basis: since the previous run, else between two snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hit_rate_window: Option<f64>,
    /// Memory in use, MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_memory_mb: Option<f64>,
    /// Client connections, ours among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_clients: Option<u64>,
    /// Keys of all databases of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_keys: Option<u64>,
    /// Keys evicted for memory over the server's life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evicted_keys: Option<u64>,
    /// Keys expired over the server's life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_keys: Option<u64>,
}

/// Usage, keyspace, configuration and sessions; the seed's keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CacheAnalysis {
    /// As `cache_metrics.hit_rate`, rounded to two decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hit_rate_percent: Option<f64>,
    /// Memory in use, MiB, rounded to two decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used_mb: Option<f64>,
    /// Most memory ever in use, MiB, rounded to two decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak_mb: Option<f64>,
    /// Resident memory over memory in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fragmentation_ratio: Option<f64>,
    /// As `cache_metrics.connected_clients`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_clients: Option<u64>,
    /// As `cache_metrics.evicted_keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evicted_keys: Option<u64>,
    /// As `cache_metrics.expired_keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_keys: Option<u64>,
    /// The sampled keys by prefix, the ten largest by size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_patterns: Option<IndexMap<String, KeyPattern>>,
    /// What the sample says of the whole keyspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyspace: Option<Keyspace>,
    /// Memory limit and eviction policy as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_config: Option<CacheConfig>,
    /// What to change, in the seed's form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommendations: Option<Vec<CacheRecommendation>>,
    /// Settings that the recommendations amount to, in the server's own spelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested_config: Option<IndexMap<String, String>>,
    /// Keys with the session prefix; an estimate where `sessions_complete` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_sessions: Option<u64>,
    /// Whether there is any session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_cache_enabled: Option<bool>,
    /// Mean memory of a session over at most 100 of them, KiB; absent without sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_session_size_kb: Option<f64>,
    /// Whether every key was looked at for the count of sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions_complete: Option<bool>,
    /// What server it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<CacheServer>,
}

/// Sampled keys of one prefix.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KeyPattern {
    /// Keys in the sample.
    pub count: u64,
    /// Their memory, MiB, rounded to two decimals.
    pub size_mb: f64,
}

/// What a sample of keys says of all keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Keyspace {
    /// Keys whose size was read.
    pub sampled_keys: u64,
    /// Keys of all databases of the server.
    pub total_keys: u64,
    /// Whether every key was read.
    pub complete: bool,
    /// By prefix, largest estimate first, at most 50; the rest is summed in `(others)`.
    pub estimates: IndexMap<String, PrefixEstimate>,
    /// Single keys so large that they were counted apart from the estimates, largest first, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub giants: Vec<GiantKey>,
}

/// Estimate of all keys of one prefix.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PrefixEstimate {
    /// Keys.
    pub count: u64,
    /// Memory, MiB.
    pub size_mb: f64,
    /// Lower end of the 95 % confidence interval of the memory, MiB.
    pub low_mb: f64,
    /// Upper end of the 95 % confidence interval of the memory, MiB.
    pub high_mb: f64,
    /// Keys without an expiry per hundred of those asked: the first 1,000 sampled of the prefix, and every sixteenth.
    pub without_ttl_percent: f64,
}

/// One very large key. Its name is not recorded beyond the prefix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GiantKey {
    /// Its prefix.
    pub prefix: String,
    /// `string`, `hash`, `list`, `set`, `zset`, `stream`, or a module's name for it.
    #[serde(rename = "type")]
    pub kind: String,
    /// Memory, MiB.
    pub size_mb: f64,
}

/// Memory limit and eviction policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheConfig {
    /// `unlimited`, or MiB as in the seed, for example `4096MB`.
    pub maxmemory: String,
    /// `maxmemory-policy`.
    pub eviction_policy: String,
}

/// One recommendation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRecommendation {
    /// What is wrong.
    pub issue: String,
    /// How it is now.
    pub current: String,
    /// What to do.
    pub action: String,
}

/// What server answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheServer {
    /// `redis` or `valkey`.
    pub product: String,
    /// Its version.
    pub version: String,
    /// `master` or `slave`, as the server says it.
    pub role: String,
}
