//! Whose a kept ConfigMap is, and what `deletionPolicy` changes in it (pure).
//!
//! With `Delete` a ConfigMap has the resource as its controller, and Kubernetes deletes it with the resource. With `Retain`
//! it has no owner reference, and the label with the resource's UID says whose it is: a new resource of the same name has
//! another UID, and neither adopts nor overwrites it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use plimsoll_api::{MANAGED_BY, UID_LABEL};
use serde_json::{Value, json};

/// The label by which everything of ours is known.
const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Whether an object without an owner reference is one that a resource of this UID keeps.
#[must_use]
pub fn is_kept(metadata: &ObjectMeta, uid: &str) -> bool {
    let label = |name: &str| metadata.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
    metadata.owner_references.as_ref().is_none_or(Vec::is_empty)
        && !uid.is_empty()
        && label(MANAGED_BY_LABEL) == Some(MANAGED_BY)
        && label(UID_LABEL) == Some(uid)
}

/// The merge patch by which an object of the owner's follows the policy; `None` where it does already.
///
/// It names the object's UID, so that it never meets another of the same name.
#[must_use]
pub fn change(metadata: &ObjectMeta, owner: &OwnerReference, retain: bool) -> Option<Value> {
    let wanted = if retain { Vec::new() } else { vec![owner.clone()] };
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    let labelled = metadata.labels.as_ref().and_then(|labels| labels.get(UID_LABEL)) == Some(&owner.uid);
    if owners == wanted && labelled {
        return None;
    }
    let owners = if retain { Value::Null } else { json!(wanted) };
    Some(json!({"metadata": {
        "uid": metadata.uid,
        "labels": {UID_LABEL: owner.uid},
        "ownerReferences": owners,
    }}))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const UID: &str = "0b3f4f5e-0000-4000-8000-000000000001";

    fn owner(uid: &str) -> OwnerReference {
        OwnerReference { uid: uid.to_owned(), controller: Some(true), ..OwnerReference::default() }
    }

    fn labels(managed_by: &str, uid: &str) -> Option<BTreeMap<String, String>> {
        let pairs = [(MANAGED_BY_LABEL, managed_by), (UID_LABEL, uid)];
        Some(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    #[test]
    fn an_object_is_kept_only_without_any_owner_and_by_both_labels() {
        let kept = ObjectMeta { labels: labels("plimsoll", UID), ..ObjectMeta::default() };
        assert!(is_kept(&kept, UID));
        assert!(!is_kept(&kept, "0b3f4f5e-0000-4000-8000-000000000002"), "of another UID");
        let owned = ObjectMeta { owner_references: Some(vec![owner(UID)]), ..kept.clone() };
        assert!(!is_kept(&owned, UID), "an owner reference decides alone");
        for labels in [None, labels("Helm", UID), labels("plimsoll", "")] {
            assert!(!is_kept(&ObjectMeta { labels: labels.clone(), ..kept.clone() }, UID), "{labels:?}");
            assert!(!is_kept(&ObjectMeta { labels, ..kept.clone() }, ""), "an empty UID is nobody's");
        }
    }

    #[test]
    fn a_change_is_made_once_and_leads_back() {
        let ours = owner(UID);
        let mut metadata = ObjectMeta {
            uid: Some("map-1".to_owned()),
            owner_references: Some(vec![ours.clone()]),
            ..ObjectMeta::default()
        };
        // One that an older version made has no label.
        let patch = change(&metadata, &ours, false).unwrap();
        assert_eq!(patch["metadata"]["uid"], "map-1");
        metadata.labels = labels("plimsoll", UID);
        assert_eq!(change(&metadata, &ours, false), None);
        let patch = change(&metadata, &ours, true).unwrap();
        assert!(patch["metadata"]["ownerReferences"].is_null());
        metadata.owner_references = None;
        assert_eq!(change(&metadata, &ours, true), None);
        assert_eq!(change(&metadata, &ours, false).unwrap()["metadata"]["ownerReferences"][0]["uid"], UID);
    }
}
