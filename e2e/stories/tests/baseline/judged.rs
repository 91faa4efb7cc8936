//! Records that are judged: objectives, comparisons with other runs, and what an edit does to both.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use plimsoll_analysis::judgement::{ChangeVerdict, Judgement, ObjectiveVerdict};
use plimsoll_api::PerformanceBaseline;
use plimsoll_stories::baseline::{RUN, message, says};
use plimsoll_stories::story::{Story, tell};
use serde_json::{Value, json};

/// Objectives of which one is met, one missed, one met with a warning, and one cannot be said.
fn objectives() -> Value {
    json!([
        {"name": "page-load", "indicator": "web.latency.p95", "lessThan": "10s"},
        {"name": "impossible", "indicator": "web.latency.p50", "lessThan": "1ms"},
        {"name": "busy", "query": "vector(0.5)", "unit": "Ratio", "lessThan": "90%", "warning": "10%"},
        {"name": "silent", "query": "no_such_metric", "unit": "Count", "greaterThan": "1"},
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objectives_are_judged_and_an_edit_judges_the_same_record_again() {
    tell("objectives", |story: Story| async move {
        let mut spec = story.dairy();
        spec["objectives"] = objectives();
        story.baseline("dairy", spec).await?;
        let missed = story.until_says("dairy", "ObjectivesMet", "False: ObjectivesMissed", RUN).await?;
        ensure!(says(&missed, "Ready") == "True: Recorded", "a missed objective is no failed run");
        let results = results(&missed);
        let expected =
            [("page-load", "Met"), ("impossible", "Missed"), ("busy", "Warning"), ("silent", "Inconclusive")];
        ensure!(
            results == expected.map(|(name, result)| (name.to_owned(), result.to_owned())),
            "{results:?}"
        );
        let said = message(&missed, "ObjectivesMet");
        ensure!(said.contains("impossible") && said.contains("1ms"), "{said}");
        let table = story.kubectl_output(&["get", "baselines"]).await?;
        println!("{table}");
        ensure!(table.contains("OBJECTIVES") && table.contains("2/4"), "{table}");
        until_event(&story, "ObjectivesMissed", "impossible").await?;
        let judged = judgement(&story, &missed).await?;
        let silent = judged.objectives.iter().find(|one| one.name == "silent").context("an objective")?;
        ensure!(silent.result == ObjectiveVerdict::Inconclusive && silent.value.is_none(), "{silent:?}");
        ensure!(silent.message.contains("no series"), "it says what is missing: {}", silent.message);

        // A bound is no measurement: the edit judges what is there.
        let run = last_run(&missed)?;
        let jobs = story.jobs().await?.len();
        let mut fewer = objectives();
        fewer[1]["lessThan"] = json!("10s");
        fewer.as_array_mut().context("a list")?.truncate(2);
        // The two queries were collected; the spec without them measures less and so runs again: keep them.
        let mut kept = objectives();
        kept[1]["lessThan"] = json!("10s");
        story.edit("dairy", json!({"spec": {"objectives": kept}})).await?;
        let unknown = story.until_says("dairy", "ObjectivesMet", "Unknown: Inconclusive", RUN).await?;
        ensure!(last_run(&unknown)? == run, "no run was started by a bound");
        ensure!(story.jobs().await?.len() <= jobs, "no Job was made by a bound");
        ensure!(
            message(&unknown, "ObjectivesMet").contains("silent"),
            "{}",
            message(&unknown, "ObjectivesMet")
        );
        story.edit("dairy", json!({"spec": {"objectives": fewer}})).await?;
        let met = story.until_says("dairy", "ObjectivesMet", "True: AllMet", RUN).await?;
        let summary = met.status.as_ref().and_then(|status| status.summary.as_ref()).context("a summary")?;
        ensure!(summary.objectives.as_deref() == Some("2/2"), "{summary:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_little_data_is_inconclusive_and_a_tampered_record_is_not_compared_with() {
    tell("compared", |story: Story| async move {
        story.baseline("before", story.dairy()).await?;
        let before = story.until_ready("before").await?;
        let before_run = last_run(&before)?;
        let mut spec = story.dairy();
        spec["compareTo"] = json!({"type": "Baseline", "baseline": {"name": "before"}});
        story.baseline("after", spec).await?;
        let compared = story
            .until_baseline("a comparison is there", "after", RUN, |status| status.comparison.is_some())
            .await?;
        // A minute is three slots: nothing can be said of them, and nothing is.
        let comparison = judgement(&story, &compared).await?.comparison.context("a comparison")?;
        ensure!(comparison.against.run == before_run, "{:?}", comparison.against);
        ensure!(comparison.verdict == ChangeVerdict::Inconclusive, "{comparison:?}");
        ensure!(says(&compared, "Regressed").starts_with("Unknown: "), "{}", says(&compared, "Regressed"));
        let summary = compared.status.as_ref().and_then(|status| status.summary.as_ref()).context("a summary")?;
        ensure!(summary.change.as_deref() == Some("Inconclusive"), "{summary:?}");

        // A newer run of the other baseline is what it is compared with from then on, without a run of its own.
        let run = last_run(&compared)?;
        story.request("before", "again").await?;
        let newer = last_run(&story.until_ready("before").await?)?;
        ensure!(newer != before_run);
        let again = story
            .until_baseline("it is compared with the newer run", "after", RUN, |status| {
                status.comparison.as_ref().is_some_and(|comparison| comparison.against == newer)
            })
            .await?;
        ensure!(last_run(&again)? == run, "no run was started by the other's");

        // Exported, kept outside, changed on the way, and applied again.
        let mut export = story.plugin(&["export", "baseline/before"]).await?;
        let whole = story.apply(&export).await?;
        let compare = json!({"type": "Record", "record": {"configMapRef": {"name": whole}}});
        story.edit("after", json!({"spec": {"compareTo": {"type": "Record", "record": compare["record"], "baseline": null}}})).await?;
        let with_record = story
            .until_baseline("it is compared with the exported record", "after", RUN, |status| {
                status.judgement.is_some() && status.comparison.as_ref().is_some_and(|found| found.against == newer)
            })
            .await?;
        ensure!(says(&with_record, "Regressed").starts_with("Unknown: "));
        export = export.replace("\"complete\": true", "\"complete\": false");
        ensure!(export.contains("\"complete\": false"), "the export holds the record as text:\n{export}");
        story.apply(&export).await?;
        story.edit("after", json!({"spec": {"compareTo": {"allowedChange": "6%"}}})).await?;
        let refused = story.until_says("after", "Regressed", "Unknown: RecordMismatch", RUN).await?;
        ensure!(message(&refused, "Regressed").contains(&whole), "{}", message(&refused, "Regressed"));
        ensure!(refused.status.as_ref().is_some_and(|status| status.comparison.is_none()));
        Ok(())
    })
    .await;
}

/// Name and result of each objective, in the spec's order.
fn results(baseline: &PerformanceBaseline) -> Vec<(String, String)> {
    let objectives = baseline.status.iter().flat_map(|status| &status.objectives);
    objectives.map(|one| (one.name.clone(), one.result.clone())).collect()
}

fn last_run(baseline: &PerformanceBaseline) -> Result<String> {
    let run = baseline.status.as_ref().and_then(|status| status.last_run.as_ref());
    Ok(run.context("a finished run")?.name.clone())
}

/// The judgement of the last finished run, which names the record that status names.
async fn judgement(story: &Story, baseline: &PerformanceBaseline) -> Result<Judgement> {
    let run = baseline.status.as_ref().and_then(|status| status.last_run.as_ref()).context("a run")?;
    let map = story.api::<ConfigMap>().get(&format!("{}-report", run.name)).await?;
    let text = map.data.as_ref().and_then(|data| data.get("judgement.json")).context("judgement.json")?;
    let judgement: Judgement = serde_json::from_str(text)?;
    ensure!(judgement.record_sha256 == run.record_sha256, "{:?} and {run:?}", judgement.record_sha256);
    Ok(judgement)
}

/// Waits for an Event about the baseline with a reason and words in its note.
async fn until_event(story: &Story, reason: &str, words: &str) -> Result<()> {
    plimsoll_stories::wait::until(&format!("an Event {reason}"), RUN, || async {
        let selector = format!("--field-selector=reason={reason}");
        let events = story
            .kubectl_output(&["get", "events", &selector, "--output=jsonpath={.items[*].message}"])
            .await?;
        Ok(events.contains(words).then_some(()))
    })
    .await
}
