//! Which cluster a task works on: the local one, or another that was named.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use plimsoll_cluster::{Cluster, Consent, Tool};

use crate::image::{Images, push};
use crate::process::{run, show};

/// Which cluster. KUBECONFIG alone selects nothing.
#[derive(Debug, Args)]
pub(crate) struct TargetOptions {
    /// Agree that this machine is changed for a local cluster: packages, kernel settings, firewall rules.
    #[arg(long)]
    pub(crate) local_cluster: bool,
    /// Work on the cluster of this kubeconfig context instead of a local one.
    #[arg(long, value_name = "NAME", conflicts_with = "local_cluster")]
    pub(crate) context: Option<String>,
    /// Do not ask before changing the cluster of --context.
    #[arg(long, requires = "context")]
    pub(crate) yes: bool,
    /// With --context: where its nodes pull from; kind-*, k3d-* and minikube load the image directly.
    #[arg(long, value_name = "REPOSITORY", requires = "context")]
    pub(crate) push: Option<String>,
}

/// A cluster to work on.
pub(crate) struct Target {
    kubectl: PathBuf,
    helm: PathBuf,
    context: Option<String>,
    cluster: Option<Cluster>,
    push: Option<String>,
}

impl Target {
    /// The named cluster, once a person has agreed; otherwise the local one, brought up.
    pub(crate) fn find(options: &TargetOptions) -> Result<Self> {
        let mut out = std::io::stderr();
        let Some(context) = options.context.clone() else {
            let cluster = plimsoll_cluster::up(&Consent::new(options.local_cluster), &mut out)?;
            return Self::local(cluster);
        };
        if !options.yes {
            confirm(&context)?;
        }
        let helm = match which("helm") {
            Some(helm) => helm,
            None => plimsoll_cluster::tool(Tool::Helm, &mut out)?,
        };
        let kubectl = which("kubectl").context("kubectl is not in PATH; --context needs it")?;
        Ok(Self { kubectl, helm, context: Some(context), cluster: None, push: options.push.clone() })
    }

    /// The local cluster, which is up.
    pub(crate) fn local(cluster: Cluster) -> Result<Self> {
        let mut out = std::io::stderr();
        Ok(Self {
            kubectl: plimsoll_cluster::tool(Tool::Kubectl, &mut out)?,
            helm: plimsoll_cluster::tool(Tool::Helm, &mut out)?,
            context: None,
            cluster: Some(cluster),
            push: None,
        })
    }

    /// kubectl on this cluster; add the arguments.
    pub(crate) fn kubectl(&self) -> Command {
        self.on(&self.kubectl, "--context")
    }

    /// helm on this cluster; add the arguments.
    pub(crate) fn helm(&self) -> Command {
        self.on(&self.helm, "--kube-context")
    }

    /// Our own binary on this cluster, as `kubectl plimsoll`.
    pub(crate) fn plimsoll(&self, images: &Images) -> Command {
        self.on(&images.binary, "--context")
    }

    fn on(&self, program: &std::path::Path, flag: &str) -> Command {
        let mut command = Command::new(program);
        if let Some(cluster) = &self.cluster {
            command.env("KUBECONFIG", &cluster.kubeconfig);
        }
        if let Some(context) = &self.context {
            command.arg(flag).arg(context);
        }
        command
    }

    /// Makes the images known to the cluster's nodes; the operator's repository and tag there.
    pub(crate) fn load(&self, images: &Images) -> Result<Loaded> {
        if let Some(cluster) = &self.cluster {
            for image in images.all() {
                cluster.import_image(&image.archive, &image.reference())?;
            }
            return Ok(Loaded::named(images));
        }
        let context = self.context.as_deref().unwrap_or_default();
        if let Some(repository) = &self.push {
            push(&images.operator, repository)?;
            return Ok(Loaded {
                repository: repository.clone(),
                tag: images.operator.tag.clone(),
                workload: push(&images.workload, &format!("{repository}-workload"))?,
                postgres: push(&images.postgres, &format!("{repository}-example-postgres"))?,
                redis: push(&images.redis, &format!("{repository}-example-redis"))?,
            });
        }
        for image in images.all() {
            let archive = image.archive.display().to_string();
            let mut load = match context.split_once('-') {
                Some(("kind", name)) => command("kind", &["load", "image-archive", &archive, "--name", name]),
                Some(("k3d", name)) => command("k3d", &["image", "import", &archive, "--cluster", name]),
                _ if context == "minikube" => command("minikube", &["image", "load", &archive]),
                _ => bail!(
                    "the nodes of context {context} need a registry: add --push REPOSITORY that they can pull from"
                ),
            };
            run(&mut load)?;
        }
        Ok(Loaded::named(images))
    }
}

/// Names under which the cluster's nodes know the images.
pub(crate) struct Loaded {
    pub(crate) repository: String,
    pub(crate) tag: String,
    pub(crate) workload: String,
    pub(crate) postgres: String,
    pub(crate) redis: String,
}

impl Loaded {
    fn named(images: &Images) -> Self {
        Self {
            repository: images.operator.repository.clone(),
            tag: images.operator.tag.clone(),
            workload: images.workload.reference(),
            postgres: images.postgres.reference(),
            redis: images.redis.reference(),
        }
    }
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn confirm(context: &str) -> Result<()> {
    let question =
        format!("Install Plimsoll and the example Smart Dairy on the cluster of context {context}?");
    ensure!(std::io::stdin().is_terminal(), "{question} Nobody can be asked here; add --yes");
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), "nothing was changed");
    Ok(())
}

/// What a command prints on standard output; fails where it fails, with what it said.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command.stderr(Stdio::piped()).output().with_context(|| format!("start {shown}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    ensure!(output.status.success(), "`{shown}` failed: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
