//! The writes of a real run against those that the crash test goes through.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use plimsoll_api::PerformanceBaseline;
use plimsoll_operator::baseline::reconcile;
use plimsoll_operator::context::{Context, Settings};
use plimsoll_operator::events::Publisher;
use plimsoll_operator::job::settings::JobSettings;
use plimsoll_operator::metrics::Metrics;
use plimsoll_stories::audit::{OPERATOR, calls_of, counted};
use plimsoll_stories::baseline::RUN;
use plimsoll_stories::story::Story;
use plimsoll_testkit::fixtures::{BaselineFixture as _, NAMESPACE, PROMETHEUS, baseline};
use plimsoll_testkit::{FakeApiServer, JobDouble};
use serde_json::json;

use crate::alone;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_run_makes_the_writes_that_the_crash_test_goes_through() {
    alone("writes", |story: Story| async move {
        let mut spec = story.dairy();
        spec["api"] = json!({});
        story.baseline("dairy", spec).await?;
        story.until_ready("dairy").await?;
        let rests = |status: &plimsoll_api::PerformanceBaselineStatus| status.current_run.is_none();
        story.until_baseline("the run is cleaned up", "dairy", RUN, rests).await?;
        let calls = calls_of(&story.admin, OPERATOR).await?;
        let mine =
            calls.iter().filter(|call| call.object_ref.namespace == story.namespace && call.is_write());
        let real = counted(mine);
        let double = writes_of_the_double().await?;
        println!("writes of a real run, by the audit log: {real:?}");
        println!("writes of the crash test's run:         {double:?}");
        println!("{} writes and {}", real.values().sum::<usize>(), double.values().sum::<usize>());
        ensure!(real == double, "the crash test goes through other writes than a real run makes");
        Ok(())
    })
    .await;
}

/// The writes of one undisturbed run on the fake API server, as in `crates/operator/tests/reconcile/crash.rs`.
async fn writes_of_the_double() -> Result<BTreeMap<String, usize>> {
    let server = FakeApiServer::new();
    let context = Context {
        client: server.client(),
        clock: Arc::new(Timestamp::now),
        settings: Arc::new(Settings {
            image: "plimsoll:test".to_owned(),
            jobs: JobSettings::default(),
            reference_policy: None,
            allow_secrets_without_policy: false,
            api_server: vec!["10.96.0.1:443".to_owned()],
        }),
        events: Publisher::new(server.client(), Some("operator-0".to_owned())),
        metrics: Arc::new(Metrics::default()),
    };
    server.put(baseline("dairy").prometheus(PROMETHEUS).window("5m").web().api());
    let dairy = || server.get::<PerformanceBaseline>(NAMESPACE, "dairy").context("the baseline");
    reconcile(&dairy()?, &context).await?;
    let run = dairy()?.status.and_then(|status| status.current_run).context("a run")?;
    let job = JobDouble::new(&server, NAMESPACE, &run.name);
    job.start();
    job.runs();
    job.delivers(|_| {}).completes();
    reconcile(&dairy()?, &context).await?;
    let mut counts = BTreeMap::new();
    for write in server.writes() {
        let resource = &write.object.resource;
        let parts: Vec<&str> =
            [resource.group.as_str(), resource.plural.as_str(), write.subresource.as_str()]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect();
        *counts.entry(format!("{} {}", write.verb.as_str(), parts.join("/"))).or_default() += 1;
    }
    Ok(counts)
}
