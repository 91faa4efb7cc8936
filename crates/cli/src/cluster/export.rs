//! `kubectl plimsoll export`: a record as a ConfigMap for a Git repository, to compare later runs with.
//!
//! The object is the user's own: it has no owner, none of the labels by which the operator knows what is its, and no UID,
//! so that the operator neither adopts nor prunes it, and it can be applied to any cluster.

use std::collections::BTreeMap;
use std::io::Write;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use plimsoll_operator::record_map;

use super::{ObjectRef, Place, Target, kept};
use crate::failure::Failure;

/// Annotation of an exported record: the SHA-256 of its text, by which a change to it is seen.
pub(crate) const RECORD_SHA256_ANNOTATION: &str = "plimsoll.dev/record-sha256";
/// Annotation of an exported record: the run that it is of.
const EXPORTED_RUN_ANNOTATION: &str = "plimsoll.dev/exported-run";
/// Longest name of an object.
const MAX_NAME: usize = 253;

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kubectl plimsoll export baseline/smart-dairy -n smart-dairy > baselines/smart-dairy.yaml
  kubectl apply --server-side -f baselines/smart-dairy.yaml
  plimsoll compare baselines/smart-dairy.yaml after.json

A baseline compares its runs with the applied record by
  compareTo: {type: Record, record: {configMapRef: {name: smart-dairy-record}}}")]
pub(crate) struct ExportArgs {
    /// Which object, for example baseline/smart-dairy.
    #[arg(value_name = "KIND/NAME")]
    object: ObjectRef,
    /// Which run; the newest with a record by default.
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Name of the ConfigMap; the baseline's name and -record by default.
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    name: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Runs the command.
///
/// # Errors
/// The object or its record is not there, may not be read, or was changed.
pub(crate) async fn run(
    args: &ExportArgs,
    place: &Place,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<u8, Failure> {
    let baseline = place.baseline(&args.object.name).await?;
    let chosen = kept::choose(&baseline, args.run.as_deref())?;
    if let Some(note) = &chosen.note {
        writeln!(err, "{note}")?;
    }
    let (map, record) = kept::record(place, &chosen).await?;
    if !record.complete {
        writeln!(
            err,
            "note: run {} is not complete: a source failed, and its figures are missing",
            chosen.run
        )?;
    }
    let name = args.name.clone().unwrap_or_else(|| default_name(&args.object.name));
    let exported = exported(map, &name, &args.object.name, &chosen);
    let yaml = yaml(&exported)?;
    write!(
        out,
        "# Performance of baseline {}, namespace {}, from {} to {} (run {}).\n\
         # Apply it with `kubectl apply --server-side`: it may be larger than what a client-side apply remembers.\n{yaml}",
        args.object.name, place.namespace, record.window.from, record.window.to, chosen.run
    )?;
    out.flush()?;
    Ok(0)
}

/// The ConfigMap of a run as an object of the user's own. The record's text is the very one that was hashed.
fn exported(map: ConfigMap, name: &str, baseline: &str, chosen: &kept::Chosen) -> ConfigMap {
    let annotations = BTreeMap::from([
        (RECORD_SHA256_ANNOTATION.to_owned(), chosen.sha256.clone()),
        (EXPORTED_RUN_ANNOTATION.to_owned(), chosen.run.clone()),
    ]);
    let mut labels = BTreeMap::from([(
        "app.kubernetes.io/component".to_owned(),
        "performance-baseline-record".to_owned(),
    )]);
    // A label's value has at most 63 characters.
    if baseline.len() <= 63 {
        labels.insert("app.kubernetes.io/instance".to_owned(), baseline.to_owned());
    }
    let is_record = |key: &str| [record_map::RECORD, record_map::RECORD_GZ].contains(&key);
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: map.metadata.namespace,
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        data: map.data.map(|data| data.into_iter().filter(|(key, _)| is_record(key.as_str())).collect()),
        binary_data: map
            .binary_data
            .map(|data| data.into_iter().filter(|(key, _)| is_record(key.as_str())).collect()),
        immutable: None,
    }
}

/// The object as text: what names it first, the record last.
fn yaml(map: &ConfigMap) -> Result<String, Failure> {
    let mut value = serde_json::to_value(map).map_err(Failure::failed)?;
    if let Some(object) = value.as_object_mut() {
        for key in ["data", "binaryData"] {
            object.shift_remove_entry(key).map(|(key, value)| object.insert(key, value));
        }
    }
    serde_yaml::to_string(&value).map_err(Failure::failed)
}

fn default_name(baseline: &str) -> String {
    let suffix = "-record";
    let kept: String = baseline.chars().take(MAX_NAME - suffix.len()).collect();
    format!("{}{suffix}", kept.trim_end_matches(['-', '.']))
}

/// The name of a ConfigMap, by Kubernetes' rule (RFC 1123 subdomain).
fn object_name(text: &str) -> Result<String, String> {
    let is_part = |part: &str| {
        let ends = [part.bytes().next(), part.bytes().next_back()];
        ends.iter().all(|end| end.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()))
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if text.len() <= MAX_NAME && text.split('.').all(is_part) {
        Ok(text.to_owned())
    } else {
        Err("write lower-case letters, digits, - and . as for every name in Kubernetes".to_owned())
    }
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
