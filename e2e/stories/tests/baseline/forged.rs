//! A log that is not what the run printed: forged, doubled, cut.
//!
//! The story keeps the operator from making the run's Job by a policy, and makes, as an administrator, a Job of the
//! run's name, owner and annotations whose container prints what the story says.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use kube::api::PostParams;
use plimsoll_analysis::frame::{Envelope, encode};
use plimsoll_analysis::record::BaselineRecord;
use plimsoll_api::baseline::CurrentRun;
use plimsoll_api::{
    ATTEMPT_ANNOTATION, NONCE_ANNOTATION, PerformanceBaseline, REQUEST_HASH_ANNOTATION, RUN_KEY_ANNOTATION,
    RUN_LABEL,
};
use plimsoll_cluster::ScratchImage;
use plimsoll_stories::audit::OPERATOR;
use plimsoll_stories::baseline::RUN;
use plimsoll_stories::charts::run as run_command;
use plimsoll_stories::image::import;
use plimsoll_stories::policy::Refusal;
use plimsoll_stories::story::{Story, tell};
use serde_json::json;
use tokio::sync::OnceCell;

/// The delimiter that the forger gives its Job.
const NONCE: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_of_another_resource_is_no_result() {
    tell("forged", |story: Story| async move {
        let record = sample(&story).await?;
        let frame = frame("another-uid", "another-key", record)?;
        refused_as_invalid(&story, &frame).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doubled_frame_is_no_result() {
    tell("doubled", |story: Story| async move {
        let record = sample(&story).await?;
        let once = frame("any", "any", record)?;
        refused_as_invalid(&story, &format!("{once}{once}")).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_frame_is_measured_once_more() {
    tell("cut", |story: Story| async move {
        let record = sample(&story).await?;
        let whole = frame("any", "any", record)?;
        let run = forge(&story, &whole[..whole.len() / 2]).await?;
        let ready = story.until_ready("dairy").await?;
        ensure!(story.record(&ready).await?.run == run, "the same run is measured once more");
        let job = story.api::<Job>().get(&run).await?;
        let attempt = job.metadata.annotations.unwrap_or_default().remove(ATTEMPT_ANNOTATION);
        ensure!(attempt.as_deref() == Some("2"), "{attempt:?}");
        Ok(())
    })
    .await;
}

async fn refused_as_invalid(story: &Story, log: &str) -> Result<()> {
    forge(story, log).await?;
    story.until_fails("dairy", "ResultInvalid", "Look who may create Jobs or exec into pods here").await?;
    story.until_says("dairy", "Stalled", "True: ResultInvalid", Duration::from_secs(5)).await?;
    story.request("dairy", "looked").await?;
    story.until_ready("dairy").await?;
    Ok(())
}

/// A genuine record, from another baseline of the namespace.
async fn sample(story: &Story) -> Result<BaselineRecord> {
    story.baseline("sample", story.dairy()).await?;
    let ready = story.until_ready("sample").await?;
    Ok(story.record(&ready).await?.record)
}

fn frame(uid: &str, run_key: &str, record: BaselineRecord) -> Result<String> {
    let envelope =
        Envelope { uid: uid.to_owned(), run_key: run_key.to_owned(), job_uid: "any".to_owned(), record };
    Ok(encode(NONCE, &envelope)?)
}

/// Makes the baseline `dairy`, whose first Job prints `log`; the name of the run.
async fn forge(story: &Story, log: &str) -> Result<String> {
    let image = printer().await?;
    keep_the_operator_from_jobs(story).await?;
    let baseline = story.baseline("dairy", story.dairy()).await?;
    let status = story
        .until_baseline("the intent of a run", "dairy", RUN, |status| status.current_run.is_some())
        .await?
        .status;
    let run = status.and_then(|status| status.current_run).context("a run")?;
    let job = forged(&baseline, &run, image, log)?;
    story.api::<Job>().create(&PostParams::default(), &job).await?;
    // From here on the operator may make Jobs: it finds this one.
    story.allow("jobs").await?;
    Ok(run.name)
}

fn forged(baseline: &PerformanceBaseline, run: &CurrentRun, image: &str, log: &str) -> Result<Job> {
    let labels = json!({"app.kubernetes.io/managed-by": "plimsoll", RUN_LABEL: run.name});
    Ok(serde_json::from_value(json!({
        "metadata": {
            "name": run.name,
            "labels": labels,
            "annotations": {
                RUN_KEY_ANNOTATION: run.key,
                REQUEST_HASH_ANNOTATION: run.request_hash,
                NONCE_ANNOTATION: NONCE,
                ATTEMPT_ANNOTATION: "1",
            },
            "ownerReferences": [{
                "apiVersion": "plimsoll.dev/v1alpha1", "kind": "PerformanceBaseline",
                "name": baseline.metadata.name, "uid": baseline.metadata.uid,
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "backoffLimit": 0, "parallelism": 1, "completions": 1, "activeDeadlineSeconds": 300,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": false,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [{
                        "name": "plimsoll",
                        "image": image,
                        "imagePullPolicy": "IfNotPresent",
                        "env": [{"name": "TEXT", "value": log}],
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }],
                },
            },
        },
    }))?)
}

/// A policy under which the operator makes no Job in this namespace, once it is enforced.
async fn keep_the_operator_from_jobs(story: &Story) -> Result<()> {
    story
        .refuse(&Refusal {
            name: "jobs",
            group: "batch",
            version: "v1",
            resource: "jobs",
            operation: "CREATE",
            when: &format!("request.userInfo.username == '{OPERATOR}' || object.metadata.name == 'probe'"),
            message: "no Jobs for now",
        })
        .await?;
    let job: Job = serde_json::from_value(json!({
        "metadata": {"name": "probe"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "x"}]}}},
    }))?;
    story.until_refused(&job, "no Jobs for now").await
}

/// The image of a program that prints what it is told to, made once.
async fn printer() -> Result<&'static str> {
    static IMAGE: OnceCell<String> = OnceCell::const_new();
    let image = IMAGE.get_or_try_init(|| async { tokio::task::spawn_blocking(make_printer).await? }).await?;
    Ok(image)
}

fn make_printer() -> Result<String> {
    let folder = tempfile::tempdir()?;
    let binary = folder.path().join("print");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/print.rs");
    let mut rustc = Command::new("rustc");
    rustc.args([
        "--edition=2024",
        "-O",
        "-Ctarget-feature=+crt-static",
        "--target=x86_64-unknown-linux-gnu",
        "-o",
    ]);
    run_command(rustc.arg(&binary).arg(source))?;
    let reference = "plimsoll-story-print:1".to_owned();
    let archive = folder.path().join("print.tar");
    let image = ScratchImage { binary: &binary, entrypoint: "/print", user: "65532:65532" };
    image.write_archive(&archive, &reference)?;
    import(&archive, &reference)?;
    Ok(reference)
}
