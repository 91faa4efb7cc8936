//! The project's charts, by the real Helm.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use plimsoll_cluster::Tool;
use serde_json::Value;

/// A chart of the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chart {
    /// The definitions and policies.
    Cluster,
    /// The operator.
    Operator,
}

impl Chart {
    /// Its folder.
    #[must_use]
    pub fn folder(self) -> PathBuf {
        let name = match self {
            Self::Cluster => "charts/plimsoll-cluster",
            Self::Operator => "charts/plimsoll",
        };
        root().join(name)
    }
}

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("e2e/stories lies two folders below the root")
        .to_owned()
}

/// A release of a chart with values.
#[derive(Debug, Clone)]
pub struct Release<'a> {
    /// Which chart.
    pub chart: Chart,
    /// Name of the release.
    pub name: &'a str,
    /// Namespace of the release; it is made where it is missing.
    pub namespace: &'a str,
    /// Values over the chart's own.
    pub values: Value,
}

impl Release<'_> {
    /// Installs it, or upgrades it where it is installed. Does not wait for pods: a bare API server starts none.
    ///
    /// # Errors
    /// Helm failed; with what it said.
    pub fn install(&self, kubeconfig: &Path) -> Result<String> {
        let mut helm = helm()?;
        helm.arg("upgrade").arg("--install").arg("--create-namespace").arg("--kubeconfig").arg(kubeconfig);
        self.run(helm)
    }

    /// Renders it without a cluster.
    ///
    /// # Errors
    /// Helm refused the values or a template failed; with what it said.
    pub fn template(&self) -> Result<String> {
        let mut helm = helm()?;
        helm.arg("template");
        self.run(helm)
    }

    /// Uninstalls it.
    ///
    /// # Errors
    /// Helm failed; with what it said.
    pub fn uninstall(&self, kubeconfig: &Path) -> Result<String> {
        let mut helm = helm()?;
        run(helm
            .args(["uninstall", self.name, "--namespace", self.namespace])
            .arg("--kubeconfig")
            .arg(kubeconfig))
    }

    fn run(&self, mut helm: Command) -> Result<String> {
        let mut values = tempfile::NamedTempFile::new()?;
        values.write_all(self.values.to_string().as_bytes())?;
        helm.arg(self.name).arg(self.chart.folder()).arg("--namespace").arg(self.namespace);
        run(helm.arg("--values").arg(values.path()))
    }
}

/// `helm lint` with every warning an error.
///
/// # Errors
/// Helm found something; with what it said.
pub fn lint(chart: Chart) -> Result<String> {
    run(helm()?.args(["lint", "--strict"]).arg(chart.folder()))
}

/// The documents of a rendered chart.
///
/// # Errors
/// One of them is no YAML.
pub fn documents(rendered: &str) -> Result<Vec<Value>> {
    let mut documents = Vec::new();
    for document in rendered.split("\n---") {
        let value: Value = serde_yaml::from_str(document).with_context(|| format!("read {document}"))?;
        if !value.is_null() {
            documents.push(value);
        }
    }
    Ok(documents)
}

fn helm() -> Result<Command> {
    Ok(Command::new(plimsoll_cluster::tool(Tool::Helm, &mut std::io::stderr())?))
}

/// Runs a program to its end and hands back its standard output.
///
/// # Errors
/// It failed; with what it wrote to both streams.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed with {}:\n{stdout}{stderr}", output.status);
    Ok(stdout)
}
