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
        // Before anything is built: that takes minutes.
        if options.push.is_some() {
            ensure!(which("skopeo").is_some(), "--push needs skopeo: install it (package skopeo)");
        } else {
            let Some((program, _)) = loader(&context, "") else {
                bail!(
                    "the nodes of context {context} need a registry: add --push REPOSITORY that they can pull from"
                );
            };
            ensure!(
                which(program).is_some(),
                "{program} is not in PATH; it loads images into the cluster of context {context}. Install it, or add --push REPOSITORY that its nodes can pull from"
            );
        }
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
            let (program, arguments) = loader(context, &image.archive.display().to_string())
                .with_context(|| format!("nothing loads images into the cluster of context {context}"))?;
            run(Command::new(program).args(arguments))?;
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

/// The program and its arguments that load an archive into the nodes of a context's cluster; `None` where its name is
/// none that kind, k3d or minikube gives.
///
/// kind and k3d write contexts with a prefix of their own before the cluster's name; minikube names them as the profile,
/// whose default is `minikube`. It is given all the same: the environment may select another.
fn loader(context: &str, archive: &str) -> Option<(&'static str, Vec<String>)> {
    let named = |prefix: &str| context.strip_prefix(prefix).filter(|name| !name.is_empty());
    let (program, arguments) = if let Some(name) = named("kind-") {
        ("kind", ["load", "image-archive", archive, "--name", name])
    } else if let Some(name) = named("k3d-") {
        ("k3d", ["image", "import", archive, "--cluster", name])
    } else if context == "minikube" {
        ("minikube", ["image", "load", archive, "--profile", context])
    } else {
        return None;
    };
    Some((program, arguments.map(str::to_owned).to_vec()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tool_that_made_a_cluster_loads_its_images() {
        for (context, line) in [
            ("kind-kind", "kind load image-archive /a/b.tar --name kind"),
            ("kind-my-team", "kind load image-archive /a/b.tar --name my-team"),
            ("k3d-k3s-default", "k3d image import /a/b.tar --cluster k3s-default"),
            ("k3d-dev", "k3d image import /a/b.tar --cluster dev"),
            ("minikube", "minikube image load /a/b.tar --profile minikube"),
        ] {
            let (program, arguments) = loader(context, "/a/b.tar").unwrap();
            assert_eq!([program.to_owned(), arguments.join(" ")].join(" "), line, "{context}");
        }
    }

    #[test]
    fn another_cluster_needs_a_registry() {
        for context in
            ["", "kind", "kind-", "k3d-", "minikube-2", "production", "arn:aws:eks:eu-1:1:cluster/kind-x"]
        {
            assert_eq!(loader(context, "/a/b.tar"), None, "{context}");
        }
    }
}
