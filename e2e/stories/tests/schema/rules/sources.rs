//! Rules of PostgreSQL and Redis and of their sections.

use serde_json::{Value, json};

use super::Rule;
use crate::bases::{least, least_with, object, with};

/// A baseline of PostgreSQL and Redis alone.
fn base() -> Value {
    object(&json!({
        "sources": {
            "postgres": {"host": "pg", "database": "herd", "credentials": {"secretRef": {"name": "a"}}},
            "redis": {"host": "redis"},
        },
        "database": {}, "cache": {},
    }))
}

fn base_with(changes: &[(&str, Value)]) -> Value {
    with(base(), changes)
}

pub(super) fn table() -> Vec<Rule> {
    let mut table = of_the_sections();
    table.extend(of_postgres());
    table.extend(of_redis());
    table
}

fn of_the_sections() -> Vec<Rule> {
    let histogram = json!({"latencyHistogram": "query_seconds"});
    vec![
        (
            "database needs sources.postgres, or latencyHistogram and sources.prometheus",
            vec![base(), least_with(&[("/database", histogram.clone())])],
            vec![
                least_with(&[("/database", json!({}))]),
                base_with(&[("/sources/postgres", Value::Null)]),
                base_with(&[("/sources/postgres", Value::Null), ("/database", histogram.clone())]),
            ],
        ),
        (
            "latencyHistogram needs sources.prometheus",
            vec![base_with(&[
                ("/database", histogram.clone()),
                ("/sources/prometheus", json!({"url": "https://prom"})),
            ])],
            vec![base_with(&[("/database", histogram)])],
        ),
        (
            "sources.postgres needs database; write 'database: {}' to record it with every default",
            vec![base()],
            vec![base_with(&[("/database", Value::Null)])],
        ),
        (
            "cache needs sources.redis",
            vec![base()],
            vec![base_with(&[("/sources/redis", Value::Null)]), least_with(&[("/cache", json!({}))])],
        ),
        (
            "sources.redis needs cache; write 'cache: {}' to record it with every default",
            vec![base(), least()],
            vec![base_with(&[("/cache", Value::Null)])],
        ),
        (
            "matchers need latencyHistogram",
            vec![
                base_with(&[("/database", json!({"matchers": ""}))]),
                least_with(&[("/database", json!({"matchers": "a=\"b\"", "latencyHistogram": "h"}))]),
            ],
            vec![base_with(&[("/database", json!({"matchers": "a=\"b\""}))])],
        ),
    ]
}

fn of_postgres() -> Vec<Rule> {
    let by_uri = [("/sources/postgres", json!({"credentials": {"secretRef": {"name": "a"}}}))];
    let by_uri_with = |changes: &[(&str, Value)]| with(base_with(&by_uri), changes);
    let tls = |mode: Value, tls: Value| {
        base_with(&[("/sources/postgres/sslMode", mode), ("/sources/postgres/tls", tls)])
    };
    vec![
        (
            "host needs database",
            vec![base(), base_with(&by_uri)],
            vec![base_with(&[("/sources/postgres/database", Value::Null)])],
        ),
        (
            "database needs host; without host the key uri of the Secret names the database",
            vec![base_with(&by_uri)],
            vec![by_uri_with(&[("/sources/postgres/database", json!("herd"))])],
        ),
        (
            "port needs host; without host the key uri of the Secret names the port",
            vec![
                base_with(&[("/sources/postgres/port", json!(5433)), ("/sources/redis/port", json!(6380))]),
                by_uri_with(&[("/sources/postgres/port", json!(5432))]),
            ],
            vec![
                by_uri_with(&[("/sources/postgres/port", json!(5433))]),
                base_with(&[(
                    "/sources/redis",
                    json!({"port": 6380, "credentials": {"secretRef": {"name": "b"}}}),
                )]),
            ],
        ),
        (
            "tls needs sslMode VerifyCA or VerifyFull; the other modes verify nothing",
            vec![
                tls(Value::Null, json!({})),
                tls(json!("VerifyCA"), json!({"serverName": "pg"})),
                tls(json!("Disable"), Value::Null),
                tls(json!("Require"), Value::Null),
            ],
            ["Disable", "Prefer", "Require"]
                .map(|mode| tls(json!(mode), json!({"ca": {"secretKeyRef": {"name": "a", "key": "b"}}})))
                .to_vec(),
        ),
    ]
}

fn of_redis() -> Vec<Rule> {
    let credentials = json!({"secretRef": {"name": "b"}});
    let sentinel = json!({"masterName": "cows"});
    let topology = |topology: Value, sentinel: Value| {
        base_with(&[("/sources/redis/topology", topology), ("/sources/redis/sentinel", sentinel)])
    };
    let by_uri = |changes: &[(&str, Value)]| {
        with(base_with(&[("/sources/redis", json!({"credentials": credentials}))]), changes)
    };
    vec![
        (
            "without host, credentials must name a Secret whose key uri says where the server is",
            vec![base(), by_uri(&[]), by_uri(&[("/sources/redis/tls", json!({}))])],
            vec![base_with(&[("/sources/redis", json!({}))])],
        ),
        (
            "sentinel is set exactly when topology is Sentinel",
            vec![topology(json!("Sentinel"), sentinel.clone()), topology(json!("Standalone"), Value::Null)],
            vec![
                topology(json!("Sentinel"), Value::Null),
                topology(json!("Standalone"), sentinel.clone()),
                topology(Value::Null, sentinel.clone()),
            ],
        ),
        (
            "topology Sentinel needs host, the name or address of the Sentinels",
            vec![topology(json!("Sentinel"), sentinel.clone())],
            vec![by_uri(&[
                ("/sources/redis/topology", json!("Sentinel")),
                ("/sources/redis/sentinel", sentinel),
            ])],
        ),
    ]
}
