//! Objects from which each case departs in one point. Together they fill every field of the schema.

use plimsoll_stories::value::put;
use serde_json::{Value, json};

/// An object with a spec.
pub(crate) fn object(spec: &Value) -> Value {
    json!({
        "apiVersion": "plimsoll.dev/v1alpha1", "kind": "PerformanceBaseline",
        "metadata": {"name": "dairy"}, "spec": spec,
    })
}

/// The least that is accepted.
pub(crate) fn least() -> Value {
    object(&json!({"sources": {"prometheus": {"url": "https://prom:9090"}}}))
}

/// The least with changes: pointers into the spec and their values; null removes.
pub(crate) fn least_with(changes: &[(&str, Value)]) -> Value {
    with(least(), changes)
}

/// An object with changes in its spec.
pub(crate) fn with(mut object: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        put(&mut object, &format!("/spec{pointer}"), value.clone());
    }
    object
}

/// Every field of the spec, in three objects, since members of a union exclude each other.
pub(crate) fn full() -> [Value; 3] {
    let key = json!({"name": "prom", "key": "token"});
    let sources = json!({
        "prometheus": {
            "url": "http://prometheus.monitoring:9090/prefix",
            "auth": {"type": "Bearer", "bearer": {"secretKeyRef": key}},
            "headers": [{"name": "X-Scope-OrgID", "value": "dairy"}],
        },
        "postgres": {
            "host": "postgres", "port": 5433, "database": "herd", "credentials": {"secretRef": {"name": "pg"}},
            "sslMode": "VerifyCA", "tls": {"ca": {"configMapKeyRef": key}, "serverName": "pg.example"},
        },
        "redis": {
            "host": "sentinels", "port": 26379, "credentials": {"secretRef": {"name": "cache"}},
            "tls": {"ca": {"configMapKeyRef": key}, "serverName": "redis.example"}, "topology": "Sentinel",
            "sentinel": {"masterName": "cows", "credentials": {"secretRef": {"name": "sentinels"}}},
        },
        "workloads": {"selector": {
            "matchLabels": {"app.kubernetes.io/part-of": "smart-dairy"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["web"]}],
        }},
    });
    let names = json!({
        "latencyHistogram": "page_seconds", "requestCounter": "pages_total", "matchers": "job=\"shop\"",
        "errorMatchers": "code=~\"5..\"",
    });
    let mut api = names.clone();
    api["endpointLabel"] = json!("route");
    api["top"] = json!(5);
    let database = json!({
        "topTables": 5, "topQueries": 6, "slowQueryThreshold": "1s500ms", "latencyHistogram": "query_seconds",
        "matchers": "db=\"herd\"", "statements": [{"queryId": "-7", "label": "Daily summary"}],
    });
    let cache = json!({
        "keyspace": {"sampleKeys": 100, "maxDuration": "5s", "delimiter": "/"}, "sessionPrefix": "sess/",
    });
    // No time for a second look: the least deadline has none.
    let one = object(&json!({
        "window": "1d", "sampleDuration": "0s", "database": database, "cache": cache, "schedule": "0 2 * * 1", "timeZone": "Asia/Dhaka", "suspend": true, "historyLimit": 2,
        "activeDeadlineSeconds": 300, "ttlSecondsAfterFinished": 60, "sources": sources, "web": names, "api": api,
        "metrics": [{"name": "busy", "query": "avg(busy)", "unit": "Ratio", "better": "Lower"}],
        "objectives": [{
            "name": "page-load", "indicator": "web.latency.p95", "lessThan": "3s", "warning": "2s", "for": "10m",
        }],
        "compareTo": {
            "type": "Baseline", "baseline": {"name": "before", "run": "before-1"}, "allowedChange": "2.5%",
            "confidence": "95%", "alignment": "HourOfWeek",
        },
        "deletionPolicy": "Retain",
        "prometheusRule": {
            "enabled": true, "labels": {"release": "prometheus"}, "exporterMatchers": "namespace=\"smart-dairy\"",
        },
    }));
    let other = with(
        one.clone(),
        &[
            ("/sources/prometheus/auth", json!({"type": "Basic", "basic": {"secretRef": {"name": "prom"}}})),
            ("/sources/prometheus/url", json!("https://prom")),
            (
                "/sources/prometheus/tls",
                json!({"ca": {"configMapKeyRef": key}, "serverName": "prom.example"}),
            ),
            ("/sources/prometheus/headers/0", json!({"name": "X-Key", "valueFrom": {"secretKeyRef": key}})),
            (
                "/objectives/0",
                json!({"name": "free", "query": "avg(free)", "unit": "Ratio", "greaterThan": "10%", "warning": "20%"}),
            ),
            ("/compareTo", json!({"type": "Record", "record": {"configMapRef": {"name": "last-year"}}})),
        ],
    );
    let third = with(
        other.clone(),
        &[
            ("/sources/prometheus/tls/ca", json!({"secretKeyRef": key})),
            ("/sources/postgres/tls/ca", json!({"secretKeyRef": key})),
            ("/sources/redis/tls/ca", json!({"secretKeyRef": key})),
        ],
    );
    [one, other, third]
}

/// Every field of the status, in the least object.
pub(crate) fn full_status(metadata: &Value) -> Value {
    let time = "2026-11-24T00:00:00Z";
    let mut object = least();
    object["metadata"] = json!({"name": metadata["name"], "resourceVersion": metadata["resourceVersion"]});
    object["status"] = json!({
        "observedGeneration": 1,
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Recorded", "message": "It is.", "observedGeneration": 1,
            "lastTransitionTime": time,
        }],
        "summary": {
            "objectives": "4/5", "change": "Improved", "pageP95": "412ms", "apiP95": "96ms", "dbP95": "60-240ms", "cacheHit": "94.2%", "requests": "20/s",
            "errors": "0%", "coverage": "99%",
        },
        "lastRunTime": time, "nextRunTime": time, "lastSlot": time, "lastRequestHandled": "a",
        "currentRun": {
            "name": "dairy-1", "key": "sha256:a", "trigger": "spec/1", "specHash": "v1:a", "startedAt": time,
            "requestHash": "a", "attempt": 1, "request": "a", "jobUid": "a", "finished": true,
        },
        "lastRun": {
            "name": "dairy-0", "key": "sha256:b", "specHash": "v1:b", "finishedAt": time, "complete": true,
            "recordSha256": "b", "reason": "NoData", "message": "Nothing.",
        },
        "history": [{
            "name": "dairy-0", "finishedAt": time, "complete": true, "recordSha256": "b", "specHash": "v1:b",
        }],
        "objectives": [{"name": "page-load", "result": "Met", "value": "412ms", "target": "lessThan 3s"}],
        "comparison": {
            "against": "before-1", "recordSha256": "b", "verdict": "Improved",
            "changes": [{"indicator": "web.latency.p95", "verdict": "Improved", "change": "151ms -> 13ms (-91%)"}],
        },
        "deletionPolicy": "Retain",
        "prometheusRule": {"run": "dairy-0", "hash": "d", "name": "dairy", "alerts": 7, "message": "Written."},
        "judgement": {"run": "dairy-0", "hash": "v1:c", "findings": 1, "top": ["slow-statement: 7"]},
        "sources": [{
            "name": "prometheus", "state": "Failed", "reason": "NoData", "message": "Nothing.", "durationMs": 1,
        }],
        "retry": {"attempts": 1, "nextAt": time},
        "startedSpecHash": "v1:a", "specRuns": 1,
    });
    object
}
