//! What one run is asked to measure: the spec with its defaults resolved, and nothing left to decide.
//!
//! The operator writes it into the Job's environment as JSON, and `plimsoll collect` builds the same value from a
//! file, so that both run the same code. It names Secrets and keys and never holds their content.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Version of the request's meaning.
pub const SCHEMA: &str = "plimsoll.dev/baseline-request/v1";

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
    /// Where Prometheus is, if it is a source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusRequest>,
    /// Web figures to collect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<WebRequest>,
    /// API figures to collect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiRequest>,
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
