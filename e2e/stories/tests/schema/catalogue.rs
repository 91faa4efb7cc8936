//! Bad input that no schema lists: what people and attackers write into fields that are text to a schema.

use anyhow::Result;
use plimsoll_stories::charts::{documents, root};
use serde_json::{Value, json};

use crate::bases::{full, least, least_with, with};
use crate::case::{Case, Expected};
use crate::judging;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut table = |field: &str, values: &[(&str, Expected)]| {
        for (value, expected) in values {
            let mut changes = vec![(field, json!(value))];
            if field == "/timeZone" {
                changes.push(("/schedule", json!("0 2 * * 1")));
            }
            let what = format!("{field} {value:?}");
            cases.push(Case::new(what, &least_with(&changes), expected.clone()));
        }
    };
    table("/window", &windows());
    table("/schedule", &schedules());
    table("/timeZone", &zones());
    cases.extend(matchers());
    cases.extend(queries());
    cases.extend(headers());
    cases.extend(names());
    cases.extend(shapes());
    cases.extend(servers());
    cases.extend(labels());
    cases.extend(judging::cases());
    cases
}

/// Fields of PostgreSQL and Redis that are text or numbers to a schema.
fn servers() -> Vec<Case> {
    let base = || {
        least_with(&[
            (
                "/sources/postgres",
                json!({"host": "pg", "database": "herd", "credentials": {"secretRef": {"name": "a"}}}),
            ),
            ("/sources/redis", json!({"host": "redis"})),
            ("/database", json!({})),
            ("/cache", json!({"keyspace": {}})),
        ])
    };
    let mut cases = Vec::new();
    let mut table = |field: &str, expected: &Expected, values: &[&str]| {
        for value in values {
            let object = with(base(), &[(field, json!(value))]);
            cases.push(Case::new(format!("{field} {value:?}"), &object, expected.clone()));
        }
    };
    for field in ["/sources/postgres/host", "/sources/redis/host"] {
        table(
            field,
            &Expected::Accepted,
            &["a", "pg.herd.svc.cluster.local.", "10.0.0.7", "2001:db8::7", "a_b"],
        );
        table(field, &Expected::Meaningless, &["abc:5432", "10.0.0.7:1", ":::", "1:2"]);
        table(
            field,
            &Expected::Refused,
            &[
                "",
                "pg:5432",
                "http://pg",
                "user@pg",
                "pg/herd",
                "[::1]",
                "-a",
                "a b",
                "a\n",
                "\u{430}",
                "/tmp",
                "a,b",
                "fe80::1%eth0",
            ],
        );
    }
    table("/sampleDuration", &Expected::Accepted, &["0s", "1s", "60s", "1m", "5m30s", "9m"]);
    table("/sampleDuration", &Expected::Meaningless, &["9m1s", "10m1s", "11m", "999m"]);
    table("/sampleDuration", &Expected::Refused, &["", "0", "1h", "500ms", "-1s", "1.5s", "60", "1s1m"]);
    let threshold = "/database/slowQueryThreshold";
    table(threshold, &Expected::Accepted, &["0s", "1ms", "100ms", "1s500ms", "1h"]);
    table(threshold, &Expected::Meaningless, &["1h1ms", "61m", "99999999999999999999999ms"]);
    table(threshold, &Expected::Refused, &["", "100", "1us", "0.1s", "1d", "ms"]);
    let limit = "/cache/keyspace/maxDuration";
    table(limit, &Expected::Accepted, &["100ms", "10s", "5m"]);
    table(limit, &Expected::Meaningless, &["0s", "99ms", "5m1s"]);
    table(limit, &Expected::Refused, &["", "10", "1h", "-1s"]);
    for (id, expected) in [
        ("0", Expected::Accepted),
        ("9223372036854775807", Expected::Accepted),
        ("-9223372036854775808", Expected::Accepted),
        ("9223372036854775808", Expected::Meaningless),
        ("-9223372036854775809", Expected::Meaningless),
        ("-0", Expected::Refused),
        ("007", Expected::Refused),
        ("+1", Expected::Refused),
        ("1.0", Expected::Refused),
        ("0x7", Expected::Refused),
        ("\u{667}", Expected::Refused),
        ("1\n", Expected::Refused),
        ("", Expected::Refused),
    ] {
        let object = with(base(), &[("/database/statements", json!([{"queryId": id, "label": "a"}]))]);
        cases.push(Case::new(format!("statement {id:?}"), &object, expected));
    }
    let number = with(base(), &[("/database/statements", json!([{"queryId": 7, "label": "a"}]))]);
    cases.push(Case::new("a statement's number without quotes", &number, Expected::Refused));
    cases
}

/// Names of labels: the schema checks those of conditions by their pattern, and those of a map not at all.
fn labels() -> Vec<Case> {
    let of = |selector: Value| least_with(&[("/sources/workloads", json!({"selector": selector}))]);
    let mut cases = Vec::new();
    let long = format!("{}/a", ["a".repeat(60).as_str(); 5].join("."));
    for name in ["", "a b", "a/b/c", "-a", "A.example/a", "a=b", "\u{e4}", "a\n", long.as_str()] {
        let object = of(json!({"matchLabels": {name: "a"}}));
        cases.push(Case::new(format!("label named {name:?}"), &object, Expected::Meaningless));
    }
    let key = of(json!({"matchExpressions": [{"key": long, "operator": "Exists"}]}));
    cases.push(Case::new("a prefix of 304 characters", &key, Expected::Meaningless));
    cases
}

fn windows() -> Vec<(&'static str, Expected)> {
    let of = |expected: Expected, values: &'static [&'static str]| {
        values.iter().map(move |value| (*value, expected.clone()))
    };
    of(Expected::Accepted, &["1m", "60s", "7d", "1w", "13w1d", "92d", "1h30m", "2208h", "007d"])
        .chain(of(
            Expected::Meaningless,
            &[
                "0s",
                "1s",
                "59s",
                "93d",
                "1y",
                "999999h",
                "99999999999999999999999999999s",
                "18446744073709551616s",
            ],
        ))
        .chain(of(
            Expected::Refused,
            &[
                "",
                "0",
                "7",
                "-1s",
                "+1m",
                "1ns",
                "1us",
                "500ms",
                "1h30",
                "5 m",
                " 5m",
                "5m ",
                "5m\n",
                "PT5M",
                "5M",
                "1.5h",
                "1e3s",
                "5m1h",
                "1h1h",
                "7d,1h",
                "7 days",
                "\u{667}d",
                "\u{ff17}d",
                "m",
                "Inf",
                "NaN",
            ],
        ))
        .collect()
}

fn schedules() -> Vec<(&'static str, Expected)> {
    let of = |expected: Expected, values: &'static [&'static str]| {
        values.iter().map(move |value| (*value, expected.clone()))
    };
    of(Expected::Accepted, &["0 2 * * 1", "*/5 * * * *", "30 2 29 2 *", "0 2 * * MON-FRI", "0 0 1,15 * *"])
        .chain(of(
            Expected::Meaningless,
            &[
                "* * * * * *",
                "0 0 30 2 *",
                "@every 1ns",
                "@midnight",
                "61 * * * *",
                "0 24 * * *",
                "0 0 0 * *",
                "0 0 * 13 *",
                "a b c d e",
                "         ",
                "TZ=UTC 0 2 * * 1",
                "0 2 * * 1 2026",
                "*/0 * * * *",
                "every monday",
                "0 2 * * 1; rm -rf /",
                "-1 * * * *",
            ],
        ))
        .chain(of(Expected::Refused, &["", "@daily", "* * * *"]))
        .collect()
}

fn zones() -> Vec<(&'static str, Expected)> {
    let of = |expected: Expected, values: &'static [&'static str]| {
        values.iter().map(move |value| (*value, expected.clone()))
    };
    of(Expected::Accepted, &["UTC", "Asia/Dhaka", "America/Argentina/Buenos_Aires", "Etc/GMT+6", "EST5EDT"])
        .chain(of(Expected::Meaningless, &["Mars/Olympus", "Local", "Dhaka", "a"]))
        .chain(of(
            Expected::Refused,
            &[
                "",
                " ",
                "+06:00",
                "Asia/",
                "/UTC",
                "Asia//Dhaka",
                "../../etc/passwd",
                "Asia/Dhaka\n",
                "Asia/../UTC",
            ],
        ))
        .collect()
}

/// Label matchers are text to the schema and must be nothing but matchers to the operator.
fn matchers() -> Vec<Case> {
    let good =
        ["job=\"a\"", "job=\"a\",env!~\"b.*\"", "job='a'", "job=\"}{\"", "job=\"\u{202e}\"", "job=\"a\","];
    let bad = [
        "job",
        "job=",
        "job=odoo",
        "{job=\"a\"}",
        "job=\"a\"} or vector(1) #",
        "job=\"a\"} offset 5m #",
        "job=\"a\"}[5m",
        "__name__=\"up\"",
        "job=~\"(\"",
        "job=\"a",
        "}",
        "job=\"a\"\u{0}",
        "a.b=\"c\"",
    ];
    let mut cases = Vec::new();
    for field in ["/web/matchers", "/web/errorMatchers", "/api/matchers", "/api/errorMatchers"] {
        let mut add = |text: &str, expected: Expected| {
            let what = format!("{field} {text:?}");
            cases.push(Case::new(what, &least_with(&[(field, json!(text))]), expected));
        };
        good.iter().for_each(|text| add(text, Expected::Accepted));
        bad.iter().for_each(|text| add(text, Expected::Meaningless));
    }
    for (text, expected) in good
        .iter()
        .map(|text| (text, Expected::Accepted))
        .chain(bad.iter().map(|text| (text, Expected::Meaningless)))
    {
        let database = json!({"latencyHistogram": "h", "matchers": text});
        let object = least_with(&[("/database", database)]);
        cases.push(Case::new(format!("/database/matchers {text:?}"), &object, expected));
    }
    let all = least_with(&[("/web/matchers", json!("")), ("/api/matchers", json!(""))]);
    cases.push(Case::new("no matchers", &all, Expected::Accepted));
    cases
}

fn queries() -> Vec<Case> {
    let of = |text: &str| least_with(&[("/metrics", json!([{"name": "a", "query": text, "unit": "Count"}]))]);
    let good =
        ["up", "avg(a)", "1", "time()", "rate(a{b=\"c\"}[5m] offset 1h)", "up # a comment", "up\n/ 2", "NaN"];
    let bad = [
        "sum(",
        "rate(a)",
        "a{",
        "drop table",
        "\u{0}",
        "a[5m",
        "{{template}}",
        "$(VAR)",
        "1 +",
        "avg()",
        " ",
    ];
    let mut cases: Vec<Case> =
        good.iter().map(|text| Case::new(format!("query {text:?}"), &of(text), Expected::Accepted)).collect();
    let bad = bad.iter().map(|text| Case::new(format!("query {text:?}"), &of(text), Expected::Meaningless));
    cases.extend(bad);
    cases
}

fn headers() -> Vec<Case> {
    let of = |name: &str, value: &str| {
        least_with(&[("/sources/prometheus/headers", json!([{"name": name, "value": value}]))])
    };
    let mut cases = Vec::new();
    for name in [
        "X A", "X:A", "X-A:", "X\nA", "X\r\nA", "X\0A", "\u{430}", "", "X/A", "(X)", "X\u{1b}", "\"X\"",
        "X-A ",
    ] {
        cases.push(Case::new(format!("header named {name:?}"), &of(name, "a"), Expected::Refused));
    }
    for value in ["a\nb", "a\r\nX-B: c", "a\0", "\u{1b}[31m", "\u{e9}", "\u{202e}", "a\t", "\u{7f}", "a\n"] {
        cases.push(Case::new(format!("header of value {value:?}"), &of("X-A", value), Expected::Refused));
    }
    for value in ["", "a", " a b ", "~!@#$%^&*()", "$(VAR)"] {
        cases.push(Case::new(format!("header of value {value:?}"), &of("X-A", value), Expected::Accepted));
    }
    cases
}

/// The baselines that we show.
pub(crate) fn examples() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for file in
        ["baseline.yaml", "local/baseline.yaml", "before-after/before.yaml", "before-after/after.yaml"]
    {
        let path = root().join("examples/smart-dairy").join(file);
        for mut object in documents(&std::fs::read_to_string(&path)?)? {
            object["metadata"]["namespace"] = json!("default");
            cases.push(Case::new(format!("example {file}"), &object, Expected::Accepted));
        }
    }
    Ok(cases)
}

/// Names of objects, and of the Secrets that they refer to.
fn names() -> Vec<Case> {
    let long = "a".repeat(253);
    let too_long = "a".repeat(254);
    let named = |name: &str| {
        let mut object = least();
        object["metadata"]["name"] = json!(name);
        object
    };
    let refers = |name: &str| {
        with(full()[2].clone(), &[("/sources/prometheus/tls/ca/secretKeyRef/name", json!(name))])
    };
    let mut cases = Vec::new();
    let bad = [
        "",
        "A",
        "a_b",
        "a b",
        "-a",
        "a-",
        ".a",
        "a.",
        "a..b",
        "a.-b",
        "a\n",
        "a\0",
        "../a",
        "a/b",
        "\u{e4}",
        "\u{202e}a",
        "%2e%2e",
        too_long.as_str(),
    ];
    for (expected, names) in [
        (Expected::Accepted, &["a", "1", "performancebaselines", "a.b-c.d", "kube-root-ca.crt", &long][..]),
        (Expected::Refused, &bad),
    ] {
        for name in names {
            let shown: String = name.chars().take(20).collect();
            // Without a name the server asks for one, and that is another error than ours.
            cases.push(Case::new(format!("object named {shown:?}"), &named(name), expected.clone()));
            cases.push(Case::new(format!("Secret named {shown:?}"), &refers(name), expected.clone()));
        }
    }
    cases
}

/// Objects that are wrong as a whole.
fn shapes() -> Vec<Case> {
    let metrics = |count: usize| {
        let metric = |index: usize| json!({"name": format!("m{index}"), "query": "up", "unit": "Count"});
        least_with(&[("/metrics", (0..count).map(metric).collect::<Value>())])
    };
    let mut other_kind = least();
    other_kind["kind"] = json!("PerformanceBaselines");
    let mut other_version = least();
    other_version["apiVersion"] = json!("plimsoll.dev/v1");
    let mut no_spec = least();
    no_spec.as_object_mut().expect("an object").shift_remove("spec");
    let mut beside = least();
    beside["spek"] = json!({});
    let mut foreign = with(full()[0].clone(), &[]);
    foreign["spec"]["sources"]["prometheus"]["auth"]["bearer"]["secretKeyRef"]["namespace"] =
        json!("kube-system");
    vec![
        Case::new("30 metrics", &metrics(30), Expected::Accepted),
        Case::new("31 metrics", &metrics(31), Expected::Refused),
        Case::new("another kind", &other_kind, Expected::Refused),
        Case::new("another version", &other_version, Expected::Refused),
        Case::new("no spec", &no_spec, Expected::RefusedWith("spec: Required value".to_owned())),
        Case::new("a field beside spec", &beside, Expected::RefusedWith("unknown field \"spek\"".to_owned())),
        Case::new(
            "a namespace in a reference",
            &foreign,
            Expected::RefusedWith("secretKeyRef.namespace\"".to_owned()),
        ),
    ]
}
