//! What the cluster changes of the machine itself: kernel settings, a bridge, firewall rules. Remembers what was there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use crate::command::{run, succeeds};
use crate::consent::Consent;
use crate::error::{ClusterError, IoContext};
use crate::paths::{State, write_file};

/// The bridge that joins the pods. Its address is the node's.
pub(crate) const BRIDGE: &str = "plimsoll0";
/// The bridge's address: the host as pods see it.
pub(crate) const HOST_ADDRESS: &str = "10.244.0.1";
/// Fixed, or the bridge takes over the address of its first port and loses it with it.
const BRIDGE_MAC: &str = "02:70:6c:69:6d:73";

/// What must hold: pods reach each other through Services, whose packets are routed back over the bridge.
const SETTINGS: [(&str, &str); 2] =
    [("net/ipv4/ip_forward", "1"), ("net/bridge/bridge-nf-call-iptables", "1")];

/// What the kubelet and kube-proxy change by themselves: remembered, to be put back.
const CHANGED_BY_COMPONENTS: [&str; 8] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/ipv4/conf/all/route_localnet",
    "net/netfilter/nf_conntrack_max",
];

/// Kernel settings as they were before, by their path under `/proc/sys`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Undo {
    settings: BTreeMap<String, String>,
}

fn read_setting(name: &str) -> Option<String> {
    Some(fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().to_owned())
}

fn write_setting(name: &str, value: &str) -> Result<(), ClusterError> {
    fs::write(Path::new("/proc/sys").join(name), value)
        .during(|| format!("setting /proc/sys/{name} to {value}"))
}

/// Refuses machines on which the cluster cannot run, and says what to do.
pub(crate) fn check() -> Result<(), ClusterError> {
    let missing = |what: &str, remedy: &str| {
        Err(ClusterError::Missing { what: what.to_owned(), remedy: remedy.to_owned() })
    };
    if !(cfg!(target_os = "linux") && cfg!(target_arch = "x86_64")) {
        return missing(
            "the local cluster runs on Linux x86_64 only",
            "name a cluster of your own with `--context NAME`",
        );
    }
    if !Uid::effective().is_root() {
        return missing(
            "the local cluster needs root (network devices, mounts, firewall rules)",
            "run the same command as root, or name a cluster of your own with `--context NAME`",
        );
    }
    Ok(())
}

/// What [`prepare`] would change now, each in a few words.
pub(crate) fn changes() -> Vec<String> {
    let mut changes = Vec::new();
    for (name, value) in SETTINGS {
        if read_setting(name).as_deref() != Some(value) {
            changes.push(format!("set {}={value}", name.replace('/', ".")));
        }
    }
    if !has_bridge() {
        changes.push(format!(
            "make the network bridge {BRIDGE} with 10.244.0.0/24 and the Service range 10.96.0.0/16"
        ));
    }
    if !has_forward_rule() {
        changes.push(format!("add iptables rules for {BRIDGE} and for Services"));
    }
    changes
}

/// Makes the bridge, sets kernel settings and firewall rules; changes nothing that is as it must be.
pub(crate) fn prepare(consent: &Consent, state: &State) -> Result<(), ClusterError> {
    let changes = changes();
    consent.require(&changes)?;
    remember(state)?;
    if changes.is_empty() {
        return Ok(());
    }
    if read_setting("net/bridge/bridge-nf-call-iptables").is_none() {
        run(Command::new("modprobe").arg("br_netfilter"))?;
        remember(state)?;
    }
    for (name, value) in SETTINGS {
        if read_setting(name).as_deref() != Some(value) {
            write_setting(name, value)?;
        }
    }
    if !has_bridge() {
        refuse_foreign_address()?;
        // A bridge that was cut half-made is completed.
        if !Path::new("/sys/class/net").join(BRIDGE).exists() {
            run(ip().args(["link", "add", BRIDGE, "address", BRIDGE_MAC, "type", "bridge"]))?;
        }
        let _ = run(ip().args(["address", "add", &format!("{HOST_ADDRESS}/24"), "dev", BRIDGE]));
        run(ip().args(["link", "set", BRIDGE, "up"]))?;
    }
    if !has_forward_rule() {
        run(iptables("-I").args(FORWARD_RULE))?;
    }
    Ok(())
}

/// Saves the settings that are not saved yet: a second `up` must not take our own values for the machine's.
fn remember(state: &State) -> Result<(), ClusterError> {
    let path = state.undo_file();
    let mut undo: Undo =
        fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    for name in SETTINGS.iter().map(|(name, _)| *name).chain(CHANGED_BY_COMPONENTS) {
        if !undo.settings.contains_key(name)
            && let Some(value) = read_setting(name)
        {
            undo.settings.insert(name.to_owned(), value);
        }
    }
    write_file(&path, &serde_json::to_vec_pretty(&undo).expect("plain data"))
}

/// Takes away the bridge and the rules and puts the settings back. Goes on past what fails and returns it.
pub(crate) fn restore(state: &State) -> Vec<ClusterError> {
    let mut failures = Vec::new();
    while has_forward_rule() {
        if let Err(error) = run(iptables("-D").args(FORWARD_RULE)) {
            failures.push(error);
            break;
        }
    }
    if Path::new("/sys/class/net").join(BRIDGE).exists() {
        failures.extend(run(ip().args(["link", "delete", BRIDGE])).err());
    }
    let undo: Undo = fs::read(state.undo_file())
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    for (name, value) in &undo.settings {
        if read_setting(name).is_some_and(|now| now != *value) {
            failures.extend(write_setting(name, value).err());
        }
    }
    let _ = fs::remove_file(state.undo_file());
    failures
}

/// `kube-proxy --cleanup` leaves one chain, empty and referred to. One with rules in it is somebody else's and stays.
pub(crate) fn remove_leftover_chain() {
    const CHAIN: &str = "KUBE-FIREWALL";
    for program in ["iptables", "ip6tables"] {
        let iptables = |words: &[&str]| run(Command::new(program).args(["-w", "5"]).args(words));
        if iptables(&["-S", CHAIN]).is_ok_and(|rules| rules.trim() == format!("-N {CHAIN}")) {
            for from in ["INPUT", "OUTPUT"] {
                let _ = iptables(&["-D", from, "-j", CHAIN]);
            }
            let _ = iptables(&["-X", CHAIN]);
        }
    }
}

fn has_bridge() -> bool {
    run(ip().args(["-brief", "address", "show", "dev", BRIDGE]))
        .is_ok_and(|line| line.contains(&format!("{HOST_ADDRESS}/24")) && !line.contains("DOWN"))
}

/// Another network of this machine with our addresses would swallow our packets, or we its.
fn refuse_foreign_address() -> Result<(), ClusterError> {
    let routes = run(ip().args(["-brief", "address", "show"]))?;
    let foreign = routes.lines().find(|line| line.contains(" 10.244.0.") && !line.starts_with(BRIDGE));
    match foreign {
        None => Ok(()),
        Some(line) => Err(ClusterError::Missing {
            what: format!("the addresses 10.244.0.0/24 are taken on this machine: {}", line.trim()),
            remedy: "stop the other cluster or network first".into(),
        }),
    }
}

/// Lets packets between pods pass where another program's policy is to drop what is forwarded.
const FORWARD_RULE: [&str; 11] = [
    "FORWARD",
    "-i",
    BRIDGE,
    "-o",
    BRIDGE,
    "-m",
    "comment",
    "--comment",
    "plimsoll local cluster",
    "-j",
    "ACCEPT",
];

fn has_forward_rule() -> bool {
    succeeds(iptables("-C").args(FORWARD_RULE))
}

fn iptables(action: &str) -> Command {
    let mut command = Command::new("iptables");
    command.args(["-w", "5", action]);
    command
}

fn ip() -> Command {
    Command::new("ip")
}
