//! An API server alone, with etcd, on free loopback ports and in a temporary folder: for tests of schemas, CEL rules,
//! admission and RBAC. It has no nodes and no controllers; it needs no root and changes nothing of the machine.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::build::{ensure, path_of};
use crate::command::succeeds;
use crate::components::user_kubeconfig;
use crate::error::{ClusterError, IoContext};
use crate::paths::write_file;
use crate::pki;
use crate::process::{Started, Wait, wait_for};
use crate::tools::Tool;

/// Which Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiVersion {
    /// 1.33, the oldest that is supported.
    V1_33,
    /// 1.36, the newest.
    V1_36,
}

impl ApiVersion {
    fn tool(self) -> Tool {
        match self {
            Self::V1_33 => Tool::ApiServer133,
            Self::V1_36 => Tool::ApiServer136,
        }
    }
}

/// A running API server; stopped, with its etcd and its folder, when dropped.
#[derive(Debug)]
pub struct ApiServer {
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The audit log, one JSON object a line, written without delay.
    pub audit_log: PathBuf,
    // Dropped in this order: the API server before its etcd, the folder last.
    _api_server: Process,
    _etcd: Process,
    _folder: TempDir,
}

/// A child that is killed and waited for when dropped: nothing of it is worth a clean end.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl ApiServer {
    /// `kubectl` as its administrator; add the arguments.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        let kubectl = path_of(Tool::Kubectl).unwrap_or_else(|_| "kubectl".into());
        let mut command = Command::new(kubectl);
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }
}

/// Starts an API server of `version` and waits until it is ready (seconds). Builds it first where it is missing
/// (minutes, with progress on `out`).
///
/// # Errors
/// The build failed, or the server did not become ready: then with the end of its log.
pub fn start(version: ApiVersion, out: &mut dyn Write) -> Result<ApiServer, ClusterError> {
    ensure(&[Tool::Etcd, version.tool(), Tool::Kubectl], out)?;
    // A free port may be taken between the look and the start: try again with others.
    let mut result = try_start(version);
    for _ in 0..2 {
        if result.is_ok() {
            break;
        }
        result = try_start(version);
    }
    result
}

fn try_start(version: ApiVersion) -> Result<ApiServer, ClusterError> {
    let folder = tempfile::tempdir().during(|| "making a temporary folder".to_owned())?;
    let root = folder.path();
    let token = pki::create_loopback(root)?;
    let policy = root.join("audit-policy.yaml");
    write_file(&policy, include_bytes!("../config/audit-policy.yaml"))?;
    let [client_port, peer_port, port] = free_ports()?;
    let client_url = format!("http://127.0.0.1:{client_port}");
    let peer_url = format!("http://127.0.0.1:{peer_port}");

    let mut etcd = Command::new(path_of(Tool::Etcd)?);
    etcd.arg("--data-dir").arg(root.join("etcd")).args([
        format!("--listen-client-urls={client_url}"),
        format!("--advertise-client-urls={client_url}"),
        format!("--listen-peer-urls={peer_url}"),
        format!("--initial-advertise-peer-urls={peer_url}"),
        format!("--initial-cluster=default={peer_url}"),
        "--unsafe-no-fsync=true".into(),
        "--log-level=warn".into(),
    ]);
    let etcd = spawn(etcd, &root.join("etcd.log"))?;

    let audit_log = root.join("audit.log");
    let mut server = Command::new(path_of(version.tool())?);
    server.args(server_flags(root, &client_url, port));
    let log = root.join("kube-apiserver.log");
    let server = spawn(server, &log)?;

    let ca = root.join("ca.crt");
    let ca = STANDARD.encode(fs::read(&ca).during(|| format!("reading {}", ca.display()))?);
    let kubeconfig = root.join("kubeconfig");
    let url = format!("https://127.0.0.1:{port}");
    write_file(&kubeconfig, user_kubeconfig(&url, &ca, "plimsoll-local:admin", &token).as_bytes())?;
    let ready = ApiServer { kubeconfig, audit_log, _api_server: server, _etcd: etcd, _folder: folder };
    let process = Started::of(ready._api_server.0.id(), "");
    let wait = Wait {
        what: "the API server is not ready",
        deadline: Duration::from_secs(60),
        log: &log,
        process: process.as_ref(),
        remedy: "",
    };
    wait_for(&wait, || succeeds(ready.kubectl().args(["--request-timeout=5s", "get", "--raw", "/readyz"])))?;
    // The first namespace is made just after the server calls itself ready.
    wait_for(&wait, || {
        succeeds(ready.kubectl().args(["--request-timeout=5s", "get", "namespace", "default"]))
    })?;
    Ok(ready)
}

fn server_flags(root: &Path, etcd: &str, port: u16) -> Vec<String> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", root.join(name).display());
    vec![
        format!("--etcd-servers={etcd}"),
        format!("--secure-port={port}"),
        "--bind-address=127.0.0.1".into(),
        "--advertise-address=127.0.0.1".into(),
        // A loopback address is refused as the endpoint of the Service `kubernetes`, which nobody here calls.
        "--endpoint-reconciler-type=none".into(),
        "--service-cluster-ip-range=10.96.0.0/16".into(),
        "--authorization-mode=RBAC".into(),
        // Without a controller manager nobody makes the ServiceAccount that this plugin waits for.
        "--disable-admission-plugins=ServiceAccount".into(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        "--audit-log-format=json".into(),
        "--audit-log-mode=blocking".into(),
        file("token-auth-file", "tokens.csv"),
        file("tls-cert-file", "apiserver.crt"),
        file("tls-private-key-file", "apiserver.key"),
        file("service-account-key-file", "sa.pub"),
        file("service-account-signing-key-file", "sa.key"),
        file("audit-policy-file", "audit-policy.yaml"),
        file("audit-log-path", "audit.log"),
    ]
}

fn spawn(mut command: Command, log: &Path) -> Result<Process, ClusterError> {
    let file = File::create(log).during(|| format!("making {}", log.display()))?;
    let again = file.try_clone().during(|| format!("making {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file).stderr(again);
    let line = crate::command::line(&command);
    Ok(Process(command.spawn().during(|| format!("starting `{line}`"))?))
}

/// Ports of 127.0.0.1 that were free a moment ago, all different.
fn free_ports() -> Result<[u16; 3], ClusterError> {
    let listen = || TcpListener::bind("127.0.0.1:0").during(|| "looking for a free port".to_owned());
    let listeners = [listen()?, listen()?, listen()?];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr().during(|| "looking for a free port".to_owned())?.port();
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ() {
        let [a, b, c] = free_ports().unwrap();
        assert!(a != b && b != c && a != c && a != 0);
    }
}
