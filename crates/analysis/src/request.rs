//! What one run is asked to measure: the spec with its defaults resolved, and nothing left to decide.
//!
//! The operator writes it into the Job's environment as JSON, and `plimsoll collect` builds the same value from a
//! file, so that both run the same code. It names Secrets and keys and never holds their content.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Version of the request's meaning.
pub const SCHEMA: &str = "plimsoll.dev/baseline-request/v1";

/// Names of the sources that a run reads by itself: fields of a request, and names in a record.
pub const SOURCES: [&str; 3] = ["prometheus", "postgres", "redis"];

/// One run of a PerformanceBaseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineRequest {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Name of the resource.
    pub name: String,
    /// Namespace of the resource; infrastructure figures are of this namespace.
    pub namespace: String,
    /// UID of the resource; empty without a cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Name of the run: also of its Job and its ConfigMap.
    pub run: String,
    /// `sha256:` and 64 hexadecimal digits over UID, spec hash and trigger.
    pub run_key: String,
    /// Length of the window in seconds; its end is the evaluation instant.
    pub window_seconds: u64,
    /// The evaluation instant, where it is fixed (tests, a scheduled slot read later); otherwise the start of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Time between the two snapshots of cumulative counters, seconds; 0 takes one snapshot.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sample_seconds: u64,
    /// Where Prometheus is, if it is a source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusRequest>,
    /// Where PostgreSQL is, if it is a source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresRequest>,
    /// Where Redis is, if it is a source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisRequest>,
    /// Web figures to collect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<WebRequest>,
    /// API figures to collect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiRequest>,
    /// Database figures to collect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseRequest>,
    /// Cache figures to collect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheRequest>,
    /// The user's own queries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricRequest>,
    /// Addresses that the run may not contact (the API server's), each `address:port`, IPv6 in brackets.
    /// Loopback and link-local addresses are refused in a Job besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forbidden_addresses: Vec<String>,
}

/// A server that speaks the Prometheus HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrometheusRequest {
    /// Base URL, without credentials, query or fragment; `/api/v1/...` is appended.
    pub url: String,
    /// How to authenticate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// CA bundle in PEM; the public roots otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<KeyRef>,
    /// Name to verify the server's certificate for, where it is not the URL's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Further headers, for example a tenant (`X-Scope-OrgID`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
}

/// How to authenticate to a Prometheus server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Auth {
    /// `Authorization: Bearer <value of the key>`.
    Bearer(KeyRef),
    /// HTTP Basic with two keys.
    Basic {
        /// Key with the user's name.
        username: KeyRef,
        /// Key with the password.
        password: KeyRef,
    },
}

/// A PostgreSQL server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresRequest {
    /// Where it is and who we are there.
    pub access: PostgresAccess,
    /// Whether and how TLS is used.
    pub ssl_mode: SslMode,
    /// CA bundle in PEM; the public roots otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<KeyRef>,
    /// Name to verify the server's certificate for, where it is not the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// Where a PostgreSQL database is and who we are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PostgresAccess {
    /// All of it in one key: `postgresql://user:password@host:port/database`.
    Uri(KeyRef),
    /// Host, port and database from the spec, user and password from keys.
    Parts {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// Name of the database.
        database: String,
        /// Key with the user's name.
        username: KeyRef,
        /// Key with the password.
        password: KeyRef,
    },
}

/// Whether and how TLS is used towards PostgreSQL, in libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SslMode {
    /// Never.
    Disable,
    /// Where the server offers it, unverified.
    Prefer,
    /// Always, unverified.
    Require,
    /// Always; the certificate must come from the CA, for whatever name.
    VerifyCA,
    /// Always; the certificate must come from the CA and be for the host.
    VerifyFull,
}

/// A Redis or Valkey server, or the Sentinels that know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisRequest {
    /// Where it is and who we are there.
    pub access: RedisAccess,
    /// TLS, where it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RedisTls>,
    /// Set where the address is a Sentinel's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<SentinelRequest>,
}

/// Where a Redis server is and who we are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RedisAccess {
    /// All of it in one key: `redis://user:password@host:port` or `rediss://...`, which uses TLS.
    Uri(KeyRef),
    /// Host and port from the spec.
    Parts {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// Where user and password are; none are sent when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credentials: Option<RedisCredentials>,
    },
}

/// User and password of a Redis server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisCredentials {
    /// Key with the user's name, which may be absent from its Secret: then the user is `default`.
    pub username: KeyRef,
    /// Key with the password.
    pub password: KeyRef,
}

/// How to verify a Redis server's certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisTls {
    /// CA bundle in PEM; the public roots otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<KeyRef>,
    /// Name to verify the certificate for, where it is not the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// How to find the server by its Sentinels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentinelRequest {
    /// Name under which the Sentinels watch the master.
    pub master_name: String,
    /// User and password of the Sentinels themselves; none are sent when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<RedisCredentials>,
}

/// What to read of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseRequest {
    /// How many tables to list by size.
    pub top_tables: u32,
    /// How many statements to list by mean time.
    pub top_queries: u32,
    /// Mean execution time above which a statement is slow, milliseconds.
    pub slow_query_threshold_ms: u64,
    /// Name of a Prometheus histogram of query times in seconds, without `_bucket`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_histogram: Option<String>,
    /// Label matchers of that histogram, without braces; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub matchers: String,
    /// Names for statements, by `queryid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<StatementLabel>,
}

/// A name for a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementLabel {
    /// `queryid` of pg_stat_statements.
    pub query_id: String,
    /// Its name in reports.
    pub label: String,
}

/// What to read of a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRequest {
    /// How many keys to sample; 0 samples none.
    pub sample_keys: u64,
    /// Longest time for sampling and counting sessions, milliseconds.
    pub max_duration_ms: u64,
    /// What ends the prefix of a key; not empty.
    pub delimiter: String,
    /// How a session's key begins; empty counts no sessions.
    pub session_prefix: String,
    /// Part of the server's time that reading keys may take, percent, 1 to 100. No spec sets it: benchmarks do.
    #[serde(default = "default_duty", skip_serializing_if = "is_default_duty")]
    pub duty_percent: u8,
}

impl CacheRequest {
    /// Part of the server's time that reading keys takes at most, percent.
    pub const DEFAULT_DUTY_PERCENT: u8 = 20;
}

fn default_duty() -> u8 {
    CacheRequest::DEFAULT_DUTY_PERCENT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_default_duty(duty: &u8) -> bool {
    *duty == CacheRequest::DEFAULT_DUTY_PERCENT
}

/// One key of a Secret or a ConfigMap of the resource's own namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyRef {
    /// Which kind of object.
    pub kind: KeyKind,
    /// Name of the object.
    pub name: String,
    /// Key in its data.
    pub key: String,
}

/// Kind of object that holds a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KeyKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

/// One HTTP header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: HeaderValue,
}

/// Where a header's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeaderValue {
    /// Written in the spec.
    Literal(String),
    /// In a Secret.
    From(KeyRef),
}

/// Names of the web metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebRequest {
    /// Name of a histogram in seconds, without `_bucket`; classic or native.
    pub latency_histogram: String,
    /// Name of a counter of requests.
    pub request_counter: String,
    /// Label matchers without braces, for example `job="odoo"`; may be empty.
    pub matchers: String,
    /// Label matchers that select failed requests, beside `matchers`.
    pub error_matchers: String,
}

/// Names of the API metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiRequest {
    /// Name of a histogram in seconds, without `_bucket`; classic or native.
    pub latency_histogram: String,
    /// Name of a counter of requests.
    pub request_counter: String,
    /// Label matchers without braces; may be empty.
    pub matchers: String,
    /// Label matchers that select failed requests, beside `matchers`.
    pub error_matchers: String,
    /// Label that names an endpoint.
    pub endpoint_label: String,
    /// How many endpoints to keep, by rate.
    pub top: u32,
}

/// A query of the user's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricRequest {
    /// Key in `custom_metrics`.
    pub name: String,
    /// PromQL that gives a scalar or exactly one series.
    pub query: String,
    /// What the number means.
    pub unit: Unit,
}

/// What a number means. A `Ratio` is 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// A part of one, 0 to 1.
    Ratio,
    /// Bytes.
    Bytes,
    /// A count of things.
    Count,
    /// A rate, per second.
    PerSecond,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl BaselineRequest {
    /// Every key that a source needs, in the order in which they are first named. A run without one of them fails.
    #[must_use]
    pub fn keys(&self) -> Vec<&KeyRef> {
        let prometheus = self.prometheus.iter().flat_map(PrometheusRequest::keys);
        let postgres = self.postgres.iter().flat_map(PostgresRequest::keys);
        let redis = self.redis.iter().flat_map(RedisRequest::keys);
        prometheus.chain(postgres).chain(redis).collect()
    }

    /// Every key that is used where it is there and is no fault where it is not.
    #[must_use]
    pub fn optional_keys(&self) -> Vec<&KeyRef> {
        self.redis.iter().flat_map(RedisRequest::optional_keys).collect()
    }
}

impl PostgresRequest {
    /// Every key that this source needs.
    #[must_use]
    pub fn keys(&self) -> Vec<&KeyRef> {
        let mut keys = match &self.access {
            PostgresAccess::Uri(uri) => vec![uri],
            PostgresAccess::Parts { username, password, .. } => vec![username, password],
        };
        keys.extend(&self.ca);
        keys
    }
}

impl RedisRequest {
    /// Every key that this source needs.
    #[must_use]
    pub fn keys(&self) -> Vec<&KeyRef> {
        let mut keys: Vec<&KeyRef> = match &self.access {
            RedisAccess::Uri(uri) => vec![uri],
            RedisAccess::Parts { credentials, .. } => {
                credentials.iter().map(|credentials| &credentials.password).collect()
            }
        };
        keys.extend(self.tls.iter().filter_map(|tls| tls.ca.as_ref()));
        keys.extend(self.sentinel_credentials().map(|credentials| &credentials.password));
        keys
    }

    /// Every key that is used where it is there and is no fault where it is not: the users' names.
    #[must_use]
    pub fn optional_keys(&self) -> Vec<&KeyRef> {
        let own = match &self.access {
            RedisAccess::Uri(_) => None,
            RedisAccess::Parts { credentials, .. } => credentials.as_ref(),
        };
        own.into_iter().chain(self.sentinel_credentials()).map(|credentials| &credentials.username).collect()
    }

    fn sentinel_credentials(&self) -> Option<&RedisCredentials> {
        self.sentinel.as_ref().and_then(|sentinel| sentinel.credentials.as_ref())
    }
}

impl PrometheusRequest {
    /// Every key that this source reads, in the order in which they are first named.
    #[must_use]
    pub fn keys(&self) -> Vec<&KeyRef> {
        let auth: Vec<&KeyRef> = match &self.auth {
            None => Vec::new(),
            Some(Auth::Bearer(key)) => vec![key],
            Some(Auth::Basic { username, password }) => vec![username, password],
        };
        let headers = self.headers.iter().filter_map(|header| match &header.value {
            HeaderValue::Literal(_) => None,
            HeaderValue::From(key) => Some(key),
        });
        auth.into_iter().chain(self.ca.as_ref()).chain(headers).collect()
    }
}
