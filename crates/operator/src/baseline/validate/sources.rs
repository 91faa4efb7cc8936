//! What `sources` means: where each server is, who we are there, and whom we trust.

use std::net::Ipv6Addr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use plimsoll_analysis::request::{
    Auth, Header, HeaderValue, KeyKind, KeyRef, PostgresAccess, PostgresRequest, PrometheusRequest,
    RedisAccess, RedisCredentials, RedisRequest, RedisTls, SentinelRequest, SslMode,
};
use plimsoll_api::PerformanceBaselineSpec;
use plimsoll_api::common::{
    self, KeySelector, ObjectName, PostgresSource, PrometheusAuth, PrometheusSource, RedisSource, TlsClient,
};

use super::Errors;
use crate::workloads::labels::is_label_name;

pub(super) const NO_LABEL_NAME: &str = "it is no name of a label: an optional DNS prefix of at most 253 characters and a slash, then at most 63 letters, digits, \"-\", \"_\" and \".\"";

pub(super) fn prometheus(source: &PrometheusSource, errors: &mut Errors) -> PrometheusRequest {
    if source.url.trim_end_matches('/').ends_with("/api/v1") {
        errors.add("spec.sources.prometheus.url", "leave /api/v1 out: it is appended");
    }
    PrometheusRequest {
        url: source.url.clone(),
        auth: source.auth.as_ref().and_then(auth),
        ca: source.tls.as_ref().and_then(ca),
        server_name: source.tls.as_ref().and_then(|tls| tls.server_name.clone()),
        headers: source
            .headers
            .iter()
            .filter_map(|header| {
                let value = match (&header.value, &header.value_from) {
                    (Some(value), _) => HeaderValue::Literal(value.clone()),
                    (None, Some(from)) => HeaderValue::From(key(KeyKind::Secret, &from.secret_key_ref)),
                    (None, None) => return None,
                };
                Some(Header { name: header.name.clone(), value })
            })
            .collect(),
    }
}

/// A key, whose name is ours to say, of a Secret.
fn secret(object: &ObjectName, key: &str) -> KeyRef {
    KeyRef { kind: KeyKind::Secret, name: object.name.clone(), key: key.to_owned() }
}

fn key(kind: KeyKind, selector: &KeySelector) -> KeyRef {
    KeyRef { kind, name: selector.name.clone(), key: selector.key.clone() }
}

fn auth(auth: &PrometheusAuth) -> Option<Auth> {
    if let Some(bearer) = &auth.bearer {
        return Some(Auth::Bearer(key(KeyKind::Secret, &bearer.secret_key_ref)));
    }
    let basic = &auth.basic.as_ref()?.secret_ref;
    Some(Auth::Basic { username: secret(basic, "username"), password: secret(basic, "password") })
}

fn ca(tls: &TlsClient) -> Option<KeyRef> {
    let ca = tls.ca.as_ref()?;
    match (&ca.secret_key_ref, &ca.config_map_key_ref) {
        (Some(secret), _) => Some(key(KeyKind::Secret, secret)),
        (None, Some(config_map)) => Some(key(KeyKind::ConfigMap, config_map)),
        (None, None) => None,
    }
}

/// A PostgreSQL source; `None` where a part of its address is missing, which is an error then.
pub(super) fn postgres(source: &PostgresSource, errors: &mut Errors) -> Option<PostgresRequest> {
    const PATH: &str = "spec.sources.postgres";
    let object = &source.credentials.secret_ref;
    let access = match (&source.host, &source.database) {
        (None, None) => PostgresAccess::Uri(secret(object, "uri")),
        (None, Some(_)) => {
            errors.add(format!("{PATH}.database"), "this needs host");
            return None;
        }
        (Some(_), None) => {
            errors.add(format!("{PATH}.database"), "it is missing beside host");
            return None;
        }
        (Some(name), Some(database)) => PostgresAccess::Parts {
            host: host(name, PATH, errors),
            port: port(source.port, PATH, errors),
            database: database.clone(),
            username: secret(object, "username"),
            password: secret(object, "password"),
        },
    };
    let ssl_mode = match source.ssl_mode {
        common::SslMode::Disable => SslMode::Disable,
        common::SslMode::Prefer => SslMode::Prefer,
        common::SslMode::Require => SslMode::Require,
        common::SslMode::VerifyCA => SslMode::VerifyCA,
        common::SslMode::VerifyFull => SslMode::VerifyFull,
    };
    if source.tls.is_some() && !matches!(ssl_mode, SslMode::VerifyCA | SslMode::VerifyFull) {
        errors.add(format!("{PATH}.tls"), "this needs sslMode VerifyCA or VerifyFull");
    }
    Some(PostgresRequest {
        access,
        ssl_mode,
        ca: source.tls.as_ref().and_then(ca),
        server_name: source.tls.as_ref().and_then(|tls| tls.server_name.clone()),
    })
}

/// A Redis source; `None` where nothing says where it is, which is an error then.
pub(super) fn redis(source: &RedisSource, errors: &mut Errors) -> Option<RedisRequest> {
    const PATH: &str = "spec.sources.redis";
    let credentials = |object: &ObjectName| RedisCredentials {
        username: secret(object, "username"),
        password: secret(object, "password"),
    };
    let own = source.credentials.as_ref().map(|credentials| &credentials.secret_ref);
    let access = match (&source.host, own) {
        (None, None) => {
            errors.add(format!("{PATH}.credentials"), "they are missing, and so is host");
            return None;
        }
        (None, Some(object)) => RedisAccess::Uri(secret(object, "uri")),
        (Some(name), own) => RedisAccess::Parts {
            host: host(name, PATH, errors),
            port: port(source.port, PATH, errors),
            credentials: own.map(credentials),
        },
    };
    let asks_sentinels = source.topology == common::RedisTopology::Sentinel;
    if asks_sentinels != source.sentinel.is_some() {
        errors.add(format!("{PATH}.sentinel"), "it is set exactly when topology is Sentinel");
    }
    if asks_sentinels && source.host.is_none() {
        errors.add(format!("{PATH}.host"), "topology Sentinel needs it");
    }
    Some(RedisRequest {
        access,
        tls: source.tls.as_ref().map(|tls| RedisTls { ca: ca(tls), server_name: tls.server_name.clone() }),
        sentinel: source.sentinel.as_ref().map(|sentinel| SentinelRequest {
            master_name: sentinel.master_name.clone(),
            credentials: sentinel.credentials.as_ref().map(|object| credentials(&object.secret_ref)),
        }),
    })
}

/// A host; a text with a colon is an IPv6 address or nothing.
fn host(name: &str, path: &str, errors: &mut Errors) -> String {
    if name.contains(':') && name.parse::<Ipv6Addr>().is_err() {
        errors.add(
            format!("{path}.host"),
            format!("{name:?} is no IPv6 address; a port stands in the field port"),
        );
    }
    name.to_owned()
}

fn port(port: i32, path: &str, errors: &mut Errors) -> u16 {
    match u16::try_from(port) {
        Ok(port) if port > 0 => port,
        _ => {
            errors.add(format!("{path}.port"), format!("{port} is not between 1 and 65535"));
            0
        }
    }
}

/// Checks a label selector: a name that is none would select what nobody meant.
pub(super) fn selector(selector: &LabelSelector, errors: &mut Errors) {
    const PATH: &str = "spec.sources.workloads.selector";
    for name in selector.match_labels.iter().flatten().map(|(name, _)| name) {
        if !is_label_name(name) {
            errors.add(format!("{PATH}.matchLabels[{name:?}]"), NO_LABEL_NAME);
        }
    }
    for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let path = format!("{PATH}.matchExpressions[{index}]");
        if !is_label_name(&expression.key) {
            errors.add(format!("{path}.key"), NO_LABEL_NAME);
        }
        let values = expression.values.as_ref().map_or(0, Vec::len);
        match (expression.operator.as_str(), values) {
            ("In" | "NotIn", 0) => errors.add(path, format!("{} needs values", expression.operator)),
            ("In" | "NotIn", _) | ("Exists" | "DoesNotExist", 0) => {}
            ("Exists" | "DoesNotExist", _) => {
                errors.add(path, format!("{} takes no values", expression.operator));
            }
            (other, _) => {
                errors.add(path, format!("operator {other:?} is not one of In, NotIn, Exists, DoesNotExist"));
            }
        }
    }
}

/// What one source or section asks of others. The API server's rules say the same; without them such a spec would start
/// runs without an end.
pub(super) fn together(spec: &PerformanceBaselineSpec, errors: &mut Errors) {
    let sources = &spec.sources;
    let (prometheus, postgres) = (sources.prometheus.is_some(), sources.postgres.is_some());
    if !prometheus && !postgres && sources.redis.is_none() && sources.workloads.is_none() {
        errors.add("spec.sources", "at least one source is needed");
    }
    for (path, is_set) in [
        ("spec.web", spec.web.is_some()),
        ("spec.api", spec.api.is_some()),
        ("spec.metrics", !spec.metrics.is_empty()),
    ] {
        if is_set && !prometheus {
            errors.add(path, "this needs spec.sources.prometheus");
        }
    }
    let histogram = spec.database.as_ref().is_some_and(|database| database.latency_histogram.is_some());
    if spec.database.is_none() && postgres {
        errors.add(
            "spec.database",
            "spec.sources.postgres needs it; write 'database: {}' to take every default",
        );
    }
    if spec.database.is_some() && !postgres && !histogram {
        errors.add("spec.database", "this needs spec.sources.postgres");
    }
    if histogram && !prometheus {
        errors.add("spec.database.latencyHistogram", "this needs spec.sources.prometheus");
    }
    match (spec.cache.is_some(), sources.redis.is_some()) {
        (true, false) => errors.add("spec.cache", "this needs spec.sources.redis"),
        (false, true) => {
            errors.add("spec.cache", "spec.sources.redis needs it; write 'cache: {}' to take every default");
        }
        _ => {}
    }
}
