//! What `kubectl explain` says of every field: what the schema says, with its default and bounds.

use std::collections::BTreeMap;
use std::sync::Mutex;

use anyhow::{Context as _, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray,
};
use plimsoll_api::explain::limits;

use crate::server::Server;

/// Processes of kubectl at once.
const AT_ONCE: usize = 4;

/// How many fields were explained, and what is unclear about which.
pub(crate) fn check(server: &Server) -> Result<(usize, Vec<String>)> {
    let mut fields = BTreeMap::new();
    for crd in plimsoll_api::all_crds() {
        let version = crd.spec.versions.into_iter().next().context("a definition has a version")?;
        let schema = version.schema.and_then(|schema| schema.open_api_v3_schema).context("and a schema")?;
        collect(&crd.spec.names.singular.context("and a name")?, &schema, &mut fields);
    }
    let cache = tempfile::tempdir()?;
    let cache = format!("--cache-dir={}", cache.path().display());
    let unclear = Mutex::new(Vec::new());
    let fields: Vec<(String, JSONSchemaProps)> = fields.into_iter().collect();
    std::thread::scope(|scope| {
        for part in fields.chunks(fields.len().div_ceil(AT_ONCE)) {
            let (cache, unclear) = (&cache, &unclear);
            scope.spawn(move || {
                for (path, field) in part {
                    let fault = match server.kubectl(&["explain", path, cache]) {
                        Ok(printed) => fault(&printed, field),
                        Err(error) => Some(error.to_string()),
                    };
                    let line = fault.map(|fault| format!("explain {path}: {fault}"));
                    unclear.lock().expect("no thread panics with it").extend(line);
                }
            });
        }
    });
    Ok((fields.len(), unclear.into_inner().expect("no thread panics with it")))
}

fn collect(path: &str, field: &JSONSchemaProps, found: &mut BTreeMap<String, JSONSchemaProps>) {
    found.insert(path.to_owned(), field.clone());
    for (name, property) in field.properties.iter().flatten() {
        collect(&format!("{path}.{name}"), property, found);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = &field.items {
        for (name, property) in item.properties.iter().flatten() {
            collect(&format!("{path}.{name}"), property, found);
        }
    }
}

/// What is wrong with what is printed of a field.
fn fault(printed: &str, field: &JSONSchemaProps) -> Option<String> {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, description) = printed.split_once("DESCRIPTION:")?;
    let description = words(description);
    let meant = words(field.description.as_deref().unwrap_or_default());
    if meant.is_empty() || !description.contains(&meant) {
        return Some(format!("it says {description:?} and not {meant:?}"));
    }
    let limits = limits(field).unwrap_or_default();
    (!description.contains(&limits)).then(|| format!("it says {description:?} without {limits:?}"))
}
