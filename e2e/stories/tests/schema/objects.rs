//! What the server stores and shows: defaults, pruning, the status subresource, ownership in lists, columns and names.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::bases::{full_status, least_with, object};
use crate::server::{Ask, BASELINES, Server, Verdict};

/// Lines of what is not as expected.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn same(&mut self, what: &str, found: &Value, expected: &Value) {
        if found != expected {
            self.0.push(format!("{what}: expected {expected}, found {found}"));
        }
    }
}

/// Defaults, unknown fields and the two halves of an object.
pub(crate) async fn stored(server: &Server) -> Result<Vec<String>> {
    let mut wrong = Wrong::default();
    let postgres = json!({"credentials": {"secretRef": {"name": "pg"}}});
    let mut object = least_with(&[
        ("/web", json!({})),
        ("/api", json!({})),
        ("/sources/postgres", postgres),
        ("/sources/redis", json!({"host": "redis"})),
        ("/database", json!({})),
        ("/cache", json!({"keyspace": {}})),
        ("/unknownField", json!(1)),
    ]);
    object["metadata"]["name"] = json!("stored");
    object["status"] = json!({"observedGeneration": 7});
    let ask = |validation: &str| {
        Ask::json("POST", format!("{BASELINES}?fieldValidation={validation}"), object.to_string())
    };
    match server.ask(ask("Strict")).await? {
        Verdict::Refused { code: 400, message }
            if message.contains("unknown field \"spec.unknownField\"") => {}
        other => wrong.0.push(format!("an unknown field under strict validation: {other:?}")),
    }
    let made = server.must(ask("Ignore")).await?;
    wrong.same("the stored spec", &made["spec"], &with_the_seeds_names());
    wrong.same("a status that came with the object", &made["status"], &Value::Null);
    wrong.same("the first generation", &made["metadata"]["generation"], &json!(1));

    let path = format!("{BASELINES}/stored");
    let mut both = full_status(&made["metadata"]);
    both["spec"]["window"] = json!("1d");
    let after = server.must(Ask::json("PUT", format!("{path}/status"), both.to_string())).await?;
    wrong.same("the spec after a write of the status", &after["spec"], &made["spec"]);
    wrong.same("the generation after a write of the status", &after["metadata"]["generation"], &json!(1));
    wrong.same("the status after a write of the status", &after["status"], &both["status"]);

    both["metadata"]["resourceVersion"] = after["metadata"]["resourceVersion"].clone();
    both["status"] = json!({});
    let after = server.must(Ask::json("PUT", &path, both.to_string())).await?;
    wrong.same("the window after a write of the spec", &after["spec"]["window"], &json!("1d"));
    wrong.same("the generation after a write of the spec", &after["metadata"]["generation"], &json!(2));
    wrong.same(
        "the run in status after a write of the spec",
        &after["status"]["lastRun"]["name"],
        &json!("dairy-0"),
    );
    Ok(wrong.0)
}

/// The spec of `web: {}`, `api: {}`, `database: {}` and `cache: {keyspace: {}}` as the server completes it: the seed's names.
fn with_the_seeds_names() -> Value {
    json!({
        "sources": {
            "prometheus": {"url": "https://prom:9090"},
            "postgres": {"port": 5432, "sslMode": "VerifyFull", "credentials": {"secretRef": {"name": "pg"}}},
            "redis": {"host": "redis", "port": 6379, "topology": "Standalone"},
        },
        "database": {"topTables": 10, "topQueries": 10, "slowQueryThreshold": "100ms", "matchers": ""},
        "cache": {
            "keyspace": {"sampleKeys": 1000, "maxDuration": "10s", "delimiter": ":"},
            "sessionPrefix": "session:",
        },
        "window": "7d",
        "sampleDuration": "60s",
        "historyLimit": 3,
        "activeDeadlineSeconds": 600,
        "ttlSecondsAfterFinished": 600,
        "deletionPolicy": "Delete",
        "web": {
            "latencyHistogram": "http_request_duration_seconds",
            "requestCounter": "http_requests_total",
            "matchers": "job=\"odoo\"",
            "errorMatchers": "status=~\"5..\"",
        },
        "api": {
            "latencyHistogram": "api_request_duration_seconds",
            "requestCounter": "api_requests_total",
            "matchers": "",
            "errorMatchers": "status=~\"5..\"",
            "endpointLabel": "endpoint",
            "top": 10,
        },
    })
}

/// Two managers own entries of one list each, by name.
pub(crate) async fn shared_lists(server: &Server) -> Result<Vec<String>> {
    let mut wrong = Wrong::default();
    let metric = |name: &str, query: &str| json!({"name": name, "query": query, "unit": "Count"});
    let header = |name: &str| json!({"name": name, "value": "a"});
    let of = |metrics: Value, headers: Value| {
        let mut object = object(&json!({
            "sources": {"prometheus": {"url": "https://prom:9090", "headers": headers}}, "metrics": metrics,
        }));
        object["metadata"]["name"] = json!("shared");
        object
    };
    let named = |object: &Value, list: &str| -> Value {
        let entries = object.pointer(list).and_then(Value::as_array).into_iter().flatten();
        entries.map(|entry| entry["name"].clone()).collect()
    };
    let first = of(json!([metric("a", "up")]), json!([header("X-A")]));
    let second = of(json!([metric("b", "up")]), json!([header("X-B")]));
    server.must(Ask::apply("shared", "first", &first)).await?;
    let both = server.must(Ask::apply("shared", "second", &second)).await?;
    wrong.same("metrics of two managers", &named(&both, "/spec/metrics"), &json!(["a", "b"]));
    let headers = "/spec/sources/prometheus/headers";
    wrong.same("headers of two managers", &named(&both, headers), &json!(["X-A", "X-B"]));

    let theirs = of(json!([metric("a", "down")]), json!([header("X-B")]));
    match server.ask(Ask::apply("shared", "second", &theirs)).await? {
        Verdict::Refused { code: 409, message } if message.contains(".spec.metrics[name=\"a\"].query") => {}
        other => wrong.0.push(format!("another manager's metric: {other:?}")),
    }
    let without = of(json!([]), json!([]));
    let rest = server.must(Ask::apply("shared", "first", &without)).await?;
    wrong.same("metrics after the first has left", &named(&rest, "/spec/metrics"), &json!(["b"]));
    wrong.same("headers after the first has left", &named(&rest, headers), &json!(["X-B"]));
    Ok(wrong.0)
}

/// Columns, short names and the category.
pub(crate) async fn shown(server: &Server) -> Result<Vec<String>> {
    let mut wrong = Wrong::default();
    let table = server.table().await?;
    let columns: Value = table["columnDefinitions"]
        .as_array()
        .context("a table has columns")?
        .iter()
        .map(|column| json!([column["name"], column["type"], column["priority"]]))
        .collect();
    let expected = json!([
        ["Name", "string", 0],
        ["Ready", "string", 0],
        ["Objectives", "string", 0],
        ["Page-P95", "string", 0],
        ["API-P95", "string", 0],
        ["DB-P95", "string", 0],
        ["Cache-Hit", "string", 0],
        ["Change", "string", 0],
        ["Last-Run", "date", 0],
        ["Age", "date", 0],
        ["Reason", "string", 1],
        ["Requests", "string", 1],
        ["Errors", "string", 1],
        ["Coverage", "string", 1],
        ["Record", "string", 1],
        ["Next-Run", "string", 1],
    ]);
    wrong.same("the columns", &columns, &expected);
    for name in ["performancebaselines", "performancebaseline", "baseline", "baselines", "pbl", "plimsoll"] {
        let cache = tempfile::tempdir()?;
        let cache = format!("--cache-dir={}", cache.path().display());
        let printed = server.kubectl(&["get", name, "stored", &cache]);
        // A category takes no names.
        let printed = if name == "plimsoll" { server.kubectl(&["get", name, &cache])? } else { printed? };
        let lines: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
        let header = [
            "NAME",
            "READY",
            "OBJECTIVES",
            "PAGE-P95",
            "API-P95",
            "DB-P95",
            "CACHE-HIT",
            "CHANGE",
            "LAST-RUN",
            "AGE",
        ];
        let row = lines.iter().find(|line| line.first().is_some_and(|first| first.ends_with("stored")));
        let is_right = lines.first().is_some_and(|first| first == &header)
            && row.is_some_and(|row| {
                row[1..8] == ["True", "4/5", "412ms", "96ms", "60-240ms", "94.2%", "Improved"]
            });
        if !is_right {
            wrong.0.push(format!("kubectl get {name}: {printed}"));
        }
    }
    Ok(wrong.0)
}
