//! Credentials: wrong, missing, corrected; and never seen anywhere.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use plimsoll_stories::gate::{Answer, Gate};
use plimsoll_stories::story::{Story, tell};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_stalls_and_the_right_one_helps_on_request() {
    tell("token", |story: Story| async move {
        let gate = guarded(&story).await?;
        secret(&story, "prom", json!({"token": "wrong-token"})).await?;
        story.baseline("dairy", with_token(&story, &gate, "token")).await?;
        let failed = story.until_fails("dairy", "AuthenticationFailed", "Check the Secret").await?;
        ensure!(!failed.contains("wrong-token"), "{failed}");
        story
            .until_says("dairy", "Stalled", "True: AuthenticationFailed", std::time::Duration::from_secs(5))
            .await?;
        let patch = json!({"stringData": {"token": TOKEN}});
        story.api::<Secret>().patch("prom", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        story.request("dairy", "corrected").await?;
        story.until_ready("dairy").await?;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_secret_and_a_missing_key_are_named() {
    tell("missing", |story: Story| async move {
        let gate = guarded(&story).await?;
        let mut spec = with_token(&story, &gate, "token");
        spec["sources"]["prometheus"]["headers"] =
            json!([{"name": "X-Scope-OrgID", "valueFrom": {"secretKeyRef": {"name": "prom", "key": "tenant"}}}]);
        story.baseline("dairy", spec).await?;
        let said = story.until_fails("dairy", "SecretMissing", "Create the Secret").await?;
        ensure!(said.contains("Secret prom"), "{said}");
        secret(&story, "prom", json!({"token": TOKEN})).await?;
        story.request("dairy", "made").await?;
        let said = story.until_fails("dairy", "KeyMissing", "Add the key").await?;
        ensure!(said.contains("Secret prom has no key tenant"), "{said}");
        ensure!(gate.asked().is_empty(), "nothing is asked without every key");
        let patch = json!({"stringData": {"tenant": "dairy"}});
        story.api::<Secret>().patch("prom", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        story.request("dairy", "complete").await?;
        story.until_ready("dairy").await?;
        ensure!(!gate.asked().is_empty(), "the right token was sent");
        Ok(())
    })
    .await;
}

const TOKEN: &str = "right-token";

/// The cluster's Prometheus behind a gate that wants the token.
async fn guarded(story: &Story) -> Result<Gate> {
    Gate::open(&story.environment.prometheus, Answer::Only(format!("Bearer {TOKEN}"))).await
}

fn with_token(story: &Story, gate: &Gate, key: &str) -> Value {
    let mut spec = story.measuring(&gate.url());
    spec["sources"]["prometheus"]["auth"] =
        json!({"type": "Bearer", "bearer": {"secretKeyRef": {"name": "prom", "key": key}}});
    spec
}

async fn secret(story: &Story, name: &str, data: Value) -> Result<()> {
    story.create::<Secret>(json!({"metadata": {"name": name}, "stringData": data})).await?;
    Ok(())
}
