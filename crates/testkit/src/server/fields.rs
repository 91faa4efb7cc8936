//! Paths of fields, and how lists of a resource are merged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde_json::{Map, Value};

use super::route::ResourceType;

/// One step of a path into an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// A field of an object.
    Field(String),
    /// An item of a list that is keyed: the values of its keys.
    Item(String),
    /// A value of a list that is a set.
    Element(String),
}

/// Where a field is in an object.
pub(crate) type Path = Vec<Step>;

/// How a list is merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// Replaced as a whole.
    Atomic,
    /// Values are joined.
    Set,
    /// Items with the same values of these keys are merged.
    Map(Vec<String>),
}

/// Keys of the lists of our own resources, as their schemas declare them: by plural and path of field names.
static CUSTOM_LISTS: LazyLock<BTreeMap<(String, Vec<String>), ListKind>> = LazyLock::new(|| {
    let mut lists = BTreeMap::new();
    for crd in plimsoll_api::all_crds() {
        for version in &crd.spec.versions {
            let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
            if let Some(schema) = schema {
                declared_lists(&crd.spec.names.plural, schema, &mut Vec::new(), &mut lists);
            }
        }
    }
    lists
});

fn declared_lists(
    plural: &str,
    schema: &JSONSchemaProps,
    path: &mut Vec<String>,
    lists: &mut BTreeMap<(String, Vec<String>), ListKind>,
) {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrArray::Schema;
    let kind = match schema.x_kubernetes_list_type.as_deref() {
        Some("map") => schema.x_kubernetes_list_map_keys.clone().map(ListKind::Map),
        Some("set") => Some(ListKind::Set),
        _ => None,
    };
    if let Some(kind) = kind {
        lists.insert((plural.to_owned(), path.clone()), kind);
    }
    if let Some(Schema(items)) = &schema.items {
        declared_lists(plural, items, path, lists);
    }
    for (name, property) in schema.properties.iter().flatten() {
        path.push(name.clone());
        declared_lists(plural, property, path, lists);
        path.pop();
    }
}

/// How the list at `path` of a resource is merged: by the schema of our own resources; by the name of the field in
/// built-in ones, where each of these names means the same list everywhere.
pub(crate) fn list_kind(resource: &ResourceType, path: &Path) -> ListKind {
    let keyed = |key: &str| ListKind::Map(vec![key.to_owned()]);
    let names: Vec<String> = path
        .iter()
        .filter_map(|step| match step {
            Step::Field(name) => Some(name.clone()),
            Step::Item(_) | Step::Element(_) => None,
        })
        .collect();
    let name = names.last().map(String::as_str).unwrap_or_default();
    if names.first().is_some_and(|first| first == "metadata") {
        return match name {
            "ownerReferences" => keyed("uid"),
            "finalizers" => ListKind::Set,
            _ => ListKind::Atomic,
        };
    }
    if !resource.is_builtin() {
        let kind = CUSTOM_LISTS.get(&(resource.plural.clone(), names));
        return kind.cloned().unwrap_or(ListKind::Atomic);
    }
    match name {
        "conditions" => keyed("type"),
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "containerStatuses"
        | "initContainerStatuses" => keyed("name"),
        "volumeMounts" => keyed("mountPath"),
        "ports" if resource.plural == "services" => keyed("port"),
        "ports" => keyed("containerPort"),
        _ => ListKind::Atomic,
    }
}

/// The step to an item of a keyed list; nothing where it lacks a key.
pub(crate) fn item_step(item: &Value, keys: &[String]) -> Option<Step> {
    let values: Option<Vec<String>> = keys.iter().map(|key| item.get(key).map(Value::to_string)).collect();
    values.map(|values| Step::Item(values.join(",")))
}

/// The steps to the items of a list, where each has one.
pub(crate) fn item_steps(items: &[Value], kind: &ListKind) -> Option<Vec<Step>> {
    match kind {
        ListKind::Atomic => None,
        ListKind::Set => Some(items.iter().map(|item| Step::Element(item.to_string())).collect()),
        ListKind::Map(keys) => items.iter().map(|item| item_step(item, keys)).collect(),
    }
}

/// Which part of an object a request writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything but the status.
    Main,
    /// The status alone.
    Status,
}

/// Paths of every field that an object sets within a scope, without those that the server sets itself.
pub(crate) fn field_set(resource: &ResourceType, object: &Value, scope: Scope) -> BTreeSet<Path> {
    const SERVER_SET: [&str; 10] = [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "managedFields",
        "generateName",
        "selfLink",
    ];
    let mut paths = BTreeSet::new();
    let empty = Map::new();
    for (name, value) in object.as_object().unwrap_or(&empty) {
        let mut path = vec![Step::Field(name.clone())];
        match (scope, name.as_str()) {
            (Scope::Main, "apiVersion" | "kind" | "status") => {}
            (Scope::Main, "metadata") => {
                for (name, value) in value.as_object().unwrap_or(&empty) {
                    if !SERVER_SET.contains(&name.as_str()) {
                        path.push(Step::Field(name.clone()));
                        collect_leaves(resource, value, &mut path, &mut paths);
                        path.pop();
                    }
                }
            }
            (Scope::Main, _) | (Scope::Status, "status") => {
                collect_leaves(resource, value, &mut path, &mut paths);
            }
            (Scope::Status, _) => {}
        }
    }
    paths
}

fn collect_leaves(resource: &ResourceType, value: &Value, path: &mut Path, paths: &mut BTreeSet<Path>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                path.push(Step::Field(name.clone()));
                collect_leaves(resource, value, path, paths);
                path.pop();
            }
        }
        Value::Array(items) if !items.is_empty() => match item_steps(items, &list_kind(resource, path)) {
            None => {
                paths.insert(path.clone());
            }
            Some(steps) => {
                for (step, item) in steps.into_iter().zip(items) {
                    path.push(step);
                    paths.insert(path.clone());
                    if item.is_object() {
                        collect_leaves(resource, item, path, paths);
                    }
                    path.pop();
                }
            }
        },
        _ => {
            paths.insert(path.clone());
        }
    }
}

/// The value at a path.
pub(crate) fn find<'a>(resource: &ResourceType, object: &'a Value, path: &[Step]) -> Option<&'a Value> {
    let mut value = object;
    for (depth, step) in path.iter().enumerate() {
        value = match step {
            Step::Field(name) => value.get(name)?,
            Step::Item(_) | Step::Element(_) => {
                let items = value.as_array()?;
                let index = index_of(resource, items, &path[..depth], step)?;
                &items[index]
            }
        };
    }
    Some(value)
}

/// The place of an item in the list at `path`.
pub(crate) fn index_of(
    resource: &ResourceType,
    items: &[Value],
    path: &[Step],
    step: &Step,
) -> Option<usize> {
    let kind = list_kind(resource, &path.to_vec());
    items.iter().position(|item| match &kind {
        ListKind::Atomic => false,
        ListKind::Set => *step == Step::Element(item.to_string()),
        ListKind::Map(keys) => item_step(item, keys).as_ref() == Some(step),
    })
}

/// Removes what is at a path, and the objects and lists that this leaves empty.
pub(crate) fn remove(resource: &ResourceType, object: &mut Value, path: &[Step]) {
    remove_below(resource, object, path, 0);
}

fn remove_below(resource: &ResourceType, value: &mut Value, path: &[Step], depth: usize) {
    let Some(step) = path.get(depth) else { return };
    let last = depth + 1 == path.len();
    let is_empty = |value: &Value| match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    match (step, value) {
        (Step::Field(name), Value::Object(fields)) => {
            if let Some(child) = fields.get_mut(name) {
                remove_below(resource, child, path, depth + 1);
                if last || is_empty(child) {
                    fields.shift_remove(name);
                }
            }
        }
        (Step::Item(_) | Step::Element(_), Value::Array(items)) => {
            if let Some(index) = index_of(resource, items, &path[..depth], step) {
                remove_below(resource, &mut items[index], path, depth + 1);
                if last || is_empty(&items[index]) {
                    items.remove(index);
                }
            }
        }
        _ => {}
    }
}

/// A path as conflict messages write it, for example `.status.conditions["Ready"].reason`.
pub(crate) fn display(path: &Path) -> String {
    path.iter()
        .map(|step| match step {
            Step::Field(name) => format!(".{name}"),
            Step::Item(keys) | Step::Element(keys) => format!("[{keys}]"),
        })
        .collect()
}
