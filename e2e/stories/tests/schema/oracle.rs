//! What `plimsoll validate` says of an object: the built binary, on all cases at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::case::Case;

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Opinion {
    /// Nothing is wrong.
    Valid,
    /// The server would take it, and the operator would not know what to do with it.
    Meaningless(String),
    /// Schema or rules refuse it, or it is no JSON.
    Refused(String),
}

/// What it says of each case. It is asked once, whatever number of servers there are: their cases differ in nothing
/// that it looks at.
pub(crate) fn opinions(cases: &[Case]) -> Result<Vec<Opinion>> {
    static ASKED: Mutex<Option<(Vec<String>, Vec<Opinion>)>> = Mutex::new(None);
    let names: Vec<String> = cases.iter().map(|case| case.what.clone()).collect();
    let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, opinions)) = asked.as_ref().filter(|(of, _)| *of == names) {
        return Ok(opinions.clone());
    }
    let opinions = ask(cases)?;
    *asked = Some((names, opinions.clone()));
    Ok(opinions)
}

fn ask(cases: &[Case]) -> Result<Vec<Opinion>> {
    let binary = binary()?;
    let folder = tempfile::tempdir()?;
    for (index, case) in cases.iter().enumerate() {
        std::fs::write(folder.path().join(file_of(index)), &case.body)?;
    }
    let mut opinions = vec![Opinion::Valid; cases.len()];
    let mut output = validate(&binary, folder.path())?;
    if output.status.code() == Some(2) {
        for (index, message) in unreadable(&String::from_utf8_lossy(&output.stderr))? {
            std::fs::remove_file(folder.path().join(file_of(index)))?;
            opinions[index] = Opinion::Refused(message);
        }
        output = validate(&binary, folder.path())?;
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(matches!(output.status.code(), Some(0 | 1)), "validate: {}: {stderr}", output.status);
    let outcome: Value = serde_json::from_slice(&output.stdout)?;
    for error in outcome["errors"].as_array().context("a list of errors")? {
        let index = index_of(error["file"].as_str().unwrap_or_default()).context("a file of ours")?;
        let message = format!("{}: {}", error["field"], error["message"]);
        match (error["check"].as_str(), &opinions[index]) {
            (_, Opinion::Refused(_)) => {}
            (Some("meaning"), _) => opinions[index] = Opinion::Meaningless(message),
            _ => opinions[index] = Opinion::Refused(message),
        }
    }
    Ok(opinions)
}

fn validate(binary: &Path, folder: &Path) -> Result<Output> {
    let mut command = Command::new(binary);
    command.args(["validate", "-o", "json", "-f"]).arg(folder);
    command.output().with_context(|| format!("start {}", binary.display()))
}

fn file_of(index: usize) -> String {
    format!("{index:05}.json")
}

fn index_of(file: &str) -> Option<usize> {
    Path::new(file).file_stem()?.to_str()?.parse().ok()
}

/// The files that it cannot read, by the lines that say so: `error: PATH:LINE: why`.
fn unreadable(stderr: &str) -> Result<BTreeMap<usize, String>> {
    let mut found = BTreeMap::new();
    for line in stderr.lines() {
        let index = line.split(".json").next().and_then(|start| start.rsplit('/').next()?.parse().ok());
        let Some(index) = index else { bail!("which file? {line}") };
        found.insert(index, line.to_owned());
    }
    Ok(found)
}

/// The binary of this very tree: named by the environment, or where cargo put it.
fn binary() -> Result<PathBuf> {
    let binary = match std::env::var_os("PLIMSOLL_STORY_BINARY") {
        Some(named) => named.into(),
        None => {
            let test = std::env::current_exe()?;
            test.parent().and_then(Path::parent).context("a test has a folder")?.join("plimsoll")
        }
    };
    let printed = Command::new(&binary).arg("crds").output();
    let printed =
        printed.with_context(|| format!("start {}; `cargo build -p plimsoll-cli`", binary.display()))?;
    let expected: Vec<Value> =
        plimsoll_api::all_crds().iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    let documents = plimsoll_stories::charts::documents(&String::from_utf8(printed.stdout)?)?;
    ensure!(documents == expected, "{} is of another tree; `cargo build -p plimsoll-cli`", binary.display());
    Ok(binary)
}
