//! `plimsoll compare` as a step of a pipeline: exit codes, forms and errors.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop the test")]

#[path = "support/records.rs"]
mod records;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use plimsoll_analysis::judgement::{ChangeVerdict, Comparison};
use plimsoll_analysis::record::BaselineRecord;
use records::record;

/// Slots of a day.
const DAY: u32 = 288;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn record(&self, name: &str, record: &BaselineRecord) -> PathBuf {
        self.put(name, serde_json::to_string_pretty(record).unwrap())
    }
}

fn compare(before: &Path, after: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.env_clear().stdin(Stdio::null()).arg("compare").args([before, after]).args(arguments);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_exit_code_says_how_the_system_changed() {
    let folder = Folder::new();
    let before = folder.record("before.json", &record("dairy-1", 200.0, DAY, 1));
    for (name, after, arguments, code, verdict) in [
        ("the same", record("dairy-2", 200.0, DAY, 2), vec![], 0, "Unchanged"),
        ("faster", record("dairy-3", 100.0, DAY, 3), vec![], 0, "Improved"),
        ("slower", record("dairy-4", 260.0, DAY, 4), vec![], 1, "Regressed"),
        (
            "slower as allowed",
            record("dairy-5", 260.0, DAY, 4),
            vec!["--allowed-change", "50%"],
            0,
            "Unchanged",
        ),
        ("too little data", record("dairy-6", 260.0, 2, 5), vec![], 4, "Inconclusive"),
    ] {
        let after = folder.record("after.json", &after);
        let output = compare(&before, &after, &arguments);
        let out = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{name}: {out}{}", text(&output.stderr));
        let last = out.trim_end().lines().last().unwrap();
        assert!(
            last.starts_with(&format!("{verdict} against dairy-1: 1 {}", verdict.to_lowercase())),
            "{name}: {out}"
        );
        assert!(out.contains("Page Load (P95)"), "{name}: {out}");
    }
}

#[test]
fn json_and_markdown_say_the_same() {
    let folder = Folder::new();
    let before = folder.record("before.json", &record("dairy-1", 200.0, DAY, 1));
    let after = folder.record("after.json", &record("dairy-2", 100.0, DAY, 2));
    let output = compare(&before, &after, &["-o", "json"]);
    let comparison: Comparison = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(comparison.verdict, ChangeVerdict::Improved);
    assert_eq!((comparison.against.name.as_str(), comparison.against.run.as_str()), ("dairy", "dairy-1"));
    let change = comparison.indicators.iter().find(|change| change.indicator == "web.latency.p95").unwrap();
    assert!((change.change_percent.unwrap() + 50.0).abs() < 3.0, "{change:?}");
    let output = compare(&before, &after, &["-o", "markdown"]);
    let out = text(&output.stdout);
    assert!(out.contains("| Metric") && out.contains("**Improved** against run dairy-1"), "{out}");
    assert!(out.contains("50%"), "{out}");
}

#[test]
fn a_record_comes_from_standard_input_and_from_a_config_map() {
    let folder = Folder::new();
    let (before, after) = (record("dairy-1", 200.0, DAY, 1), record("dairy-2", 260.0, DAY, 2));
    let map = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dairy-record"},
        "data": {"record.json": serde_json::to_string_pretty(&before).unwrap()},
    });
    let map = folder.put("before.yaml", serde_yaml::to_string(&map).unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).arg("compare").arg(map).arg("-");
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(&after).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
}

#[test]
fn bad_input_is_named_with_its_file_and_never_looks_like_a_regression() {
    let folder = Folder::new();
    let good = folder.record("good.json", &record("dairy-1", 200.0, 12, 1));
    let seed =
        folder.put("performance_baseline.json", r#"{"collection_date": "2026-02-05", "web_metrics": {}}"#);
    let garbage = folder.put("garbage.json", [0xff, 0xfe]);
    for (after, arguments, expected) in [
        (
            &seed,
            vec![],
            "performance_baseline.json: is no record: it has no key \"schema\"; give record.json",
        ),
        (&garbage, vec![], "garbage.json: it is not text in UTF-8"),
        (&folder.0.path().join("absent.json"), vec![], "absent.json: No such file"),
        (&good, vec!["--confidence", "50%"], "it must be from 80% to 99.9%"),
        (&good, vec!["--better", "x"], "write NAME=Lower or NAME=Higher"),
    ] {
        let output = compare(&good, after, &arguments);
        let err = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{err}");
        assert!(err.contains(expected), "{expected}: {err}");
    }
}
