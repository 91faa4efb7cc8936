//! `cargo xtask test`: every check and test, cheapest first.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use plimsoll_cluster::{Cluster, Consent, Server, Tool, tool};

use crate::process::{cargo, run, step};
use crate::target::Target;
use crate::{demo, deny, generate, image};

/// What to test.
#[derive(Debug, Args)]
pub(crate) struct TestOptions {
    /// Also run what takes longer than CI allows.
    #[arg(long)]
    pub(crate) long: bool,
    /// Run only what needs neither the local cluster nor packages.
    #[arg(long, conflicts_with = "long")]
    pub(crate) fast: bool,
    /// Agree that this machine is changed for the local cluster: packages, kernel settings, firewall rules.
    #[arg(long)]
    pub(crate) local_cluster: bool,
}

pub(crate) fn test(options: &TestOptions) -> Result<()> {
    step("formatting", || run(cargo().args(["fmt", "--all", "--check"])))?;
    step("generated files", || generate::generate(true))?;
    step("layers: the pure crates stay pure", layers)?;
    step("lints", || {
        let arguments =
            ["clippy", "--workspace", "--all-targets", "--all-features", "--locked", "--", "-D", "warnings"];
        build(cargo().args(arguments))
    })?;
    if options.fast {
        // The stories' own tests start API servers, which must have been built.
        let arguments =
            ["test", "--workspace", "--exclude", "plimsoll-stories", "--locked", "--no-fail-fast"];
        step("tests", || build(cargo().args(arguments)))?;
        eprintln!(
            "\nNOT RUN because of --fast: dependency rules, real servers, charts, stories on the cluster."
        );
        return Ok(());
    }
    step("dependencies: licences, sources, bans", deny::deny)?;
    let consent = Consent::new(options.local_cluster);
    step("servers for tests", || Ok(plimsoll_cluster::install_servers(&consent, &mut std::io::stderr())?))?;
    let cluster = step("local cluster", || Ok(plimsoll_cluster::up(&consent, &mut std::io::stderr())?))?;
    step("tests", || {
        let mut command = cargo();
        command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
        build(with_tools(&mut command)?)
    })?;
    step("the cluster itself, and API servers alone", || {
        let mut command = cargo();
        command.args(["test", "--locked", "--package", "plimsoll-cluster", "--features", "cluster"]);
        build(with_tools(command.args(["--test", "real", "--", "--test-threads", "1"]))?)
    })?;
    stories(&cluster, options.long)
}

/// Stories on the real cluster: the example under traffic, both charts, images of this very tree.
fn stories(cluster: &Cluster, long: bool) -> Result<()> {
    let images = step("images", image::build)?;
    let target = Target::local(cluster.clone())?;
    step("example and operator", || {
        let loaded = target.load(&images)?;
        demo::example(&target, &loaded)?;
        demo::install(&target, &loaded)
    })?;
    // Stories of baselines wait for most of their time, so that many go at once; those of the operator disturb each other.
    let mut binaries =
        vec![("stories of baselines", "baseline", "16"), ("stories of the operator", "operator", "1")];
    if long {
        binaries.push(("long stories", "long", "1"));
    }
    for (name, test, at_once) in binaries {
        step(name, || {
            let mut command = cargo();
            command.args([
                "test",
                "--locked",
                "--package",
                "plimsoll-stories",
                "--features",
                "cluster",
                "--no-fail-fast",
            ]);
            command.args(["--test", test]);
            if long {
                // What they show is part of what a release says of itself.
                command.args(["--", "--nocapture"]);
            }
            command
                .env("RUST_TEST_THREADS", at_once)
                .env("KUBECONFIG", &cluster.kubeconfig)
                .env("PLIMSOLL_STORY_IMAGE", images.operator.reference())
                .env("PLIMSOLL_STORY_WORKLOAD", images.workload.reference())
                .env("PLIMSOLL_STORY_BINARY", &images.binary)
                .env("PLIMSOLL_STORY_AUDIT_LOG", &cluster.audit_log)
                .env("PLIMSOLL_STORY_PROMETHEUS", &cluster.prometheus_host_url);
            build(with_tools(&mut command)?)
        })?;
    }
    Ok(())
}

/// Runs cargo under the lock that keeps Go and Rust builds apart.
fn build(command: &mut Command) -> Result<()> {
    let lock = plimsoll_cluster::build_lock()?;
    let result = run(command);
    drop(lock);
    result
}

/// The real servers that tests start by themselves, by their names in the environment.
fn with_tools(command: &mut Command) -> Result<&mut Command> {
    let mut out = std::io::stderr();
    for (name, which) in [
        ("PLIMSOLL_PROMETHEUS_2", Tool::Prometheus2),
        ("PLIMSOLL_PROMETHEUS_3", Tool::Prometheus),
        ("PLIMSOLL_PROMTOOL", Tool::Promtool),
        ("PLIMSOLL_HELM", Tool::Helm),
        ("PLIMSOLL_KUBECONFORM", Tool::Kubeconform),
        ("PLIMSOLL_KUBECTL", Tool::Kubectl),
        // Tests start this one by themselves; built here, because a test could not build it while cargo holds the lock.
        ("PLIMSOLL_APISERVER_1_33", Tool::ApiServer133),
    ] {
        command.env(name, tool(which, &mut out).with_context(|| format!("find {name}"))?);
    }
    for which in Server::ALL {
        let name = which.variable();
        let path = plimsoll_cluster::server(which, &mut out).with_context(|| format!("find {name}"))?;
        command.env(name, path);
    }
    Ok(command)
}

/// Which crates may not be below which of ours, directly or not.
const FORBIDDEN: [(&str, &[&str]); 4] = [
    ("plimsoll-analysis", &["tokio", "kube", "reqwest", "plimsoll-api", "plimsoll-collect"]),
    ("plimsoll-api", &["tokio", "reqwest", "kube-runtime", "plimsoll-analysis"]),
    ("plimsoll-report", &["tokio", "kube", "reqwest", "plimsoll-api"]),
    ("plimsoll-operator", &["reqwest", "tokio-postgres", "redis", "plimsoll-collect"]),
];

fn layers() -> Result<()> {
    for (package, forbidden) in FORBIDDEN {
        let output = cargo()
            .args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
            .args(["--package", package])
            .output()?;
        ensure!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
        let tree = String::from_utf8_lossy(&output.stdout).into_owned();
        for name in forbidden {
            let below = tree.lines().any(|line| line.split(' ').next() == Some(name));
            ensure!(!below, "{package} depends on {name}; docs/architecture.md says which way edges point");
        }
    }
    Ok(())
}
