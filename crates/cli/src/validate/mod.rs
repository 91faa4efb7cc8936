//! `plimsoll validate`: files against schema, CEL rules and meaning, without a cluster.

mod check;
mod schema;

use std::io::Write;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use crate::failure::{EXIT_BAD_INPUT, EXIT_FAILED, Failure};
use crate::manifest::{self, Document, Path};

pub(crate) use check::Kinds;

/// Arguments of `plimsoll validate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  plimsoll validate -f baseline.yaml
  plimsoll validate -f deploy/ -o json
  kustomize build overlays/prod | plimsoll validate -f -

Exit codes: 0 all valid, 1 something is invalid, 2 a file cannot be read or holds nothing of plimsoll.dev")]
pub(crate) struct ValidateArgs {
    /// Files, folders (searched for .yaml, .yml and .json), or - for standard input.
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR", required = true, num_args = 1..)]
    filename: Vec<PathBuf>,
    /// How the result is written.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One error a line: file, line, field, what is wrong.
    Text,
    /// One JSON object, for CI.
    Json,
}

/// Which kind of check found something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Check {
    /// The OpenAPI schema.
    Schema,
    /// A CEL rule of the schema.
    Cel,
    /// What the value means.
    Meaning,
}

/// Something wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) check: Check,
    pub(crate) path: Path,
    pub(crate) message: String,
}

/// The result, as `-o json` prints it.
#[derive(Debug, Serialize)]
struct Outcome {
    valid: bool,
    /// Documents of ours.
    checked: usize,
    /// Documents of other kinds.
    skipped: usize,
    errors: Vec<Located>,
}

#[derive(Debug, Serialize)]
struct Located {
    file: String,
    line: u64,
    /// Kind and name, as kubectl writes them.
    object: String,
    field: String,
    check: Check,
    message: String,
}

/// Runs the command; the exit code.
pub(crate) fn run(args: &ValidateArgs, now: Timestamp, out: &mut dyn Write) -> Result<u8, Failure> {
    let documents = manifest::read(&args.filename).map_err(|errors| Failure::with(EXIT_BAD_INPUT, errors))?;
    let outcome = judge(&documents, now);
    if outcome.checked == 0 {
        return Err(Failure::bad_input(format_args!(
            "nothing of {} was found among {} ({})",
            plimsoll_api::GROUP,
            count(documents.len(), "document", "documents"),
            "an object of ours has apiVersion plimsoll.dev/v1alpha1"
        )));
    }
    match args.output {
        Format::Json => {
            let text = serde_json::to_string_pretty(&outcome).map_err(Failure::failed)?;
            writeln!(out, "{text}")?;
        }
        Format::Text => text(&outcome, out)?,
    }
    Ok(if outcome.valid { 0 } else { EXIT_FAILED })
}

fn judge(documents: &[Document], now: Timestamp) -> Outcome {
    let kinds = Kinds::known();
    let ours: Vec<&Document> = documents.iter().filter(|document| kinds.is_ours(document)).collect();
    let errors: Vec<Located> = ours
        .iter()
        .flat_map(|document| kinds.check(document, now).into_iter().map(|finding| located(document, finding)))
        .collect();
    Outcome { valid: errors.is_empty(), checked: ours.len(), skipped: documents.len() - ours.len(), errors }
}

fn located(document: &Document, finding: Finding) -> Located {
    let kind = document.kind().unwrap_or("object").to_lowercase();
    Located {
        file: document.file.clone(),
        line: finding.path.line_in(&document.node),
        object: format!("{kind}/{}", document.name().unwrap_or_default()),
        field: finding.path.to_string(),
        check: finding.check,
        message: finding.message,
    }
}

fn text(outcome: &Outcome, out: &mut dyn Write) -> std::io::Result<()> {
    for error in &outcome.errors {
        let field = if error.field.is_empty() { "the object" } else { &error.field };
        writeln!(out, "{}:{}: {field}: {}", error.file, error.line, one_line(&error.message))?;
    }
    let checked = count(outcome.checked, "object", "objects");
    let errors = count(outcome.errors.len(), "error", "errors");
    let verdict = if outcome.valid { "valid".to_owned() } else { errors };
    let skipped = match outcome.skipped {
        0 => String::new(),
        1 => "; 1 document is of another kind".to_owned(),
        more => format!("; {more} documents are of other kinds"),
    };
    writeln!(out, "{checked} checked: {verdict}{skipped}")
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Text from a file, fit for a terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn run_on(files: Vec<PathBuf>, output: Format) -> (Result<u8, Failure>, String) {
        let mut out = Vec::new();
        let now = "2026-11-24T00:00:00Z".parse().unwrap();
        let result = run(&ValidateArgs { filename: files, output }, now, &mut out);
        (result, String::from_utf8(out).unwrap())
    }

    const GOOD: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: farm}
---
apiVersion: plimsoll.dev/v1alpha1
kind: PerformanceBaseline
metadata:
  name: dairy
spec:
  sources:
    prometheus: {url: \"http://prom:9090\"}
  web: {}
";

    #[test]
    fn a_good_file_is_valid_and_other_kinds_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let (result, out) = run_on(vec![write(&folder, "a.yaml", GOOD)], Format::Text);
        assert_eq!(result.unwrap(), 0);
        assert_eq!(out, "1 object checked: valid; 1 document is of another kind\n");
    }

    #[test]
    fn every_error_has_its_file_line_and_field() {
        let folder = tempfile::tempdir().unwrap();
        let bad = GOOD.replace("  web: {}\n", "  web:\n    matchers: job=\n  top: 3\n  window: 30s\n");
        let file = write(&folder, "bad.yaml", &bad);
        let (result, out) = run_on(vec![file.clone()], Format::Text);
        assert_eq!(result.unwrap(), 1);
        let lines: Vec<&str> = out.lines().collect();
        let at = |line: u64, field: &str| format!("{}:{line}: {field}: ", file.display());
        assert!(lines[0].starts_with(&at(13, "spec.web.matchers")), "{out}");
        assert!(lines[1].starts_with(&at(14, "spec.top")), "{out}");
        assert!(lines[2].starts_with(&at(15, "spec.window")), "{out}");
        assert_eq!(lines[3], "1 object checked: 3 errors; 1 document is of another kind");
        let (result, out) = run_on(vec![file], Format::Json);
        assert_eq!(result.unwrap(), 1);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (&json["valid"], &json["checked"], &json["skipped"]),
            (&false.into(), &1.into(), &1.into())
        );
        assert_eq!(json["errors"][1]["field"], "spec.top");
        assert_eq!(json["errors"][1]["line"], 14);
        assert_eq!(json["errors"][1]["check"], "schema");
        assert_eq!(json["errors"][0]["check"], "meaning");
        assert_eq!(json["errors"][0]["object"], "performancebaseline/dairy");
    }

    #[test]
    fn nothing_of_ours_and_nothing_readable_are_bad_input() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text, expected) in [
            ("other.yaml", "kind: Namespace\napiVersion: v1\n", "nothing of plimsoll.dev"),
            ("broken.yaml", "kind: Namespace\n  a: [\n", "broken.yaml:2: not YAML or JSON"),
        ] {
            let (result, out) = run_on(vec![write(&folder, name, text)], Format::Text);
            let failure = result.unwrap_err();
            assert_eq!((failure.code, out.as_str()), (2, ""));
            assert!(failure.lines[0].contains(expected), "{:?}", failure.lines);
        }
    }

    #[test]
    fn the_example_is_valid() {
        let examples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let (result, out) = run_on(vec![examples], Format::Text);
        assert_eq!(result.unwrap(), 0, "{out}");
    }
}
