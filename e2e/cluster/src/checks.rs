//! What must be seen before the cluster is called running.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use crate::Cluster;
use crate::command::{run, succeeds};
use crate::error::ClusterError;
use crate::image::pause_reference;
use crate::net::{http_ok, lookup};
use crate::paths::State;
use crate::pki::NODE;
use crate::process::{Started, Wait, wait_for};
use crate::render::render;

const COREDNS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10)), 53);
const PROMETHEUS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 244, 0, 1)), 9090);
pub(crate) const API_SERVICES: [&str; 3] =
    ["v1beta1.metrics.k8s.io", "v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io"];

/// A name only this cluster knows, asked through the Service of CoreDNS: kube-proxy's rules and CoreDNS both work.
pub(crate) fn dns_answers() -> bool {
    lookup(COREDNS, "kubernetes.default.svc.cluster.local") == Some(Ipv4Addr::new(10, 96, 0, 1))
}

pub(crate) fn prometheus_is_ready() -> bool {
    http_ok(PROMETHEUS, "/-/ready")
}

fn raw(cluster: &Cluster, path: &str) -> Option<String> {
    run(cluster.kubectl().args(["--request-timeout=5s", "get", "--raw", path])).ok()
}

pub(crate) fn api_server_is_ready(cluster: &Cluster) -> bool {
    raw(cluster, "/readyz").is_some()
}

fn node_is_ready(cluster: &Cluster) -> bool {
    let condition = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    let get = |kubectl: &mut Command| run(kubectl.args(["get", "node", NODE, "-o", condition]));
    get(cluster.kubectl().arg("--request-timeout=5s")).is_ok_and(|status| status.trim() == "True")
}

fn api_services_are_available(cluster: &Cluster) -> bool {
    let condition = "jsonpath={range .items[*]}{.status.conditions[?(@.type==\"Available\")].status} {end}";
    let mut kubectl = cluster.kubectl();
    kubectl.args(["--request-timeout=5s", "get", "apiservices"]).args(API_SERVICES).args(["-o", condition]);
    run(&mut kubectl).is_ok_and(|statuses| {
        let statuses: Vec<_> = statuses.split_whitespace().collect();
        statuses.len() == API_SERVICES.len() && statuses.iter().all(|status| *status == "True")
    })
}

fn node_is_measured(cluster: &Cluster) -> bool {
    raw(cluster, &format!("/apis/metrics.k8s.io/v1beta1/nodes/{NODE}")).is_some()
}

/// Whether a cluster that runs is healthy, in about a second.
pub(crate) fn is_healthy(cluster: &Cluster) -> bool {
    dns_answers()
        && prometheus_is_ready()
        && node_is_ready(cluster)
        && api_services_are_available(cluster)
        && node_is_measured(cluster)
}

/// What [`wait_until_healthy`] waits for: whose log is quoted, what is missing, for how long, how it is seen.
type Check = (&'static str, &'static str, u64, fn(&Cluster) -> bool);

const CHECKS: [Check; 5] = [
    ("kubelet", "the node is not Ready", 60, node_is_ready),
    ("coredns", "CoreDNS does not answer through its Service", 30, |_| dns_answers()),
    ("prometheus", "Prometheus is not ready", 60, |_| prometheus_is_ready()),
    ("metrics-server", "metrics-server has no metrics of the node", 90, node_is_measured),
    ("prometheus-adapter", "the aggregated APIs are not available", 60, api_services_are_available),
];

/// Waits for each check in turn.
pub(crate) fn wait_until_healthy(
    cluster: &Cluster,
    state: &State,
    process: impl Fn(&str) -> Option<Started>,
) -> Result<(), ClusterError> {
    for (component, what, seconds, holds) in CHECKS {
        let running = process(component);
        let wait = Wait {
            what,
            deadline: Duration::from_secs(seconds),
            log: &state.log(component),
            process: running.as_ref(),
            remedy: "Run `cargo xtask cluster down`, then `up` again; if it fails again, the log says why.",
        };
        wait_for(&wait, || holds(cluster))?;
    }
    Ok(())
}

/// Runs a pod of one container and waits until the kubelet's cAdvisor page names the container and the pod's network:
/// with the wrong containerd socket it shows neither, and every figure of usage would be missing silently.
pub(crate) fn check_cadvisor(cluster: &Cluster, state: &State) -> Result<(), ClusterError> {
    let manifest = state.conf("startup-check.yaml");
    let text = render(include_str!("../config/startup-check.yaml"), &[("pause", &pause_reference())]);
    crate::paths::write_file(&manifest, text.as_bytes())?;
    let delete =
        || succeeds(cluster.kubectl().args(["delete", "--now", "--ignore-not-found", "-f"]).arg(&manifest));
    delete();
    run(cluster.kubectl().args(["apply", "-f"]).arg(&manifest))?;
    let wait = Wait {
        what: "cAdvisor names no container and no network of a running pod",
        deadline: Duration::from_secs(60),
        log: &state.log("kubelet"),
        process: None,
        remedy: "Look at the pod: `kubectl -n monitoring describe pod startup-check`.",
    };
    let seen = wait_for(&wait, || {
        raw(cluster, &format!("/api/v1/nodes/{NODE}/proxy/metrics/cadvisor"))
            .is_some_and(|page| names_pod(&page))
    });
    if seen.is_ok() {
        delete();
    }
    seen
}

/// Whether a cAdvisor page has a CPU row of the check's container and a network row of its pod.
fn names_pod(page: &str) -> bool {
    let row = |metric: &str, label: &str| {
        page.lines().any(|line| {
            line.starts_with(metric) && line.contains("pod=\"startup-check\"") && line.contains(label)
        })
    };
    row("container_cpu_usage_seconds_total{", "container=\"check\"")
        && row("container_network_receive_bytes_total{", "interface=\"eth0\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cadvisor_page_must_name_the_container_and_the_pod_s_network() {
        let cpu =
            "container_cpu_usage_seconds_total{container=\"check\",namespace=\"m\",pod=\"startup-check\"} 1";
        let bare =
            "container_cpu_usage_seconds_total{container=\"\",namespace=\"m\",pod=\"startup-check\"} 1";
        let net = "container_network_receive_bytes_total{interface=\"eth0\",pod=\"startup-check\"} 1";
        assert!(names_pod(&format!("{cpu}\n{net}\n")));
        assert!(!names_pod(&format!("{bare}\n{net}\n")));
        assert!(!names_pod(cpu));
    }
}
