//! A bare API server with both charts installed: no node and no controller, so that nothing but RBAC, schema and
//! admission answers.

use std::time::Duration;

use anyhow::{Result, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::core::Status;
use kube::{Client, Error};
use plimsoll_cluster::apiserver::{self, ApiServer, ApiVersion};
use serde_json::json;

use crate::access::{Identity, administrator, as_identity};
use crate::charts::{Chart, Release};

/// Namespace of both releases.
pub const SYSTEM: &str = "plimsoll-system";
/// Namespace that the operator serves.
pub const FARM: &str = "farm";
/// Image of the operator and its Jobs; nothing runs it here.
pub const IMAGE: &str = "registry.example/plimsoll:test";
/// Name of the policy on references and of its binding.
pub const REFERENCES: &str = "plimsoll-system-references.plimsoll.dev";
/// Name of the policy on Jobs and of its binding.
pub const JOBS: &str = "plimsoll-system-jobs.plimsoll.dev";
/// Name of the policy on ConfigMaps and deletions, and of its binding.
pub const OBJECTS: &str = "plimsoll-system-objects.plimsoll.dev";
/// How long an API server may take to notice a new policy or the end of one.
pub const POLICY_DEADLINE: Duration = Duration::from_secs(30);

/// The server and who talks to it.
pub struct Bare {
    /// The server; it ends with this value.
    pub server: ApiServer,
    /// May do everything.
    pub admin: Client,
    /// The operator, by its service account.
    pub operator: Client,
}

impl Bare {
    /// Starts a server of `version`, makes the namespaces and installs both charts.
    ///
    /// # Errors
    /// The server did not start, or Helm failed.
    pub async fn start(version: ApiVersion) -> Result<Self> {
        let server =
            tokio::task::spawn_blocking(move || apiserver::start(version, &mut std::io::stderr())).await??;
        let admin = administrator(&server.kubeconfig).await?;
        let operator =
            as_identity(&server.kubeconfig, &Identity::service_account(SYSTEM, "plimsoll")).await?;
        make_namespace(&admin, FARM).await?;
        let image = json!({"repository": "registry.example/plimsoll", "tag": "test"});
        let cluster = json!({"operator": {"image": IMAGE}});
        for (chart, name, values) in [
            (Chart::Cluster, "plimsoll-cluster", cluster),
            (Chart::Operator, "plimsoll", json!({"namespaces": [FARM], "image": image})),
        ] {
            Release { chart, name, namespace: SYSTEM, values }.install(&server.kubeconfig)?;
        }
        Ok(Self { server, admin, operator })
    }
}

/// Makes a namespace that is not there.
///
/// # Errors
/// The server refused it.
pub async fn make_namespace(admin: &Client, name: &str) -> Result<()> {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    Api::<Namespace>::all(admin.clone()).create(&PostParams::default(), &namespace).await?;
    Ok(())
}

/// What the policy said, where it refused the request; `None` where the request was accepted.
///
/// # Errors
/// The request failed for another reason: such a test would show nothing.
pub fn refusal<T>(policy: &str, result: Result<T, Error>) -> Result<Option<String>> {
    match result {
        Ok(_) => Ok(None),
        Err(Error::Api(status)) if is_by(policy, &status) => Ok(Some(status.message.clone())),
        Err(error) => bail!("neither accepted nor refused by {policy}: {error}"),
    }
}

fn is_by(policy: &str, status: &Status) -> bool {
    status.code == 403 && status.message.contains(&format!("ValidatingAdmissionPolicy '{policy}'"))
}
