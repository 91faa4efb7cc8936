use super::*;
use clap::Parser as _;
use plimsoll_analysis::record::BaselineRecord;
use plimsoll_testkit::fixtures;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: CompareArgs,
}

fn args(line: &[&str]) -> Result<CompareArgs, String> {
    let line = [&["compare", "a.json", "b.json"], line].concat();
    Line::try_parse_from(line).map(|line| line.args).map_err(|error| error.to_string())
}

/// Exit code, standard output and standard error.
fn compared(before: &BaselineRecord, after: &BaselineRecord, line: &[&str]) -> (u8, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = [("a.json", before), ("b.json", after)].map(|(name, record)| {
        let file = folder.path().join(name);
        std::fs::write(&file, serde_json::to_string(record).unwrap()).unwrap();
        file
    });
    let args = CompareArgs { before: first, after: second, ..args(line).unwrap() };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(&args, &mut out, &mut err).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn later(record: &BaselineRecord) -> BaselineRecord {
    BaselineRecord { run: "dairy-later".to_owned(), run_key: "sha256:later".to_owned(), ..record.clone() }
}

#[test]
fn arguments_are_written_as_in_a_spec() {
    let defaults = options(&args(&[]).unwrap());
    assert_eq!(defaults, CompareOptions::default());
    let args = args(&[
        "--allowed-change",
        "12.5%",
        "--confidence",
        "99.9%",
        "--alignment",
        "HourOfWeek",
        "--better",
        "busy=Lower",
        "--better",
        "metrics.sales=higher",
    ]);
    let options = options(&args.unwrap());
    assert!((options.allowed_change - 0.125).abs() < 1e-12 && (options.confidence - 0.999).abs() < 1e-12);
    assert_eq!(options.alignment, Alignment::HourOfWeek);
    let better: Vec<_> = options.better.into_iter().collect();
    assert_eq!(better, [("busy".to_owned(), Better::Lower), ("sales".to_owned(), Better::Higher)]);
}

#[test]
fn an_argument_that_means_nothing_is_named() {
    for (line, expected) in [
        (["--allowed-change", "0.05"], "is not a part in percent"),
        (["--allowed-change", "1000%"], "it must be below 1000%"),
        (["--confidence", "79%"], "it must be from 80% to 99.9%"),
        (["--confidence", "100%"], "it must be from 80% to 99.9%"),
        (["--alignment", "Monday"], "[possible values: None, HourOfWeek]"),
        (["--better", "busy"], "write NAME=Lower or NAME=Higher"),
        (["--better", "busy=Less"], "\"less\" is neither Lower nor Higher"),
    ] {
        let error = args(&line).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let both = CompareArgs { before: "-".into(), after: "-".into(), ..args(&[]).unwrap() };
    let failure = run(&both, &mut Vec::new(), &mut Vec::new()).unwrap_err();
    assert!(failure.code == 2 && failure.lines[0].contains("standard input holds one record"), "{failure:?}");
}

#[test]
fn both_files_that_are_wrong_are_told_at_once() {
    let args = CompareArgs { before: "/nowhere/a".into(), after: "/nowhere/b".into(), ..args(&[]).unwrap() };
    let failure = run(&args, &mut Vec::new(), &mut Vec::new()).unwrap_err();
    assert_eq!((failure.code, failure.lines.len()), (2, 2), "{failure:?}");
}

#[test]
fn records_without_enough_data_are_inconclusive_in_every_form() {
    let record = fixtures::record();
    let (code, out, err) = compared(&record, &later(&record), &["-o", "json"]);
    assert_eq!((code, err.as_str()), (4, ""));
    let comparison: Comparison = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (comparison.verdict, comparison.against.run),
        (ChangeVerdict::Inconclusive, record.run.clone())
    );
    for form in ["table", "markdown"] {
        let (code, out, _) = compared(&record, &later(&record), &["-o", form]);
        assert_eq!(code, 4);
        let last = out.trim_end().lines().last().unwrap();
        assert!(last.starts_with(&format!("Inconclusive against {}: ", record.run)), "{out}");
    }
}

#[test]
fn a_slip_of_the_hand_is_noted_and_compared_all_the_same() {
    let record = fixtures::record();
    let (_, out, err) = compared(&record, &record, &[]);
    assert!(err.contains("are records of one run") && !out.is_empty(), "{err}");
    let mut earlier = later(&record);
    earlier.window.to = "2020-01-01T00:00:00Z".parse().unwrap();
    let (_, _, err) = compared(&record, &earlier, &[]);
    assert!(err.contains("are they swapped?"), "{err}");
    let (_, _, err) = compared(&record, &later(&record), &["--better", "bussy=Lower"]);
    assert_eq!(err, "note: --better bussy: neither record has a metric of that name\n");
}

#[test]
fn the_exit_code_says_the_verdict() {
    use ChangeVerdict::{Improved, Inconclusive, Regressed, Unchanged};
    assert_eq!([Improved, Unchanged, Regressed, Inconclusive].map(exit_code), [0, 0, 1, 4]);
}

#[test]
fn one_line_names_what_decided() {
    assert_eq!(named(&["a", "b"]), "a, b");
    assert_eq!(named(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    let record = fixtures::record();
    let against = RecordFile { file: String::new(), record: record.clone(), sha256: None }.against();
    let mut comparison = compare(&record, &later(&record), against, &CompareOptions::default());
    for change in &mut comparison.indicators {
        change.verdict = ChangeVerdict::Unchanged;
    }
    comparison.indicators[0].verdict = ChangeVerdict::Regressed;
    comparison.verdict = ChangeVerdict::Regressed;
    let text = line(&comparison);
    assert!(
        text.starts_with(&format!("Regressed against {}: 1 regressed (web.latency.p50), ", record.run)),
        "{text}"
    );
    comparison.indicators.clear();
    comparison.verdict = ChangeVerdict::Inconclusive;
    assert!(line(&comparison).ends_with("no figure of both records can be judged."));
}
