//! PerformanceBaselines in a story: made, edited, asked to run, waited for, and their records read.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ListParams, Patch, PatchParams};
use plimsoll_analysis::hash::sha256_hex;
use plimsoll_analysis::record::BaselineRecord;
use plimsoll_api::condition;
use plimsoll_api::{PerformanceBaseline, PerformanceBaselineStatus, RUN_ANNOTATION};
use serde_json::{Value, json};

use crate::story::Story;

/// How long a run may take on a busy machine, when nothing holds it.
pub const RUN: Duration = Duration::from_secs(90);

/// A stored record.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its name.
    pub run: String,
    /// As our own code reads it.
    pub record: BaselineRecord,
    /// As a user's script reads it.
    pub json: Value,
}

impl Story {
    /// A spec that asks the cluster's own Prometheus for the last minute of Smart Dairy.
    #[must_use]
    pub fn dairy(&self) -> Value {
        self.measuring(&self.environment.prometheus)
    }

    /// A spec that asks the Prometheus at a URL for the last minute of Smart Dairy.
    #[must_use]
    pub fn measuring(&self, url: &str) -> Value {
        json!({"window": "1m", "sources": {"prometheus": {"url": url}}, "web": {}})
    }

    /// Makes a baseline.
    ///
    /// # Errors
    /// The API server refused it.
    pub async fn baseline(&self, name: &str, spec: Value) -> Result<PerformanceBaseline> {
        self.create(json!({
            "apiVersion": "plimsoll.dev/v1alpha1", "kind": "PerformanceBaseline",
            "metadata": {"name": name}, "spec": spec,
        }))
        .await
    }

    /// Edits a baseline by a merge patch.
    ///
    /// # Errors
    /// The API server refused it.
    pub async fn edit(&self, name: &str, patch: Value) -> Result<PerformanceBaseline> {
        let baselines = self.api::<PerformanceBaseline>();
        let edited = baselines.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        edited.with_context(|| format!("edit {name}"))
    }

    /// Asks for a run and waits until a run has answered.
    ///
    /// # Errors
    /// No run answered in time.
    pub async fn request(&self, name: &str, value: &str) -> Result<PerformanceBaseline> {
        self.edit(name, json!({"metadata": {"annotations": {RUN_ANNOTATION: value}}})).await?;
        self.until_baseline("the request is answered", name, RUN, |status| {
            status.last_request_handled.as_deref() == Some(value)
                && status.last_run.is_some()
                && status.current_run.as_ref().is_none_or(|run| run.finished)
        })
        .await
    }

    /// Waits for a status.
    ///
    /// # Errors
    /// It did not come in time.
    pub async fn until_baseline(
        &self,
        what: &str,
        name: &str,
        deadline: Duration,
        holds: impl Fn(&PerformanceBaselineStatus) -> bool,
    ) -> Result<PerformanceBaseline> {
        self.until(what, name, deadline, |baseline: &PerformanceBaseline| {
            // A status of an older spec says nothing.
            baseline.status.as_ref().is_some_and(|status| {
                status.observed_generation == baseline.metadata.generation && holds(status)
            })
        })
        .await
    }

    /// Waits until a baseline says `Type=True|False, Reason`.
    ///
    /// # Errors
    /// It did not say so in time.
    pub async fn until_says(
        &self,
        name: &str,
        type_: &str,
        says: &str,
        deadline: Duration,
    ) -> Result<PerformanceBaseline> {
        self.until_baseline(&format!("{type_} is {says}"), name, deadline, |status| {
            said(status, type_) == says
        })
        .await
    }

    /// Waits until a baseline is ready and its record is kept.
    ///
    /// # Errors
    /// It was not ready in time.
    pub async fn until_ready(&self, name: &str) -> Result<PerformanceBaseline> {
        self.until_ready_within(name, RUN).await
    }

    /// Waits until a baseline is ready, for longer than a run takes.
    ///
    /// # Errors
    /// It was not ready in time.
    pub async fn until_ready_within(&self, name: &str, deadline: Duration) -> Result<PerformanceBaseline> {
        let ready = self.until_says(name, "Ready", "True: Recorded", deadline).await?;
        let stalled = says(&ready, "Stalled");
        ensure!(stalled == "False: AsExpected", "{name} is ready and says Stalled {stalled}");
        Ok(ready)
    }

    /// Waits until a baseline fails for a reason, and checks that it says what to do. Its message.
    ///
    /// # Errors
    /// It said something else.
    pub async fn until_fails(&self, name: &str, reason: &str, remedy: &str) -> Result<String> {
        let failed = self.until_says(name, "Ready", &format!("False: {reason}"), RUN).await?;
        let message = message(&failed, "Ready");
        ensure!(message.contains(remedy), "{name} does not say {remedy:?}: {message}");
        Ok(message)
    }

    /// The record of the last finished run, once it is known to be what status says.
    ///
    /// # Errors
    /// There is none, or it is not immutable, not owned, or does not match its hash.
    pub async fn record(&self, baseline: &PerformanceBaseline) -> Result<Recorded> {
        let status = baseline.status.as_ref().context("a status")?;
        let run = status.last_run.as_ref().context("a finished run")?;
        let map = self.api::<ConfigMap>().get(&run.name).await.context("get the record")?;
        ensure!(map.immutable == Some(true), "the record {} can be changed", run.name);
        let owners = map.metadata.owner_references.iter().flatten();
        ensure!(
            owners.into_iter().any(|owner| Some(&owner.uid) == baseline.metadata.uid.as_ref()),
            "the record {} is not owned by its baseline",
            run.name
        );
        let text = map.data.as_ref().and_then(|data| data.get("record.json")).context("record.json")?;
        let sha256 = sha256_hex(text.as_bytes());
        ensure!(
            run.record_sha256.as_ref() == Some(&sha256),
            "status says {:?} and the record's SHA-256 is {sha256}",
            run.record_sha256
        );
        let report = self.api::<ConfigMap>().get(&format!("{}-report", run.name)).await?;
        let judgement = report.data.as_ref().and_then(|data| data.get("judgement.json"));
        ensure!(
            judgement.is_some_and(|judgement| judgement.contains(&sha256)),
            "the report of {} does not name its record",
            run.name
        );
        Ok(Recorded {
            run: run.name.clone(),
            record: serde_json::from_str(text)?,
            json: serde_json::from_str(text)?,
        })
    }

    /// Waits until a run is under way whose pod runs; the name of run and pod.
    ///
    /// # Errors
    /// None ran in time.
    pub async fn until_running(&self, name: &str) -> Result<(String, String)> {
        let baseline = self
            .until_baseline("a Job is made", name, RUN, |status| {
                status.current_run.as_ref().is_some_and(|run| run.job_uid.is_some())
            })
            .await?;
        let run = baseline.status.and_then(|status| status.current_run).context("a run")?.name;
        let pod = crate::wait::until("the run's pod runs", RUN, || self.running_pod(&run)).await?;
        Ok((run, pod))
    }

    /// The pod of a run that runs now.
    ///
    /// # Errors
    /// The API server failed.
    pub async fn running_pod(&self, run: &str) -> Result<Option<String>> {
        let pods = self.api::<Pod>().list(&of_run(run)).await?;
        let running = pods.items.into_iter().find(|pod| {
            pod.metadata.deletion_timestamp.is_none()
                && pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"))
        });
        Ok(running.and_then(|pod| pod.metadata.name))
    }

    /// Jobs in the namespace.
    ///
    /// # Errors
    /// The API server failed.
    pub async fn jobs(&self) -> Result<Vec<Job>> {
        Ok(self.api::<Job>().list(&ListParams::default()).await?.items)
    }
}

/// Everything of a run.
#[must_use]
pub fn of_run(run: &str) -> ListParams {
    ListParams::default().labels(&format!("{}={run}", plimsoll_api::RUN_LABEL))
}

/// `True: Reason` or `False: Reason` of a condition; empty where it is not set.
#[must_use]
pub fn said(status: &PerformanceBaselineStatus, type_: &str) -> String {
    condition::get(&status.conditions, type_)
        .map(|condition| format!("{}: {}", condition.status, condition.reason))
        .unwrap_or_default()
}

/// [`said`] of a baseline.
#[must_use]
pub fn says(baseline: &PerformanceBaseline, type_: &str) -> String {
    baseline.status.as_ref().map(|status| said(status, type_)).unwrap_or_default()
}

/// The message of a condition; empty where it is not set.
#[must_use]
pub fn message(baseline: &PerformanceBaseline, type_: &str) -> String {
    let conditions = baseline.status.iter().flat_map(|status| &status.conditions);
    conditions
        .filter(|condition| condition.type_ == type_)
        .map(|condition| condition.message.clone())
        .collect()
}
