//! Smart Dairy before and after it is tuned: with index, cache and materialised view off, on, on again, and off again.
//! Three pairs of runs on the live system, of which the first is better, the second equal and the third worse.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use plimsoll_analysis::judgement::{ChangeVerdict, Comparison, Judgement};
use plimsoll_api::PerformanceBaseline;
use plimsoll_stories::baseline::says;
use plimsoll_stories::prometheus::by_label;
use plimsoll_stories::story::{Story, tell};
use plimsoll_stories::wait;
use serde_json::json;

/// What each run looks back on.
const WINDOW: &str = "10m";
/// How long it takes until a change has settled and the window holds nothing else.
const FILLED: Duration = Duration::from_secs(10 * 60 + 90);
/// Autoscalers of Smart Dairy.
const AUTOSCALERS: [&str; 2] = ["hpa/odoo-hpa", "hpa/api-hpa"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuning_is_an_improvement_leaving_it_is_none_and_undoing_it_a_regression() {
    tell("tuned", |story: Story| async move {
        // A pod that comes in the middle of a window is a change of its own.
        at_most(&story, 1).await?;
        let told = pairs(&story).await;
        set_optimizations(&story, None).await?;
        at_most(&story, 6).await?;
        told
    })
    .await;
}

async fn pairs(story: &Story) -> Result<()> {
    story.copy_database_access().await?;
    let mut spec = story.measuring_databases();
    spec["window"] = json!(WINDOW);
    spec["historyLimit"] = json!(5);
    spec["api"] = json!({"matchers": "job=\"api\""});
    spec["database"] = json!({"latencyHistogram": "db_query_duration_seconds"});
    spec["objectives"] = json!([
        {"name": "page-load", "indicator": "web.latency.p95", "lessThan": "3s"},
        {"name": "api", "indicator": "api.latency.p95", "lessThan": "500ms"},
        {"name": "database", "indicator": "database.queryTime.p95", "lessThan": "100ms"},
        {"name": "cache", "indicator": "cache.hitRatio", "greaterThan": "90%"},
    ]);
    spec["compareTo"] = json!({"type": "PreviousRun"});

    optimizations(story, Some("none")).await?;
    story.baseline("dairy", spec).await?;
    let first = story.until_ready_within("dairy", Duration::from_secs(180)).await?;
    ensure!(says(&first, "Regressed") == "Unknown: NothingToCompare", "{}", says(&first, "Regressed"));

    optimizations(story, None).await?;
    let tuned = run(story, "tuned").await?;
    show(story, &tuned).await?;
    let comparison = compared(story, &tuned).await?;
    ensure!(comparison.verdict == ChangeVerdict::Improved, "{comparison:#?}");
    for name in ["web.latency.p95", "api.latency.p95", "database.queryTime.p95"] {
        let change = comparison.indicators.iter().find(|change| change.indicator == name);
        let change = change.with_context(|| format!("{name} is compared"))?;
        ensure!(change.verdict == ChangeVerdict::Improved, "{change:?}");
        ensure!(change.high_percent.is_some_and(|high| high < 0.0), "{change:?}");
    }
    let table = story.kubectl_output(&["get", "baselines"]).await?;
    ensure!(table.contains("Improved"), "{table}");
    let report = report(story, &tuned).await?;
    for row in ["Page Load (P95)", "API Response (P95)", "DB Query (P95)", "Cache Hit Rate"] {
        ensure!(report.contains(&format!("| {row}")), "table 4.2 has no row {row}:\n{report}");
    }

    wait_for_window().await;
    let same = run(story, "same").await?;
    show(story, &same).await?;
    let comparison = compared(story, &same).await?;
    let quiet = [ChangeVerdict::Unchanged, ChangeVerdict::Inconclusive];
    ensure!(quiet.contains(&comparison.verdict), "nothing was changed: {comparison:#?}");

    optimizations(story, Some("none")).await?;
    let undone = run(story, "undone").await?;
    show(story, &undone).await?;
    let comparison = compared(story, &undone).await?;
    ensure!(comparison.verdict == ChangeVerdict::Regressed, "{comparison:#?}");
    ensure!(says(&undone, "Regressed").starts_with("True: "), "{}", says(&undone, "Regressed"));
    Ok(())
}

/// Sets how many pods each part of Smart Dairy may have; six is what the example says.
async fn at_most(story: &Story, pods: u32) -> Result<()> {
    let patch = json!({"spec": {"maxReplicas": pods}}).to_string();
    for name in AUTOSCALERS {
        let patched = ["patch", name, "--namespace=smart-dairy", "--type=merge", "--patch", &patch];
        story.kubectl_output(&patched).await?;
    }
    Ok(())
}

/// Sets what Smart Dairy does to be fast, and waits until the window holds nothing else.
async fn optimizations(story: &Story, value: Option<&str>) -> Result<()> {
    set_optimizations(story, value).await?;
    wait_for_window().await;
    let query = format!("sum(increase(http_requests_total{{job=\"odoo\"}}[{WINDOW}])) > 1000");
    wait::until("the window is full of traffic", FILLED, || async {
        let found = by_label(&story.environment.prometheus, &query, "", jiff::Timestamp::now()).await?;
        Ok((!found.is_empty()).then_some(()))
    })
    .await
}

async fn set_optimizations(story: &Story, value: Option<&str>) -> Result<()> {
    let change = value.map_or("OPTIMIZATIONS-".to_owned(), |value| format!("OPTIMIZATIONS={value}"));
    let deployments = ["deployment/odoo", "deployment/api"];
    let mut set = vec!["set", "env", "--namespace=smart-dairy"];
    set.extend(deployments);
    set.push(&change);
    story.kubectl_output(&set).await?;
    for name in deployments {
        let wait = ["rollout", "status", name, "--namespace=smart-dairy", "--timeout=180s"];
        story.kubectl_output(&wait).await?;
    }
    Ok(())
}

/// The window's own length is what is waited for: nothing but time makes it pass.
async fn wait_for_window() {
    tokio::time::sleep(FILLED).await;
}

async fn run(story: &Story, value: &str) -> Result<PerformanceBaseline> {
    story.request("dairy", value).await?;
    story.until_ready("dairy").await
}

fn last_run(baseline: &PerformanceBaseline) -> Result<String> {
    let run = baseline.status.as_ref().and_then(|status| status.last_run.as_ref());
    Ok(run.context("a finished run")?.name.clone())
}

async fn report(story: &Story, baseline: &PerformanceBaseline) -> Result<String> {
    let map = story.api::<ConfigMap>().get(&format!("{}-report", last_run(baseline)?)).await?;
    Ok(map.data.as_ref().and_then(|data| data.get("report.md")).context("report.md")?.clone())
}

async fn compared(story: &Story, baseline: &PerformanceBaseline) -> Result<Comparison> {
    let map = story.api::<ConfigMap>().get(&format!("{}-report", last_run(baseline)?)).await?;
    let text = map.data.as_ref().and_then(|data| data.get("judgement.json")).context("judgement.json")?;
    let judgement: Judgement = serde_json::from_str(text)?;
    judgement.comparison.with_context(|| format!("no comparison: {:?}", judgement.not_compared))
}

/// What a person sees of a pair.
async fn show(story: &Story, baseline: &PerformanceBaseline) -> Result<()> {
    println!("{}", story.kubectl_output(&["get", "baselines"]).await?);
    for change in compared(story, baseline).await?.indicators {
        println!(
            "{:24} {:?} -> {:?}  {:?} [{:?}, {:?}]  {:?}: {}",
            change.indicator,
            change.before,
            change.after,
            change.change_percent,
            change.low_percent,
            change.high_percent,
            change.verdict,
            change.rule
        );
    }
    Ok(())
}
