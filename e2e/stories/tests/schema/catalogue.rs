//! Bad input that no schema lists: what people and attackers write into fields that are text to a schema.

use anyhow::Result;
use plimsoll_stories::charts::{documents, root};
use serde_json::{Value, json};

use crate::bases::{full, least, least_with, with};
use crate::case::{Case, Expected};

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
    for file in ["baseline.yaml", "local/baseline.yaml"] {
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
