//! Reading the manifests under examples/, and checking one pod.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Parser as _;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Namespace, PodSpec, Service};
use plimsoll_api::PerformanceBaseline;
use plimsoll_workload::cli::Cli;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A document and where it stands.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) file: PathBuf,
    pub(crate) value: Value,
}

/// The fields of a Kustomization that the examples use.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Kustomization {
    api_version: String,
    kind: String,
    resources: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    images: Vec<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    patches: Vec<Patch>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) config_map_generator: Vec<Generator>,
}

/// A ConfigMap made of files.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Generator {
    name: String,
    namespace: String,
    pub(crate) files: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Patch {
    path: String,
    target: BTreeMap<String, String>,
}

/// One operation of RFC 6902.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Operation {
    op: String,
    path: String,
    value: Value,
}

pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

pub(crate) fn smart_dairy() -> PathBuf {
    examples().join("smart-dairy")
}

pub(crate) fn documents_of(text: &str, file: &Path) -> Vec<Document> {
    serde_saphyr::from_multiple::<Value>(text)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        .into_iter()
        .map(|value| Document { file: file.to_owned(), value })
        .collect()
}

/// Every document of every YAML file in a folder and below, in the order of their names.
pub(crate) fn documents(folder: &Path) -> Vec<Document> {
    let mut found = Vec::new();
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            found.extend(documents(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            found.extend(documents_of(&std::fs::read_to_string(&path).unwrap(), &path));
        }
    }
    found
}

/// The first place where `written` has what `kept` lacks or has otherwise.
pub(crate) fn lost(written: &Value, kept: &Value, at: &str) -> Option<String> {
    match (written, kept) {
        (Value::Object(written), Value::Object(kept)) => written.iter().find_map(|(key, value)| {
            let at = format!("{at}.{key}");
            match kept.get(key) {
                None => Some(at),
                Some(kept) => lost(value, kept, &at),
            }
        }),
        (Value::Array(written), Value::Array(kept)) if written.len() == kept.len() => written
            .iter()
            .zip(kept)
            .enumerate()
            .find_map(|(index, (written, kept))| lost(written, kept, &format!("{at}[{index}]"))),
        _ => (written != kept).then(|| format!("{at}: {written} became {kept}")),
    }
}

/// The object as its type, after a check that the type keeps every field: one that is misspelt or misplaced is lost.
pub(crate) fn typed<T: DeserializeOwned + Serialize>(value: &Value) -> Result<T, String> {
    let object: T = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    match lost(value, &serde_json::to_value(&object).unwrap(), "") {
        None => Ok(object),
        Some(place) => Err(format!("{place} is no field of its type")),
    }
}

pub(crate) fn check(value: &Value) -> Result<(), String> {
    if value.is_array() {
        return typed::<Vec<Operation>>(value).map(|_| ());
    }
    match (value["apiVersion"].as_str(), value["kind"].as_str()) {
        (Some("v1"), Some("Namespace")) => typed::<Namespace>(value).map(|_| ()),
        (Some("v1"), Some("Service")) => typed::<Service>(value).map(|_| ()),
        (Some("apps/v1"), Some("Deployment")) => typed::<Deployment>(value).map(|_| ()),
        (Some("apps/v1"), Some("StatefulSet")) => typed::<StatefulSet>(value).map(|_| ()),
        (Some("v1"), Some("ConfigMap")) => typed::<ConfigMap>(value).map(|_| ()),
        (Some("autoscaling/v2"), Some("HorizontalPodAutoscaler")) => {
            typed::<HorizontalPodAutoscaler>(value).map(|_| ())
        }
        (Some("plimsoll.dev/v1alpha1"), Some("PerformanceBaseline")) => {
            typed::<PerformanceBaseline>(value).map(|_| ())
        }
        (Some("kustomize.config.k8s.io/v1beta1"), Some("Kustomization")) => {
            typed::<Kustomization>(value).map(|_| ())
        }
        other => Err(format!("{other:?} is a kind that this test does not know; add it")),
    }
}

pub(crate) fn all<T: DeserializeOwned + Serialize>(documents: &[Document], kind: &str) -> Vec<T> {
    documents
        .iter()
        .filter(|document| document.value["kind"] == kind)
        .map(|document| {
            typed(&document.value).unwrap_or_else(|why| panic!("{}: {why}", document.file.display()))
        })
        .collect()
}

pub(crate) fn pod(deployment: &Deployment) -> &PodSpec {
    deployment.spec.as_ref().unwrap().template.spec.as_ref().unwrap()
}

pub(crate) fn assert_restricted(pod: &PodSpec, user: i64, of: &str) {
    let security = pod.security_context.as_ref().unwrap();
    assert_eq!((security.run_as_non_root, security.run_as_user), (Some(true), Some(user)), "{of}");
    assert_eq!(security.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault", "{of}");
    assert_eq!(pod.automount_service_account_token, Some(false), "{of}");
    for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
        let security = container.security_context.as_ref().unwrap();
        assert_eq!(security.allow_privilege_escalation, Some(false), "{of}");
        assert_eq!(security.read_only_root_filesystem, Some(true), "{of}");
        assert_eq!(security.capabilities.as_ref().unwrap().drop, Some(vec!["ALL".to_owned()]), "{of}");
        let resources = container.resources.as_ref().unwrap();
        assert!(resources.requests.as_ref().is_some_and(|requests| requests.contains_key("cpu")), "{of}");
        assert!(resources.limits.as_ref().is_some_and(|limits| limits.contains_key("memory")), "{of}");
    }
}

pub(crate) fn assert_runnable(container: &Container) {
    assert_eq!(container.command, Some(vec!["/plimsoll-workload".to_owned()]));
    let arguments = container.args.iter().flatten().map(String::as_str);
    Cli::try_parse_from(std::iter::once("plimsoll-workload").chain(arguments)).map(|_| ()).unwrap();
}

/// Names of the Secrets and ConfigMaps that a pod names, with the keys it takes out of them.
pub(crate) fn referenced(pod: &PodSpec) -> BTreeSet<String> {
    let containers = pod.init_containers.iter().flatten().chain(&pod.containers);
    let variables = containers.flat_map(|container| container.env.iter().flatten());
    let keys = variables.filter_map(|variable| {
        let key = variable.value_from.as_ref()?.secret_key_ref.as_ref()?;
        Some(format!("secret/{}/{}", key.name, key.key))
    });
    let volumes = pod.volumes.iter().flatten();
    let of_volumes = volumes.filter_map(|volume| match (&volume.secret, &volume.config_map) {
        (Some(secret), _) => Some(format!("secret/{}", secret.secret_name.as_ref()?)),
        (_, Some(map)) => Some(format!("configmap/{}", map.name)),
        _ => None,
    });
    keys.chain(of_volumes).collect()
}
