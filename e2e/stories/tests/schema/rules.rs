//! Every CEL rule: an object that it accepts and one that it refuses, with the rule's own words.

mod sources;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::bases::{full, least, least_with, with};
use crate::case::{Case, Expected};
use crate::judging;

/// Cases of each rule of the schema.
///
/// # Errors
/// A rule has no case here.
pub(crate) fn cases(schema: &Value) -> Result<Vec<Case>> {
    let table = table();
    let told: BTreeSet<String> = table.iter().map(|(message, ..)| (*message).to_owned()).collect();
    let mut rules = BTreeSet::new();
    messages(schema, &mut rules);
    ensure!(told == rules, "rules without a case, or cases without a rule: {:?}", &told ^ &rules);
    let mut cases = Vec::new();
    for (message, accepted, refused) in table {
        cases.extend(accepted.iter().map(|object| Case::new(message, object, Expected::Accepted)));
        let expected = Expected::RefusedWith(message.to_owned());
        cases.extend(refused.iter().map(|object| Case::new(message, object, expected.clone())));
    }
    Ok(cases)
}

fn messages(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            for rule in
                members.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten()
            {
                found.insert(rule["message"].as_str().expect("a rule has a message").to_owned());
            }
            members.values().for_each(|member| messages(member, found));
        }
        Value::Array(entries) => entries.iter().for_each(|entry| messages(entry, found)),
        _ => {}
    }
}

pub(crate) type Rule = (&'static str, Vec<Value>, Vec<Value>);

fn table() -> Vec<Rule> {
    let mut table = of_the_spec();
    table.extend(of_prometheus());
    table.extend(of_headers());
    table.extend(sources::table());
    table.extend(judging::rules());
    table
}

fn of_the_spec() -> Vec<Rule> {
    let workloads = ("/sources", json!({"workloads": {"selector": {}}}));
    let only_workloads =
        |changes: &[(&str, Value)]| with(least_with(std::slice::from_ref(&workloads)), changes);
    let metrics = json!([{"name": "a", "query": "up", "unit": "Count"}]);
    vec![
        (
            "web needs sources.prometheus",
            vec![least_with(&[("/web", json!({}))]), only_workloads(&[])],
            vec![only_workloads(&[("/web", json!({}))])],
        ),
        (
            "api needs sources.prometheus",
            vec![least_with(&[("/api", json!({}))])],
            vec![only_workloads(&[("/api", json!({}))])],
        ),
        (
            "metrics need sources.prometheus",
            vec![least_with(&[("/metrics", metrics.clone())]), only_workloads(&[("/metrics", json!([]))])],
            vec![only_workloads(&[("/metrics", metrics)])],
        ),
        (
            "at least one source is needed",
            vec![least(), only_workloads(&[])],
            vec![least_with(&[("/sources", json!({}))])],
        ),
        (
            "timeZone needs schedule",
            vec![least_with(&[("/timeZone", json!("Asia/Dhaka")), ("/schedule", json!("0 2 * * 1"))])],
            vec![least_with(&[("/timeZone", json!("Asia/Dhaka"))])],
        ),
        (
            "In and NotIn need values, Exists and DoesNotExist take none",
            vec![
                expression(&json!({"key": "a", "operator": "In", "values": ["b"]})),
                expression(&json!({"key": "a", "operator": "NotIn", "values": ["b", ""]})),
                expression(&json!({"key": "a", "operator": "Exists"})),
                expression(&json!({"key": "a", "operator": "DoesNotExist", "values": []})),
            ],
            vec![
                expression(&json!({"key": "a", "operator": "In"})),
                expression(&json!({"key": "a", "operator": "NotIn", "values": []})),
                expression(&json!({"key": "a", "operator": "Exists", "values": ["b"]})),
                expression(&json!({"key": "a", "operator": "DoesNotExist", "values": ["b"]})),
            ],
        ),
    ]
}

fn expression(expression: &Value) -> Value {
    least_with(&[("/sources/workloads", json!({"selector": {"matchExpressions": [expression]}}))])
}

fn of_prometheus() -> Vec<Rule> {
    let auth = |auth: Value| least_with(&[("/sources/prometheus/auth", auth)]);
    let bearer = json!({"secretKeyRef": {"name": "prom", "key": "token"}});
    let basic = json!({"secretRef": {"name": "prom"}});
    let url = |url: &str| least_with(&[("/sources/prometheus/url", json!(url))]);
    let ca = |ca: Value| least_with(&[("/sources/prometheus/tls", json!({"ca": ca}))]);
    let key = json!({"name": "ca", "key": "ca.crt"});
    let [one, other, _] = full();
    vec![
        (
            "bearer is set exactly when type is Bearer",
            vec![auth(json!({"type": "Bearer", "bearer": bearer}))],
            vec![
                auth(json!({"type": "Bearer"})),
                auth(json!({"type": "Basic", "basic": basic, "bearer": bearer})),
                with(other, &[("/sources/prometheus/auth/type", json!("Bearer"))]),
            ],
        ),
        (
            "basic is set exactly when type is Basic",
            vec![auth(json!({"type": "Basic", "basic": basic}))],
            vec![
                auth(json!({"type": "Basic"})),
                auth(json!({"type": "Bearer", "basic": basic, "bearer": bearer})),
                with(one, &[("/sources/prometheus/auth/type", json!("Basic"))]),
            ],
        ),
        (
            "tls needs an https URL",
            vec![least_with(&[("/sources/prometheus/tls", json!({}))]), url("http://prom")],
            vec![with(url("http://prom"), &[("/sources/prometheus/tls", json!({"serverName": "a"}))])],
        ),
        (
            "exactly one of secretKeyRef and configMapKeyRef is set",
            vec![ca(json!({"secretKeyRef": key})), ca(json!({"configMapKeyRef": key}))],
            vec![ca(json!({})), ca(json!({"secretKeyRef": key, "configMapKeyRef": key}))],
        ),
        (
            "must be an http or https URL without user, query or fragment, for example http://prometheus.monitoring:9090",
            GOOD_URLS.iter().map(|text| url(text)).collect(),
            BAD_URLS.iter().map(|text| url(text)).collect(),
        ),
    ]
}

fn of_headers() -> Vec<Rule> {
    let headers = |headers: Value| least_with(&[("/sources/prometheus/headers", headers)]);
    let named = |name: &str| headers(json!([{"name": name, "value": "a"}]));
    let key = json!({"secretKeyRef": {"name": "prom", "key": "token"}});
    vec![
        (
            "exactly one of value and valueFrom is set",
            vec![named("X-Scope-OrgID"), headers(json!([{"name": "X-Key", "valueFrom": key}]))],
            vec![
                headers(json!([{"name": "X-Key"}])),
                headers(json!([{"name": "X-Key", "value": "", "valueFrom": key}])),
            ],
        ),
        (
            "this header is set by Plimsoll; credentials belong in auth",
            ["X-Scope-OrgID", "THANOS-TENANT", "Cookie", "X-Host", "Tenant"].map(named).to_vec(),
            RESERVED.map(named).to_vec(),
        ),
        (
            "names of headers must differ in more than case",
            vec![headers(json!([{"name": "X-A", "value": "a"}, {"name": "X-B", "value": "a"}]))],
            vec![headers(json!([{"name": "X-A", "value": "a"}, {"name": "x-a", "value": "a"}]))],
        ),
    ]
}

/// Headers of the connection (RFC 9110, 7.6.1), of the message and of authentication, in whatever case.
const RESERVED: [&str; 20] = [
    "Accept",
    "Accept-Encoding",
    "Authorization",
    "AUTHORIZATION",
    "authorization",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Expect",
    "Host",
    "hOsT",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

const GOOD_URLS: [&str; 14] = [
    "http://a",
    "http://prometheus.monitoring:9090",
    "https://prometheus.monitoring.svc.cluster.local.:443",
    "https://mimir.example/prometheus",
    "https://mimir.example/prometheus/",
    "http://thanos_query:10902",
    "http://10.0.0.7:1",
    "http://10.0.0.7:65535/",
    "http://[2001:db8::7]:9090/a",
    "http://127.0.0.1:9090",
    "http://a/b/../c",
    "http://a//b",
    "http://a/%20b",
    "http://xn--prm-ula.example",
];

const BAD_URLS: [&str; 42] = [
    "ftp://prom:9090",
    "file:///etc/passwd",
    "unix:///var/run/prom.sock",
    "http+unix://%2Fvar%2Frun",
    "javascript:alert(1)",
    "prometheus:9090",
    "//prom:9090",
    "HTTP://prom:9090",
    "https:prom",
    "http:///prom",
    "http://:9090",
    "http://user@prom:9090",
    "http://user:password@prom:9090",
    "http://prom:9090@evil.example",
    "http://prom:9090\\@evil.example",
    "http://prom:9090?query=up",
    "http://prom:9090/?query=up",
    "http://prom:9090/a?",
    "http://prom:9090#fragment",
    "http://prom:9090/#",
    "http://prom:9090/a b",
    "http://prom :9090",
    " http://prom:9090",
    "http://prom:9090 ",
    "http://prom:9090/\n",
    "http://prom:9090\r\nHost: evil",
    "http://prom:9090/\0",
    "http://prom:9090/\u{1b}[31m",
    "http://prom:9090/\u{202e}",
    "http://pr\u{430}m:9090",
    "http://pr\u{200b}m:9090",
    "http://prom:",
    "http://prom:0",
    "http://prom:65536",
    "http://prom:99999",
    "http://prom:090",
    "http://prom:-1",
    "http://prom:http",
    "http://-prom",
    "http://[::1",
    "http://::1:9090",
    "http://[$(id)]:9090",
];
