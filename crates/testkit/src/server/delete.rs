//! Deletes: preconditions, finalizers, what happens to dependents.

use serde_json::{Value, json};

use super::Inner;
use super::handle::{Answer, existing, not_served};
use super::read;
use super::route::{ObjectKey, Route};
use super::status::ApiFailure;
use super::store::Effect;

/// Removes one object, where its preconditions hold.
pub(crate) fn delete(inner: &mut Inner, route: &Route, options: &Value) -> Result<Answer, ApiFailure> {
    if !route.subresource.is_empty() {
        return Err(not_served());
    }
    let key = route.key();
    let before = existing(inner, &key)?.value;
    for (field, word) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
        let (wanted, found) = (&options["preconditions"][field], &before["metadata"][field]);
        if !wanted.is_null() && wanted != found {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (wanted, found) = (text(wanted), text(found));
            let why = format!(
                "Precondition failed: {word} in precondition: {wanted}, {word} in object meta: {found}"
            );
            return Err(ApiFailure::conflict(&key.resource, &key.name, &why));
        }
    }
    let effect = if route.is_dry_run() || options["dryRun"][0] == "All" {
        Effect::None
    } else {
        remove(inner, &key, policy(route, options))
    };
    let answer = match inner.store.get(&key) {
        Some(stored) if effect == Effect::Deleted => Answer::json(200, route, &stored.value),
        _ => Answer::json(
            200,
            route,
            &json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": {
                    "name": key.name, "group": key.resource.group, "kind": key.resource.plural,
                    "uid": before["metadata"]["uid"],
                },
            }),
        ),
    };
    Ok(answer.with(effect, key))
}

/// Removes every object that the selectors name.
pub(crate) fn delete_collection(
    inner: &mut Inner,
    route: &Route,
    options: &Value,
) -> Result<Answer, ApiFailure> {
    let keys = read::selected(&inner.store, route)?;
    let mut effect = Effect::None;
    for key in &keys {
        if remove(inner, key, policy(route, options)) == Effect::Deleted {
            effect = Effect::Deleted;
        }
    }
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    Ok(Answer::json(200, route, &body).with(effect, route.key()))
}

/// What happens to the dependents. Without a word Jobs orphan their pods, as `batch/v1` has it for old clients;
/// everything else takes its dependents along.
fn policy<'a>(route: &'a Route, options: &'a Value) -> &'a str {
    let default = if route.resource.plural == "jobs" { "Orphan" } else { "Background" };
    options["propagationPolicy"].as_str().or(route.option("propagationPolicy")).unwrap_or(default)
}

fn remove(inner: &mut Inner, key: &ObjectKey, policy: &str) -> Effect {
    let uid =
        inner.store.get(key).and_then(|stored| stored.value["metadata"]["uid"].as_str().map(str::to_owned));
    if let (Some(uid), "Orphan") = (uid, policy) {
        inner.store.orphan_dependents(&uid);
    }
    let effect = inner.store.delete(key);
    inner.store.collect_garbage();
    effect
}
