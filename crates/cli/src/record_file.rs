//! Records in files: what `collect` prints, record.json itself, or the ConfigMap that `export` writes.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use plimsoll_analysis::judgement::{self, Against, Judgement};
use plimsoll_analysis::record::{BaselineRecord, SCHEMA};
use plimsoll_operator::record_map;
use serde_json::Value;

use crate::cluster::export::RECORD_SHA256_ANNOTATION;
use crate::failure::Failure;
use crate::manifest::{self, Document};

/// What a file has to be, for messages.
const EXPECTED: &str = "give record.json, the output of `plimsoll collect -o json` or -o yaml, or a ConfigMap from \
                        `kubectl plimsoll export`";

/// A record of a file.
#[derive(Debug, Clone)]
pub(crate) struct RecordFile {
    /// The file as the user named it.
    pub(crate) file: String,
    /// What it holds.
    pub(crate) record: BaselineRecord,
    /// SHA-256 of the record's text, where the file is the ConfigMap that holds this very text.
    pub(crate) sha256: Option<String>,
}

impl RecordFile {
    /// The record as the earlier one of a comparison.
    pub(crate) fn against(&self) -> Against {
        Against {
            name: self.record.name.clone(),
            run: self.record.run.clone(),
            record_sha256: self.sha256.clone(),
            window: self.record.window,
        }
    }
}

/// Reads the record of a file, or of standard input (`-`).
///
/// # Errors
/// Bad input: the file cannot be read, holds no record or several, a record of another version, or one that was changed
/// after it was exported. The message names the file and what is expected.
pub(crate) fn read(file: &Path) -> Result<RecordFile, Failure> {
    let text = manifest::text(file).map_err(Failure::bad_input)?;
    let name = if file.as_os_str() == "-" { "standard input".to_owned() } else { file.display().to_string() };
    parse(&name, &text)
}

/// Reads the record of a text that came from `file`.
///
/// # Errors
/// As [`read`].
pub(crate) fn parse(file: &str, text: &str) -> Result<RecordFile, Failure> {
    // JSON is YAML too, but a record of some megabytes is read sooner as what it is.
    if let Some(value) = serde_json::from_str(text).ok().filter(|value: &Value| value["kind"] != "List") {
        return of_value(file, value);
    }
    let documents = manifest::parse(file, text).map_err(Failure::bad_input)?;
    let mut found: Vec<&Document> = documents.iter().filter(|document| may_hold_one(document)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(document), true) => of_value(file, document.node.to_json()),
        (Some(_), false) => {
            Err(bad(file, format_args!("holds {} records; give one a file", found.len() + 1)))
        }
        (None, _) => Err(bad(file, format_args!("holds no record; {EXPECTED}"))),
    }
}

/// Whether a document is one of those that are looked at, among others that stand beside it in a file of YAML.
fn may_hold_one(document: &Document) -> bool {
    let has_record = ["data", "binaryData"].iter().any(|field| {
        let entries = document.node.get(field).map(manifest::Node::entries).unwrap_or_default();
        entries.iter().any(|entry| [record_map::RECORD, record_map::RECORD_GZ].contains(&entry.key.as_str()))
    });
    document.node.get("schema").is_some() || (document.kind() == Some("ConfigMap") && has_record)
}

fn of_value(file: &str, value: Value) -> Result<RecordFile, Failure> {
    match (value.get("schema").and_then(Value::as_str), value.get("kind").and_then(Value::as_str)) {
        (Some(SCHEMA), _) => {
            let record = serde_json::from_value(value)
                .map_err(|error| bad(file, format_args!("is not a whole record: {error}; {EXPECTED}")))?;
            Ok(RecordFile { file: file.to_owned(), record, sha256: None })
        }
        (Some(judgement::SCHEMA), _) => {
            let run = value.get("run").and_then(Value::as_str).unwrap_or("the run");
            Err(bad(
                file,
                format_args!(
                    "is a judgement and not the record; the record is record.json of the ConfigMap {run}"
                ),
            ))
        }
        (Some(other), _) => Err(other_schema(file, other)),
        (None, Some("ConfigMap")) => of_config_map(file, value),
        (None, Some(kind)) => Err(bad(file, format_args!("is a {kind} and holds no record; {EXPECTED}"))),
        (None, None) => Err(bad(file, format_args!("is no record: it has no key \"schema\"; {EXPECTED}"))),
    }
}

fn of_config_map(file: &str, value: Value) -> Result<RecordFile, Failure> {
    let map: ConfigMap =
        serde_json::from_value(value).map_err(|error| bad(file, format_args!("is no ConfigMap: {error}")))?;
    let found = in_config_map(file, &map)?;
    let exported = map.metadata.annotations.as_ref().and_then(|all| all.get(RECORD_SHA256_ANNOTATION));
    match (exported, &found.sha256) {
        (Some(exported), Some(sha256)) if exported != sha256 => Err(bad(
            file,
            format_args!(
                "the record was changed after it was exported: its SHA-256 is {sha256}, and the annotation \
                 {RECORD_SHA256_ANNOTATION} says {exported}; export it again"
            ),
        )),
        _ => Ok(found),
    }
}

/// The record among the values of a ConfigMap that came from `place`.
///
/// # Errors
/// As [`read`].
pub(crate) fn of_values(place: &str, values: &BTreeMap<String, Vec<u8>>) -> Result<RecordFile, Failure> {
    let text = values.get(record_map::RECORD).and_then(|text| String::from_utf8(text.clone()).ok());
    let compressed = values.get(record_map::RECORD_GZ).cloned();
    let map = ConfigMap {
        data: text.map(|text| BTreeMap::from([(record_map::RECORD.to_owned(), text)])),
        binary_data: compressed
            .map(|gz| BTreeMap::from([(record_map::RECORD_GZ.to_owned(), ByteString(gz))])),
        ..ConfigMap::default()
    };
    in_config_map(place, &map)
}

fn in_config_map(file: &str, map: &ConfigMap) -> Result<RecordFile, Failure> {
    let (record, sha256) =
        record_map::read(map).map_err(|error| bad(file, format_args!("{error}; {EXPECTED}")))?;
    if record.schema != SCHEMA {
        return Err(other_schema(file, &record.schema));
    }
    Ok(RecordFile { file: file.to_owned(), record, sha256: Some(sha256) })
}

fn other_schema(file: &str, schema: &str) -> Failure {
    bad(file, format_args!("is of schema {schema:?}, and this version of plimsoll reads {SCHEMA:?}"))
}

fn bad(file: &str, message: std::fmt::Arguments<'_>) -> Failure {
    Failure::bad_input(format_args!("{file}: {message}"))
}

/// A record with what is said of it, as one JSON object: the judgement's `objectives`, `findings`, `comparison`,
/// `not_compared` and `trend` stand beside the measurements, before the long lists (see docs/reading-results.md).
///
/// Without a judgement it is the record alone.
///
/// # Errors
/// A number of the record has no JSON.
pub(crate) fn merged(
    record: &BaselineRecord,
    judgement: Option<&Judgement>,
) -> Result<Value, serde_json::Error> {
    let mut record = serde_json::to_value(record)?;
    let (Some(judgement), Some(measured)) = (judgement, record.as_object_mut()) else { return Ok(record) };
    let mut said = serde_json::to_value(judgement)?;
    // What only the machine needs comes last.
    let last: Vec<(String, Value)> = ["series", "counters", "basis", "truncated"]
        .into_iter()
        .filter_map(|key| measured.shift_remove_entry(key))
        .collect();
    for key in ["objectives", "findings", "comparison", "not_compared", "trend"] {
        if let Some(value) = said.as_object_mut().and_then(|said| said.shift_remove(key)) {
            measured.insert(key.to_owned(), value);
        }
    }
    measured.extend(last);
    Ok(record)
}

#[cfg(test)]
#[path = "record_file_tests.rs"]
mod tests;
