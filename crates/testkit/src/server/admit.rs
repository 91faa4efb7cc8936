//! What the API server does to and refuses of an object before it is stored: defaults, immutable fields, quotas,
//! namespaces that end.

use serde_json::{Map, Value, json};

use super::fault::Quota;
use super::route::{ObjectKey, ResourceType};
use super::status::ApiFailure;
use super::store::{Store, is_waiting};

/// Resources whose objects have no generation.
const WITHOUT_GENERATION: [&str; 8] =
    ["configmaps", "secrets", "events", "leases", "serviceaccounts", "namespaces", "pods", "services"];

/// Whether the server counts the generations of a resource.
pub(crate) fn has_generation(resource: &ResourceType) -> bool {
    !WITHOUT_GENERATION.contains(&resource.plural.as_str())
}

/// Whether a resource has a status of its own.
pub(crate) fn has_status(resource: &ResourceType) -> bool {
    !["configmaps", "secrets", "events", "leases", "serviceaccounts"].contains(&resource.plural.as_str())
}

/// Fills in what the server fills in: the defaults, labels and selector of a Job. Nothing that is set is replaced.
pub(crate) fn default_fields(key: &ObjectKey, object: &mut Value) {
    if key.resource.group == "batch" && key.resource.plural == "jobs" {
        default_job(&key.name, object);
    }
}

fn default_job(name: &str, job: &mut Value) {
    let uid = job["metadata"]["uid"].clone();
    let labels = json!({
        "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name,
        "controller-uid": uid, "job-name": name,
    });
    let own = |object: &mut Value, defaults: Value| {
        if let (Some(fields), Value::Object(defaults)) = (object.as_object_mut(), defaults) {
            for (name, value) in defaults {
                fields.entry(name).or_insert(value);
            }
        }
    };
    if !job["spec"].is_object() {
        return;
    }
    let spec = &mut job["spec"];
    own(
        spec,
        json!({
            "parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed",
            "suspend": false, "podReplacementPolicy": "TerminatingOrFailed",
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}},
            "template": {},
        }),
    );
    let template = &mut spec["template"];
    own(template, json!({"metadata": {}, "spec": {}}));
    own(&mut template["metadata"], json!({"labels": {}}));
    own(&mut template["metadata"]["labels"], labels);
    own(
        &mut template["spec"],
        json!({
            "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "securityContext": {},
            "terminationGracePeriodSeconds": 30,
        }),
    );
    if let Some(containers) = template["spec"]["containers"].as_array_mut() {
        for container in containers {
            own(
                container,
                json!({
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                    "imagePullPolicy": "IfNotPresent", "resources": {},
                }),
            );
        }
    }
}

/// Refuses changes of what cannot change.
///
/// # Errors
/// 422 with the wording of the API server.
pub(crate) fn check_immutable(key: &ObjectKey, before: &Value, after: &Value) -> Result<(), ApiFailure> {
    let ObjectKey { resource, name, namespace: _ } = key;
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("batch", "jobs") => {
            for field in ["template", "selector", "completionMode"] {
                if before["spec"][field] != after["spec"][field] {
                    let path = format!("spec.{field}");
                    let why = format!("Invalid value: {}: field is immutable", after["spec"][field]);
                    return Err(ApiFailure::invalid("Job", resource, name, &path, "FieldValueInvalid", &why));
                }
            }
            Ok(())
        }
        ("", plural @ ("configmaps" | "secrets")) if before["immutable"] == true => {
            let kind = if plural == "secrets" { "Secret" } else { "ConfigMap" };
            let why = "Forbidden: field is immutable when `immutable` is set";
            for field in ["immutable", "data", "binaryData"] {
                let empty = Value::Object(Map::new());
                let content = |object: &Value| match &object[field] {
                    Value::Null => empty.clone(),
                    value => value.clone(),
                };
                if content(before) != content(after) {
                    return Err(ApiFailure::invalid(kind, resource, name, field, "FieldValueForbidden", why));
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Refuses a create that passes a quota, or in a namespace that is ending.
///
/// # Errors
/// 403 with the wording of the API server.
pub(crate) fn check_create(store: &Store, quotas: &[Quota], key: &ObjectKey) -> Result<(), ApiFailure> {
    let ObjectKey { resource, namespace, name } = key;
    let home = ObjectKey {
        resource: ResourceType::new("", "v1", "namespaces"),
        namespace: String::new(),
        name: namespace.clone(),
    };
    if store.get(&home).is_some_and(|home| is_waiting(&home.value)) {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = json!({
            "reason": "NamespaceTerminating", "field": "metadata.namespace",
            "message": format!("namespace {namespace} is being terminated"),
        });
        return Err(ApiFailure::forbidden(resource, name, &why).caused_by(vec![cause]));
    }
    for quota in
        quotas.iter().filter(|quota| quota.namespace == *namespace && quota.resource == resource.plural)
    {
        let used = store.list(resource, namespace).count();
        if used >= quota.limit {
            let counted = format!("count/{}", resource.qualified());
            let limit = quota.limit;
            let why = format!(
                "exceeded quota: {namespace}-quota, requested: {counted}=1, used: {counted}={used}, limited: {counted}={limit}"
            );
            return Err(ApiFailure::forbidden(resource, name, &why));
        }
    }
    Ok(())
}
