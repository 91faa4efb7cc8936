//! Clients: the administrator's, and those of others by impersonation, so that RBAC and admission see them.

use std::path::Path;

use anyhow::{Context as _, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Whom a client acts as.
#[derive(Debug, Clone)]
pub struct Identity {
    user: String,
    groups: Vec<String>,
}

impl Identity {
    /// A person.
    #[must_use]
    pub fn user(name: &str) -> Self {
        Self { user: name.to_owned(), groups: vec!["system:authenticated".to_owned()] }
    }

    /// A service account, with the groups that its token would give.
    #[must_use]
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self {
            user: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ],
        }
    }
}

/// A client as the owner of the kubeconfig.
///
/// # Errors
/// The kubeconfig cannot be read.
pub async fn administrator(kubeconfig: &Path) -> Result<Client> {
    Ok(Client::try_from(config(kubeconfig).await?)?)
}

/// A client that acts as somebody else.
///
/// # Errors
/// The kubeconfig cannot be read.
pub async fn as_identity(kubeconfig: &Path, identity: &Identity) -> Result<Client> {
    let mut config = config(kubeconfig).await?;
    config.auth_info.impersonate = Some(identity.user.clone());
    config.auth_info.impersonate_groups = Some(identity.groups.clone());
    Ok(Client::try_from(config)?)
}

async fn config(kubeconfig: &Path) -> Result<Config> {
    let read = Kubeconfig::read_from(kubeconfig).with_context(|| format!("read {}", kubeconfig.display()))?;
    Ok(Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?)
}
