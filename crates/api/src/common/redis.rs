//! Where a Redis or Valkey server is.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HOST, ObjectName, TlsClient, rule};

/// A Redis or Valkey server, or the Sentinels that know it. It is read with commands that change nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule("has(self.host) || has(self.credentials)", "without host, credentials must name a Secret whose key uri says where the server is", ".credentials"))]
#[x_kube(validation = rule("has(self.host) || !has(self.port) || self.port == 6379", "port needs host; without host the key uri of the Secret names the port", ".port"))]
#[x_kube(validation = rule("(has(self.topology) && self.topology == 'Sentinel') == has(self.sentinel)", "sentinel is set exactly when topology is Sentinel", ".sentinel"))]
#[x_kube(validation = rule("!has(self.topology) || self.topology != 'Sentinel' || has(self.host)", "topology Sentinel needs host, the name or address of the Sentinels", ".host"))]
pub struct RedisSource {
    /// Name or address of the server, or of the Sentinels where topology is Sentinel, for example "redis" for a Service of
    /// this namespace; an IPv6 address stands without brackets. It is contacted from a pod in this namespace, so this
    /// namespace's network policies decide what can be reached. Loopback, link-local and metadata addresses and the API
    /// server are refused. When absent, the key "uri" of the Secret says host, port, user and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = HOST))]
    pub host: Option<String>,
    /// Port of the server, or of the Sentinels, where it is usually 26379. Set only with host.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Where user and password are; none are sent when absent. Needed without host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<RedisCredentials>,
    /// Set it to use TLS, towards server and Sentinels alike; "tls: {}" trusts the public certificate authorities. A uri
    /// that begins with rediss:// uses TLS without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsClient>,
    /// Standalone: host is the server's, a replica of it or not. Sentinel: host is that of the Sentinels, which are asked
    /// for the server. Redis Cluster is not supported: name one of its nodes and the run says so.
    #[serde(default = "default_topology")]
    pub topology: RedisTopology,
    /// How to ask the Sentinels. Set exactly when topology is Sentinel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<Sentinel>,
}

/// User and password of a Redis server in a Secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedisCredentials {
    /// Secret of this namespace: with host, its key "password" and, where the user is not "default", its key "username";
    /// without host, its key "uri", for example rediss://reader:secret@redis:6379. Whoever creates or edits this object
    /// must be allowed to get that Secret.
    pub secret_ref: ObjectName,
}

/// What the address of a Redis source belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RedisTopology {
    /// One server.
    Standalone,
    /// The Sentinels that know the server.
    Sentinel,
}

/// How to ask Sentinels for the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sentinel {
    /// Name under which the Sentinels watch the server, as in "sentinel monitor NAME ...": letters, digits, ".", "-" and
    /// "_", for example "mymaster".
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub master_name: String,
    /// Where user and password of the Sentinels themselves are, in the same keys; none are sent to them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<SentinelCredentials>,
}

/// User and password of Sentinels in a Secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SentinelCredentials {
    /// Secret of this namespace with the key "password" and, where the user is not "default", the key "username". Whoever
    /// creates or edits this object must be allowed to get that Secret.
    pub secret_ref: ObjectName,
}

fn default_port() -> i32 {
    6379
}

fn default_topology() -> RedisTopology {
    RedisTopology::Standalone
}
