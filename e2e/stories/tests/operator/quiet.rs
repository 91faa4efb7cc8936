//! An operator with nothing to do.

use std::time::Duration;

use anyhow::ensure;
use futures::future::try_join_all;
use jiff::Timestamp;
use plimsoll_stories::audit::{OPERATOR, calls_of, counted};
use plimsoll_stories::baseline::RUN;
use plimsoll_stories::story::Story;
use serde_json::json;

use crate::alone;

/// How long it is watched.
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_operator_writes_nothing_but_its_lease() {
    alone("idle", |story: Story| async move {
        let mut scheduled = story.dairy();
        scheduled["schedule"] = json!("0 2 1 1 *");
        let mut suspended = story.dairy();
        suspended["suspend"] = json!(true);
        let mut invalid = story.dairy();
        invalid["schedule"] = json!("every monday");
        let stalled = story.measuring("http://10.244.0.1:9090/nothing-here");
        let specs = [("ready", story.dairy()), ("scheduled", scheduled), ("stalled", stalled)];
        try_join_all(specs.into_iter().map(|(name, spec)| story.baseline(name, spec))).await?;
        story.baseline("suspended", suspended).await?;
        story.baseline("invalid", invalid).await?;
        story.until_ready("ready").await?;
        story.until_ready("scheduled").await?;
        story.until_says("stalled", "Stalled", "True: BadAnswer", RUN).await?;
        story.until_says("suspended", "Ready", "False: Suspended", RUN).await?;
        story.until_says("invalid", "Stalled", "True: InvalidSpec", RUN).await?;
        for name in ["ready", "scheduled", "stalled"] {
            let rests = |status: &plimsoll_api::PerformanceBaselineStatus| status.current_run.is_none();
            story.until_baseline("the run is cleaned up", name, RUN, rests).await?;
        }
        // From here on the minute itself is what is measured. The Lease is not in the audit log by its policy.
        let from = Timestamp::now();
        tokio::time::sleep(MINUTE).await;
        let to = Timestamp::now();
        let calls = calls_of(&story.admin, OPERATOR).await?;
        let during = calls.iter().filter(|call| {
            let at = call.request_received_timestamp;
            from <= at && at <= to && call.stage == "ResponseComplete"
        });
        let writes = counted(during.clone().filter(|call| call.is_write()));
        println!("calls in {} s: {:?}", to.duration_since(from).as_secs(), counted(during));
        println!("writes: {writes:?}");
        ensure!(writes.is_empty(), "an idle operator writes: {writes:?}");
        Ok(())
    })
    .await;
}
