//! Server-side apply: merging by fields, ownership by manager, removal of what a manager no longer applies.
//!
//! The rules are those of structured-merge-diff, as Kubernetes documents them in "Server-Side Apply", with these
//! simplifications: lists of built-in types are keyed by the names of their fields ([`super::fields::list_kind`]), and an object
//! that a removal leaves empty is removed too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::fields::{self, ListKind, Path, Scope, Step};
use super::route::ResourceType;
use super::status::ApiFailure;

/// Who owns a set of fields: a manager by name, way of writing and part of the object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Manager {
    name: String,
    applies: bool,
    status: bool,
}

/// The fields of an object by their owners; a field may have several.
pub(crate) type Managers = BTreeMap<Manager, BTreeSet<Path>>;

/// What an apply is about, beside the object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ApplyRequest<'a> {
    pub(crate) resource: &'a ResourceType,
    pub(crate) name: &'a str,
    pub(crate) manager: &'a str,
    pub(crate) force: bool,
    pub(crate) scope: Scope,
}

/// Applies a configuration to an object (an empty one where there is none) and its owners.
///
/// # Errors
/// 409 where another manager owns a field with another value and the request does not force.
pub(crate) fn apply(
    live: &mut Value,
    managers: &mut Managers,
    applied: &Value,
    request: ApplyRequest<'_>,
) -> Result<(), ApiFailure> {
    let ApplyRequest { resource, name, manager, force, scope } = request;
    let me = Manager { name: manager.to_owned(), applies: true, status: scope == Scope::Status };
    let wanted = fields::field_set(resource, applied, scope);
    let contested = conflicts(live, managers, applied, &wanted, &me, resource);
    if !force && !contested.is_empty() {
        return Err(conflict(resource, name, &contested));
    }
    for (owner, path) in &contested {
        if let Some(owned) = managers.get_mut(owner) {
            owned.remove(path);
        }
    }
    let before = managers.insert(me, wanted.clone()).unwrap_or_default();
    managers.retain(|_, owned| !owned.is_empty());
    // Removal first: it takes emptied objects with it, which the merge then puts back where they are wanted empty.
    // An item of a keyed list comes before its fields, and goes whole where nobody owns any of them.
    for path in before.difference(&wanted) {
        let is_owned = managers.values().flatten().any(|owned| owned.starts_with(path));
        if !is_owned {
            fields::remove(resource, live, path);
        }
    }
    merge_scope(live, applied, resource, scope);
    Ok(())
}

fn conflicts(
    live: &Value,
    managers: &Managers,
    applied: &Value,
    wanted: &BTreeSet<Path>,
    me: &Manager,
    resource: &ResourceType,
) -> Vec<(Manager, Path)> {
    let mut contested = Vec::new();
    for path in wanted {
        // Being in a keyed list is no value: two managers may both want an item there.
        if !matches!(path.last(), Some(Step::Field(_))) {
            continue;
        }
        if fields::find(resource, live, path) == fields::find(resource, applied, path) {
            continue;
        }
        for (owner, owned) in managers {
            if owner != me && owned.contains(path) {
                contested.push((owner.clone(), path.clone()));
            }
        }
    }
    contested
}

fn conflict(resource: &ResourceType, name: &str, contested: &[(Manager, Path)]) -> ApiFailure {
    let plural = if contested.len() == 1 { "" } else { "s" };
    let parts: Vec<String> = contested
        .iter()
        .map(|(owner, path)| format!("conflict with \"{}\": {}", owner.name, fields::display(path)))
        .collect();
    let causes = contested
        .iter()
        .map(|(owner, path)| {
            json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with \"{}\"", owner.name),
                "field": fields::display(path),
            })
        })
        .collect();
    let message = format!("Apply failed with {} conflict{plural}: {}", contested.len(), parts.join("\n"));
    ApiFailure::new(409, "Conflict", message).about(resource, name).caused_by(causes)
}

fn merge_scope(live: &mut Value, applied: &Value, resource: &ResourceType, scope: Scope) {
    let Some(parts) = applied.as_object() else { return };
    for (name, value) in parts {
        let belongs = match scope {
            Scope::Main => name != "status",
            Scope::Status => name == "status",
        };
        if belongs {
            merge_field(live, name, value, resource, &mut Vec::new());
        }
    }
}

fn merge_field(target: &mut Value, name: &str, value: &Value, resource: &ResourceType, path: &mut Path) {
    if !target.is_object() {
        *target = json!({});
    }
    let Some(fields) = target.as_object_mut() else { return };
    if value.is_null() {
        // A null is a claim that the field is absent.
        fields.shift_remove(name);
        return;
    }
    path.push(Step::Field(name.to_owned()));
    merge(fields.entry(name).or_insert(Value::Null), value, resource, path);
    path.pop();
}

fn merge(target: &mut Value, value: &Value, resource: &ResourceType, path: &mut Path) {
    match value {
        Value::Object(applied) => {
            if !target.is_object() {
                *target = json!({});
            }
            for (name, value) in applied {
                merge_field(target, name, value, resource, path);
            }
        }
        Value::Array(applied) => {
            let kind = fields::list_kind(resource, path);
            let (Some(steps), Value::Array(items)) = (fields::item_steps(applied, &kind), &mut *target)
            else {
                *target = without_nulls(value);
                return;
            };
            for (step, item) in steps.into_iter().zip(applied) {
                match fields::index_of(resource, items, path, &step) {
                    Some(_) if kind == ListKind::Set => {}
                    Some(index) => {
                        path.push(step);
                        merge(&mut items[index], item, resource, path);
                        path.pop();
                    }
                    None => items.push(without_nulls(item)),
                }
            }
        }
        _ => *target = value.clone(),
    }
}

pub(crate) fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_nulls(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// Notes the owners after a write that is no apply: the writer owns what it changed, and nobody what it removed.
pub(crate) fn record_update(
    managers: &mut Managers,
    before: Option<&Value>,
    after: &Value,
    request: ApplyRequest<'_>,
) {
    let ApplyRequest { resource, manager, scope, name: _, force: _ } = request;
    let now = fields::field_set(resource, after, scope);
    let value_of = |object, path: &Path| fields::find(resource, object, path).cloned();
    let is_changed = |path: &Path| {
        let old = before.and_then(|before| value_of(before, path));
        let in_list = !matches!(path.last(), Some(Step::Field(_)));
        if in_list { old.is_none() } else { old != value_of(after, path) }
    };
    let changed: BTreeSet<Path> = now.iter().filter(|path| is_changed(path)).cloned().collect();
    let me = Manager { name: manager.to_owned(), applies: false, status: scope == Scope::Status };
    for owned in managers.values_mut() {
        owned.retain(|path| {
            let in_scope = is_status(path) == (scope == Scope::Status);
            !in_scope || (now.contains(path) && !changed.contains(path))
        });
    }
    if !changed.is_empty() {
        managers.entry(me).or_default().extend(changed);
    }
    managers.retain(|_, owned| !owned.is_empty());
}

fn is_status(path: &Path) -> bool {
    matches!(path.first(), Some(Step::Field(name)) if name == "status")
}

/// Merges a JSON merge patch (RFC 7386) into an object.
pub(crate) fn merge_patch(target: &mut Value, patch: &Value) {
    let Some(changes) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (name, value) in changes {
        if value.is_null() {
            fields.shift_remove(name);
        } else {
            merge_patch(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}
