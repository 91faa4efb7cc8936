//! Bringing the cluster to a running state, from whatever state it is in.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::build::{ensure, find_go, missing, path_of, say};
use crate::command::run;
use crate::components::{self, Component, SERVER};
use crate::consent::Consent;
use crate::error::{ClusterError, IoContext};
use crate::lock::lock_file;
use crate::paths::{State, cache_folder, write_file};
use crate::process::{PidFile, Started, Wait, start_detached, wait_for};
use crate::tools::{Tool, hex};
use crate::{Cluster, checks, image, machine, packages, pki};

/// Brings the cluster up and waits until it is seen working. Changes nothing on a running, healthy one.
///
/// From cold it builds what is missing (minutes each, with progress on `out`). Asks `consent` before it changes the
/// machine: packages, kernel settings, a network bridge, firewall rules.
///
/// # Errors
/// Nobody consented, something is missing on this machine, or a part did not become ready: then with the end of its
/// log.
pub fn up(consent: &Consent, out: &mut dyn Write) -> Result<Cluster, ClusterError> {
    machine::check()?;
    let begin = Instant::now();
    let _one_at_a_time = lock_file(&cache_folder().join("cluster.lock"))?;
    let state = State::of_this_machine();
    let cluster = Cluster::at(&state);
    write_wanted_files(&state);
    if is_as_wanted(&state) && checks::is_healthy(&cluster) {
        say(out, &format!("the cluster runs: export KUBECONFIG={}", cluster.kubeconfig.display()))?;
        return Ok(cluster);
    }
    require_all(consent)?;
    packages::install(consent, out)?;
    ensure(&Tool::CLUSTER, out)?;
    state.create()?;
    machine::prepare(consent, &state)?;
    pki::create_cluster(&state.root.join("pki"))?;
    let pause = image::pause_archive()?;
    components::write_files(&state, &image::pause_reference(), &path_of(Tool::Runc)?)?;
    start_all(&state, &cluster, &pause, out)?;
    say(out, &format!("the cluster runs after {} s", begin.elapsed().as_secs()))?;
    say(out, &format!("  export KUBECONFIG={}", cluster.kubeconfig.display()))?;
    Ok(cluster)
}

/// The running cluster.
///
/// # Errors
/// [`ClusterError::NotRunning`] where there is none.
pub fn find() -> Result<Cluster, ClusterError> {
    let state = State::of_this_machine();
    let cluster = Cluster::at(&state);
    let not_running = |reason: String| Err(ClusterError::NotRunning { reason });
    if PidFile(state.pid_file("kube-apiserver")).running().is_none() {
        return not_running(format!("no process of {}", state.pid_file("kube-apiserver").display()));
    }
    if !checks::api_server_is_ready(&cluster) {
        return not_running(format!("the API server at {SERVER} is not ready"));
    }
    Ok(cluster)
}

/// Asks once for everything that will be changed, before the long builds.
fn require_all(consent: &Consent) -> Result<(), ClusterError> {
    let mut changes = Vec::new();
    let packages = packages::missing();
    if !packages.is_empty() {
        changes.push(format!("install the packages {}", packages.join(", ")));
    }
    // Where iptables or ip is still to be installed, the rest cannot be looked up yet; all of it is then to be done.
    changes.extend(machine::changes());
    if !missing(&Tool::CLUSTER).is_empty() {
        find_go()?;
    }
    consent.require(&changes)
}

/// Writes the configuration of this version beside a cluster that was started by an earlier one, so that what it changes is
/// started anew. Without a cluster, or where something is missing, the long way says what.
fn write_wanted_files(state: &State) {
    if let Ok(runc) = path_of(Tool::Runc)
        && state.kubeconfig().exists()
    {
        let _ = components::write_files(state, &image::pause_reference(), &runc);
    }
}

/// Whether each component runs as it would be started now.
fn is_as_wanted(state: &State) -> bool {
    components::all(state).iter().all(|component| {
        let running = PidFile(state.pid_file(component.name)).running();
        running.is_some_and(|started| component.spec(state).is_ok_and(|spec| spec == started.spec))
    })
}

/// Starts what does not run or runs otherwise than wanted, and waits for each where the next needs it.
fn start_all(
    state: &State,
    cluster: &Cluster,
    pause: &std::path::Path,
    out: &mut dyn Write,
) -> Result<(), ClusterError> {
    let mut nodes_began_anew = false;
    for component in components::all(state) {
        let (started, anew) = start(state, &component, out)?;
        match component.name {
            "kube-apiserver" => {
                let wait = waiting(state, "kube-apiserver", "the API server is not ready", 60, &started);
                wait_for(&wait.get(), || checks::api_server_is_ready(cluster))?;
                apply_manifests(state, cluster)?;
            }
            "containerd" => {
                let wait = waiting(state, "containerd", "containerd does not answer", 30, &started);
                wait_for(&wait.get(), || {
                    image::ctr(state).is_ok_and(|mut ctr| run(ctr.arg("version")).is_ok())
                })?;
                if anew {
                    image::import(state, pause, &image::pause_reference())?;
                }
            }
            _ => {}
        }
        nodes_began_anew |= anew && matches!(component.name, "containerd" | "kubelet");
    }
    say(out, "waiting for the node, DNS, metrics and the aggregated APIs")?;
    let process = |name: &str| PidFile(state.pid_file(name)).running();
    checks::wait_until_healthy(cluster, state, process)?;
    if nodes_began_anew {
        checks::check_cadvisor(cluster, state)?;
    }
    Ok(())
}

/// The running process of the component, started where needed; and whether it was.
fn start(state: &State, component: &Component, out: &mut dyn Write) -> Result<(Started, bool), ClusterError> {
    let pid_file = PidFile(state.pid_file(component.name));
    let spec = component.spec(state)?;
    if let Some(running) = pid_file.running() {
        if running.spec == spec {
            return Ok((running, false));
        }
        say(out, &format!("{}: its configuration changed, stopping it", component.name))?;
        running.stop(component.patience);
    }
    say(out, &format!("{}: starting", component.name))?;
    let log = state.log(component.name);
    keep_one_older(&log);
    let started = start_detached(&component.command()?, &log, &pid_file, &spec)?;
    Ok((started, true))
}

/// Each start begins a log of its own and keeps the one before.
fn keep_one_older(log: &std::path::Path) {
    let _ = fs::rename(log, log.with_extension("log.1"));
}

/// Owns what a [`Wait`] borrows.
struct Waiting<'a> {
    what: &'a str,
    seconds: u64,
    log: std::path::PathBuf,
    process: &'a Started,
}

fn waiting<'a>(state: &State, name: &str, what: &'a str, seconds: u64, process: &'a Started) -> Waiting<'a> {
    Waiting { what, seconds, log: state.log(name), process }
}

impl Waiting<'_> {
    fn get(&self) -> Wait<'_> {
        Wait {
            what: self.what,
            deadline: Duration::from_secs(self.seconds),
            log: &self.log,
            process: Some(self.process),
            remedy: "If an address is in use, another program has its port: stop that first.",
        }
    }
}

/// Publishes the host processes inside the cluster; only where that was not done with the same manifests already.
fn apply_manifests(state: &State, cluster: &Cluster) -> Result<(), ClusterError> {
    let manifests = components::manifests(state)?;
    let hash = hex(&Sha256::digest(&manifests));
    if fs::read_to_string(state.applied_file()).is_ok_and(|applied| applied == hash) {
        return Ok(());
    }
    let path = state.conf("manifests.yaml");
    write_file(&path, manifests.as_bytes())?;
    let mut kubectl: Command = cluster.kubectl();
    kubectl.args(["apply", "--server-side", "--force-conflicts", "-f"]).arg(&path);
    run(&mut kubectl)?;
    fs::write(state.applied_file(), hash).during(|| format!("writing {}", state.applied_file().display()))
}
