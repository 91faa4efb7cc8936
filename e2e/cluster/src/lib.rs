//! A real Kubernetes on one Linux machine, built from packages: for the demo and for the stories.
//!
//! [`up`] brings it to a running state from whatever state it is in, [`down`] takes it away again, [`find`] hands the
//! running one to a test. [`apiserver::start`] runs an API server alone, for tests of schemas. Everything it keeps lies
//! in [`cache_folder`]: binaries under `bin`, the cluster under `cluster`.
//!
//! The processes are started by hand, without a service manager or a container engine, and known by their process ids:
//! etcd, kube-apiserver, controller-manager, scheduler, containerd, kubelet, kube-proxy, CoreDNS, Prometheus,
//! metrics-server and prometheus-adapter. All but containerd's shims and the pods run on the host.

pub mod apiserver;
mod build;
mod checks;
mod command;
mod components;
mod consent;
mod debian;
mod down;
mod error;
mod image;
mod lock;
mod machine;
mod net;
mod packages;
mod paths;
mod pki;
mod process;
mod render;
mod servers;
mod status;
mod tools;
mod up;

use std::path::{Path, PathBuf};
use std::process::Command;

pub use build::tool;
pub use consent::Consent;
pub use debian::{DebianArchive, DebianImage, POSTGRES, REDIS};
pub use down::down;
pub use error::ClusterError;
pub use image::ScratchImage;
pub use lock::{BuildLock, build_lock};
pub use paths::cache_folder;
pub use pki::{ServerCertificates, random_token, server_certificates};
pub use servers::{Server, install_servers, server};
pub use status::status;
pub use tools::Tool;
pub use up::{find, up};

/// A running local cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The folder of everything the cluster keeps: logs, data, keys.
    pub state: PathBuf,
    /// The API server's audit log, one JSON object a line: who called what with which answer.
    pub audit_log: PathBuf,
    /// Prometheus as this machine reaches it.
    pub prometheus_host_url: String,
    /// Prometheus as pods reach it.
    pub prometheus_cluster_url: String,
}

impl Cluster {
    fn at(state: &paths::State) -> Self {
        Self {
            kubeconfig: state.kubeconfig(),
            state: state.root.clone(),
            audit_log: state.audit_log(),
            prometheus_host_url: "http://10.244.0.1:9090".into(),
            prometheus_cluster_url: "http://prometheus.monitoring:9090".into(),
        }
    }

    /// Makes an image known to the kubelet as `reference`, from a docker or an OCI archive. Pods name it with
    /// `imagePullPolicy: IfNotPresent` (or `Never`) and by a tag, not by a digest: an imported image has none that can
    /// be asked for, so put the content's hash into the tag.
    ///
    /// # Errors
    /// containerd does not run, or the archive is none.
    pub fn import_image(&self, archive: &Path, reference: &str) -> Result<(), ClusterError> {
        image::import(&paths::State { root: self.state.clone() }, archive, reference)
    }

    /// `kubectl` of the cluster's own version, as its administrator; add the arguments.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        let kubectl = build::path_of(Tool::Kubectl).unwrap_or_else(|_| "kubectl".into());
        let mut command = Command::new(kubectl);
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }
}
