//! Taking the cluster away again, and putting back what it changed of the machine.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::mount::{MntFlags, umount2};

use crate::build::{path_of, say};
use crate::command::run;
use crate::components;
use crate::error::{ClusterError, IoContext};
use crate::lock::lock_file;
use crate::paths::{State, cache_folder};
use crate::process::{PidFile, Started};
use crate::tools::Tool;
use crate::{Cluster, checks, image, machine};

/// Namespaces that every cluster has; all others are deleted first, while the cluster still works.
const KEPT_NAMESPACES: [&str; 5] = ["default", "kube-system", "kube-public", "kube-node-lease", "monitoring"];

/// Stops the cluster: namespaces first, then what is published in it, then its processes in the reverse order of their
/// start, each by its own id; then its containers, mounts, network and kernel settings. With `purge` its state folder
/// goes as well; without, the next `up` starts from the same keys, data and history. Built binaries and installed
/// packages stay.
///
/// # Errors
/// Not root, or something could not be taken away: what follows was still done.
pub fn down(purge: bool, out: &mut dyn Write) -> Result<(), ClusterError> {
    machine::check()?;
    let _one_at_a_time = lock_file(&cache_folder().join("cluster.lock"))?;
    let state = State::of_this_machine();
    if !state.root.exists() {
        return say(out, "there is no local cluster");
    }
    let cluster = Cluster::at(&state);
    if PidFile(state.pid_file("kube-apiserver")).running().is_some() && checks::api_server_is_ready(&cluster)
    {
        empty(&cluster, &state, out)?;
    }
    let mut failures = Vec::new();
    for component in components::all(&state).iter().rev() {
        if component.name == "containerd" {
            remove_containers(&state, &mut failures);
        }
        let pid_file = PidFile(state.pid_file(component.name));
        if pid_file.running().is_some() {
            say(out, &format!("{}: stopping", component.name))?;
        }
        pid_file.stop(component.patience);
    }
    stop_shims(&state);
    if let Ok(kube_proxy) = path_of(Tool::KubeProxy) {
        // It says on its standard error what it could not find; what matters is gone afterwards.
        let _ = run(Command::new(kube_proxy).arg("--cleanup"));
        machine::remove_leftover_chain();
    }
    unmount_all(&state.root, &mut failures);
    forget_pods();
    failures.extend(machine::restore(&state));
    let _ = fs::remove_dir_all(state.root.join("cni"));
    if purge && failures.is_empty() {
        fs::remove_dir_all(&state.root).during(|| format!("removing {}", state.root.display()))?;
    }
    match failures.into_iter().next() {
        Some(failure) => Err(failure),
        None => {
            say(out, if purge { "the cluster is gone" } else { "the cluster is stopped; its state is kept" })
        }
    }
}

/// Deletes namespaces, then the aggregated APIs: while an aggregated API is gone and still registered, no namespace can
/// be deleted.
fn empty(cluster: &Cluster, state: &State, out: &mut dyn Write) -> Result<(), ClusterError> {
    let listed = run(cluster.kubectl().args(["get", "namespaces", "-o", "name"])).unwrap_or_default();
    let names: Vec<&str> = to_delete(&listed);
    if !names.is_empty() {
        say(out, &format!("deleting the namespaces {}", names.join(", ")))?;
        let mut kubectl = cluster.kubectl();
        kubectl.args(["delete", "namespaces", "--wait", "--timeout=60s"]).args(&names);
        if let Err(error) = run(&mut kubectl) {
            say(out, &format!("not all namespaces are gone, going on: {error}"))?;
        }
    }
    // The next start publishes everything again.
    let _ = fs::remove_file(state.applied_file());
    let mut kubectl = cluster.kubectl();
    kubectl.args(["delete", "apiservices", "--ignore-not-found", "--timeout=20s"]).args(checks::API_SERVICES);
    if let Err(error) = run(&mut kubectl) {
        say(out, &format!("the aggregated APIs are still registered, going on: {error}"))?;
    }
    Ok(())
}

/// The namespaces in `kubectl get namespaces -o name` that are not kept.
fn to_delete(listed: &str) -> Vec<&str> {
    let names = listed.lines().filter_map(|line| line.trim().strip_prefix("namespace/"));
    names.filter(|name| !KEPT_NAMESPACES.contains(name)).collect()
}

/// Ends and removes what the kubelet left in containerd.
fn remove_containers(state: &State, failures: &mut Vec<ClusterError>) {
    if PidFile(state.pid_file("containerd")).running().is_none() {
        return;
    }
    let ctr = |words: &[&str]| image::ctr(state).and_then(|mut ctr| run(ctr.args(words)));
    let listed = ctr(&["container", "list", "--quiet"]).unwrap_or_default();
    for container in listed.split_whitespace() {
        // A task may end, or be taken away by containerd itself, between the list and this: what counts is the rest.
        let _ = ctr(&["task", "delete", "--force", container]);
        let _ = ctr(&["container", "delete", container]);
        let _ = fs::remove_file(format!("/var/lib/cni/results/cni-loopback-{container}-lo"));
    }
    match ctr(&["container", "list", "--quiet"]) {
        Ok(rest) if rest.trim().is_empty() => {}
        Ok(rest) => failures.push(ClusterError::Missing {
            what: format!(
                "these containers could not be removed: {}",
                rest.split_whitespace().collect::<Vec<_>>().join(", ")
            ),
            remedy: format!("look at {}", state.log("containerd").display()),
        }),
        Err(error) => failures.push(error),
    }
}

/// Ends shims that outlived their containerd: they name its socket among their arguments.
fn stop_shims(state: &State) {
    let socket = state.containerd_socket().to_string_lossy().into_owned();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if is_shim_of(&arguments, &socket)
            && let Some(shim) = Started::of(pid, "")
        {
            shim.stop(Duration::from_secs(2));
        }
    }
}

/// Whether `/proc/PID/cmdline` is that of a shim of the containerd at `socket`.
fn is_shim_of(cmdline: &[u8], socket: &str) -> bool {
    let mut arguments = cmdline.split(|byte| *byte == 0);
    let program = arguments.next().unwrap_or_default();
    program.ends_with(b"containerd-shim-runc-v2") && arguments.any(|argument| argument == socket.as_bytes())
}

/// Unmounts everything below `root`, the latest mount first.
fn unmount_all(root: &Path, failures: &mut Vec<ClusterError>) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for mount in mounts_below(&table, root).into_iter().rev() {
        let result = umount2(mount.as_str(), MntFlags::MNT_DETACH).map_err(std::io::Error::from);
        failures.extend(result.during(|| format!("unmounting {mount}")).err());
    }
}

/// The mount points below `root`, in the order of the table (proc_pid_mountinfo(5): field 5, blanks as `\040`).
fn mounts_below(table: &str, root: &Path) -> Vec<String> {
    let points = table.lines().filter_map(|line| line.split_ascii_whitespace().nth(4));
    let decoded = points.map(|point| point.replace("\\040", " ").replace("\\134", "\\"));
    decoded.filter(|point| Path::new(point).starts_with(root) && Path::new(point) != root).collect()
}

/// Removes what the network plugins and the kubelet keep of pods outside the state folder.
fn forget_pods() {
    for entry in fs::read_dir("/var/lib/cni/results").into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("plimsoll-") {
            let _ = fs::remove_file(entry.path());
        }
    }
    // One hierarchy with cgroup v2, one a controller with v1.
    let top = Path::new("/sys/fs/cgroup");
    let controllers = fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.path());
    for hierarchy in std::iter::once(top.to_owned()).chain(controllers) {
        remove_empty_folders(&hierarchy.join("kubepods"));
    }
}

/// Removes a tree of control groups; one that still holds a process stays.
fn remove_empty_folders(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty_folders(&entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaces_that_every_cluster_has_are_kept() {
        let listed =
            "namespace/default\nnamespace/kube-system\nnamespace/smart-dairy\nnamespace/monitoring\n";
        assert_eq!(to_delete(listed), ["smart-dairy"]);
    }

    #[test]
    fn only_shims_of_this_containerd_are_ended() {
        let shim =
            b"/usr/bin/containerd-shim-runc-v2\0-namespace\0k8s.io\0-address\0/s/run/containerd.sock\0";
        assert!(is_shim_of(shim, "/s/run/containerd.sock"));
        assert!(!is_shim_of(shim, "/run/containerd/containerd.sock"));
        assert!(!is_shim_of(b"/usr/bin/vim\0/s/run/containerd.sock\0", "/s/run/containerd.sock"));
    }

    #[test]
    fn mounts_of_a_folder_with_a_similar_name_are_not_touched() {
        let table = "1 2 0:1 / / rw - ext4 a rw\n3 1 0:2 / /c/cluster/kubelet/a\\040b rw - tmpfs t rw\n\
                     4 1 0:3 / /c/cluster2/x rw - tmpfs t rw\n5 1 0:3 / /c/cluster rw - tmpfs t rw\n";
        assert_eq!(mounts_below(table, Path::new("/c/cluster")), ["/c/cluster/kubelet/a b"]);
    }
}
