//! `cargo xtask demo`: the main job, end to end, on a real cluster.

use std::io::{IsTerminal as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::image::{self, Images};
use crate::process::{root, run, step};
use crate::secrets;
use crate::target::{Loaded, Target, TargetOptions, output};

/// Namespace of the operator.
const SYSTEM: &str = "plimsoll-system";
/// Namespace of the example.
pub(crate) const EXAMPLE: &str = "smart-dairy";
/// How long the example's traffic must have been scraped before it is measured: the window, and a scrape or two.
const WARM_UP: Duration = Duration::from_secs(5 * 60 + 15);

/// What to show.
#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    #[command(flatten)]
    target: TargetOptions,
}

pub(crate) fn demo(options: &DemoOptions) -> Result<()> {
    let start = Instant::now();
    eprintln!("This shows Plimsoll at its main job: a baseline of a running system, on a real cluster.");
    let target = step("cluster", || Target::find(&options.target))?;
    let images = step("images of the operator and of the example", image::build)?;
    let loaded = step("load the images", || target.load(&images))?;
    step("example: Smart Dairy under light traffic", || example(&target, &loaded))?;
    step("operator", || install(&target, &loaded))?;
    step("traffic to measure", || warm_up(&target))?;
    step("baseline", || baseline(&target, &images))?;
    show(&target, &images)?;
    eprintln!(
        "\nDone in {} s. The cluster and its traffic stay up: run this again for a new baseline.",
        start.elapsed().as_secs()
    );
    if options.target.context.is_none() {
        eprintln!("To look around: export KUBECONFIG={}", plimsoll_cluster::find()?.kubeconfig.display());
        eprintln!("To take it away: cargo xtask cluster down");
    }
    Ok(())
}

/// Applies the example with its images by their content, and with passwords and certificates of its own.
pub(crate) fn example(target: &Target, loaded: &Loaded) -> Result<()> {
    let folder = root().join("examples/smart-dairy");
    let mut manifests = output(target.kubectl().arg("kustomize").arg(folder.join("local")))?;
    for (name, image) in [
        ("plimsoll-workload:local", &loaded.workload),
        ("plimsoll-example-postgres:local", &loaded.postgres),
        ("plimsoll-example-redis:local", &loaded.redis),
    ] {
        ensure!(manifests.contains(name), "the example does not name the image {name}");
        manifests = manifests.replace(name, image);
    }
    apply(target, &std::fs::read_to_string(folder.join("base/namespace.yaml"))?)?;
    let mut running = target.kubectl();
    running.args([
        "get",
        "statefulset/postgres",
        "--namespace",
        EXAMPLE,
        "--ignore-not-found",
        "--output",
        "name",
    ]);
    let running = !output(&mut running)?.is_empty();
    let made = secrets::make_missing(target)?;
    apply(target, &manifests)?;
    if !made.is_empty() {
        eprintln!("    made {}", made.join(", "));
    }
    if running && !made.is_empty() {
        // What runs has other passwords or certificates.
        let restarted = ["statefulset/postgres", "statefulset/redis", "deployment/odoo", "deployment/api"];
        let mut restart = target.kubectl();
        restart.args(["rollout", "restart", "--namespace", EXAMPLE]).args(restarted);
        run(restart.stdout(Stdio::null()))?;
    }
    for name in [
        "statefulset/postgres",
        "statefulset/redis",
        "deployment/odoo",
        "deployment/api",
        "deployment/traffic",
    ] {
        let wait = ["rollout", "status", name, "--namespace", EXAMPLE, "--timeout", "180s"];
        run(target.kubectl().args(wait))?;
    }
    Ok(())
}

/// Applies manifests from text.
pub(crate) fn apply(target: &Target, manifests: &str) -> Result<()> {
    let mut kubectl = target.kubectl();
    kubectl.args(["apply", "--server-side", "--field-manager", "demo", "--force-conflicts", "-f", "-"]);
    let mut child = kubectl.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("start kubectl")?;
    let mut stdin = child.stdin.take().context("kubectl has a standard input")?;
    stdin.write_all(manifests.as_bytes())?;
    drop(stdin);
    let status = child.wait()?;
    ensure!(status.success(), "kubectl apply failed with {status}; what it said is above");
    Ok(())
}

/// Both charts, as an administrator installs them.
pub(crate) fn install(target: &Target, loaded: &Loaded) -> Result<()> {
    let image = format!("{}:{}", loaded.repository, loaded.tag);
    let charts = root().join("charts");
    let upgrade = |chart: &str, values: &[String]| -> Result<()> {
        let mut helm = target.helm();
        helm.args(["upgrade", "--install", chart]).arg(charts.join(chart));
        helm.args(["--namespace", SYSTEM, "--create-namespace", "--wait", "--timeout", "120s"]);
        for value in values {
            helm.args(["--set-string", value]);
        }
        run(helm.stdout(Stdio::null()))
    };
    upgrade("plimsoll-cluster", &[format!("operator.image={image}")])?;
    let repository = format!("image.repository={}", loaded.repository);
    upgrade("plimsoll", &["scope=Cluster".to_owned(), repository, format!("image.tag={}", loaded.tag)])
}

/// Waits until the example has been under traffic for the whole window.
fn warm_up(target: &Target) -> Result<()> {
    let pods = output(target.kubectl().args([
        "get",
        "pods",
        "--namespace",
        EXAMPLE,
        "--selector",
        "app in (traffic,odoo,api)",
        "--field-selector",
        "status.phase=Running",
        "--output",
        "jsonpath={range .items[*]}{.metadata.labels.app}{\" \"}{.status.startTime}{\"\\n\"}{end}",
    ]))?;
    let mut youngest = None;
    for app in ["traffic", "odoo", "api"] {
        // A scaled-up pod is young, but its service has been there as long as its oldest pod.
        let times = pods.lines().filter_map(|line| line.strip_prefix(app)).map(str::trim);
        let oldest = times.min().with_context(|| format!("no pod of {app} runs"))?;
        youngest = youngest.max(Some(oldest.to_owned()));
    }
    let since: jiff::Timestamp =
        youngest.context("no pod runs")?.parse().context("read a pod's start time")?;
    let ready = since.checked_add(jiff::SignedDuration::try_from(WARM_UP)?)?;
    countdown(ready)
}

/// Counts down on a terminal; says once how long it takes elsewhere.
fn countdown(until: jiff::Timestamp) -> Result<()> {
    let left = || u64::try_from(until.duration_since(jiff::Timestamp::now()).as_secs()).unwrap_or(0);
    let terminal = std::io::stderr().is_terminal();
    if left() == 0 {
        eprintln!("    it has been running long enough");
        return Ok(());
    }
    if !terminal {
        eprintln!("    the window of five minutes fills: {} s to go", left());
    }
    while left() > 0 {
        if terminal {
            eprint!("\r    the window of five minutes fills: {:>3} s to go ", left());
            std::io::stderr().flush()?;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    if terminal {
        eprintln!();
    }
    Ok(())
}

/// Applies the baseline, asks for a run, and waits for its answer.
fn baseline(target: &Target, images: &Images) -> Result<()> {
    let file = root().join("examples/smart-dairy/local/baseline.yaml");
    let exists = target
        .kubectl()
        .args(["get", "performancebaseline/smart-dairy", "--namespace", EXAMPLE])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?
        .success();
    apply(target, &std::fs::read_to_string(&file)?)?;
    if exists {
        // The spec has not changed, so a new run is asked for.
        let mut command = target.plimsoll(images);
        command.args(["run", "baseline/smart-dairy", "--namespace", EXAMPLE, "--wait", "--timeout", "2m"]);
        return run(command.stdout(Stdio::null()));
    }
    let waited = target
        .kubectl()
        .args(["wait", "performancebaseline/smart-dairy", "--namespace", EXAMPLE])
        .args(["--for=condition=Ready", "--timeout=120s"])
        .status()?;
    if waited.success() {
        return Ok(());
    }
    let _ = target
        .kubectl()
        .args(["describe", "performancebaseline/smart-dairy", "--namespace", EXAMPLE])
        .status();
    bail!("the baseline did not become Ready; its conditions above say why")
}

/// What a person sees.
fn show(target: &Target, images: &Images) -> Result<()> {
    let shown = |command: &mut Command, typed: &str| -> Result<()> {
        println!("\n$ {typed}");
        std::io::stdout().flush()?;
        run(command)
    };
    let mut get = target.kubectl();
    get.args(["get", "baselines", "--namespace", EXAMPLE]);
    shown(&mut get, "kubectl get baselines -n smart-dairy")?;
    let mut report = target.plimsoll(images);
    report.args(["report", "baseline/smart-dairy", "--namespace", EXAMPLE, "--output", "table"]);
    shown(&mut report, "kubectl plimsoll report baseline/smart-dairy -n smart-dairy")
}
