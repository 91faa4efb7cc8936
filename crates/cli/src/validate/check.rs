//! One object of ours: its schema, its CEL rules, and what its fields mean.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::core::cel::{CompiledSchema, ErrorKind, Validator, apply_defaults, compile_schema};
use plimsoll_api::{GROUP, PerformanceBaselineSpec, VERSION, all_crds};
use plimsoll_operator::baseline::validate::{self as baseline, FieldError};
use serde_json::{Value, json};

use super::schema::{Patterns, Structure, as_whole};
use super::{Check, Finding};
use crate::manifest::{Content, Document, Node, Path};

/// Fields of `metadata`, which no schema of ours lists.
const METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The schemas of our kinds.
pub(crate) struct Kinds {
    kinds: Vec<Kind>,
    validator: Validator,
    patterns: Patterns,
}

struct Kind {
    name: String,
    schema: Value,
    /// The schema with its CEL rules compiled.
    compiled: CompiledSchema,
}

impl Kinds {
    /// The kinds that this binary knows.
    pub(crate) fn known() -> Self {
        let kinds = all_crds().into_iter().filter_map(|crd| {
            let version = crd.spec.versions.into_iter().find(|version| version.name == VERSION)?;
            let schema = serde_json::to_value(version.schema?.open_api_v3_schema?).ok()?;
            let compiled = compile_schema(&schema);
            Some(Kind { name: crd.spec.names.kind, schema, compiled })
        });
        Self { kinds: kinds.collect(), validator: Validator::new(), patterns: Patterns::default() }
    }

    /// Whether a document is ours to judge: of our group, or of one of our kinds without any.
    pub(crate) fn is_ours(&self, document: &Document) -> bool {
        match document.api_version() {
            Some(version) => version.split('/').next() == Some(GROUP),
            None => document.kind().is_some_and(|kind| self.kind(kind).is_some()),
        }
    }

    fn kind(&self, name: &str) -> Option<&Kind> {
        self.kinds.iter().find(|kind| kind.name == name)
    }

    /// Everything that is wrong with a document of ours, in the order of its lines.
    pub(crate) fn check(&self, document: &Document, now: Timestamp) -> Vec<Finding> {
        let root = &document.node;
        let version = format!("{GROUP}/{VERSION}");
        if document.api_version() != Some(version.as_str()) {
            return vec![schema_finding("apiVersion", format!("must be {version}"))];
        }
        let Some(kind) = document.kind().and_then(|kind| self.kind(kind)) else {
            let known: Vec<&str> = self.kinds.iter().map(|kind| kind.name.as_str()).collect();
            return vec![schema_finding("kind", format!("must be one of {}", known.join(", ")))];
        };
        let mut structure = Structure::new(&self.patterns);
        // The schema has `spec` and `status`; the rest is every object's.
        let mut object = kind.schema.clone();
        for name in ["apiVersion", "kind"] {
            object["properties"][name] = json!({"type": "string"});
        }
        object["properties"]["metadata"] =
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        structure.check(&object, root, &Path::default());
        let mut findings = structure.findings;
        metadata(root, &mut findings);
        if !structure.is_broken {
            let json = completed(kind, root);
            for later in [self.rules(kind, &json), meaning(&kind.name, &json, now)] {
                // What is wrong with a field already says more than what follows from it.
                let seen: BTreeSet<String> =
                    findings.iter().map(|finding| finding.path.to_string()).collect();
                findings
                    .extend(later.into_iter().filter(|finding| !seen.contains(&finding.path.to_string())));
            }
        }
        findings.sort_by_key(|finding| finding.path.line_in(root));
        findings
    }

    /// The object as the API server stores it: without nulls and with the schema's defaults; as it is where it
    /// is none of ours.
    pub(crate) fn completed(&self, document: &Document) -> Value {
        match document.kind().and_then(|kind| self.kind(kind)) {
            Some(kind) => completed(kind, &document.node),
            None => document.node.to_json(),
        }
    }

    /// The CEL rules of the schema.
    fn rules(&self, kind: &Kind, object: &Value) -> Vec<Finding> {
        let Err(errors) = self.validator.validate_compiled(&kind.compiled, object, None) else {
            return Vec::new();
        };
        errors
            .into_iter()
            .map(|error| {
                let message = match error.kind {
                    ErrorKind::ValidationFailure => error.message,
                    _ => format!("the rule {:?} could not be evaluated: {}", error.rule, error.message),
                };
                Finding { check: Check::Cel, path: Path::parse(&error.field_path), message }
            })
            .collect()
    }
}

fn completed(kind: &Kind, root: &Node) -> Value {
    apply_defaults(&kind.schema, &normalized(root.to_json()))
}

/// What the fields mean, beyond what schema and rules decide.
fn meaning(kind: &str, object: &Value, now: Timestamp) -> Vec<Finding> {
    let finding =
        |path: &str, message: String| Finding { check: Check::Meaning, path: Path::parse(path), message };
    let errors: Vec<FieldError> = match kind {
        "PerformanceBaseline" => {
            match serde_json::from_value::<PerformanceBaselineSpec>(object["spec"].clone()) {
                Ok(spec) => {
                    let name = object["metadata"]["name"].as_str().unwrap_or_default();
                    baseline::validate(name, &spec, now).err().unwrap_or_default()
                }
                Err(error) => return vec![finding("spec", error.to_string())],
            }
        }
        _ => Vec::new(),
    };
    errors.into_iter().map(|error| finding(&error.path, error.message)).collect()
}

/// What the API server asks of every object's metadata.
fn metadata(root: &Node, findings: &mut Vec<Finding>) {
    let mut add =
        |path: Path, message: String| findings.push(Finding { check: Check::Schema, path, message });
    let path = Path::default().key("metadata");
    let Some(metadata) = root.get("metadata") else {
        add(path, "is required".to_owned());
        return;
    };
    for entry in metadata.entries().iter().filter(|entry| !METADATA.contains(&entry.key.as_str())) {
        add(path.key(&entry.key), "is not a known field of metadata".to_owned());
    }
    match metadata.get("name").map(|name| &name.content) {
        Some(Content::String(name)) if is_subdomain(name) => {}
        Some(Content::String(name)) => add(
            path.key("name"),
            format!("{name:?} must be lower-case letters, digits, '-' and '.', at most 253"),
        ),
        Some(_) => add(path.key("name"), "must be a string".to_owned()),
        None if metadata.get("generateName").is_some() => {}
        None => add(path.key("name"), "is required".to_owned()),
    }
    for map in ["annotations", "labels"] {
        let entries = metadata.get(map).map(Node::entries).unwrap_or_default();
        for entry in entries.iter().filter(|entry| entry.node.as_str().is_none()) {
            let message = format!("must be a string, not {}; quote it", entry.node.type_name());
            add(path.key(map).key(&entry.key), message);
        }
    }
}

/// RFC 1123 subdomain, the API server's rule for names.
fn is_subdomain(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(is_inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// The object as the server has it: without the nulls of fields, and with 5.0 as 5.
fn normalized(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, field)| !field.is_null())
                .map(|(name, field)| (name, normalized(field)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(normalized).collect()),
        Value::Number(number) => as_whole(&number).map_or(Value::Number(number), Value::from),
        other => other,
    }
}

fn schema_finding(path: &str, message: String) -> Finding {
    Finding { check: Check::Schema, path: Path::parse(path), message }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
