//! Reads: objects, lists in pages, logs of pods, rights.

use serde_json::{Value, json};

use super::Inner;
use super::handle::{self, Answer};
use super::route::{ObjectKey, ResourceType, Route, Verb};
use super::select::Selector;
use super::status::ApiFailure;
use super::store::Store;
use super::{admit, watch};

/// One object, its status, or a pod's log.
pub(crate) fn get(inner: &Inner, route: &Route) -> Result<Answer, ApiFailure> {
    let object = handle::existing(inner, &route.key())?.value;
    match route.subresource.as_str() {
        "" => Ok(Answer::json(200, route, &watch::shape(&object, route.metadata_only))),
        "status" if admit::has_status(&route.resource) => Ok(Answer::json(200, route, &object)),
        "log" if route.resource.plural == "pods" => log(inner, route, &object),
        _ => Err(handle::not_served()),
    }
}

/// Keys of the objects that a list selects, in the order of their namespaces and names.
pub(crate) fn selected(store: &Store, route: &Route) -> Result<Vec<ObjectKey>, ApiFailure> {
    let selector = Selector::parse(route.option("labelSelector"), route.option("fieldSelector"))?;
    let objects = store.list(&route.resource, &route.namespace);
    Ok(objects.filter(|(_, stored)| selector.matches(&stored.value)).map(|(key, _)| key.clone()).collect())
}

/// A page of objects. A page goes on after the last object of the one before; what changes in between shows.
pub(crate) fn list(inner: &Inner, route: &Route) -> Result<Answer, ApiFailure> {
    let mut keys = selected(&inner.store, route)?;
    if let Some(last) = route.option("continue") {
        keys.retain(|key| format!("{}/{}", key.namespace, key.name).as_str() > last);
    }
    let mut metadata = json!({"resourceVersion": inner.store.revision().to_string()});
    let limit =
        route.option("limit").and_then(|limit| limit.parse::<usize>().ok()).filter(|limit| *limit > 0);
    if let Some(limit) = limit.filter(|limit| *limit < keys.len()) {
        metadata["remainingItemCount"] = json!(keys.len() - limit);
        keys.truncate(limit);
        let last = keys.last().map(|key| format!("{}/{}", key.namespace, key.name));
        metadata["continue"] = json!(last);
    }
    let objects: Vec<&Value> = keys.iter().filter_map(|key| Some(&inner.store.get(key)?.value)).collect();
    let kind = objects.first().and_then(|object| object["kind"].as_str()).unwrap_or_default();
    let (api_version, kind) = if route.metadata_only {
        ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList".to_owned())
    } else {
        (route.resource.api_version(), format!("{kind}List"))
    };
    let items: Vec<Value> = objects.into_iter().map(|object| item(object, route)).collect();
    let body = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "items": items});
    Ok(Answer::json(200, route, &body))
}

/// An object within a list; the server leaves kind and version out there for its own types.
fn item(object: &Value, route: &Route) -> Value {
    let mut item = watch::shape(object, route.metadata_only);
    if route.resource.is_builtin()
        && !route.metadata_only
        && let Some(fields) = item.as_object_mut()
    {
        fields.shift_remove("apiVersion");
        fields.shift_remove("kind");
    }
    item
}

fn log(inner: &Inner, route: &Route, pod: &Value) -> Result<Answer, ApiFailure> {
    let name = &route.name;
    let containers: Vec<&str> = pod["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|container| container["name"].as_str())
        .collect();
    let container = match (route.option("container"), containers.as_slice()) {
        (Some(container), _) if containers.contains(&container) => container,
        (Some(container), _) => {
            return Err(ApiFailure::bad_request(format!(
                "container {container} is not valid for pod {name}"
            )));
        }
        (None, [only]) => only,
        (None, _) => {
            return Err(ApiFailure::bad_request(format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                containers.join(" ")
            )));
        }
    };
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let state = statuses.filter(|status| status["name"] == container).map(|status| &status["state"]).next();
    let has_started = state.is_some_and(|state| state["waiting"].is_null());
    let logged = inner.logs.get(&(route.namespace.clone(), name.clone(), container.to_owned()));
    if !has_started && logged.is_none() {
        let waiting =
            state.and_then(|state| state["waiting"]["reason"].as_str()).unwrap_or("ContainerCreating");
        return Err(ApiFailure::bad_request(format!(
            "container \"{container}\" in pod \"{name}\" is waiting to start: {waiting}"
        )));
    }
    let text = logged.map(String::as_str).unwrap_or_default();
    let number = |option: &str| route.option(option).and_then(|value| value.parse::<usize>().ok());
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let kept = number("tailLines").map_or(lines.len(), |tail| tail.min(lines.len()));
    let mut text = lines[lines.len() - kept..].concat();
    if let Some(limit) = number("limitBytes").filter(|limit| *limit < text.len()) {
        let border = (0..=limit).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0);
        text.truncate(border);
    }
    Ok(Answer::text(200, route, text))
}

/// Answers a SelfSubjectAccessReview from what the test forbade.
pub(crate) fn access_review(inner: &Inner, route: &Route, mut review: Value) -> Answer {
    let asked = &review["spec"]["resourceAttributes"];
    let text = |field: &str| asked[field].as_str().unwrap_or_default();
    let resource = match text("subresource") {
        "" => text("resource").to_owned(),
        subresource => format!("{}/{subresource}", text("resource")),
    };
    let verbs = [
        Verb::Get,
        Verb::List,
        Verb::Watch,
        Verb::Create,
        Verb::Update,
        Verb::Patch,
        Verb::Delete,
        Verb::DeleteCollection,
    ];
    let verb = verbs.into_iter().find(|verb| verb.as_str() == text("verb"));
    let allowed = verb.is_none_or(|verb| !inner.hooks.is_forbidden(verb, &resource));
    review["status"] = json!({"allowed": allowed});
    Answer::json(201, route, &review)
}

/// Answers what is not about objects: the version, and which resources of a group are served.
pub(crate) fn discovery(inner: &Inner, path: &str) -> Option<Value> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let (group, version) = match segments.as_slice() {
        ["version"] => {
            return Some(json!({
                "major": "1", "minor": "33", "gitVersion": "v1.33.0", "gitCommit": "", "gitTreeState": "clean",
                "buildDate": "", "goVersion": "", "compiler": "gc", "platform": "linux/amd64",
            }));
        }
        ["api", version] => ("", *version),
        ["apis", group, version] => (*group, *version),
        _ => return None,
    };
    if inner.hooks.unserved_groups.iter().any(|unserved| unserved == group) {
        return None;
    }
    let mut resources: Vec<Value> = Vec::new();
    for (key, stored) in inner.store.iter() {
        let known = resources.iter().any(|resource| resource["name"] == key.resource.plural.as_str());
        if key.resource.group == group && key.resource.version == version && !known {
            resources.push(described(&key.resource, &stored.value, !key.namespace.is_empty()));
        }
    }
    for crd in plimsoll_api::all_crds() {
        let names = &crd.spec.names;
        let known = resources.iter().any(|resource| resource["name"] == names.plural.as_str());
        if crd.spec.group == group && !known {
            let resource = ResourceType::new(group, version, &names.plural);
            resources.push(described(&resource, &json!({"kind": names.kind}), true));
        }
    }
    let group_version = ResourceType::new(group, version, "").api_version();
    let body = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources});
    Some(body)
}

fn described(resource: &ResourceType, object: &Value, namespaced: bool) -> Value {
    json!({
        "name": resource.plural, "singularName": "", "namespaced": namespaced, "kind": object["kind"],
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    })
}
