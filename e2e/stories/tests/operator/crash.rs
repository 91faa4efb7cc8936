//! The operator killed at each stage of a run, and away for the whole of one.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::ListParams;
use plimsoll_api::{OWNER_LABEL, PerformanceBaseline};
use plimsoll_stories::audit::{OPERATOR, calls_of};
use plimsoll_stories::baseline::RUN;
use plimsoll_stories::gate::{Answer, Gate};
use plimsoll_stories::policy::Refusal;
use plimsoll_stories::story::Story;
use plimsoll_stories::wait;
use serde_json::json;

use crate::alone;

/// How far each baseline's run is when the operator is killed; their names.
const STAGES: [&str; 6] = ["intent", "made", "running", "ended", "recorded", "finished"];
/// How long a killed operator's successor may take: its Lease stands for 30 s.
const TAKEN_UP: Duration = Duration::from_secs(150);

/// One run is held at each stage by a policy or a gate, the operator is killed once, and then everything goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_operator_loses_and_repeats_nothing_at_any_stage_of_a_run() {
    alone("killed", |story: Story| async move {
        hold(&story).await?;
        let upstream = &story.environment.prometheus;
        let (running, ended) =
            (Gate::open(upstream, Answer::Hold).await?, Gate::open(upstream, Answer::Hold).await?);
        for stage in STAGES {
            let url = match stage {
                "running" => running.url(),
                "ended" => ended.url(),
                _ => upstream.clone(),
            };
            story.baseline(stage, story.measuring(&url)).await?;
        }
        let runs = try_join_all(STAGES.iter().map(|stage| reach(&story, stage))).await?;

        story.operator().kill().await?;
        for stage in ["intent", "made", "recorded", "finished"] {
            story.allow(stage).await?;
        }
        // This one's Job ends while nobody leads.
        ended.set(Answer::Pass);
        story.until("its Job completes", &runs[3], RUN, is_complete).await?;
        story.operator().until_leading().await?;
        running.set(Answer::Pass);

        for (stage, run) in STAGES.iter().zip(&runs) {
            let ready = story.until_ready_within(stage, TAKEN_UP).await?;
            measured_once(&story, &ready, run).await?;
        }
        let made = jobs_made(&story).await?;
        ensure!(made == STAGES.len(), "{made} Jobs for {} runs", STAGES.len());
        println!(
            "killed once at {} stages: {} runs, {made} Jobs, {} records",
            STAGES.len(),
            runs.len(),
            runs.len()
        );
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_is_away_for_the_whole_run_stops_in_order_and_finds_the_record() {
    alone("away", |story: Story| async move {
        let gate = Gate::open(&story.environment.prometheus, Answer::Hold).await?;
        story.baseline("dairy", story.measuring(&gate.url())).await?;
        let (run, _) = story.until_running("dairy").await?;
        let took = story.operator().stop().await?;
        println!("stopped within {:.1} s", took.as_secs_f64());
        ensure!(took <= Duration::from_secs(20), "it took {took:?} to stop");
        ensure!(story.operator().holder().await?.is_none(), "the Lease is given back");
        gate.set(Answer::Pass);
        story.until("the Job completes", &run, RUN, is_complete).await?;
        story.operator().start().await?;
        let ready = story.until_ready("dairy").await?;
        measured_once(&story, &ready, &run).await?;
        let made = jobs_made(&story).await?;
        ensure!(made == 1, "{made} Jobs");
        Ok(())
    })
    .await;
}

/// Policies that keep the runs of four baselines from their next step.
async fn hold(story: &Story) -> Result<()> {
    let by_operator = format!("request.userInfo.username == '{OPERATOR}'");
    let owner = |stage: &str| format!("object.metadata.?labels[?'{OWNER_LABEL}'].orValue('') == '{stage}'");
    let finished =
        "object.metadata.name == 'recorded' && object.?status.?currentRun.?finished.orValue(false)";
    let refusal = |name: &'static str, group, version, resource, operation| Refusal {
        name,
        group,
        version,
        resource,
        operation,
        when: "",
        message: "held by a story",
    };
    let probe = "object.metadata.name == 'probe'";
    for (refusal, when) in [
        (
            refusal("intent", "batch", "v1", "jobs", "CREATE"),
            format!("({by_operator} && {}) || {probe}", owner("intent")),
        ),
        (refusal("made", "", "v1", "pods", "CREATE"), owner("made")),
        (
            refusal("recorded", "plimsoll.dev", "v1alpha1", "performancebaselines/status", "UPDATE"),
            format!("{by_operator} && {finished}"),
        ),
        (
            refusal("finished", "batch", "v1", "jobs", "UPDATE"),
            format!("{by_operator} && {}", owner("finished")),
        ),
    ] {
        story.refuse(&Refusal { when: &when, ..refusal }).await?;
    }
    // They were made within moments, and the API server takes them up together.
    let job: Job = serde_json::from_value(json!({
        "metadata": {"name": "probe"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "x"}]}}},
    }))?;
    story.until_refused(&job, "held by a story").await
}

/// Waits until a baseline's run is at the stage that is its name; the name of the run.
async fn reach(story: &Story, stage: &str) -> Result<String> {
    let begun =
        story.until_baseline("a run is begun", stage, RUN, |status| status.current_run.is_some()).await?;
    let run = begun.status.and_then(|status| status.current_run).context("a run")?.name;
    match stage {
        "intent" => {
            ensure!(story.api::<Job>().get_opt(&run).await?.is_none(), "the Job is there");
        }
        "made" => {
            let with_job = |status: &plimsoll_api::PerformanceBaselineStatus| {
                status.current_run.as_ref().is_some_and(|run| run.job_uid.is_some())
            };
            story.until_baseline("the Job is made", stage, RUN, with_job).await?;
            let pods = ListParams::default().labels(&format!("{OWNER_LABEL}={stage}"));
            ensure!(story.api::<Pod>().list(&pods).await?.items.is_empty(), "the pod is there");
        }
        "running" | "ended" => {
            wait::until("its pod runs", RUN, || story.running_pod(&run)).await?;
        }
        "recorded" => {
            story.until("the record is written", &run, RUN, |_: &ConfigMap| true).await?;
            let baseline = story.api::<PerformanceBaseline>().get(stage).await?;
            ensure!(baseline.status.is_some_and(|status| status.last_run.is_none()), "status has it");
        }
        _ => {
            let finished = |status: &plimsoll_api::PerformanceBaselineStatus| {
                status.current_run.as_ref().is_some_and(|run| run.finished)
            };
            story.until_baseline("the run is finished", stage, RUN, finished).await?;
        }
    }
    Ok(run)
}

/// Whether a ready baseline has this one run, kept and cleaned up.
async fn measured_once(story: &Story, ready: &PerformanceBaseline, run: &str) -> Result<()> {
    let name = ready.metadata.name.as_deref().unwrap_or_default();
    let rests = story
        .until_baseline("the run is cleaned up", name, RUN, |status| status.current_run.is_none())
        .await?;
    ensure!(story.record(&rests).await?.run == run, "another run was made for {name}");
    let history = rests.status.as_ref().map(|status| status.history.len());
    ensure!(history == Some(1), "{name} has {history:?} runs");
    let records = ListParams::default().labels(&format!("{OWNER_LABEL}={name}"));
    let records = story.api::<ConfigMap>().list(&records).await?.items.len();
    ensure!(records == 2, "{name} has {records} ConfigMaps, and not its record and its report");
    let job = story.api::<Job>().get(run).await?;
    let ttl = job.spec.and_then(|spec| spec.ttl_seconds_after_finished);
    ensure!(ttl == Some(600), "the time to live of {name}'s Job is {ttl:?}");
    Ok(())
}

fn is_complete(job: &Job) -> bool {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Complete" && condition.status == "True")
}

async fn jobs_made(story: &Story) -> Result<usize> {
    let calls = calls_of(&story.admin, OPERATOR).await?;
    let made = calls.iter().filter(|call| {
        call.object_ref.namespace == story.namespace
            && call.call() == "create batch/jobs"
            && call.response_status.code == 201
    });
    Ok(made.count())
}
