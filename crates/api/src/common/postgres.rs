//! Where a PostgreSQL database is.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HOST, ObjectName, TlsClient, rule};

/// A PostgreSQL database. It is read over one connection, in read-only transactions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule("!has(self.host) || has(self.database)", "host needs database", ".database"))]
#[x_kube(validation = rule("has(self.host) || !has(self.database)", "database needs host; without host the key uri of the Secret names the database", ".database"))]
#[x_kube(validation = rule("has(self.host) || !has(self.port) || self.port == 5432", "port needs host; without host the key uri of the Secret names the port", ".port"))]
#[x_kube(validation = rule("!has(self.tls) || !has(self.sslMode) || self.sslMode in ['VerifyCA', 'VerifyFull']", "tls needs sslMode VerifyCA or VerifyFull; the other modes verify nothing", ".tls"))]
pub struct PostgresSource {
    /// Name or address of the server, for example "postgres" for a Service of this namespace; an IPv6 address stands
    /// without brackets. It is contacted from a pod in this namespace, so this namespace's network policies decide what can
    /// be reached. Loopback, link-local and metadata addresses and the API server are refused. When absent, the key "uri"
    /// of the Secret says host, port, database, user and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = HOST))]
    pub host: Option<String>,
    /// Port of the server. Set only with host.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Name of the database to record. Needed with host, and set only with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[^\x00-\x1F\x7F]+$"))]
    pub database: Option<String>,
    /// Where user and password are. The user needs the role pg_monitor and nothing more.
    pub credentials: PostgresCredentials,
    /// Whether TLS is used and what is verified, in libpq's terms. Disable: no TLS. Prefer: TLS where the server offers it,
    /// unverified. Require: TLS, unverified. VerifyCA: the certificate must come from a trusted authority, for whatever
    /// name. VerifyFull: it must also be for the server's name.
    #[serde(default = "default_ssl_mode")]
    pub ssl_mode: SslMode,
    /// How to verify the server's certificate. The public certificate authorities are trusted when absent. Set only with
    /// sslMode VerifyCA or VerifyFull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsClient>,
}

/// User and password of a PostgreSQL server in a Secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostgresCredentials {
    /// Secret of this namespace: with host, its keys "username" and "password"; without, its key "uri", for example
    /// postgresql://reader:secret@postgres:5432/smartdairy. Secrets of CloudNativePG have all three. Whoever creates or
    /// edits this object must be allowed to get that Secret.
    pub secret_ref: ObjectName,
}

/// Whether TLS is used towards PostgreSQL and what is verified, in libpq's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS where the server offers it, unverified.
    Prefer,
    /// TLS, unverified.
    Require,
    /// TLS with a certificate from a trusted authority, for whatever name.
    VerifyCA,
    /// TLS with a certificate from a trusted authority for the server's name.
    VerifyFull,
}

fn default_port() -> i32 {
    5432
}

fn default_ssl_mode() -> SslMode {
    SslMode::VerifyFull
}
