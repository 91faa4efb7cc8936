//! The installed operator: reinstalled with other values, killed, stopped, started.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::charts::Chart;
use crate::environment::Environment;
use crate::story::{SYSTEM, Story};
use crate::wait;

/// How long a start, a stop or a change of leaders may take: a Lease of a killed operator stands for 30 s.
const CHANGE: Duration = Duration::from_secs(90);
/// Name of its Deployment and of its Lease.
const NAME: &str = "plimsoll";

/// The operator, by its Deployment in [`SYSTEM`].
#[derive(Clone)]
pub struct Operator {
    admin: Client,
    environment: &'static Environment,
}

impl Story {
    /// The operator.
    #[must_use]
    pub fn operator(&self) -> Operator {
        Operator { admin: self.admin.clone(), environment: self.environment }
    }
}

impl Operator {
    /// Installs the operator's chart with further values for as long as `body` runs, and as it was afterwards, however
    /// that ends.
    ///
    /// # Errors
    /// Helm failed, or the body did.
    pub async fn with<F>(&self, values: Value, body: impl FnOnce() -> F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        self.install(values).await?;
        let told = body().await;
        self.install(json!({})).await?;
        told
    }

    /// Installs the operator's chart as `cargo xtask test` does, with further values, and waits until it leads.
    ///
    /// # Errors
    /// Helm failed, with what it said; or no operator leads in time.
    pub async fn install(&self, further: Value) -> Result<()> {
        let (repository, tag) = self.environment.image.rsplit_once(':').context("the image has a tag")?;
        let mut values = json!({"scope": "Cluster", "image": {"repository": repository, "tag": tag}});
        for (name, value) in further.as_object().into_iter().flatten() {
            values[name] = value.clone();
        }
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), values.to_string())?;
        let mut helm = std::process::Command::new(&self.environment.helm);
        helm.arg("--kubeconfig").arg(&self.environment.kubeconfig);
        helm.args(["upgrade", "--install", NAME]).arg(Chart::Operator.folder());
        helm.args(["--namespace", SYSTEM, "--wait", "--timeout", "120s", "--values"]).arg(file.path());
        tokio::task::spawn_blocking(move || crate::charts::run(&mut helm)).await??;
        self.until_leading().await?;
        Ok(())
    }

    /// Waits until the one pod of the operator leads; its name.
    ///
    /// # Errors
    /// None leads in time.
    pub async fn until_leading(&self) -> Result<String> {
        wait::until("an operator leads", CHANGE, || async {
            let pods = self.pods().await?;
            let [pod] = pods.as_slice() else { return Ok(None) };
            let name = pod.metadata.name.clone().unwrap_or_default();
            let leads =
                pod.metadata.deletion_timestamp.is_none() && self.holder().await?.as_ref() == Some(&name);
            Ok(leads.then_some(name))
        })
        .await
    }

    /// Who holds the Lease; none where it was given back.
    ///
    /// # Errors
    /// The API server failed.
    pub async fn holder(&self) -> Result<Option<String>> {
        let lease = Api::<Lease>::namespaced(self.admin.clone(), SYSTEM).get_opt(NAME).await?;
        let holder = lease.and_then(|lease| lease.spec).and_then(|spec| spec.holder_identity);
        Ok(holder.filter(|holder| !holder.is_empty()))
    }

    async fn pods(&self) -> Result<Vec<Pod>> {
        let ours = ListParams::default().labels("app.kubernetes.io/name=plimsoll");
        Ok(Api::<Pod>::namespaced(self.admin.clone(), SYSTEM).list(&ours).await?.items)
    }

    /// Kills the operator without a word to it.
    ///
    /// # Errors
    /// None leads, or the API server failed.
    pub async fn kill(&self) -> Result<()> {
        let name = self.until_leading().await?;
        let pods = Api::<Pod>::namespaced(self.admin.clone(), SYSTEM);
        pods.delete(&name, &DeleteParams::default().grace_period(0)).await?;
        Ok(())
    }

    /// Stops the operator in order; how long that took.
    ///
    /// # Errors
    /// It did not stop in time.
    pub async fn stop(&self) -> Result<Duration> {
        self.until_leading().await?;
        let begin = Instant::now();
        self.scale(0).await?;
        wait::until("the operator's pod is gone", CHANGE, || async {
            Ok(self.pods().await?.is_empty().then_some(()))
        })
        .await?;
        Ok(begin.elapsed())
    }

    /// Starts a stopped operator and waits until it leads.
    ///
    /// # Errors
    /// It does not lead in time.
    pub async fn start(&self) -> Result<()> {
        self.scale(1).await?;
        self.until_leading().await?;
        Ok(())
    }

    async fn scale(&self, replicas: i32) -> Result<()> {
        let deployments = Api::<Deployment>::namespaced(self.admin.clone(), SYSTEM);
        let patch = json!({"spec": {"replicas": replicas}});
        let scaled = deployments.patch(NAME, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        ensure!(scaled.spec.is_some_and(|spec| spec.replicas == Some(replicas)), "it does not scale");
        Ok(())
    }
}
