//! Types that more than one kind uses: sources, references, headers, TLS.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where measurements come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sources {
    /// A server that speaks the Prometheus HTTP API: Prometheus, Thanos, Mimir or VictoriaMetrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusSource>,
    /// Workloads of this namespace whose requests, limits, restarts, replicas, autoscalers and usage are recorded.
    /// The operator reads them from the Kubernetes API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workloads: Option<WorkloadSource>,
}

/// A server that speaks the Prometheus HTTP API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusSource {
    /// Base URL, http or https, without user, query or fragment; a path prefix is kept. For example
    /// "http://prometheus.monitoring:9090". It is contacted from a Job in this namespace, so this namespace's network
    /// policy decides what it reaches; loopback, link-local and API server addresses are refused, redirects are never
    /// followed.
    #[schemars(length(min = 8, max = 2048))]
    #[x_kube(validation = ("self.matches('^https?://[^/?#@ ]+(/[^?#@ ]*)?$')", "must be an http or https URL without user, query or fragment, for example http://prometheus.monitoring:9090"))]
    pub url: String,
    /// How to authenticate. Nothing is sent when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<PrometheusAuth>,
    /// How to verify an https server. The public certificate authorities are trusted when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsClient>,
    /// Further request headers, at most 16, for example a tenant of Mimir.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".to_owned()]))]
    pub headers: Vec<HttpHeader>,
}

/// How to authenticate to a Prometheus server; the member that "type" names is set and no other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("(self.type == 'Bearer') == has(self.bearer)", "bearer is set exactly when type is Bearer"))]
#[x_kube(validation = ("(self.type == 'Basic') == has(self.basic)", "basic is set exactly when type is Basic"))]
pub struct PrometheusAuth {
    /// Bearer sends a token, Basic a user name and a password.
    pub r#type: PrometheusAuthType,
    /// Token for "Authorization: Bearer".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<BearerAuth>,
    /// User name and password for HTTP Basic.
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
    /// Key of a Secret of this namespace that holds the token. Whoever creates or edits this object must be allowed to
    /// get that Secret.
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
    /// Certificate authorities in PEM that replace the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<CaSource>,
    /// Name in the server's certificate, where it is not the URL's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$"))]
    pub server_name: Option<String>,
}

/// A CA bundle; exactly one member is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.secretKeyRef) != has(self.configMapKeyRef)", "exactly one of secretKeyRef and configMapKeyRef is set"))]
pub struct CaSource {
    /// Key of a Secret of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeySelector>,
    /// Key of a ConfigMap of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeySelector>,
}

/// One request header; exactly one of "value" and "valueFrom" is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.value) != has(self.valueFrom)", "exactly one of value and valueFrom is set"))]
#[x_kube(validation = ("!(self.name.lowerAscii() in ['authorization', 'host', 'content-length', 'content-type', 'transfer-encoding', 'connection'])", "this header is set by Plimsoll; credentials belong in auth"))]
pub struct HttpHeader {
    /// Header name, for example "X-Scope-OrgID".
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub name: String,
    /// Value, visible to whoever may read this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), regex(pattern = r"^[\x20-\x7E]*$"))]
    pub value: Option<String>,
    /// Value from a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<HeaderValueSource>,
}

/// Where a header's value comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderValueSource {
    /// Key of a Secret of this namespace.
    pub secret_key_ref: KeySelector,
}

/// One key of a Secret or ConfigMap of this namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeySelector {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Key in its data.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-_a-zA-Z0-9][-._a-zA-Z0-9]*$"))]
    pub key: String,
}

/// An object of this namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectName {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// Workloads to record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSource {
    /// Which Deployments, StatefulSets and DaemonSets of this namespace, by their labels. An empty selector takes all;
    /// at most 50 are recorded.
    pub selector: LabelSelector,
}
