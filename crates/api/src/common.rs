//! Types that more than one kind uses: sources, references, headers, TLS.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

mod postgres;
mod redis;

pub use postgres::{PostgresCredentials, PostgresSource, SslMode};
pub use redis::{RedisCredentials, RedisSource, RedisTopology, Sentinel, SentinelCredentials};

/// An http or https URL of a host, a port below 65,536 and a path in printable ASCII: no user, query, fragment, space or
/// control character, and nothing that different parsers read differently.
const URL_RULE: &str = r"self.matches('^https?://([A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?[.]?|\\[[0-9A-Fa-f:.]+\\])(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?(/[A-Za-z0-9._~!$&()*+,;=:%/-]*)?$')";

/// Headers that belong to the connection (RFC 9110, 7.6.1), to the message, or to authentication.
const RESERVED_HEADERS_RULE: &str = "!(self.name.lowerAscii() in ['accept', 'accept-encoding', 'authorization', 'connection', 'content-encoding', 'content-length', 'content-type', 'expect', 'host', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'])";

/// A host: a DNS name, an IPv4 address, or an IPv6 address without brackets.
const HOST: &str = r"^([A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$";

/// A label's value (Kubernetes' rule).
const LABEL_VALUE: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";

/// A label's name: an optional DNS prefix and a slash, and at most 63 characters (Kubernetes' rule).
const LABEL_NAME: &str = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";

/// A CEL rule that names the field which breaks it, with a path below its own place.
pub(crate) fn rule(rule: &str, message: &str, field: &str) -> Rule {
    Rule::new(rule).message(message).field_path(field)
}

/// Where measurements come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sources {
    /// A server that speaks the Prometheus HTTP API: Prometheus, Thanos, Mimir or VictoriaMetrics. From its cAdvisor
    /// metrics also come CPU, memory and network of this namespace's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusSource>,
    /// A PostgreSQL server, 13 or newer, and the database of it that is recorded. Needs the section database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresSource>,
    /// A Redis or Valkey server, or the Sentinels that know it. Needs the section cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisSource>,
    /// Workloads of this namespace whose requests, limits, restarts, replicas, autoscalers and usage are recorded. They are
    /// read from the Kubernetes API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workloads: Option<WorkloadSource>,
}

/// A server that speaks the Prometheus HTTP API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule("!has(self.tls) || self.url.startsWith('https://')", "tls needs an https URL", ".tls"))]
pub struct PrometheusSource {
    /// Base URL, http or https, without user, password, query and fragment, for example
    /// "http://prometheus.monitoring:9090"; a path prefix is kept, and /api/v1 is appended. It is contacted from a pod in
    /// this namespace, so this namespace's network policies decide what can be reached. Loopback, link-local and metadata
    /// addresses and the API server are refused, and no redirect is followed.
    #[schemars(length(min = 8, max = 2048))]
    #[x_kube(validation = (URL_RULE, "must be an http or https URL without user, query or fragment, for example http://prometheus.monitoring:9090"))]
    pub url: String,
    /// How to authenticate. No credentials are sent when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<PrometheusAuth>,
    /// How to verify the certificate of an https URL. The public certificate authorities are trusted when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsClient>,
    /// Further headers of every request, for example X-Scope-OrgID for a tenant of Mimir. Names differ in more than case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".to_owned()]))]
    #[x_kube(validation = ("self.all(one, self.exists_one(other, one.name.lowerAscii() == other.name.lowerAscii()))", "names of headers must differ in more than case"))]
    pub headers: Vec<HttpHeader>,
}

/// How to authenticate to a Prometheus server; the member that "type" names is set and no other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("(self.type == 'Bearer') == has(self.bearer)", "bearer is set exactly when type is Bearer"))]
#[x_kube(validation = ("(self.type == 'Basic') == has(self.basic)", "basic is set exactly when type is Basic"))]
pub struct PrometheusAuth {
    /// Bearer sends a token, Basic a user name and a password; the member of the same name is set and no other.
    pub r#type: PrometheusAuthType,
    /// Where the token for "Authorization: Bearer" is. Set exactly when type is Bearer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<BearerAuth>,
    /// Where user name and password for HTTP Basic are. Set exactly when type is Basic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuth>,
}

/// Which way to authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PrometheusAuthType {
    /// A token.
    Bearer,
    /// A user name and a password.
    Basic,
}

/// A token in a Secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BearerAuth {
    /// Key of a Secret of this namespace that holds the token and nothing else. Whoever creates or edits this object must
    /// be allowed to get that Secret.
    pub secret_key_ref: KeySelector,
}

/// A user name and a password in a Secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuth {
    /// Secret of this namespace with the keys "username" and "password" (type kubernetes.io/basic-auth). Whoever
    /// creates or edits this object must be allowed to get that Secret.
    pub secret_ref: ObjectName,
}

/// How to verify a TLS server. Verification cannot be switched off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsClient {
    /// Where the certificate authorities are, in PEM; they replace the public ones. Exactly one member is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<CaSource>,
    /// DNS name in the server's certificate, where it is not the name or address that is contacted. When absent, that name
    /// or address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$"))]
    pub server_name: Option<String>,
}

/// A CA bundle; exactly one member is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.secretKeyRef) != has(self.configMapKeyRef)", "exactly one of secretKeyRef and configMapKeyRef is set"))]
pub struct CaSource {
    /// Key of a Secret of this namespace with the bundle. Whoever creates or edits this object must be allowed to get that
    /// Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeySelector>,
    /// Key of a ConfigMap of this namespace with the bundle. Whoever creates or edits this object must be allowed to get
    /// that ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeySelector>,
}

/// One request header; exactly one of "value" and "valueFrom" is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.value) != has(self.valueFrom)", "exactly one of value and valueFrom is set"))]
#[x_kube(validation = (RESERVED_HEADERS_RULE, "this header is set by Plimsoll; credentials belong in auth"))]
pub struct HttpHeader {
    /// Name of the header, for example "X-Scope-OrgID". Not one that belongs to the connection or to the form of request
    /// and answer, such as Host, Connection or Accept-Encoding, and not Authorization: credentials belong in auth.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub name: String,
    /// Value, visible to whoever may read this object: printable ASCII. Exactly one of value and valueFrom is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), regex(pattern = r"^[\x20-\x7E]*$"))]
    pub value: Option<String>,
    /// Where a confidential value is. Exactly one of value and valueFrom is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<HeaderValueSource>,
}

/// Where a header's value comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderValueSource {
    /// Key of a Secret of this namespace that holds the value. Whoever creates or edits this object must be allowed to get
    /// that Secret.
    pub secret_key_ref: KeySelector,
}

/// One key of a Secret or ConfigMap of this namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeySelector {
    /// Name of the Secret or ConfigMap.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
    /// Key in its data, for example "token": letters, digits, "-", "_" and ".", not first a ".".
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-_a-zA-Z0-9][-._a-zA-Z0-9]*$"))]
    pub key: String,
}

/// An object of this namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectName {
    /// Name of the object.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
}

/// Workloads to record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSource {
    /// Which Deployments, StatefulSets and DaemonSets of this namespace, by their labels. An empty selector takes all. At
    /// most 50 are recorded, and the record says how many were left out.
    #[schemars(schema_with = "selector_schema")]
    pub selector: LabelSelector,
}

/// The schema of a label selector with bounds, which Kubernetes' own has not, and with its words for our reader.
fn selector_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "matchLabels": {
                "description": "Labels that a workload must have, all of them, each with exactly this value.",
                "type": "object",
                "maxProperties": 32,
                "additionalProperties": {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE},
            },
            "matchExpressions": {
                "description": "Conditions on labels, all of which a workload must meet.",
                "type": "array",
                "maxItems": 32,
                "items": {
                    "type": "object",
                    "description": "A condition on one label.",
                    "required": ["key", "operator"],
                    "x-kubernetes-validations": [{
                        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                        "message": "In and NotIn need values, Exists and DoesNotExist take none",
                    }],
                    "properties": {
                        "key": {
                            "description": "Name of the label, for example app.kubernetes.io/name.",
                            "type": "string",
                            "minLength": 1,
                            "maxLength": 317,
                            "pattern": LABEL_NAME,
                        },
                        "operator": {
                            "description": "In: the label has one of the values. NotIn: it has another value or is absent. Exists: it is there. DoesNotExist: it is absent.",
                            "type": "string",
                            "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                        },
                        "values": {
                            "description": "Values for In and NotIn; absent for Exists and DoesNotExist.",
                            "type": "array",
                            "maxItems": 32,
                            "items": {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE},
                        },
                    },
                },
            },
        },
    })
}
