//! What `cargo xtask test` prepared for stories on the cluster.

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context as _, Result};

/// The prepared cluster: where it is, and the images and programs that stories use.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// Image of the operator, as it is installed.
    pub image: String,
    /// Image of the workload under measurement.
    pub workload: String,
    /// Our own binary, as the command line.
    pub binary: PathBuf,
    /// The API server's audit log.
    pub audit_log: PathBuf,
    /// The cluster's Prometheus, as this machine and its pods reach it.
    pub prometheus: String,
    /// Prometheus 3, to start servers of one's own.
    pub prometheus_binary: PathBuf,
    /// promtool.
    pub promtool: PathBuf,
    /// kubectl.
    pub kubectl: PathBuf,
    /// helm.
    pub helm: PathBuf,
}

impl Environment {
    /// The environment of this process.
    ///
    /// # Errors
    /// A variable is missing: then stories would test something else than they say.
    pub fn get() -> Result<&'static Self> {
        static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
        if let Some(found) = ENVIRONMENT.get() {
            return Ok(found);
        }
        let found = Self::read()?;
        Ok(ENVIRONMENT.get_or_init(|| found))
    }

    fn read() -> Result<Self> {
        Ok(Self {
            kubeconfig: variable("KUBECONFIG")?.into(),
            image: variable("PLIMSOLL_STORY_IMAGE")?,
            workload: variable("PLIMSOLL_STORY_WORKLOAD")?,
            binary: variable("PLIMSOLL_STORY_BINARY")?.into(),
            audit_log: variable("PLIMSOLL_STORY_AUDIT_LOG")?.into(),
            prometheus: variable("PLIMSOLL_STORY_PROMETHEUS")?,
            prometheus_binary: variable("PLIMSOLL_PROMETHEUS_3")?.into(),
            promtool: variable("PLIMSOLL_PROMTOOL")?.into(),
            kubectl: variable("PLIMSOLL_KUBECTL")?.into(),
            helm: variable("PLIMSOLL_HELM")?.into(),
        })
    }
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).with_context(|| {
        format!("{name} is not set: stories run on a prepared cluster, by `cargo xtask test`")
    })
}
