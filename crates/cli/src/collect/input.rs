//! What a run without a cluster is given: one baseline, and the Secrets and ConfigMaps that it names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use plimsoll_analysis::duration;
use plimsoll_analysis::request::{BaselineRequest, KeyKind, KeyRef};
use plimsoll_api::PerformanceBaselineSpec;
use plimsoll_collect::Keys;
use plimsoll_operator::baseline::validate::{
    CompareWith, RunNames, ValidBaseline, ValidComparison, validate,
};
use plimsoll_operator::run_key::{Trigger, run_key, run_name};

use super::judge::Standard;
use crate::failure::{EXIT_BAD_INPUT, Failure};
use crate::manifest::{self, Document, Node, Path};
use crate::record_file::{self, RecordFile};
use crate::validate::Kinds;

/// Namespace of a baseline that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// What a run reads.
pub(crate) struct Input {
    pub(crate) request: BaselineRequest,
    pub(crate) keys: Keys,
    /// By what the record is judged.
    pub(super) standard: Standard,
}

/// What was given beside the files.
#[derive(Debug, Default)]
pub(crate) struct Overrides<'a> {
    pub(crate) namespace: Option<&'a str>,
    pub(crate) window: Option<&'a str>,
    pub(crate) to: Option<Timestamp>,
    /// Whether a record to compare with was given.
    pub(crate) compares: bool,
}

/// A baseline whose every field was checked.
pub(crate) struct Baseline {
    document: Document,
    spec: PerformanceBaselineSpec,
}

/// A Secret or a ConfigMap of a file.
pub(crate) struct Object {
    pub(crate) place: String,
    pub(crate) namespace: Option<String>,
    pub(crate) values: BTreeMap<String, Vec<u8>>,
}

/// By kind and name; more than one is told when it is asked for.
pub(crate) type Objects = BTreeMap<(KeyKind, String), Vec<Object>>;

impl Baseline {
    /// Checks a document and reads its spec.
    ///
    /// # Errors
    /// Every field that is wrong, with its file and line.
    pub(crate) fn from_document(document: Document) -> Result<Self, Failure> {
        let kinds = Kinds::known();
        let findings = kinds.check(&document, Timestamp::now());
        if !findings.is_empty() {
            let lines = findings.iter().map(|finding| {
                format!("{}: {}: {}", document.place(&finding.path), finding.path, finding.message)
            });
            return Err(Failure::with(EXIT_BAD_INPUT, lines));
        }
        let spec = kinds.completed(&document)["spec"].take();
        let spec = serde_json::from_value(spec).map_err(|error| {
            Failure::bad_input(format_args!("{}: {error}", document.place(&Path::default())))
        })?;
        Ok(Self { document, spec })
    }
}

/// Reads the files: exactly one baseline, and every key that it names.
///
/// # Errors
/// Everything that is unreadable, wrong or missing.
pub(crate) fn from_files(
    names: &[PathBuf],
    overrides: &Overrides<'_>,
    now: Timestamp,
) -> Result<Input, Failure> {
    let documents = manifest::read(names).map_err(|errors| Failure::with(EXIT_BAD_INPUT, errors))?;
    let kinds = Kinds::known();
    let (ours, others): (Vec<Document>, Vec<Document>) =
        documents.into_iter().partition(|document| kinds.is_ours(document));
    let objects = objects(&others)?;
    let baseline = match <[Document; 1]>::try_from(ours) {
        Ok([document]) => Baseline::from_document(document)?,
        Err(ours) if ours.is_empty() => {
            return Err(Failure::bad_input(
                "no PerformanceBaseline was found in the files; name its file with -f",
            ));
        }
        Err(ours) => {
            let places: Vec<String> = ours.iter().map(|document| document.place(&Path::default())).collect();
            let message =
                format!("one PerformanceBaseline at a time; there are {}: {}", ours.len(), places.join(", "));
            return Err(Failure::bad_input(message));
        }
    };
    build(baseline, &objects, overrides, now)
}

/// Makes the request of a baseline that comes from no file, whose Secrets are `objects`.
///
/// # Errors
/// As [`from_files`].
pub(crate) fn without_files(
    baseline: Baseline,
    objects: &Objects,
    overrides: &Overrides<'_>,
    now: Timestamp,
) -> Result<Input, Failure> {
    build(baseline, objects, overrides, now)
}

fn build(
    baseline: Baseline,
    objects: &Objects,
    overrides: &Overrides<'_>,
    now: Timestamp,
) -> Result<Input, Failure> {
    let Baseline { document, mut spec } = baseline;
    if let Some(window) = overrides.window {
        window.clone_into(&mut spec.window);
    }
    if overrides.compares && spec.compare_to.is_none() {
        // Compared as by compareTo with its defaults.
        let compare_to = serde_json::json!({"type": "PreviousRun"});
        spec.compare_to = Some(serde_json::from_value(compare_to).map_err(Failure::failed)?);
    }
    let valid = validate(document.name().unwrap_or_default(), &spec, now).map_err(|errors| {
        // The fields of the file are checked already: what is wrong here came by an argument.
        Failure::with(EXIT_BAD_INPUT, errors.into_iter().map(|error| format!("--window: {}", error.message)))
    })?;
    if !valid.needs_a_job() {
        return Err(Failure::bad_input(format_args!(
            "{}: spec.sources has none of prometheus, postgres and redis: nothing else can be read without a cluster",
            document.place(&Path::parse("spec.sources"))
        )));
    }
    let namespace = overrides.namespace.or(document.namespace()).unwrap_or(DEFAULT_NAMESPACE);
    let name = document.name().unwrap_or("baseline");
    let run_key = run_key("", &valid.spec_hash, &Trigger::Request(now.to_string()).to_string());
    let run = run_name(name, &run_key);
    let names = RunNames { name, namespace, uid: "", run: &run, run_key: &run_key };
    let mut request = valid.request(names, &[]);
    request.to = overrides.to;
    let own = document.namespace().unwrap_or(namespace);
    let keys = keys(&request, objects, own)?;
    let standard = standard(valid, objects, own)?;
    Ok(Input { request, keys, standard })
}

/// By what the record is judged, with the exported record that the spec names where it is in the files.
fn standard(valid: ValidBaseline, objects: &Objects, namespace: &str) -> Result<Standard, Failure> {
    let objectives = valid.objectives;
    let Some(ValidComparison { with, options }) = valid.comparison else {
        return Ok(Standard { objectives, ..Standard::default() });
    };
    let (before, not_compared) = match with {
        CompareWith::PreviousRun | CompareWith::Baseline { .. } => {
            let why = "Without a cluster the run that spec.compareTo names is not known: give its record with --compare-with FILE.";
            (None, Some(why.to_owned()))
        }
        CompareWith::Record { config_map } => match exported(&config_map, objects, namespace)? {
            Some(before) => (Some(before), None),
            None => {
                let why = format!(
                    "The ConfigMap {config_map} that spec.compareTo names is not in the files: name its file with -f, or give a record with --compare-with FILE."
                );
                (None, Some(why))
            }
        },
    };
    Ok(Standard { objectives, options, before, not_compared })
}

/// The exported record of a ConfigMap, if it is in the files.
fn exported(name: &str, objects: &Objects, namespace: &str) -> Result<Option<RecordFile>, Failure> {
    let all = objects.get(&(KeyKind::ConfigMap, name.to_owned())).map(Vec::as_slice).unwrap_or_default();
    let object = all.iter().find(|object| object.namespace.as_deref().is_none_or(|own| own == namespace));
    let Some(object) = object else { return Ok(None) };
    record_file::of_values(&object.place, &object.values).map(Some)
}

/// The values of the keys that the request names.
fn keys(request: &BaselineRequest, objects: &Objects, namespace: &str) -> Result<Keys, Failure> {
    let (mut values, mut missing) = (BTreeMap::new(), Vec::new());
    for key in request.optional_keys() {
        if let Ok(value) = value_of(key, objects, namespace) {
            values.insert(key.clone(), value.to_vec());
        }
    }
    for key in request.keys() {
        match value_of(key, objects, namespace) {
            Ok(value) => drop(values.insert(key.clone(), value.to_vec())),
            Err(message) if missing.contains(&message) => {}
            Err(message) => missing.push(message),
        }
    }
    if missing.is_empty() { Ok(Keys::from_map(values)) } else { Err(Failure::with(EXIT_BAD_INPUT, missing)) }
}

fn value_of<'a>(key: &KeyRef, objects: &'a Objects, namespace: &str) -> Result<&'a [u8], String> {
    let (kind, name) = (format!("{:?}", key.kind), &key.name);
    let all = objects.get(&(key.kind, name.clone())).map(Vec::as_slice).unwrap_or_default();
    // An object without a namespace is applied to the baseline's.
    let fitting: Vec<&Object> =
        all.iter().filter(|object| object.namespace.as_deref().is_none_or(|own| own == namespace)).collect();
    match fitting.as_slice() {
        [] if all.is_empty() => Err(format!(
            "{kind} {name} with the key {} is missing: name its file with -f, for example from \
             `kubectl get {} {name} -n {namespace} -o yaml`",
            key.key,
            kind.to_lowercase()
        )),
        [] => Err(format!(
            "{}: {kind} {name} is of namespace {:?} and not of the baseline's, {namespace:?}",
            all[0].place,
            all[0].namespace.as_deref().unwrap_or_default()
        )),
        [object] => object
            .values
            .get(&key.key)
            .map(Vec::as_slice)
            .ok_or_else(|| format!("{}: {kind} {name} has no key {}", object.place, key.key)),
        [first, second, ..] => {
            Err(format!("{kind} {name} is given twice: {} and {}", first.place, second.place))
        }
    }
}

/// The Secrets and ConfigMaps of the files.
fn objects(documents: &[Document]) -> Result<Objects, Failure> {
    let (mut objects, mut errors) = (Objects::new(), Vec::new());
    for document in documents.iter().filter(|document| document.api_version() == Some("v1")) {
        let (kind, plain, encoded) = match document.kind() {
            Some("Secret") => (KeyKind::Secret, "stringData", "data"),
            Some("ConfigMap") => (KeyKind::ConfigMap, "data", "binaryData"),
            _ => continue,
        };
        let mut values = BTreeMap::new();
        let mut read = |field: &str, is_encoded: bool| {
            for entry in document.node.get(field).map(Node::entries).unwrap_or_default() {
                let value = entry.node.as_str().ok_or("is not a string; quote it").and_then(|text| {
                    if is_encoded {
                        decoded(text).ok_or("is not base64")
                    } else {
                        Ok(text.as_bytes().to_vec())
                    }
                });
                let path = Path::parse(field).key(&entry.key);
                match value {
                    Ok(value) => drop(values.insert(entry.key.clone(), value)),
                    Err(why) => errors.push(format!("{}: {path} {why}", document.place(&path))),
                }
            }
        };
        // The API server writes stringData over data.
        read(encoded, true);
        read(plain, false);
        let object = Object {
            place: document.place(&Path::default()),
            namespace: document.namespace().map(str::to_owned),
            values,
        };
        objects.entry((kind, document.name().unwrap_or_default().to_owned())).or_default().push(object);
    }
    if errors.is_empty() { Ok(objects) } else { Err(Failure::with(EXIT_BAD_INPUT, errors)) }
}

/// Base64 as the API server reads it: line ends in it are left out.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|character| !matches!(character, '\r' | '\n')).collect();
    STANDARD.decode(text).ok()
}

/// How long the command may take.
///
/// # Errors
/// Not a duration, or none at all.
pub(crate) fn timeout(text: &str) -> Result<std::time::Duration, String> {
    match duration::parse(text) {
        Ok(timeout) if timeout.is_zero() => Err("it must be longer than 0".to_owned()),
        Ok(timeout) => Ok(timeout),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
