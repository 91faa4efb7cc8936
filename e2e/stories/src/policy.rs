//! Admission policies of a story's own namespace: what somebody else in the cluster may have set up.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use kube::core::NamespaceResourceScope;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::story::{STORY_LABEL, Story};
use crate::wait;

/// What a policy refuses in the story's namespace.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'a> {
    /// Name of the policy within the story.
    pub name: &'a str,
    /// API group; empty is core.
    pub group: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Resource, with its subresource.
    pub resource: &'a str,
    /// `CREATE` or `UPDATE`.
    pub operation: &'a str,
    /// CEL: which requests.
    pub when: &'a str,
    /// What the policy says.
    pub message: &'a str,
}

impl Story {
    /// Sets up a policy. It takes a moment until it is enforced: see [`Story::until_refused`].
    ///
    /// # Errors
    /// The API server refused it.
    pub async fn refuse(&self, refusal: &Refusal<'_>) -> Result<()> {
        let name = format!("{}-{}", self.namespace, refusal.name);
        let metadata = json!({"name": name, "labels": {STORY_LABEL: self.namespace}});
        let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
            "metadata": metadata,
            "spec": {
                "failurePolicy": "Fail",
                "matchConditions": [{"name": "when", "expression": refusal.when}],
                "matchConstraints": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
                    "resourceRules": [{
                        "apiGroups": [refusal.group], "apiVersions": [refusal.version],
                        "operations": [refusal.operation], "resources": [refusal.resource],
                    }],
                },
                "validations": [{"expression": "false", "message": refusal.message}],
            },
        }))?;
        let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
            "metadata": metadata,
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        }))?;
        let create = PostParams::default();
        Api::<ValidatingAdmissionPolicy>::all(self.admin.clone()).create(&create, &policy).await?;
        Api::<ValidatingAdmissionPolicyBinding>::all(self.admin.clone()).create(&create, &binding).await?;
        Ok(())
    }

    /// Waits until the policies refuse an object with this message.
    ///
    /// # Errors
    /// They do not in time, or it is refused for another reason.
    pub async fn until_refused<K>(&self, object: &K, message: &str) -> Result<()>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        wait::until("the policy is enforced", Duration::from_secs(30), || async {
            match self.api::<K>().create(&dry, object).await {
                Ok(_) => Ok(None),
                Err(kube::Error::Api(status)) if status.message.contains(message) => Ok(Some(())),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Takes a policy away.
    ///
    /// # Errors
    /// The API server failed.
    pub async fn allow(&self, name: &str) -> Result<()> {
        let name = format!("{}-{name}", self.namespace);
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(self.admin.clone());
        bindings.delete(&name, &DeleteParams::default()).await?;
        Ok(())
    }
}
