use super::*;
use crate::test_prometheus::{Manner, Prometheus};
use clap::Parser as _;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: CollectArgs,
}

/// Exit code or failure, standard output and standard error.
fn collect(line: &[&str], url: &str) -> (Result<u8, Failure>, String, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args = Line::try_parse_from([&["collect"], line].concat()).unwrap().args;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let variable = |name: &str| (name == environment::PROMETHEUS_URL).then(|| url.to_owned());
    let result = run(&args, variable, &mut out, &mut err);
    (result, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn manifest(url: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    let text = format!(
        "apiVersion: plimsoll.dev/v1alpha1\nkind: PerformanceBaseline\nmetadata: {{name: dairy, namespace: farm}}\n\
         spec:\n  window: 5m\n  sources:\n    prometheus:\n      url: {url}\n      \
         auth: {{type: Bearer, bearer: {{secretKeyRef: {{name: prom, key: token}}}}}}\n  \
         metrics: [{{name: busy, query: probe, unit: Ratio}}]\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {{name: prom}}\nstringData: {{token: canary-7f3a}}\n"
    );
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn a_run_from_files_prints_the_record_in_every_form() {
    let prometheus = Prometheus::start(Manner::Answers);
    let file = manifest(&prometheus.url);
    let path = file.path().to_str().unwrap();
    for (form, expected) in
        [("json", "\"busy\": {"), ("yaml", "custom_metrics:\n  busy:"), ("markdown", "# "), ("table", "busy")]
    {
        let (result, out, err) = collect(&["-f", path, "-o", form], "");
        assert_eq!((result.unwrap(), err.as_str()), (0, ""), "{form}: {out}");
        assert!(out.contains(expected), "{form}: {out}");
        assert!(!out.contains("canary"), "{form}: {out}");
    }
    assert!(prometheus.asked().iter().all(|sent| sent == "Bearer canary-7f3a"));
    let (_, out, _) =
        collect(&["-f", path, "-o", "json", "--to", "2026-11-01T00:00:00Z", "--window", "1h"], "");
    let record: BaselineRecord = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (record.window.from, record.window.to),
        ("2026-10-31T23:00:00Z".parse().unwrap(), "2026-11-01T00:00:00Z".parse().unwrap())
    );
}

#[test]
fn objectives_findings_and_comparison_stand_beside_the_measurements() {
    let prometheus = Prometheus::start(Manner::Answers);
    let file = manifest(&prometheus.url);
    let text = std::fs::read_to_string(file.path()).unwrap();
    let objectives = "  objectives:\n  - {name: busy-enough, indicator: metrics.busy, lessThan: 50%}\n  - {name: too-busy, indicator: metrics.busy, lessThan: 10%}\n---\n";
    std::fs::write(file.path(), text.replacen("---\n", objectives, 1)).unwrap();
    let path = file.path().to_str().unwrap();
    let (result, first, err) = collect(&["-f", path, "-o", "json"], "");
    assert_eq!((result.unwrap(), err.as_str()), (0, ""), "objectives change no exit code");
    let printed: serde_json::Value = serde_json::from_str(&first).unwrap();
    let results: Vec<&str> =
        printed["objectives"].as_array().unwrap().iter().map(|one| one["result"].as_str().unwrap()).collect();
    assert_eq!(results.len(), 2);
    assert!(results[1] == "Missed" || results[1] == "Inconclusive", "{results:?}");
    assert!(printed["findings"].is_array() && printed.get("comparison").is_none());
    let before = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    std::fs::write(before.path(), &first).unwrap();
    let compare = ["-f", path, "--compare-with", before.path().to_str().unwrap(), "-o"];
    let (result, out, _) = collect(&[&compare[..], &["json"]].concat(), "");
    assert_eq!(result.unwrap(), 0);
    let printed: serde_json::Value = serde_json::from_str(&out).unwrap();
    let against: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!(printed["comparison"]["against"]["run"], against["run"]);
    assert!(serde_json::from_value::<BaselineRecord>(printed).is_ok(), "it can be compared with again");
    let (result, out, _) = collect(&[&compare[..], &["html"]].concat(), "");
    assert!(result.unwrap() == 0 && out.contains("too-busy"), "{out}");
    let (result, out, _) = collect(&["-f", path, "--compare-with", "/nowhere.json"], "");
    let failure = result.unwrap_err();
    assert!(failure.code == 2 && failure.lines[0].starts_with("/nowhere.json: No such file"), "{failure:?}");
    assert_eq!(out, "");
}

#[test]
fn without_files_the_environment_says_where_to_read() {
    let prometheus = Prometheus::start(Manner::Answers);
    let (result, out, err) = collect(&["-o", "json"], &prometheus.url);
    assert_eq!(result.unwrap(), 3, "the server has none of the seed's metrics");
    let record: BaselineRecord = serde_json::from_str(&out).unwrap();
    assert_eq!((record.namespace.as_str(), record.period_days), ("smart-dairy", 7.0));
    assert!(err.starts_with("prometheus: Failed (NoData): "), "{err}");
    let (_, out, _) = collect(&["-o", "json", "--namespace", "shop"], &prometheus.url);
    assert_eq!(serde_json::from_str::<BaselineRecord>(&out).unwrap().namespace, "shop");
    let (result, out, _) = collect(&[], "prometheus:9090/canary");
    let failure = result.unwrap_err();
    assert_eq!((failure.code, out.as_str()), (2, ""));
    assert!(
        failure.lines[0].starts_with("the environment variable PROMETHEUS_URL must be an http or https URL"),
        "{failure:?}"
    );
}

#[test]
fn a_source_that_failed_still_gives_a_record_and_exit_code_3() {
    let prometheus = Prometheus::start(Manner::Refuses);
    let file = manifest(&prometheus.url);
    let (result, out, err) = collect(&["-f", file.path().to_str().unwrap(), "-o", "json"], "");
    assert_eq!(result.unwrap(), 3);
    let record: BaselineRecord = serde_json::from_str(&out).unwrap();
    assert!(!record.complete);
    assert!(err.starts_with("prometheus: Failed (AuthenticationFailed): "), "{err}");
    assert!(!format!("{out}{err}").contains("canary"));
}

#[test]
fn a_run_ends_by_its_timeout() {
    let prometheus = Prometheus::start(Manner::Hangs);
    let file = manifest(&prometheus.url);
    let (result, out, err) = collect(&["-f", file.path().to_str().unwrap(), "--timeout", "200ms"], "");
    assert_eq!((result.unwrap(), err.as_str()), (3, ""));
    assert!(out.contains("prometheus failed (Timeout)"), "{out}");
}
