//! `deletionPolicy`: whose the records are, and what becomes of them when the baseline goes.

use k8s_openapi::api::core::v1::ConfigMap;
use plimsoll_api::baseline::{AppliedPolicy, DeletionPolicy};
use plimsoll_api::{PerformanceBaseline, RUN_KEY_ANNOTATION, UID_LABEL};
use plimsoll_testkit::fixtures::{BaselineFixture as _, NAMESPACE};
use plimsoll_testkit::server::Verb;
use plimsoll_testkit::{FixedClock, every_crash_point};

use crate::stage::{DAIRY, Stage, dairy};

fn set(stage: &Stage, policy: DeletionPolicy) {
    let change = |baseline: &mut PerformanceBaseline| baseline.spec.deletion_policy = policy;
    stage.server.edit::<PerformanceBaseline>(NAMESPACE, DAIRY, change);
}

async fn request(stage: &Stage, value: &str) {
    stage.server.edit::<PerformanceBaseline>(NAMESPACE, DAIRY, |baseline| {
        let annotations = baseline.metadata.annotations.get_or_insert_default();
        annotations.insert("plimsoll.dev/run".to_owned(), value.to_owned());
    });
    stage.run().await.unwrap();
}

/// Every ConfigMap with whether it has an owner; each says by label and annotation whose it is.
fn owned(stage: &Stage) -> Vec<bool> {
    let uid = stage.dairy().metadata.uid;
    let maps = stage.server.list::<ConfigMap>(NAMESPACE);
    maps.iter()
        .map(|map| {
            let meta = &map.metadata;
            assert_eq!(meta.labels.as_ref().and_then(|labels| labels.get(UID_LABEL)), uid.as_ref());
            assert!(meta.annotations.as_ref().unwrap()[RUN_KEY_ANNOTATION].starts_with("sha256:"));
            meta.owner_references.as_ref().is_some_and(|owners| !owners.is_empty())
        })
        .collect()
}

#[tokio::test]
async fn an_edit_of_the_policy_changes_the_records_of_kept_runs_once() {
    let stage = Stage::with_dairy();
    stage.run().await.unwrap();
    request(&stage, "again").await;
    assert_eq!(owned(&stage), [true; 4]);
    for (policy, applied, has_owner) in [
        (DeletionPolicy::Retain, AppliedPolicy::Retain, false),
        (DeletionPolicy::Delete, AppliedPolicy::Delete, true),
        (DeletionPolicy::Retain, AppliedPolicy::Retain, false),
    ] {
        set(&stage, policy);
        stage.settle().await.unwrap();
        assert_eq!(owned(&stage), [has_owner; 4], "{policy:?}");
        assert_eq!(stage.status().deletion_policy, Some(applied));
        let writes = stage.server.writes().len();
        assert!(!stage.reconcile().await.changed);
        assert_eq!(stage.server.writes().len(), writes);
    }
    // A run that comes after is kept from its first moment.
    request(&stage, "once more").await;
    assert_eq!(owned(&stage), [false; 6]);
}

#[tokio::test]
async fn an_edit_that_is_taken_back_midway_leaves_none_behind() {
    let stage = Stage::with_dairy();
    stage.run().await.unwrap();
    set(&stage, DeletionPolicy::Retain);
    // One ConfigMap follows, then the operator may write no more.
    stage.server.forbid(Verb::Patch, "configmaps");
    stage.settle().await.unwrap();
    assert_eq!(stage.status().deletion_policy, Some(AppliedPolicy::Changing));
    assert_eq!(stage.condition("Stalled").status, "True");
    let report = stage.maps().remove(1);
    stage.server.edit::<ConfigMap>(NAMESPACE, &report, |map| map.metadata.owner_references = None);
    set(&stage, DeletionPolicy::Delete);
    stage.server.permit(Verb::Patch, "configmaps");
    stage.settle().await.unwrap();
    assert_eq!(owned(&stage), [true; 2]);
    assert_eq!(stage.says("Stalled"), "False: AsExpected");
}

#[tokio::test]
async fn a_run_under_way_is_kept_too() {
    let stage = Stage::with_dairy();
    stage.settle().await.unwrap();
    set(&stage, DeletionPolicy::Retain);
    stage.settle().await.unwrap();
    stage.deliver();
    stage.settle().await.unwrap();
    assert_eq!(owned(&stage), [false; 2]);
    assert_eq!(stage.says("Ready"), "True: Recorded");
}

#[tokio::test]
async fn old_records_are_pruned_under_either_policy() {
    let stage = Stage::new();
    let mut baseline = dairy();
    baseline.spec.deletion_policy = DeletionPolicy::Retain;
    baseline.spec.history_limit = 1;
    stage.server.put(baseline);
    stage.run().await.unwrap();
    let first = stage.maps();
    request(&stage, "again").await;
    assert_eq!(stage.maps().len(), 2);
    assert!(stage.maps().iter().all(|name| !first.contains(name)));
}

#[tokio::test]
async fn retained_records_outlive_their_baseline_and_are_nobody_elses() {
    let stage = Stage::new();
    let mut baseline = dairy();
    baseline.spec.deletion_policy = DeletionPolicy::Retain;
    stage.server.put(baseline);
    stage.run().await.unwrap();
    let kept: Vec<ConfigMap> = stage.server.list(NAMESPACE);
    stage.server.delete::<PerformanceBaseline>(NAMESPACE, DAIRY);
    assert_eq!(stage.server.list::<ConfigMap>(NAMESPACE), kept);

    let mut heir = dairy().uid("11111111-0000-4000-8000-00000000c0c0");
    heir.spec.history_limit = 1;
    stage.server.put(heir);
    stage.run().await.unwrap();
    request(&stage, "again").await;
    let now: Vec<ConfigMap> = stage.server.list(NAMESPACE);
    assert_eq!(now.len(), kept.len() + 2);
    for map in &kept {
        assert!(now.contains(map), "{:?} was changed", map.metadata.name);
    }
}

#[tokio::test]
async fn an_edit_of_the_policy_is_followed_wherever_the_operator_crashes() {
    let report = every_crash_point(|server| async move {
        let stage = Stage::on(server, FixedClock::at("2026-11-24T10:00:00Z"));
        stage.server.put(dairy());
        stage.run().await?;
        set(&stage, DeletionPolicy::Retain);
        stage.settle().await?;
        assert_eq!(owned(&stage), [false; 2]);
        assert_eq!(stage.status().deletion_policy, Some(AppliedPolicy::Retain));
        Ok::<(), String>(())
    })
    .await;
    report.assert_clean();
}
