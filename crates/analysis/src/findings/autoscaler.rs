//! Rules on horizontal autoscalers.

use super::{Rule, behind_requests, finding};
use crate::judgement::{Finding, Impact};
use crate::record::{Autoscaler, BaselineRecord, Workload};

/// Problems that one finding names.
const MAX_PROBLEMS: usize = 3;

/// Each workload with its place and its autoscaler.
fn scaled(record: &BaselineRecord) -> impl Iterator<Item = (usize, &Workload, &Autoscaler)> {
    let workloads = record.kubernetes.iter().flat_map(|facts| facts.workloads.iter().enumerate());
    workloads.filter_map(|(index, workload)| Some((index, workload, workload.autoscaler.as_ref()?)))
}

fn path(index: usize) -> Vec<String> {
    vec![format!("kubernetes.workloads.{index}.autoscaler")]
}

/// The metrics as `cpu 82% of 70%`.
fn metrics(autoscaler: &Autoscaler) -> String {
    let metrics = autoscaler.metrics.iter().map(|metric| {
        format!("{} {} of {}", metric.name, metric.current.as_deref().unwrap_or("unknown"), metric.target)
    });
    metrics.collect::<Vec<_>>().join(", ")
}

fn subject(autoscaler: &Autoscaler, workload: &Workload) -> String {
    format!("{} ({} {})", autoscaler.name, workload.kind, workload.name)
}

/// No more replicas.
pub(super) const AT_MAXIMUM: Rule = Rule {
    id: "autoscaler-at-maximum",
    fires: || "an autoscaler that may scale has as many replicas as it may".to_owned(),
    find: |record| {
        let at_maximum = scaled(record).filter(|(_, _, one)| {
            one.max_replicas > one.min_replicas && one.current_replicas >= one.max_replicas
        });
        let found = at_maximum.map(|(index, workload, one)| Finding {
            evidence: format!("{} of at most {} replicas; {}", one.current_replicas, one.max_replicas, metrics(one)),
            action: "Raise maxReplicas if the nodes, the database's connections and the cost allow it; or make a pod do more. More load finds no more pods".to_owned(),
            paths: path(index),
            explains: behind_requests(&["infrastructure.cpu", "web.errorRatio", "api.errorRatio"]),
            ..finding(&AT_MAXIMUM, Impact::High, subject(one, workload))
        });
        found.collect()
    },
};

/// Replicas that are wanted and not there.
pub(super) const BEHIND: Rule = Rule {
    id: "autoscaler-behind",
    fires: || "an autoscaler wants more replicas than there are".to_owned(),
    find: |record| {
        let behind = scaled(record).filter(|(_, _, one)| one.desired_replicas > one.current_replicas);
        let found = behind.map(|(index, workload, one)| Finding {
            evidence: format!(
                "{} replicas wanted, {} there at the moment of the run; {}",
                one.desired_replicas,
                one.current_replicas,
                metrics(one)
            ),
            action: "If it stays so, read the Events of the ReplicaSet and of pending pods: a quota, no node with room, or a slow image pull holds the new pods back".to_owned(),
            paths: path(index),
            explains: behind_requests(&["web.errorRatio", "api.errorRatio"]),
            ..finding(&BEHIND, Impact::Medium, subject(one, workload))
        });
        found.collect()
    },
};

/// An autoscaler that does not work.
pub(super) const PROBLEM: Rule = Rule {
    id: "autoscaler-problem",
    fires: || {
        "an autoscaler has a condition that is not as it should be, or a metric that it does not know"
            .to_owned()
    },
    find: |record| {
        let broken = scaled(record).filter(|(_, _, one)| !one.problems.is_empty());
        let found = broken.map(|(index, workload, one)| {
            let shown: Vec<&str> = one.problems.iter().take(MAX_PROBLEMS).map(String::as_str).collect();
            Finding {
                evidence: shown.join("; "),
                action: "Until it is mended it does not scale: kubectl describe hpa says which metric fails; check metrics-server or the metrics adapter, and that each container has a CPU request".to_owned(),
                paths: path(index),
                explains: behind_requests(&["web.errorRatio", "api.errorRatio"]),
                ..finding(&PROBLEM, Impact::High, subject(one, workload))
            }
        });
        found.collect()
    },
};
