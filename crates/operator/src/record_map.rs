//! A record as a ConfigMap (pure): measurements, immutable, never larger than the API server takes.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use plimsoll_analysis::hash::sha256_hex;
use plimsoll_analysis::json;
use plimsoll_analysis::judgement::Judgement;
use plimsoll_analysis::record::BaselineRecord;
use plimsoll_api::{REQUEST_HASH_ANNOTATION, RUN_KEY_ANNOTATION};

use crate::record_cut::cut_longest;
use crate::retain;

/// Key of the record as text.
pub const RECORD: &str = "record.json";
/// Key of the record as gzip, where it is large.
pub const RECORD_GZ: &str = "record.json.gz";
/// Key of the report.
pub const REPORT: &str = "report.md";
/// Key of the judgement.
pub const JUDGEMENT: &str = "judgement.json";
/// Bounds of a record in its ConfigMap, in bytes.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Past this much JSON it is compressed.
    compress_past: usize,
    /// Past this much compressed its lists are cut.
    cut_past: usize,
    /// Most JSON that it may decompress to.
    text: usize,
}

/// The API server takes 1 MiB of data.
const BOUNDS: Bounds = Bounds { compress_past: 700 * 1024, cut_past: 900 * 1024, text: 32 * 1024 * 1024 };
/// Most bytes of a report.
const MAX_REPORT_BYTES: usize = 600 * 1024;
/// Most bytes of a judgement; report and rules come besides.
const MAX_JUDGEMENT_BYTES: usize = 256 * 1024;
/// Annotation of an exported record: the SHA-256 that its text had, by which a change to it is seen.
pub const RECORD_SHA256_ANNOTATION: &str = "plimsoll.dev/record-sha256";

/// Names of a run's ConfigMap.
#[derive(Debug, Clone)]
pub struct RecordOwner {
    /// Name of the run.
    pub run: String,
    /// Namespace of the resource.
    pub namespace: String,
    /// The resource, as controller.
    pub owner: OwnerReference,
    /// Labels of the run.
    pub labels: BTreeMap<String, String>,
    /// Key of the run.
    pub run_key: String,
    /// Hash of the request, where the run had a Job.
    pub request_hash: Option<String>,
}

/// Why a ConfigMap does not hold a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Neither key is there, or the text is not a record.
    #[error("it holds no readable record")]
    Unreadable,
    /// It belongs to another object or run.
    #[error("{0}")]
    Foreign(&'static str),
    /// A number in it is not finite.
    #[error("the record has no JSON: {0}")]
    NoJson(String),
    /// Its lists were cut as far as they can be.
    #[error("it is larger than a ConfigMap may be, and its lists are cut already")]
    TooLarge,
}

/// The ConfigMap of a record.
///
/// # Errors
/// [`RecordError::NoJson`] where a number is not finite, [`RecordError::TooLarge`] where nothing is left to cut.
pub fn to_config_map(record: &BaselineRecord, names: &RecordOwner) -> Result<ConfigMap, RecordError> {
    within(record, names, BOUNDS)
}

fn within(record: &BaselineRecord, names: &RecordOwner, bounds: Bounds) -> Result<ConfigMap, RecordError> {
    let no_json = |error: serde_json::Error| RecordError::NoJson(error.to_string());
    let mut text = json::to_text(record).map_err(no_json)?;
    let mut data = None;
    let mut binary_data = None;
    if text.len() <= bounds.compress_past {
        data = Some(BTreeMap::from([(RECORD.to_owned(), text)]));
    } else {
        let mut compressed = compress(&text);
        let fits =
            |text: &str, compressed: &[u8]| compressed.len() <= bounds.cut_past && text.len() <= bounds.text;
        if !fits(&text, &compressed) {
            let mut value = serde_json::to_value(record).map_err(no_json)?;
            while !fits(&text, &compressed) {
                if !cut_longest(&mut value) {
                    return Err(RecordError::TooLarge);
                }
                text = value.to_string();
                compressed = compress(&text);
            }
        }
        binary_data = Some(BTreeMap::from([(RECORD_GZ.to_owned(), ByteString(compressed))]));
    }
    let mut annotations = BTreeMap::from([(RUN_KEY_ANNOTATION.to_owned(), names.run_key.clone())]);
    if let Some(hash) = &names.request_hash {
        annotations.insert(REQUEST_HASH_ANNOTATION.to_owned(), hash.clone());
    }
    Ok(ConfigMap {
        metadata: ObjectMeta {
            name: Some(names.run.clone()),
            namespace: Some(names.namespace.clone()),
            labels: Some(names.labels.clone()),
            annotations: Some(annotations),
            owner_references: Some(vec![names.owner.clone()]),
            ..ObjectMeta::default()
        },
        data,
        binary_data,
        immutable: Some(true),
    })
}

/// Name of the ConfigMap beside a run's that holds what is said of its record.
#[must_use]
pub fn report_name(run: &str) -> String {
    format!("{run}-report")
}

/// The mutable ConfigMap `<run>-report`: what was judged of the record, and the report for people.
#[must_use]
pub fn report_map(record: &BaselineRecord, judgement: &Judgement, names: &RecordOwner) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(report_name(&names.run)),
            namespace: Some(names.namespace.clone()),
            labels: Some(names.labels.clone()),
            annotations: Some(BTreeMap::from([(RUN_KEY_ANNOTATION.to_owned(), names.run_key.clone())])),
            owner_references: Some(vec![names.owner.clone()]),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([
            (JUDGEMENT.to_owned(), bounded_judgement(judgement)),
            (REPORT.to_owned(), bounded_report(plimsoll_report::markdown(record, Some(judgement)))),
        ])),
        binary_data: None,
        immutable: None,
    }
}

/// Whether a ConfigMap says of a record what `report` says; what others have put beside it does not matter.
#[must_use]
pub fn says_the_same(there: &ConfigMap, report: &ConfigMap) -> bool {
    let of = |map: &ConfigMap, key: &str| map.data.as_ref().and_then(|data| data.get(key)).cloned();
    [JUDGEMENT, REPORT].into_iter().all(|key| of(there, key) == of(report, key))
}

/// A judgement that fits into its ConfigMap: the trend loses its oldest runs, as nothing else in it grows without bound.
fn bounded_judgement(judgement: &Judgement) -> String {
    let text = |judgement: &Judgement| {
        serde_json::to_string_pretty(judgement).expect("a judgement has only string keys")
    };
    let mut json = text(judgement);
    let mut judgement = judgement.clone();
    while json.len() > MAX_JUDGEMENT_BYTES && !judgement.trend.is_empty() {
        for trend in &mut judgement.trend {
            trend.points.drain(..trend.points.len().div_ceil(2));
        }
        judgement.trend.retain(|trend| trend.points.len() > 1);
        json = text(&judgement);
    }
    json
}

/// A report that fits into its ConfigMap; the record has the rest.
fn bounded_report(mut report: String) -> String {
    if report.len() > MAX_REPORT_BYTES {
        report.truncate(report.floor_char_boundary(MAX_REPORT_BYTES));
        let line = report.rfind('\n').map_or(0, |end| end + 1);
        report.truncate(line);
        report.push_str("\nThe report is cut here; record.json has the rest.\n");
    }
    report
}

/// Whether a ConfigMap that has a run's name is the run's.
///
/// # Errors
/// What it differs in.
pub fn adopt(
    map: &ConfigMap,
    owner_uid: &str,
    run_key: &str,
    request_hash: Option<&str>,
) -> Result<(), RecordError> {
    belongs(&map.metadata, owner_uid, run_key)?;
    if annotation(&map.metadata, REQUEST_HASH_ANNOTATION) != request_hash {
        return Err(RecordError::Foreign("it answers another request"));
    }
    Ok(())
}

/// Whether an object is one of a run's, by its owner and run key.
///
/// # Errors
/// What it differs in.
pub fn belongs(metadata: &ObjectMeta, owner_uid: &str, run_key: &str) -> Result<(), RecordError> {
    if !is_owned(metadata, owner_uid) {
        return Err(RecordError::Foreign("it belongs to another object"));
    }
    if annotation(metadata, RUN_KEY_ANNOTATION) != Some(run_key) {
        return Err(RecordError::Foreign("it is of another run"));
    }
    Ok(())
}

/// Whether an object belongs to a resource: by its owner reference or, where it has none, by our labels with the UID.
#[must_use]
pub fn is_owned(metadata: &ObjectMeta, owner_uid: &str) -> bool {
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    if owners.is_empty() {
        return retain::is_kept(metadata, owner_uid);
    }
    owners.iter().any(|owner| owner.controller == Some(true) && owner.uid == owner_uid)
}

fn annotation<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.annotations.as_ref().and_then(|all| all.get(name)).map(String::as_str)
}

/// The record of a ConfigMap and the SHA-256 of its text.
///
/// # Errors
/// [`RecordError::Unreadable`].
pub fn read(map: &ConfigMap) -> Result<(BaselineRecord, String), RecordError> {
    let text = match map.data.as_ref().and_then(|data| data.get(RECORD)) {
        Some(text) => text.clone(),
        None => {
            let compressed = map.binary_data.as_ref().and_then(|data| data.get(RECORD_GZ));
            decompress(&compressed.ok_or(RecordError::Unreadable)?.0)?
        }
    };
    let record = serde_json::from_str(&text).map_err(|_| RecordError::Unreadable)?;
    Ok((record, sha256_hex(text.as_bytes())))
}

fn compress(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("a Vec takes every byte");
    encoder.finish().expect("a Vec takes every byte")
}

fn decompress(bytes: &[u8]) -> Result<String, RecordError> {
    let mut text = String::new();
    GzDecoder::new(bytes)
        .take(BOUNDS.text as u64)
        .read_to_string(&mut text)
        .map_err(|_| RecordError::Unreadable)?;
    Ok(text)
}

#[cfg(test)]
#[path = "record_map_tests.rs"]
mod tests;
