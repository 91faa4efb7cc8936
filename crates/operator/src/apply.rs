//! Writes that every kind makes in the same way.

use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Field manager of children.
pub const FIELD_MANAGER: &str = "plimsoll";
/// Field manager of status.
pub const STATUS_MANAGER: &str = "plimsoll-status";

/// Treats an object that is there already as made: the next round looks whose it is.
///
/// # Errors
/// Every other error.
pub fn if_absent<T>(answer: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => Ok(()),
        other => other.map(drop),
    }
}

/// Treats an object that is gone, or was replaced by another of the same name, as dealt with.
///
/// # Errors
/// Every other error.
pub fn if_gone<T>(answer: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match answer {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        other => other.map(drop),
    }
}

/// Applies a status to exactly the object that was read: another UID or resource version is a conflict, and the next
/// round reads anew.
///
/// # Errors
/// The API server's answer.
pub async fn apply_status<K, S>(
    client: &Client,
    namespace: &str,
    name: &str,
    uid: &str,
    resource_version: Option<&str>,
    status: &S,
) -> Result<K, kube::Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
    S: Serialize,
{
    let mut metadata = json!({"name": name, "namespace": namespace, "uid": uid});
    if let Some(version) = resource_version {
        metadata["resourceVersion"] = json!(version);
    }
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": metadata,
        "status": status,
    });
    let api = Api::<K>::namespaced(client.clone(), namespace);
    api.patch_status(name, &PatchParams::apply(STATUS_MANAGER).force(), &Patch::Apply(&body)).await
}
