//! The programs the cluster is made of: which version, and from where.

use sha2::{Digest, Sha256};

/// A program of the local cluster or of its tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tool {
    /// etcd 3.6.
    Etcd,
    /// kube-apiserver 1.36, the cluster's own.
    ApiServer136,
    /// kube-apiserver 1.33, the oldest that is supported: for tests of schemas only.
    ApiServer133,
    /// kube-controller-manager 1.36.
    ControllerManager,
    /// kube-scheduler 1.36.
    Scheduler,
    /// kubelet 1.36.
    Kubelet,
    /// kube-proxy 1.36.
    KubeProxy,
    /// kubectl 1.36.
    Kubectl,
    /// CoreDNS.
    CoreDns,
    /// metrics-server.
    MetricsServer,
    /// Prometheus 3 with Kubernetes discovery.
    Prometheus,
    /// prometheus-adapter: custom metrics for autoscalers.
    PrometheusAdapter,
    /// Helm 4.
    Helm,
    /// kubeconform: checks manifests against schemas.
    Kubeconform,
    /// promtool of the Debian package `prometheus` (2.42).
    Promtool,
    /// Prometheus 2 of the Debian package `prometheus` (2.42), an older server to test against.
    Prometheus2,
    /// buildah, from the Debian package of the same name.
    Buildah,
    /// containerd, from the Debian package of the same name.
    Containerd,
    /// containerd's own client, from the Debian package `containerd`.
    Ctr,
    /// runc, from the Debian package of the same name.
    Runc,
}

/// Where a program comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// Built from a Go module: the package's path and the minutes that takes with cold caches on 2 cores.
    Go { module: &'static Module, package: &'static str, minutes: u32 },
    /// Installed by a Debian package.
    Debian { package: &'static str },
}

/// A Go module of the project's own, that pins what is built. `go.mod` and `go.sum` are compiled in, so that this
/// program needs no checkout.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) go_mod: &'static str,
    pub(crate) go_sum: &'static str,
    pub(crate) tags: &'static str,
    /// Go variables that are to hold the version: clients read a server's.
    version_variables: VersionVariables,
}

#[derive(Debug)]
enum VersionVariables {
    None,
    /// Each variable gets this text.
    Of(&'static [(&'static str, &'static str)]),
    /// The variables of these Kubernetes packages, for a version `1.MINOR.PATCH`.
    Kubernetes(&'static [&'static str]),
}

const KUBERNETES_VERSION: VersionVariables =
    VersionVariables::Kubernetes(&["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]);

macro_rules! module {
    ($name:literal, $version:literal, $folder:literal, $tags:literal, $variables:expr) => {
        Module {
            name: $name,
            version: $version,
            go_mod: include_str!(concat!("../modules/", $folder, "/go.mod")),
            go_sum: include_str!(concat!("../modules/", $folder, "/go.sum")),
            tags: $tags,
            version_variables: $variables,
        }
    };
}

static KUBERNETES_136: Module = module!("kubernetes", "1.36.3", "kubernetes-1.36", "", KUBERNETES_VERSION);
static KUBERNETES_133: Module = module!("kubernetes", "1.33.13", "kubernetes-1.33", "", KUBERNETES_VERSION);
static COREDNS: Module = module!("coredns", "1.14.7", "coredns", "", VersionVariables::None);
static METRICS_SERVER: Module = module!("metrics-server", "0.9.0", "metrics-server", "", KUBERNETES_VERSION);
static PROMETHEUS: Module = module!(
    "prometheus",
    "3.13.3",
    "prometheus",
    "netgo,remove_all_sd,enable_kubernetes_sd",
    VersionVariables::Of(&[("github.com/prometheus/common/version.Version", "3.13.3")])
);
static ADAPTER: Module =
    module!("prometheus-adapter", "0.12.0", "prometheus-adapter", "", VersionVariables::None);
static HELM: Module = module!(
    "helm",
    "4.3.1",
    "helm",
    "",
    VersionVariables::Of(&[("helm.sh/helm/v4/internal/version.version", "v4.3.1")])
);
static KUBECONFORM: Module =
    module!("kubeconform", "0.8.0", "kubeconform", "", VersionVariables::Of(&[("main.version", "v0.8.0")]));

impl Tool {
    /// What `up` needs of Go, in the order in which it is built.
    pub(crate) const CLUSTER: [Self; 11] = [
        Self::Etcd,
        Self::ApiServer136,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubelet,
        Self::KubeProxy,
        Self::Kubectl,
        Self::CoreDns,
        Self::MetricsServer,
        Self::Prometheus,
        Self::PrometheusAdapter,
    ];

    /// The name of its file.
    #[must_use]
    pub fn binary(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer136 | Self::ApiServer133 => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Kubectl => "kubectl",
            Self::CoreDns => "coredns",
            Self::MetricsServer => "metrics-server",
            Self::Prometheus | Self::Prometheus2 => "prometheus",
            Self::PrometheusAdapter => "prometheus-adapter",
            Self::Helm => "helm",
            Self::Kubeconform => "kubeconform",
            Self::Promtool => "promtool",
            Self::Buildah => "buildah",
            Self::Containerd => "containerd",
            Self::Ctr => "ctr",
            Self::Runc => "runc",
        }
    }

    /// Its version; of a Debian package, whichever Debian has.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self.source() {
            // etcd is built with the Kubernetes binaries, whose module pins it.
            Source::Go { .. } if self == Self::Etcd => "3.6.8",
            Source::Go { module, .. } => module.version,
            Source::Debian { .. } => "Debian's",
        }
    }

    pub(crate) fn source(self) -> Source {
        let go = |module, package, minutes| Source::Go { module, package, minutes };
        let debian = |package| Source::Debian { package };
        match self {
            Self::Etcd => go(&KUBERNETES_136, "go.etcd.io/etcd/server/v3", 1),
            Self::ApiServer136 => go(&KUBERNETES_136, "k8s.io/kubernetes/cmd/kube-apiserver", 5),
            Self::ApiServer133 => go(&KUBERNETES_133, "k8s.io/kubernetes/cmd/kube-apiserver", 5),
            Self::ControllerManager => {
                go(&KUBERNETES_136, "k8s.io/kubernetes/cmd/kube-controller-manager", 1)
            }
            Self::Scheduler => go(&KUBERNETES_136, "k8s.io/kubernetes/cmd/kube-scheduler", 1),
            Self::Kubelet => go(&KUBERNETES_136, "k8s.io/kubernetes/cmd/kubelet", 1),
            Self::KubeProxy => go(&KUBERNETES_136, "k8s.io/kubernetes/cmd/kube-proxy", 1),
            Self::Kubectl => go(&KUBERNETES_136, "k8s.io/kubernetes/cmd/kubectl", 1),
            Self::CoreDns => go(&COREDNS, "github.com/coredns/coredns", 2),
            Self::MetricsServer => go(&METRICS_SERVER, "sigs.k8s.io/metrics-server/cmd/metrics-server", 3),
            Self::Prometheus => go(&PROMETHEUS, "github.com/prometheus/prometheus/cmd/prometheus", 6),
            Self::PrometheusAdapter => go(&ADAPTER, "sigs.k8s.io/prometheus-adapter/cmd/adapter", 2),
            Self::Helm => go(&HELM, "helm.sh/helm/v4/cmd/helm", 5),
            Self::Kubeconform => go(&KUBECONFORM, "github.com/yannh/kubeconform/cmd/kubeconform", 1),
            Self::Promtool | Self::Prometheus2 => debian("prometheus"),
            Self::Buildah => debian("buildah"),
            Self::Containerd | Self::Ctr => debian("containerd"),
            Self::Runc => debian("runc"),
        }
    }
}

/// What every build has in its environment, as part of the key.
pub(crate) const BUILD_ENVIRONMENT: (&str, &str) = ("CGO_ENABLED", "0");

impl Module {
    /// The flags of `go build` that shape its result.
    pub(crate) fn flags(&self) -> Vec<String> {
        let mut flags = vec!["-trimpath".to_owned(), "-buildvcs=false".into(), "-mod=readonly".into()];
        if !self.tags.is_empty() {
            flags.push(format!("-tags={}", self.tags));
        }
        flags.push(format!("-ldflags={}", self.linker_flags()));
        flags
    }

    fn linker_flags(&self) -> String {
        let mut flags = String::from("-s -w");
        let mut set = |variable: &str, value: &str| {
            flags.push_str(&format!(" -X {variable}={value}"));
        };
        match &self.version_variables {
            VersionVariables::None => {}
            VersionVariables::Of(variables) => variables.iter().for_each(|(name, value)| set(name, value)),
            VersionVariables::Kubernetes(packages) => {
                let version = self.version;
                for package in *packages {
                    set(&format!("{package}.gitVersion"), &format!("v{version}"));
                    // Only Kubernetes itself is at 1.x; what borrows its variables names its own version alone.
                    if let Some(minor) = version.strip_prefix("1.").and_then(|rest| rest.split('.').next()) {
                        set(&format!("{package}.gitMajor"), "1");
                        set(&format!("{package}.gitMinor"), minor);
                        set(&format!("{package}.gitTreeState"), "clean");
                    }
                }
            }
        }
        flags
    }

    /// The folder of its binaries in the cache: changes with everything that shapes them but the Go compiler.
    pub(crate) fn folder(&self) -> String {
        let (name, value) = BUILD_ENVIRONMENT;
        let mut inputs = vec![format!("{name}={value}")];
        inputs.extend(self.flags());
        let mut hash = Sha256::new();
        for part in [self.go_mod, "\n", self.go_sum, "\n", &inputs.join("\n")] {
            hash.update(part);
        }
        format!("{}-{}-{}", self.name, self.version, hex(&hash.finalize()[..6]))
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(go_mod: &'static str, go_sum: &'static str, tags: &'static str) -> Module {
        Module {
            name: "m",
            version: "1.2.3",
            go_mod,
            go_sum,
            tags,
            version_variables: VersionVariables::None,
        }
    }

    #[test]
    fn the_cache_key_changes_with_each_input_and_with_nothing_else() {
        let base = module("a", "b", "c").folder();
        assert_eq!(base, module("a", "b", "c").folder());
        for other in
            [module("x", "b", "c"), module("a", "x", "c"), module("a", "b", "x"), module("ab", "", "c")]
        {
            assert_ne!(base, other.folder());
        }
        let digits = base.strip_prefix("m-1.2.3-").unwrap();
        assert!(digits.len() == 12 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{digits}");
    }

    #[test]
    fn a_kubernetes_binary_knows_its_version_and_a_borrower_only_its_own() {
        let flags = KUBERNETES_136.linker_flags();
        assert!(flags.contains("-X k8s.io/component-base/version.gitVersion=v1.36.3"), "{flags}");
        assert!(flags.contains("-X k8s.io/component-base/version.gitMinor=36"), "{flags}");
        assert!(!METRICS_SERVER.linker_flags().contains("gitMinor"));
    }

    #[test]
    fn each_go_package_is_a_tool_of_its_module_at_the_stated_version() {
        let all = [Tool::ApiServer133, Tool::Helm, Tool::Kubeconform];
        for tool in Tool::CLUSTER.into_iter().chain(all) {
            let Source::Go { module, package, .. } = tool.source() else { panic!("{tool:?} is not built") };
            assert!(
                module.go_mod.lines().any(|line| line.trim().trim_start_matches("tool ") == package),
                "{package}"
            );
            // Go's tag of Prometheus 3.13.3 is v0.313.3.
            let version = if tool == Tool::Prometheus { "0.313.3" } else { tool.version() };
            assert!(module.go_mod.contains(&format!(" v{version}")), "{tool:?} {version}");
        }
    }
}
