#![allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]

use super::*;
use serde_json::{Value, json};

fn job(status: Value) -> Job {
    serde_json::from_value(json!({
        "metadata": {"name": "dairy-0123456789", "uid": "job-1", "creationTimestamp": "2026-11-24T10:00:00Z",
            "annotations": {"plimsoll.dev/run-key": "sha256:key", "plimsoll.dev/request-hash": "sha256:req",
                "plimsoll.dev/nonce": "abc", "plimsoll.dev/attempt": "2"},
            "ownerReferences": [{"apiVersion": "plimsoll.dev/v1alpha1", "kind": "PerformanceBaseline",
                "name": "dairy", "uid": "owner-1", "controller": true}]},
        "spec": {"template": {}},
        "status": status,
    }))
    .unwrap()
}

fn pod(status: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "dairy-0123456789-x", "creationTimestamp": "2026-11-24T10:00:01Z",
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "job-1", "controller": true}]},
        "status": status,
    }))
    .unwrap()
}

fn container(state: Value) -> Value {
    json!({"phase": "Pending", "containerStatuses": [
        {"name": "mesh", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}},
        {"name": "plimsoll", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]})
}

const EXPECTED: Expected<'static> =
    Expected { owner_uid: "owner-1", run_key: "sha256:key", request_hash: "sha256:req" };

#[test]
fn a_job_of_this_run_is_adopted_with_its_nonce_and_attempt() {
    let ours = adopt(&job(json!({})), &EXPECTED).unwrap();
    assert_eq!((ours.nonce.as_str(), ours.attempt, ours.finished), ("abc", 2, false));
    let done = adopt(&job(json!({"conditions": [{"type": "Failed", "status": "True"}]})), &EXPECTED).unwrap();
    assert!(done.finished);
}

#[test]
fn a_job_of_anything_else_is_not_adopted() {
    for expected in [
        Expected { owner_uid: "owner-2", ..EXPECTED },
        Expected { run_key: "sha256:other", ..EXPECTED },
        Expected { request_hash: "sha256:other", ..EXPECTED },
    ] {
        assert!(adopt(&job(json!({})), &expected).is_err());
    }
}

#[test]
fn each_way_a_pod_can_wait_has_its_reason() {
    let unscheduled = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/1 nodes are available: Insufficient memory."}]});
    for (status, reason) in [
        (
            container(json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}})),
            Some(RunReason::ImagePullFailed),
        ),
        (
            container(json!({"waiting": {"reason": "CreateContainerConfigError"}})),
            Some(RunReason::ContainerRefused),
        ),
        (container(json!({"waiting": {"reason": "ContainerCreating"}})), None),
        (unscheduled, Some(RunReason::Unschedulable)),
        (json!({"phase": "Pending"}), None),
    ] {
        let Progress::Waiting(problem) = progress(&job(json!({})), &[pod(status.clone())], &[]) else {
            panic!("{status}")
        };
        assert_eq!(problem.map(|problem| problem.reason), reason, "{status}");
    }
}

#[test]
fn each_way_a_pod_can_end_has_its_reason() {
    let ended = |pod_reason: &str, reason: &str, code: i32| {
        let mut status =
            container(json!({"terminated": {"exitCode": code, "reason": reason, "message": "said\n"}}));
        status["phase"] = json!("Failed");
        status["reason"] = json!(pod_reason);
        status
    };
    for (status, reason) in [
        (ended("", "OOMKilled", 137), RunReason::OutOfMemory),
        (ended("DeadlineExceeded", "Error", 137), RunReason::DeadlineExceeded),
        (ended("Evicted", "Error", 137), RunReason::Evicted),
        (ended("", "Completed", 0), RunReason::ResultLost),
    ] {
        let Progress::Ended(end) = progress(&job(json!({})), &[pod(status.clone())], &[]) else {
            panic!("{status}")
        };
        assert_eq!(end.problem.reason, reason, "{status}");
        assert!(end.problem.message.ends_with("It said: said"), "{}", end.problem.message);
    }
    for (reason, expected) in [
        ("Evicted", RunReason::Evicted),
        ("DeadlineExceeded", RunReason::DeadlineExceeded),
        ("", RunReason::ResultLost),
    ] {
        let status = json!({"phase": "Failed", "reason": reason, "message": "m"});
        assert!(
            matches!(progress(&job(json!({})), &[pod(status)], &[]), Progress::Over(problem) if problem.reason == expected)
        );
    }
}

#[test]
fn our_container_decides_whatever_else_runs_in_the_pod() {
    let status = container(json!({"terminated": {"exitCode": 0, "reason": "Completed"}}));
    assert!(matches!(progress(&job(json!({})), &[pod(status)], &[]), Progress::Ended(_)));
}

#[test]
fn a_job_without_a_pod_says_why_by_its_newest_event() {
    let event = |second: u32, message: &str| -> Event {
        serde_json::from_value(
            json!({"metadata": {}, "involvedObject": {}, "reason": "FailedCreate", "message": message,
            "lastTimestamp": format!("2026-11-24T10:00:{second:02}Z")}),
        )
        .unwrap()
    };
    let quota = event(2, "Error creating: pods \"x\" is forbidden: exceeded quota: q, requested: pods=1");
    let security =
        event(1, "Error creating: pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\"");
    let reason = |events: &[Event]| match progress(&job(json!({})), &[], events) {
        Progress::Waiting(problem) => problem.map(|problem| problem.reason),
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(&[security.clone(), quota]), Some(RunReason::QuotaExceeded));
    assert_eq!(reason(&[security]), Some(RunReason::PodRefused));
    assert_eq!(reason(&[]), None);
}

#[test]
fn a_finished_job_without_a_pod_has_lost_its_result() {
    let failed = json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}]});
    assert!(
        matches!(progress(&job(failed), &[], &[]), Progress::Over(problem) if problem.reason == RunReason::ResultLost)
    );
    let complete = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    assert!(
        matches!(progress(&job(complete), &[], &[]), Progress::Over(problem) if problem.reason == RunReason::ResultLost)
    );
}

#[test]
fn a_pod_of_another_job_is_not_looked_at() {
    let mut other = pod(json!({"phase": "Running"}));
    other.metadata.owner_references.as_mut().unwrap()[0].uid = "job-2".to_owned();
    assert_eq!(progress(&job(json!({})), &[other], &[]), Progress::Waiting(None));
}
