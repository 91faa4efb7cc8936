//! A crash before, after and in doubt at every write leads to the same end.

use plimsoll_analysis::record::SourceReason;
use plimsoll_operator::context::Settings;
use plimsoll_testkit::fixtures::{BaselineFixture as _, NAMESPACE, baseline, fail_source};
use plimsoll_testkit::{FakeApiServer, FixedClock, every_crash_point};

use serde_json::json;

use crate::stage::{Stage, dairy};

fn stage(server: FakeApiServer) -> Stage {
    Stage::on(server, FixedClock::at("2026-11-24T10:00:00Z"))
}

#[tokio::test]
async fn a_run_ends_the_same_wherever_the_operator_crashes() {
    let report = every_crash_point(|server| async move {
        let stage = stage(server);
        stage.server.put(dairy());
        stage.run().await?;
        assert_eq!(stage.says("Ready"), "True: Recorded");
        Ok::<(), String>(())
    })
    .await;
    report.assert_clean();
    println!("{} writes x 3 faults", report.writes.len());
    // Intent, Job, its UID in status, record, report, result in status, time to live, end in status, two Events.
    assert_eq!(report.writes.len(), 10, "{report}");
}

#[tokio::test]
async fn a_second_run_with_old_records_ends_the_same_wherever_the_operator_crashes() {
    let report = every_crash_point(|server| async move {
        let stage = stage(server);
        let mut baseline = dairy();
        baseline.spec.history_limit = 1;
        stage.server.put(baseline);
        stage.run().await?;
        stage.server.edit::<plimsoll_api::PerformanceBaseline>(NAMESPACE, "dairy", |dairy| {
            dairy.spec.window = "10m".to_owned();
        });
        stage.run().await?;
        assert_eq!(stage.maps().len(), 2, "{:?}", stage.maps());
        assert_eq!(stage.status().history.len(), 1);
        Ok::<(), String>(())
    })
    .await;
    report.assert_clean();
}

#[tokio::test]
async fn a_failed_source_ends_the_same_wherever_the_operator_crashes() {
    let report = every_crash_point(|server| async move {
        let stage = stage(server);
        stage.server.put(dairy());
        stage.settle().await?;
        let job = stage.job();
        job.start();
        job.delivers(|record| fail_source(record, SourceReason::AuthenticationFailed, "401")).completes();
        stage.settle().await?;
        assert_eq!(stage.says("Stalled"), "True: AuthenticationFailed");
        Ok::<(), String>(())
    })
    .await;
    report.assert_clean();
}

#[tokio::test]
async fn a_lost_result_is_measured_once_more_wherever_the_operator_crashes() {
    let report = every_crash_point(|server| async move {
        let stage = stage(server);
        stage.server.put(dairy());
        stage.settle().await?;
        let job = stage.job();
        job.start();
        job.succeeds("no frame here\n", "").completes();
        stage.settle().await?;
        stage.deliver();
        stage.settle().await?;
        assert_eq!(stage.says("Ready"), "True: Recorded");
        Ok::<(), String>(())
    })
    .await;
    report.assert_clean();
}

#[tokio::test]
async fn a_run_without_a_job_ends_the_same_wherever_the_operator_crashes() {
    let report = every_crash_point(|server| async move {
        let stage = stage(server);
        stage.server.put(baseline("dairy").workloads());
        stage.settle().await?;
        assert_eq!(stage.says("Ready"), "True: Recorded");
        assert!(stage.jobs().is_empty());
        Ok::<(), String>(())
    })
    .await;
    report.assert_clean();
}

#[tokio::test]
async fn a_run_with_figures_since_the_previous_one_ends_the_same_wherever_the_operator_crashes() {
    let report = every_crash_point(|server| async move {
        // The Job's counters grow by the server's clock.
        let clock = server.clock();
        let mut stage = Stage::on(server, clock);
        let settings = Settings { allow_secrets_without_policy: true, ..(*stage.context.settings).clone() };
        stage.context.settings = settings.into();
        let mut dairy = baseline("dairy").postgres().redis();
        dairy.spec.history_limit = 1;
        stage.server.put(dairy);
        stage.run().await?;
        stage.advance(7_200);
        stage.server.edit::<plimsoll_api::PerformanceBaseline>(NAMESPACE, "dairy", |dairy| {
            let annotations = dairy.metadata.annotations.get_or_insert_default();
            annotations.insert("plimsoll.dev/run".to_owned(), "again".to_owned());
        });
        stage.run().await?;
        let summary = stage.status().summary.unwrap_or_default();
        assert_eq!(summary.cache_hit.as_deref(), Some("80%"), "since the previous run");
        Ok::<(), String>(())
    })
    .await;
    report.assert_clean();
}

#[tokio::test]
async fn an_edit_that_judges_again_ends_the_same_wherever_the_operator_crashes() {
    let report = every_crash_point(|server| async move {
        let clock = server.clock();
        let stage = Stage::on(server, clock);
        stage.server.put(dairy().objectives(&page("3s")).compared_to(&json!({"type": "PreviousRun"})));
        stage.run().await?;
        stage.advance(3_600);
        stage.request("again");
        stage.run().await?;
        assert_eq!(stage.says("ObjectivesMet"), "True: AllMet");
        stage.server.edit::<plimsoll_api::PerformanceBaseline>(NAMESPACE, "dairy", |baseline| {
            baseline.spec.objectives = dairy().objectives(&page("1s")).spec.objectives;
        });
        stage.settle().await?;
        assert_eq!(stage.says("ObjectivesMet"), "False: ObjectivesMissed");
        assert_eq!(stage.status().history.len(), 2);
        Ok::<(), String>(())
    })
    .await;
    report.assert_clean();
    println!("{} writes x 3 faults", report.writes.len());
    // Two runs of ten, the edit's report and status, and the Event of the objective that is missed now.
    assert_eq!(report.writes.len(), 23, "{report}");
}

fn page(bound: &str) -> serde_json::Value {
    json!([{"name": "page", "indicator": "web.latency.p95", "lessThan": bound}])
}
