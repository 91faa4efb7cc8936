use super::*;

const BASELINE: &str = "\
apiVersion: plimsoll.dev/v1alpha1
kind: PerformanceBaseline
metadata: {name: dairy, namespace: farm}
spec:
  window: 1h
  sources:
    prometheus:
      url: https://prom:9090
      auth: {type: Bearer, bearer: {secretKeyRef: {name: prom, key: token}}}
      tls: {ca: {configMapKeyRef: {name: ca, key: ca.crt}}}
  web: {}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: ca}
data: {ca.crt: pem}
";

fn secret(data: &str) -> String {
    format!("---\napiVersion: v1\nkind: Secret\nmetadata: {{name: prom, namespace: farm}}\n{data}\n")
}

fn read(text: &str, overrides: &Overrides<'_>) -> Result<Input, Failure> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in.yaml");
    std::fs::write(&file, text).unwrap();
    let now = "2026-11-24T00:00:00Z".parse().unwrap();
    from_files(&[file], overrides, now).map_err(|mut failure| {
        let prefix = format!("{}/", folder.path().display());
        for line in &mut failure.lines {
            *line = line.replace(&prefix, "");
        }
        failure
    })
}

fn errors(text: &str) -> Vec<String> {
    let Err(failure) = read(text, &Overrides::default()) else { panic!("it was taken: {text}") };
    assert_eq!(failure.code, 2);
    failure.lines
}

fn token(input: &Input) -> &[u8] {
    let keys = input.request.prometheus.as_ref().unwrap().keys();
    input.keys.get(keys[0]).unwrap()
}

#[test]
fn a_baseline_and_what_it_names_become_a_request_with_its_keys() {
    for data in [
        "data: {token: Y2FuYXJ5LTdm\\nM2E=}",
        "stringData: {token: canary-7f3a}",
        "data: {token: eA==}\nstringData: {token: canary-7f3a}",
    ] {
        let data = data.replace("\\n", "");
        let input = read(&format!("{BASELINE}{}", secret(&data)), &Overrides::default())
            .unwrap_or_else(|failure| panic!("{failure:?}"));
        assert_eq!(token(&input), b"canary-7f3a", "{data}");
        let request = &input.request;
        assert_eq!(
            (request.name.as_str(), request.namespace.as_str(), request.window_seconds),
            ("dairy", "farm", 3600)
        );
        assert!(request.run.starts_with("dairy-") && request.run_key.starts_with("sha256:"));
        assert!(request.web.is_some() && request.api.is_none() && request.uid.is_empty());
        assert!(!serde_json::to_string(request).unwrap().contains("canary"));
    }
}

#[test]
fn arguments_win_over_the_file() {
    let to = "2026-11-01T00:00:00Z".parse().unwrap();
    let overrides = Overrides { namespace: Some("shop"), window: Some("2d"), to: Some(to), compares: false };
    let input = read(&format!("{BASELINE}{}", secret("stringData: {token: x}")), &overrides);
    let request = input.unwrap_or_else(|failure| panic!("{failure:?}")).request;
    assert_eq!((request.namespace.as_str(), request.window_seconds, request.to), ("shop", 172_800, Some(to)));
    let overrides = Overrides { window: Some("1x"), ..Overrides::default() };
    let Err(failure) = read(&format!("{BASELINE}{}", secret("stringData: {token: x}")), &overrides) else {
        panic!()
    };
    assert!(failure.lines[0].starts_with("--window: \"1x\" is not a duration"), "{failure:?}");
}

#[test]
fn what_is_missing_is_named_before_anything_is_asked() {
    let without_map = BASELINE.split("---").next().unwrap();
    let missing = errors(without_map);
    assert!(missing[0].starts_with("Secret prom with the key token is missing"), "{missing:?}");
    assert!(missing[1].starts_with("ConfigMap ca with the key ca.crt is missing"), "{missing:?}");
    let other_key = errors(&format!("{BASELINE}{}", secret("stringData: {password: canary-7f3a}")));
    assert_eq!(other_key, ["in.yaml:18: Secret prom has no key token"]);
    let other_namespace =
        errors(&format!("{BASELINE}{}", secret("stringData: {token: x}").replace("farm", "shop")));
    assert!(other_namespace[0].contains("is of namespace \"shop\" and not of the baseline's, \"farm\""));
    let twice = errors(&format!("{BASELINE}{0}{0}", secret("stringData: {token: x}")));
    assert_eq!(twice, ["Secret prom is given twice: in.yaml:18 and in.yaml:23"]);
}

#[test]
fn a_bad_secret_is_named_by_its_line_and_never_shown() {
    let found =
        errors(&format!("{BASELINE}{}", secret("data:\n  token: canary-7f3a!\nstringData:\n  other: 7")));
    assert_eq!(
        found,
        ["in.yaml:22: data.token is not base64", "in.yaml:24: stringData.other is not a string; quote it"]
    );
}

#[test]
fn a_bad_spec_is_told_field_by_field() {
    let found = errors(&BASELINE.replace("window: 1h", "window: 1s\n  top: 3"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("in.yaml:5: spec.window: "), "{found:?}");
    assert!(found[1].starts_with("in.yaml:6: spec.top: is not a known field"), "{found:?}");
}

#[test]
fn exactly_one_baseline_with_something_to_read_is_needed() {
    assert!(errors("kind: Secret\napiVersion: v1\n")[0].starts_with("no PerformanceBaseline"));
    let two = errors(&format!("{BASELINE}---\n{BASELINE}"));
    assert!(
        two[0].starts_with("one PerformanceBaseline at a time; there are 2: in.yaml:1, in.yaml:18"),
        "{two:?}"
    );
    let workloads = "apiVersion: plimsoll.dev/v1alpha1\nkind: PerformanceBaseline\nmetadata: {name: a}\nspec:\n  sources:\n    workloads: {selector: {}}\n";
    assert!(
        errors(workloads)[0]
            .starts_with("in.yaml:5: spec.sources has none of prometheus, postgres and redis")
    );
}

#[test]
fn objectives_and_comparison_become_the_standard() {
    let judged = BASELINE.replace(
        "  web: {}\n",
        "  web: {}\n  metrics: [{name: busy, query: sum(x), unit: Ratio, better: Lower}]\n  \
         objectives: [{name: page-load, indicator: web.latency.p95, lessThan: 3s, warning: 2s}]\n",
    );
    let compared =
        |compare: &str| judged.replace("  web: {}\n", &format!("  web: {{}}\n  compareTo: {compare}\n"));
    let standard = |text: &str, overrides: &Overrides<'_>| {
        let input = read(&format!("{text}{}", secret("stringData: {token: x}")), overrides);
        input.unwrap_or_else(|failure| panic!("{failure:?}")).standard
    };
    let alone = standard(&judged, &Overrides::default());
    let objective = &alone.objectives[0];
    assert_eq!((objective.name.as_str(), objective.target, objective.warning), ("page-load", 3.0, Some(2.0)));
    assert!(alone.before.is_none() && alone.not_compared.is_none());
    // A file is compared with as by the defaults of compareTo.
    let given = standard(&judged, &Overrides { compares: true, ..Overrides::default() });
    assert!(given.options.better.contains_key("busy") && (given.options.allowed_change - 0.05).abs() < 1e-12);
    let previous = standard(&compared("{type: PreviousRun, allowedChange: 12%}"), &Overrides::default());
    assert!((previous.options.allowed_change - 0.12).abs() < 1e-12);
    assert!(previous.not_compared.unwrap().contains("--compare-with FILE"));
    let absent =
        standard(&compared("{type: Record, record: {configMapRef: {name: old}}}"), &Overrides::default());
    assert!(absent.not_compared.unwrap().starts_with("The ConfigMap old that spec.compareTo names"));
}

#[test]
fn an_exported_record_among_the_files_is_compared_with() {
    let compared = BASELINE.replace(
        "  web: {}\n",
        "  web: {}\n  compareTo: {type: Record, record: {configMapRef: {name: old}}}\n",
    );
    let record = serde_json::to_string(&plimsoll_testkit::fixtures::record()).unwrap();
    let map = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "old"}, "data": {"record.json": record}});
    let with =
        |map: &serde_json::Value| format!("{compared}{}---\n{map}\n", secret("stringData: {token: x}"));
    let input = read(&with(&map), &Overrides::default()).unwrap_or_else(|failure| panic!("{failure:?}"));
    let before = input.standard.before.unwrap();
    assert_eq!(before.record, plimsoll_testkit::fixtures::record());
    assert_eq!(before.sha256, Some(plimsoll_analysis::hash::sha256_hex(record.as_bytes())));
    let mut broken = map;
    broken["data"] = serde_json::json!({"record.json": "{}"});
    let found = errors(&with(&broken));
    assert!(
        found[0].starts_with("in.yaml:") && found[0].contains("it holds no readable record"),
        "{found:?}"
    );
}
