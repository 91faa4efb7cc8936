//! `plimsoll compare`: two records of files, without a cluster.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use plimsoll_analysis::compare::compare;
use plimsoll_analysis::judgement::{Alignment, Better, ChangeVerdict, CompareOptions, Comparison};
use plimsoll_analysis::request::Unit;
use plimsoll_analysis::threshold;

use crate::failure::{EXIT_BAD_INPUT, EXIT_FAILED, EXIT_INCONCLUSIVE, Failure};
use crate::output;
use crate::record_file::{self, RecordFile};

/// Arguments of `plimsoll compare`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A file is record.json, what `plimsoll collect -o json` prints, or a ConfigMap from `kubectl plimsoll export`.

Examples:
  plimsoll compare before.json after.json
  plimsoll compare baselines/smart-dairy.yaml after.json --allowed-change 10% -o markdown
  plimsoll collect -f baseline.yaml -o json | plimsoll compare before.json - --better odoo-workers-busy=Lower

Exit codes: 0 improved or unchanged, 1 some figure regressed, 4 the data do not allow to say, 2 bad input")]
pub(crate) struct CompareArgs {
    /// The earlier record, or - for standard input.
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// The later record, or - for standard input.
    #[arg(value_name = "AFTER")]
    after: PathBuf,
    /// Change for the worse that is allowed, percent of the value before.
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = allowed_change)]
    allowed_change: f64,
    /// Confidence of the whole comparison, from 80% to 99.9%: with 98%, 2 of 100 comparisons of equal systems find a
    /// change.
    #[arg(long, value_name = "PERCENT", default_value = "98%", value_parser = confidence)]
    confidence: f64,
    /// How the slots of the two windows are paired: HourOfWeek compares only the same hours of the week (UTC).
    #[arg(long, value_enum, default_value_t = Pairing::None, ignore_case = true)]
    alignment: Pairing,
    /// Which direction of a metric of your own is better, for example odoo-workers-busy=Lower; those that are not named
    /// are shown and not judged. May be given more than once.
    #[arg(long, value_name = "NAME=Lower|Higher", value_parser = better)]
    better: Vec<(String, Better)>,
    /// How the comparison is written.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// How slots are paired, in the words of spec.compareTo.alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Pairing {
    /// All of one window against all of the other.
    #[value(name = "None")]
    None,
    /// Only the same hours of the week (UTC), hour by hour.
    #[value(name = "HourOfWeek")]
    HourOfWeek,
}

/// How a comparison is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a terminal.
    Table,
    /// For a page or an issue.
    Markdown,
    /// For programs: the key `comparison` of a judgement.
    Json,
}

/// Runs the command; the exit code.
///
/// # Errors
/// Bad input, or the output cannot be written: never exit code 1, which means a regression.
pub(crate) fn run(args: &CompareArgs, out: &mut dyn Write, err: &mut dyn Write) -> Result<u8, Failure> {
    let [before, after] = read(args)?;
    for note in notes(&before, &after).into_iter().chain(unknown_metrics(args, &before, &after)) {
        // The comparison comes all the same: a closed standard error changes nothing.
        let _ = writeln!(err, "{note}");
    }
    let comparison = compare(&before.record, &after.record, before.against(), &options(args));
    write(&comparison, args.output, out).map_err(|failure| match failure.code {
        EXIT_FAILED => Failure { code: EXIT_BAD_INPUT, ..failure },
        _ => failure,
    })?;
    Ok(exit_code(comparison.verdict))
}

fn read(args: &CompareArgs) -> Result<[RecordFile; 2], Failure> {
    if args.before == args.after && args.before.as_os_str() == "-" {
        return Err(Failure::bad_input(
            "standard input holds one record: give - for BEFORE or for AFTER, and a file for the other",
        ));
    }
    match (record_file::read(&args.before), record_file::read(&args.after)) {
        (Ok(before), Ok(after)) => Ok([before, after]),
        (before, after) => {
            // Both files are told at once.
            let failures = [before.err(), after.err()];
            let lines = failures.into_iter().flatten().flat_map(|failure| failure.lines);
            Err(Failure::with(EXIT_BAD_INPUT, lines))
        }
    }
}

/// What may be a slip of the hand: the comparison is made all the same.
fn notes(before: &RecordFile, after: &RecordFile) -> Vec<String> {
    let mut notes = Vec::new();
    if before.record.window.to > after.record.window.to {
        notes.push(format!(
            "note: {} ends at {} and {} at {}: the first is the later one; are they swapped?",
            before.file, before.record.window.to, after.file, after.record.window.to
        ));
    }
    if before.record.run_key == after.record.run_key {
        notes.push(format!(
            "note: {} and {} are records of one run, {}",
            before.file, after.file, after.record.run
        ));
    }
    notes
}

/// Directions of metrics that neither record has: a slip of the hand, or a metric that could not be had.
fn unknown_metrics(args: &CompareArgs, before: &RecordFile, after: &RecordFile) -> Vec<String> {
    let has = |file: &RecordFile, name: &str| {
        file.record.custom_metrics.as_ref().is_some_and(|metrics| metrics.contains_key(name))
    };
    let unknown = args.better.iter().filter(|(name, _)| !has(before, name) && !has(after, name));
    unknown
        .map(|(name, _)| format!("note: --better {name}: neither record has a metric of that name"))
        .collect()
}

fn options(args: &CompareArgs) -> CompareOptions {
    CompareOptions {
        allowed_change: args.allowed_change,
        confidence: args.confidence,
        alignment: match args.alignment {
            Pairing::None => Alignment::None,
            Pairing::HourOfWeek => Alignment::HourOfWeek,
        },
        better: args.better.iter().cloned().collect::<BTreeMap<_, _>>(),
    }
}

fn exit_code(verdict: ChangeVerdict) -> u8 {
    match verdict {
        ChangeVerdict::Improved | ChangeVerdict::Unchanged => 0,
        ChangeVerdict::Regressed => EXIT_FAILED,
        ChangeVerdict::Inconclusive => EXIT_INCONCLUSIVE,
    }
}

fn write(comparison: &Comparison, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    let text = match format {
        Format::Table => plimsoll_report::comparison_table(comparison, output::terminal_width()),
        Format::Markdown => plimsoll_report::comparison_markdown(comparison),
        Format::Json => serde_json::to_string_pretty(comparison).map_err(Failure::bad_input)? + "\n",
    };
    out.write_all(text.as_bytes())?;
    if format != Format::Json {
        writeln!(out, "\n{}", line(comparison))?;
    }
    out.flush()?;
    Ok(())
}

/// The verdict in one line: what decided, in numbers.
fn line(comparison: &Comparison) -> String {
    let of = |verdict: ChangeVerdict| {
        let changes = comparison.indicators.iter().filter(|change| change.better.is_some());
        changes
            .filter(|change| change.verdict == verdict)
            .map(|change| change.indicator.as_str())
            .collect::<Vec<_>>()
    };
    let counts = [
        (of(ChangeVerdict::Regressed), "regressed"),
        (of(ChangeVerdict::Improved), "improved"),
        (of(ChangeVerdict::Inconclusive), "inconclusive"),
        (of(ChangeVerdict::Unchanged), "unchanged"),
    ];
    let said = counts.iter().filter(|(names, _)| !names.is_empty());
    let said: Vec<String> =
        said.map(|(names, word)| format!("{} {word} ({})", names.len(), named(names))).collect();
    let said =
        if said.is_empty() { "no figure of both records can be judged".to_owned() } else { said.join(", ") };
    format!("{:?} against {}: {said}.", comparison.verdict, comparison.against.run)
}

/// At most four names.
fn named(names: &[&str]) -> String {
    match names {
        [first, second, third, _, _, ..] => {
            format!("{first}, {second}, {third} and {} more", names.len() - 3)
        }
        names => names.join(", "),
    }
}

/// A part of one, from a text in percent.
fn percent(text: &str) -> Result<f64, String> {
    threshold::parse(text, Unit::Ratio).map_err(|error| error.to_string())
}

fn allowed_change(text: &str) -> Result<f64, String> {
    match percent(text)? {
        change if change < 10.0 => Ok(change),
        _ => Err("it must be below 1000%".to_owned()),
    }
}

fn confidence(text: &str) -> Result<f64, String> {
    match percent(text)? {
        // 99.9 / 100 is not exactly 0.999.
        confidence if (0.8 - 1e-9..=0.999 + 1e-9).contains(&confidence) => Ok(confidence),
        _ => Err("it must be from 80% to 99.9%".to_owned()),
    }
}

fn better(text: &str) -> Result<(String, Better), String> {
    let (name, direction) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write NAME=Lower or NAME=Higher")?;
    let name = name.strip_prefix(plimsoll_analysis::indicator::METRICS).unwrap_or(name).to_owned();
    match direction.to_lowercase().as_str() {
        "lower" => Ok((name, Better::Lower)),
        "higher" => Ok((name, Better::Higher)),
        other => Err(format!("{other:?} is neither Lower nor Higher")),
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
