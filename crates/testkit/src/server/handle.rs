//! What each verb does to the store.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use super::Inner;
use super::apply::{self, ApplyRequest, Managers};
use super::fields::Scope;
use super::route::{ObjectKey, ResourceType, Route, Verb};
use super::status::ApiFailure;
use super::store::{Effect, Stored, finalizers, is_waiting};
use super::watch::{self, ResponseBody};
use super::{admit, delete, read};

/// A successful answer.
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: ResponseBody,
    pub(crate) effect: Effect,
    /// The object, with the name that it was given.
    pub(crate) key: ObjectKey,
}

impl Answer {
    pub(crate) fn json(code: u16, route: &Route, value: &Value) -> Self {
        Self::text(code, route, value.to_string())
    }

    pub(crate) fn text(code: u16, route: &Route, text: String) -> Self {
        let body = Full::new(Bytes::from(text)).boxed_unsync();
        Self { code, body, effect: Effect::None, key: route.key() }
    }

    pub(crate) fn with(mut self, effect: Effect, key: ObjectKey) -> Self {
        self.effect = effect;
        self.key = key;
        self
    }
}

/// Does what a request asks.
pub(crate) fn perform(inner: &mut Inner, route: &Route, body: &[u8]) -> Result<Answer, ApiFailure> {
    inner.hooks.authorize(route)?;
    match route.verb {
        Verb::Get => read::get(inner, route),
        Verb::List => read::list(inner, route),
        Verb::Watch => {
            let body = watch::open(&mut inner.store, route)?;
            Ok(Answer { code: 200, body, effect: Effect::None, key: route.key() })
        }
        Verb::Create => create(inner, route, parse(body)?),
        Verb::Update => update(inner, route, &parse(body)?),
        Verb::Patch => patch(inner, route, &parse(body)?),
        Verb::Delete => delete::delete(inner, route, &options(body)?),
        Verb::DeleteCollection => delete::delete_collection(inner, route, &options(body)?),
    }
}

fn parse(body: &[u8]) -> Result<Value, ApiFailure> {
    serde_json::from_slice(body)
        .map_err(|error| ApiFailure::bad_request(format!("the body of the request was not JSON: {error}")))
}

fn options(body: &[u8]) -> Result<Value, ApiFailure> {
    if body.is_empty() { Ok(json!({})) } else { parse(body) }
}

/// Whether a request is about rights, and so changes nothing although it is a POST.
pub(crate) fn is_access_review(resource: &ResourceType) -> bool {
    resource.group == "authorization.k8s.io"
}

fn create(inner: &mut Inner, route: &Route, object: Value) -> Result<Answer, ApiFailure> {
    if is_access_review(&route.resource) {
        return Ok(read::access_review(inner, route, object));
    }
    if !route.subresource.is_empty() {
        return Err(not_served());
    }
    if object["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
        return Err(ApiFailure::internal("resourceVersion should not be set on objects to be created"));
    }
    let mut managers = Managers::new();
    let manager = route.field_manager();
    let request = apply_request(route, &manager, Scope::Main);
    apply::record_update(&mut managers, None, &object, request);
    insert(inner, route, &object, managers)
}

fn insert(
    inner: &mut Inner,
    route: &Route,
    object: &Value,
    managers: Managers,
) -> Result<Answer, ApiFailure> {
    let mut object = normalized(object);
    let mut key = route.key();
    if key.name.is_empty() {
        key.name = given_name(inner, route, &object)?;
    }
    if inner.store.get(&key).is_some() {
        return Err(ApiFailure::already_exists(&key.resource, &key.name));
    }
    admit::check_create(&inner.store, &inner.hooks.quotas, &key)?;
    set_identity(&key, &mut object)?;
    object["metadata"]["uid"] = json!(inner.store.next_uid());
    if admit::has_generation(&key.resource) {
        object["metadata"]["generation"] = json!(1);
    }
    if let Some(fields) = object.as_object_mut() {
        fields.shift_remove("status");
    }
    admit::default_fields(&key, &mut object);
    if route.is_dry_run() {
        return Ok(Answer::json(201, route, &watch::shape(&object, route.metadata_only)));
    }
    let created = inner.store.create(&key, Stored { value: object, managers });
    Ok(Answer::json(201, route, &watch::shape(&created, route.metadata_only)).with(Effect::Created, key))
}

fn given_name(inner: &mut Inner, route: &Route, object: &Value) -> Result<String, ApiFailure> {
    let given = |field: &str| object["metadata"][field].as_str().filter(|name| !name.is_empty());
    if let Some(name) = given("name") {
        return Ok(name.to_owned());
    }
    let Some(prefix) = given("generateName") else {
        let kind = object["kind"].as_str().unwrap_or_default();
        let why = "Required value: name or generateName is required";
        return Err(ApiFailure::invalid(
            kind,
            &route.resource,
            "",
            "metadata.name",
            "FieldValueRequired",
            why,
        ));
    };
    Ok(format!("{prefix}{:05x}", inner.store.next_number()))
}

fn set_identity(key: &ObjectKey, object: &mut Value) -> Result<(), ApiFailure> {
    let given = object["metadata"]["namespace"].as_str().unwrap_or_default();
    if !given.is_empty() && given != key.namespace {
        return Err(ApiFailure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let metadata = &mut object["metadata"];
    metadata["name"] = json!(key.name);
    if !key.namespace.is_empty() {
        metadata["namespace"] = json!(key.namespace);
    }
    if let Some(fields) = metadata.as_object_mut() {
        for name in ["creationTimestamp", "deletionTimestamp", "managedFields", "selfLink"] {
            fields.shift_remove(name);
        }
    }
    Ok(())
}

fn update(inner: &mut Inner, route: &Route, object: &Value) -> Result<Answer, ApiFailure> {
    let scope = scope(route)?;
    let key = route.key();
    let before = existing(inner, &key)?;
    check_version(&key, &before.value, object)?;
    if object["metadata"]["resourceVersion"].is_null() && !key.resource.is_builtin() {
        let kind = object["kind"].as_str().unwrap_or_default();
        let why = "Invalid value: 0: must be specified for an update";
        let field = "metadata.resourceVersion";
        return Err(ApiFailure::invalid(kind, &key.resource, &key.name, field, "FieldValueInvalid", why));
    }
    let after = compose(&before.value, object, scope);
    finish_update(inner, route, before, after, scope)
}

fn finish_update(
    inner: &mut Inner,
    route: &Route,
    before: Stored,
    after: Value,
    scope: Scope,
) -> Result<Answer, ApiFailure> {
    let Stored { value: before, mut managers } = before;
    let manager = route.field_manager();
    apply::record_update(&mut managers, Some(&before), &after, apply_request(route, &manager, scope));
    finish(inner, route, &before, after, managers)
}

fn patch(inner: &mut Inner, route: &Route, patch: &Value) -> Result<Answer, ApiFailure> {
    let scope = scope(route)?;
    let kind = route.content_type.split(';').next().unwrap_or_default();
    match kind {
        "application/apply-patch+yaml" | "application/apply-patch+cbor" => {
            apply_patch(inner, route, patch, scope)
        }
        "application/strategic-merge-patch+json" if !route.resource.is_builtin() => Err(unsupported(kind)),
        "application/merge-patch+json" | "application/strategic-merge-patch+json" => {
            let key = route.key();
            let before = existing(inner, &key)?;
            check_version(&key, &before.value, patch)?;
            let mut merged = before.value.clone();
            apply::merge_patch(&mut merged, patch);
            let after = compose(&before.value, &merged, scope);
            finish_update(inner, route, before, after, scope)
        }
        _ => Err(unsupported(kind)),
    }
}

fn unsupported(kind: &str) -> ApiFailure {
    let message = format!("the body of the request was in an unknown format - {kind} is not accepted here");
    ApiFailure::new(415, "UnsupportedMediaType", message)
}

fn apply_patch(
    inner: &mut Inner,
    route: &Route,
    applied: &Value,
    scope: Scope,
) -> Result<Answer, ApiFailure> {
    let Some(manager) = route.option("fieldManager") else {
        return Err(ApiFailure::bad_request(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ));
    };
    for field in ["apiVersion", "kind"] {
        if applied[field].as_str().is_none_or(str::is_empty) {
            return Err(ApiFailure::bad_request(format!("invalid object type: {field} is missing")));
        }
    }
    if !applied["metadata"]["managedFields"].is_null() {
        return Err(ApiFailure::bad_request("metadata.managedFields must be nil"));
    }
    let key = route.key();
    let request = apply_request(route, manager, scope);
    match inner.store.get(&key).cloned() {
        Some(before) => {
            check_version(&key, &before.value, applied)?;
            let Stored { value: before, mut managers } = before;
            let mut after = before.clone();
            apply::apply(&mut after, &mut managers, applied, request)?;
            let after = compose(&before, &after, scope);
            finish(inner, route, &before, after, managers)
        }
        None if scope == Scope::Main => {
            for field in ["uid", "resourceVersion"] {
                if applied["metadata"][field].as_str().is_some_and(|value| !value.is_empty()) {
                    let why = format!(
                        "{field} mismatch: the provided object specified one, and no existing object was found"
                    );
                    return Err(ApiFailure::conflict(&key.resource, &key.name, &why));
                }
            }
            let mut object = applied.clone();
            let mut managers = Managers::new();
            apply::apply(&mut object, &mut managers, applied, request)?;
            insert(inner, route, &object, managers)
        }
        None => Err(ApiFailure::not_found(&key.resource, &key.name)),
    }
}

/// Stores an update, unless it changes nothing or takes the last finalizer of an object that is to go.
fn finish(
    inner: &mut Inner,
    route: &Route,
    before: &Value,
    mut after: Value,
    managers: Managers,
) -> Result<Answer, ApiFailure> {
    let key = route.key();
    admit::default_fields(&key, &mut after);
    admit::check_immutable(&key, before, &after)?;
    if admit::has_generation(&key.resource) && without_status(before) != without_status(&after) {
        let generation = before["metadata"]["generation"].as_i64().unwrap_or(0);
        after["metadata"]["generation"] = json!(generation + 1);
    }
    let answer = |value: &Value| Answer::json(200, route, &watch::shape(value, route.metadata_only));
    if after == *before {
        if !route.is_dry_run() {
            inner.store.set_managers(&key, managers);
        }
        return Ok(answer(before));
    }
    if route.is_dry_run() {
        return Ok(answer(&after));
    }
    if is_waiting(&after) && finalizers(&after).next().is_none() {
        inner.store.remove(&key);
        inner.store.collect_garbage();
        return Ok(answer(&after).with(Effect::Deleted, key));
    }
    let stored = inner.store.update(&key, Stored { value: after, managers });
    Ok(answer(&stored).with(Effect::Updated, key))
}

fn scope(route: &Route) -> Result<Scope, ApiFailure> {
    match route.subresource.as_str() {
        "" => Ok(Scope::Main),
        "status" if admit::has_status(&route.resource) => Ok(Scope::Status),
        _ => Err(not_served()),
    }
}

pub(crate) fn not_served() -> ApiFailure {
    ApiFailure::new(404, "NotFound", "the server could not find the requested resource")
}

pub(crate) fn existing(inner: &Inner, key: &ObjectKey) -> Result<Stored, ApiFailure> {
    inner.store.get(key).cloned().ok_or_else(|| ApiFailure::not_found(&key.resource, &key.name))
}

fn apply_request<'a>(route: &'a Route, manager: &'a str, scope: Scope) -> ApplyRequest<'a> {
    ApplyRequest { resource: &route.resource, name: &route.name, manager, force: route.flag("force"), scope }
}

/// Refuses a write that names another object's UID or an older version.
fn check_version(key: &ObjectKey, before: &Value, sent: &Value) -> Result<(), ApiFailure> {
    let differs = |field: &str| {
        let sent = sent["metadata"][field].as_str().filter(|value| !value.is_empty());
        sent.is_some_and(|sent| before["metadata"][field] != sent)
    };
    if differs("uid") {
        let text = |object: &Value| object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let why = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            text(sent),
            text(before)
        );
        return Err(ApiFailure::conflict(&key.resource, &key.name, &why));
    }
    if differs("resourceVersion") {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        return Err(ApiFailure::conflict(&key.resource, &key.name, why));
    }
    Ok(())
}

/// The object that an update makes: a main write leaves the status alone, a status write everything else.
fn compose(before: &Value, candidate: &Value, scope: Scope) -> Value {
    match scope {
        Scope::Status => {
            let mut after = before.clone();
            set_or_remove(&mut after, "status", normalized(candidate)["status"].take());
            after
        }
        Scope::Main => {
            let mut after = normalized(candidate);
            set_or_remove(&mut after, "status", before["status"].clone());
            for field in [
                "name",
                "namespace",
                "uid",
                "resourceVersion",
                "generation",
                "creationTimestamp",
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
                "generateName",
            ] {
                set_or_remove(&mut after["metadata"], field, before["metadata"][field].clone());
            }
            set_or_remove(&mut after["metadata"], "managedFields", Value::Null);
            after
        }
    }
}

fn set_or_remove(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        if value.is_null() {
            fields.shift_remove(field);
        } else {
            fields.insert(field.to_owned(), value);
        }
    }
}

/// An object without nulls and with nothing empty in its metadata, as the API server stores it. (It keeps a null where a
/// CRD says `nullable`; to whoever reads the object into its type that is the same.)
pub(crate) fn normalized(object: &Value) -> Value {
    let mut object = apply::without_nulls(object);
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|_, value| match value {
            Value::Object(fields) => !fields.is_empty(),
            Value::Array(items) => !items.is_empty(),
            _ => true,
        });
    }
    object
}

fn without_status(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.shift_remove("status");
        fields.shift_remove("metadata");
    }
    object
}
