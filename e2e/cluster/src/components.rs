//! The processes of the cluster: with which arguments, on which files, in which order.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::build::path_of;
use crate::error::{ClusterError, IoContext};
use crate::machine::{BRIDGE, HOST_ADDRESS};
use crate::paths::{State, write_file};
use crate::pki::{NODE, USERS};
use crate::render::render;
use crate::tools::{Tool, hex};

/// Where the API server listens.
pub(crate) const SERVER: &str = "https://10.244.0.1:6443";

/// A process of the cluster.
pub(crate) struct Component {
    pub(crate) name: &'static str,
    pub(crate) tool: Tool,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    /// Its configuration files: a change of one starts it anew.
    files: Vec<String>,
    /// How long it may take to end by itself.
    pub(crate) patience: Duration,
}

impl Component {
    /// The command that starts it.
    pub(crate) fn command(&self) -> Result<Command, ClusterError> {
        let mut command = Command::new(path_of(self.tool)?);
        command.args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// Names its command line and the content of its files.
    pub(crate) fn spec(&self, state: &State) -> Result<String, ClusterError> {
        let mut hash = Sha256::new();
        let command = self.command()?;
        hash.update(crate::command::line(&command));
        for name in &self.files {
            let path = state.root.join(name);
            let content = fs::read(&path).during(|| format!("reading {}", path.display()))?;
            hash.update(content);
        }
        Ok(hex(&hash.finalize()[..8]))
    }
}

/// The components in the order in which they start; they stop in the reverse order.
pub(crate) fn all(state: &State) -> Vec<Component> {
    vec![
        etcd(state),
        api_server(state),
        containerd(state),
        controller_manager(state),
        scheduler(state),
        kube_proxy(state),
        kubelet(state),
        coredns(state),
        prometheus(state),
        metrics_server(state),
        prometheus_adapter(state),
    ]
}

/// Names of [`all`], for those who need no more.
pub(crate) fn names() -> Vec<(&'static str, Tool)> {
    let state = State { root: "/".into() };
    all(&state).iter().map(|component| (component.name, component.tool)).collect()
}

fn component(name: &'static str, tool: Tool, arguments: Vec<String>, files: &[&str]) -> Component {
    Component {
        name,
        tool,
        arguments,
        environment: Vec::new(),
        files: files.iter().map(|file| (*file).to_owned()).collect(),
        patience: Duration::from_secs(10),
    }
}

/// `--name=value` for each pair.
fn flags(pairs: &[(&str, &str)]) -> Vec<String> {
    pairs.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn kubeconfig(state: &State, user: &str) -> String {
    text(&state.conf(&format!("{user}.kubeconfig")))
}

fn etcd(state: &State) -> Component {
    let arguments = flags(&[
        ("data-dir", &text(&state.root.join("etcd"))),
        ("listen-client-urls", "http://127.0.0.1:12379"),
        ("advertise-client-urls", "http://127.0.0.1:12379"),
        ("listen-peer-urls", "http://127.0.0.1:12380"),
        ("initial-advertise-peer-urls", "http://127.0.0.1:12380"),
        ("initial-cluster", "default=http://127.0.0.1:12380"),
        // A cluster for tests may lose its last second when the machine loses its power.
        ("unsafe-no-fsync", "true"),
        ("auto-compaction-retention", "10m"),
        ("log-level", "warn"),
    ]);
    component("etcd", Tool::Etcd, arguments, &[])
}

fn api_server(state: &State) -> Component {
    let pki = |name: &str| text(&state.pki(name));
    let arguments = flags(&[
        ("etcd-servers", "http://127.0.0.1:12379"),
        ("bind-address", HOST_ADDRESS),
        ("advertise-address", HOST_ADDRESS),
        ("secure-port", "6443"),
        ("service-cluster-ip-range", "10.96.0.0/16"),
        ("allow-privileged", "true"),
        ("authorization-mode", "Node,RBAC"),
        ("enable-admission-plugins", "NodeRestriction"),
        ("token-auth-file", &pki("tokens.csv")),
        ("client-ca-file", &pki("ca.crt")),
        ("tls-cert-file", &pki("apiserver.crt")),
        ("tls-private-key-file", &pki("apiserver.key")),
        ("service-account-issuer", "https://kubernetes.default.svc.cluster.local"),
        ("service-account-key-file", &pki("sa.pub")),
        ("service-account-signing-key-file", &pki("sa.key")),
        ("kubelet-certificate-authority", &pki("ca.crt")),
        ("kubelet-client-certificate", &pki("apiserver-kubelet-client.crt")),
        ("kubelet-client-key", &pki("apiserver-kubelet-client.key")),
        ("kubelet-preferred-address-types", "InternalIP"),
        ("enable-aggregator-routing", "true"),
        ("requestheader-client-ca-file", &pki("front-proxy-ca.crt")),
        ("requestheader-allowed-names", "front-proxy-client"),
        ("requestheader-username-headers", "X-Remote-User"),
        ("requestheader-group-headers", "X-Remote-Group"),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
        ("proxy-client-cert-file", &pki("front-proxy-client.crt")),
        ("proxy-client-key-file", &pki("front-proxy-client.key")),
        ("audit-policy-file", &text(&state.conf("audit-policy.yaml"))),
        ("audit-log-path", &text(&state.audit_log())),
        ("audit-log-format", "json"),
        ("audit-log-mode", "batch"),
        ("audit-log-maxsize", "100"),
        ("audit-log-maxbackup", "2"),
        ("profiling", "false"),
    ]);
    component(
        "kube-apiserver",
        Tool::ApiServer136,
        arguments,
        &["conf/audit-policy.yaml", "pki/tokens.csv", "pki/apiserver.crt"],
    )
}

fn containerd(state: &State) -> Component {
    let arguments = vec!["--config".to_owned(), text(&state.conf("containerd.toml"))];
    component(
        "containerd",
        Tool::Containerd,
        arguments,
        &["conf/containerd.toml", "conf/cni/10-plimsoll.conflist"],
    )
}

fn controller_manager(state: &State) -> Component {
    let kubeconfig = kubeconfig(state, "controller-manager");
    let arguments = flags(&[
        ("kubeconfig", &kubeconfig),
        ("authentication-kubeconfig", &kubeconfig),
        ("authorization-kubeconfig", &kubeconfig),
        ("bind-address", "127.0.0.1"),
        ("leader-elect", "false"),
        // Without it kube-root-ca.crt is empty and no pod can verify the API server.
        ("root-ca-file", &text(&state.pki("ca.crt"))),
        ("service-account-private-key-file", &text(&state.pki("sa.key"))),
        ("use-service-account-credentials", "true"),
        ("profiling", "false"),
    ]);
    component(
        "kube-controller-manager",
        Tool::ControllerManager,
        arguments,
        &["conf/controller-manager.kubeconfig"],
    )
}

fn scheduler(state: &State) -> Component {
    let kubeconfig = kubeconfig(state, "scheduler");
    let arguments = flags(&[
        ("kubeconfig", &kubeconfig),
        ("authentication-kubeconfig", &kubeconfig),
        ("authorization-kubeconfig", &kubeconfig),
        ("bind-address", "127.0.0.1"),
        ("leader-elect", "false"),
        ("profiling", "false"),
    ]);
    component("kube-scheduler", Tool::Scheduler, arguments, &["conf/scheduler.kubeconfig"])
}

fn kube_proxy(state: &State) -> Component {
    let arguments = flags(&[
        ("kubeconfig", &kubeconfig(state, "kube-proxy")),
        ("proxy-mode", "iptables"),
        ("hostname-override", NODE),
        ("cluster-cidr", "10.244.0.0/24"),
        ("healthz-bind-address", "127.0.0.1:10256"),
        ("metrics-bind-address", "127.0.0.1:10249"),
        // Leave the machine's connection tracking and localhost routing as they are.
        ("conntrack-max-per-core", "0"),
        ("conntrack-tcp-timeout-established", "0s"),
        ("conntrack-tcp-timeout-close-wait", "0s"),
        ("iptables-localhost-nodeports", "false"),
        ("iptables-min-sync-period", "100ms"),
    ]);
    component("kube-proxy", Tool::KubeProxy, arguments, &["conf/kube-proxy.kubeconfig"])
}

fn kubelet(state: &State) -> Component {
    let arguments = flags(&[
        ("config", &text(&state.conf("kubelet.yaml"))),
        ("kubeconfig", &kubeconfig(state, "kubelet")),
        ("root-dir", &text(&state.root.join("kubelet"))),
        ("cert-dir", &text(&state.root.join("kubelet/pki"))),
        ("hostname-override", NODE),
        ("node-ip", HOST_ADDRESS),
        // For cAdvisor: without it there is one row a pod and none for containers and networks.
        ("containerd", &text(&state.containerd_socket())),
        ("housekeeping-interval", "5s"),
    ]);
    component(
        "kubelet",
        Tool::Kubelet,
        arguments,
        &["conf/kubelet.yaml", "conf/resolv.conf", "conf/kubelet.kubeconfig", "pki/kubelet.crt"],
    )
}

fn coredns(state: &State) -> Component {
    let arguments = vec!["-conf".to_owned(), text(&state.conf("Corefile"))];
    component("coredns", Tool::CoreDns, arguments, &["conf/Corefile", "conf/coredns.kubeconfig"])
}

fn prometheus(state: &State) -> Component {
    let arguments = flags(&[
        ("config.file", &text(&state.conf("prometheus.yaml"))),
        ("storage.tsdb.path", &text(&state.root.join("prometheus"))),
        ("web.listen-address", "10.244.0.1:9090"),
    ]);
    let switches = ["--web.enable-remote-write-receiver", "--web.enable-lifecycle"].map(str::to_owned);
    let arguments = arguments.into_iter().chain(switches).collect();
    component("prometheus", Tool::Prometheus, arguments, &["conf/prometheus.yaml", "conf/prometheus.token"])
}

fn metrics_server(state: &State) -> Component {
    let kubeconfig = kubeconfig(state, "metrics-server");
    let arguments = flags(&[
        ("kubeconfig", &kubeconfig),
        ("authentication-kubeconfig", &kubeconfig),
        ("authorization-kubeconfig", &kubeconfig),
        ("bind-address", HOST_ADDRESS),
        ("secure-port", "6445"),
        ("tls-cert-file", &text(&state.pki("aggregated.crt"))),
        ("tls-private-key-file", &text(&state.pki("aggregated.key"))),
        ("kubelet-certificate-authority", &text(&state.pki("ca.crt"))),
        ("kubelet-preferred-address-types", "InternalIP"),
        ("kubelet-use-node-status-port", "true"),
        ("kubelet-request-timeout", "5s"),
        ("metric-resolution", "10s"),
    ]);
    component("metrics-server", Tool::MetricsServer, arguments, &["conf/metrics-server.kubeconfig"])
}

fn prometheus_adapter(state: &State) -> Component {
    let kubeconfig = kubeconfig(state, "prometheus-adapter");
    let arguments = flags(&[
        ("lister-kubeconfig", &kubeconfig),
        ("authentication-kubeconfig", &kubeconfig),
        ("authorization-kubeconfig", &kubeconfig),
        ("bind-address", HOST_ADDRESS),
        ("secure-port", "6444"),
        ("tls-cert-file", &text(&state.pki("aggregated.crt"))),
        ("tls-private-key-file", &text(&state.pki("aggregated.key"))),
        ("cert-dir", &text(&state.root.join("adapter"))),
        ("prometheus-url", "http://10.244.0.1:9090"),
        ("config", &text(&state.conf("adapter.yaml"))),
        // The default is 10 min: a new metric would wait that long.
        ("metrics-relist-interval", "15s"),
        ("metrics-max-age", "60s"),
    ]);
    component(
        "prometheus-adapter",
        Tool::PrometheusAdapter,
        arguments,
        &["conf/adapter.yaml", "conf/prometheus-adapter.kubeconfig"],
    )
}

/// Writes every configuration file and kubeconfig; leaves those alone that have their content already.
pub(crate) fn write_files(state: &State, pause: &str, runc: &Path) -> Result<(), ClusterError> {
    let root = text(&state.root);
    if root.contains(['"', '\\', '\n']) {
        return Err(ClusterError::Missing {
            what: format!("the folder {root:?} has a quote, a backslash or a line end in its name"),
            remedy: "set PLIMSOLL_CACHE to a folder with a plain name".into(),
        });
    }
    let runc = text(runc);
    let values =
        [("state", root.as_str()), ("pause", pause), ("runc", &runc), ("bridge", BRIDGE), ("node", NODE)];
    let files = [
        ("audit-policy.yaml", include_str!("../config/audit-policy.yaml")),
        ("containerd.toml", include_str!("../config/containerd.toml")),
        ("cni/10-plimsoll.conflist", include_str!("../config/cni.json")),
        ("kubelet.yaml", include_str!("../config/kubelet.yaml")),
        ("Corefile", include_str!("../config/Corefile")),
        ("prometheus.yaml", include_str!("../config/prometheus.yaml")),
        ("adapter.yaml", include_str!("../config/adapter.yaml")),
        ("resolv.conf", ""),
    ];
    for (name, template) in files {
        write_file(&state.conf(name), render(template, &values).as_bytes())?;
    }
    for user in USERS {
        let token = read(&state.pki(&format!("{}.token", user.file)))?;
        let path = if user.file == "admin" {
            state.kubeconfig()
        } else {
            state.conf(&format!("{}.kubeconfig", user.file))
        };
        write_file(&path, user_kubeconfig(SERVER, &certificate_data(state)?, user.name, &token).as_bytes())?;
    }
    write_file(&state.conf("prometheus.token"), read(&state.pki("prometheus.token"))?.as_bytes())
}

/// The manifests with the cluster's CA.
pub(crate) fn manifests(state: &State) -> Result<String, ClusterError> {
    Ok(render(include_str!("../config/manifests.yaml"), &[("ca", &certificate_data(state)?)]))
}

fn certificate_data(state: &State) -> Result<String, ClusterError> {
    Ok(STANDARD.encode(read(&state.pki("ca.crt"))?))
}

/// A kubeconfig for one user with a token. `ca` is the CA's PEM in base64.
pub(crate) fn user_kubeconfig(server: &str, ca: &str, user: &str, token: &str) -> String {
    let values = [("server", server), ("ca", ca), ("user", user), ("token", token)];
    render(include_str!("../config/kubeconfig.yaml"), &values)
}

fn read(path: &Path) -> Result<String, ClusterError> {
    fs::read_to_string(path).during(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_gets_a_kubeconfig_and_every_template_is_filled() {
        let folder = tempfile::tempdir().unwrap();
        let state = State { root: folder.path().join("cluster") };
        state.create().unwrap();
        crate::pki::create_cluster(&state.root.join("pki")).unwrap();
        write_files(&state, "localhost/pause:1", Path::new("/usr/sbin/runc")).unwrap();
        for component in all(&state) {
            for file in &component.files {
                assert!(state.root.join(file).exists(), "{} wants {file}", component.name);
            }
        }
        let containerd = read(&state.conf("containerd.toml")).unwrap();
        assert!(containerd.contains("sandbox_image = \"localhost/pause:1\""), "{containerd}");
        assert!(manifests(&state).unwrap().contains("caBundle: \"LS0t"));
    }

    #[test]
    fn the_components_stop_in_an_order_that_leaves_nobody_without_the_api_server() {
        let names: Vec<_> = names().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names[..2], ["etcd", "kube-apiserver"]);
        let position = |name| names.iter().position(|other| *other == name).unwrap();
        assert!(position("containerd") < position("kubelet"));
    }
}
