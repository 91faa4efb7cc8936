//! Rules on pods: CPU limits, memory limits, restarts.

use std::collections::BTreeMap;

use super::{Rule, behind_requests, effect, entry, finding, names};
use crate::format::{count, mebibytes, percent};
use crate::judgement::{Finding, Impact};
use crate::quantity;
use crate::ranking::OTHERS;
use crate::record::{BaselineRecord, Workload};

/// Part of the scheduler's periods in which a pod was held back from which on requests feel it, percent.
const THROTTLED_PERCENT: f64 = 10.0;
/// Part of them from which on most requests do, percent.
const MUCH_THROTTLED_PERCENT: f64 = 25.0;
/// Part of the memory limit in use from which on little is missing to the limit, percent.
const MEMORY_PERCENT: f64 = 90.0;
/// Restarts of the pods that exist from which on something is wrong with them.
const RESTARTS_FROM: u64 = 3;
/// Restarts from which on users feel them.
const MANY_RESTARTS: u64 = 10;
/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;

fn workloads(record: &BaselineRecord) -> &[Workload] {
    record.kubernetes.as_ref().map_or(&[], |facts| &facts.workloads)
}

/// How a workload is called in a finding.
pub(super) fn subject(workload: &Workload) -> String {
    format!("{} {}", workload.kind, workload.name)
}

/// Whether a pod is named as this workload's pods are: a Deployment adds a hash and a suffix, a DaemonSet a suffix, a
/// StatefulSet a number.
fn is_of(workload: &Workload, pod: &str) -> bool {
    let Some(rest) = pod.strip_prefix(&workload.name).and_then(|rest| rest.strip_prefix('-')) else {
        return false;
    };
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let mut words = rest.split('-');
    match (workload.kind.as_str(), words.next(), words.next(), words.next()) {
        ("Deployment", Some(hash), Some(suffix), None) => is_word(hash) && is_word(suffix),
        ("DaemonSet", Some(suffix), None, None) => is_word(suffix),
        ("StatefulSet", Some(number), None, None) => {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

/// What a pod belongs to: its workload, or itself where none is known.
fn owner(record: &BaselineRecord, pod: &str) -> String {
    workloads(record)
        .iter()
        .find(|workload| is_of(workload, pod))
        .map_or_else(|| format!("pod {pod}"), subject)
}

/// Pods that wait for CPU because of their limit.
pub(super) const CPU_THROTTLING: Rule = Rule {
    id: "cpu-throttling",
    fires: || {
        format!(
            "a pod is held at its CPU limit in at least {THROTTLED_PERCENT}% of the scheduler's periods; one finding a workload; High from {MUCH_THROTTLED_PERCENT}%"
        )
    },
    find: cpu_throttling,
};

fn cpu_throttling(record: &BaselineRecord) -> Vec<Finding> {
    const PATH: &str = "infrastructure_metrics.cpu_throttled_percent_by_pod";
    let pods = record.infrastructure_metrics.iter();
    let pods = pods.flat_map(|metrics| metrics.cpu_throttled_percent_by_pod.iter().flatten());
    let mut owners: BTreeMap<String, Vec<(&str, f64)>> = BTreeMap::new();
    for (pod, throttled) in pods.filter(|(pod, _)| *pod != OTHERS) {
        if *throttled >= THROTTLED_PERCENT {
            owners.entry(owner(record, pod)).or_default().push((pod, *throttled));
        }
    }
    let found = owners.into_iter().filter_map(|(subject, pods)| {
        let (worst, most) = pods.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let impact = if most >= MUCH_THROTTLED_PERCENT { Impact::High } else { Impact::Medium };
        let pods = if pods.len() == 1 { "1 pod".to_owned() } else { format!("{} pods", pods.len()) };
        Some(Finding {
            effect_percent: effect(most),
            evidence: format!("{pods} held at the CPU limit, worst {worst} in {} of its periods", percent(most)),
            action: "Raise the CPU limit, or remove it and keep the request: while a pod waits for its next period every request in it waits".to_owned(),
            paths: vec![entry(PATH, worst)],
            explains: behind_requests(&[]),
            ..finding(&CPU_THROTTLING, impact, subject)
        })
    });
    found.collect()
}

/// Pods that are near being killed.
pub(super) const MEMORY_NEAR_LIMIT: Rule = Rule {
    id: "memory-near-limit",
    fires: || {
        format!(
            "the pods of a workload use at least {MEMORY_PERCENT}% of their memory limits: High by metrics-server's working set, Medium where only cAdvisor's usage is known, which holds page cache"
        )
    },
    find: memory_near_limit,
};

/// Memory limit of a pod, MiB; `None` where a container has none.
fn limit_mib(workload: &Workload) -> Option<f64> {
    if workload.containers.is_empty() {
        return None;
    }
    let limits = workload.containers.iter().map(|container| quantity::parse(container.limits.get("memory")?));
    let sum: f64 = limits.sum::<Option<f64>>()?;
    Some(sum / MIB).filter(|limit| *limit > 0.0)
}

fn memory_near_limit(record: &BaselineRecord) -> Vec<Finding> {
    let found = workloads(record).iter().enumerate().filter_map(|(index, workload)| {
        let limit = limit_mib(workload)?;
        let path = format!("kubernetes.workloads.{index}");
        let usage = workload.usage.filter(|usage| usage.pods > 0);
        let (used, evidence, impact, path) = match usage {
            Some(usage) => {
                #[expect(clippy::cast_precision_loss, reason = "a count of pods")]
                let mean = usage.memory_mib / usage.pods as f64;
                (mean, format!("{} a pod on average, working set", mebibytes(mean)), Impact::High, path)
            }
            None => {
                let (pod, most) = fullest(record, workload)?;
                let path = entry("infrastructure_metrics.memory_mb_by_pod", pod);
                (most, format!("{} in {pod}, page cache included", mebibytes(most)), Impact::Medium, path)
            }
        };
        let part = used / limit * 100.0;
        (part >= MEMORY_PERCENT).then(|| Finding {
            evidence: format!("{evidence}: {} of the limit of {}", percent(part), mebibytes(limit)),
            action: "Raise the memory limit, or find what grows: at the limit the kernel kills the container, and its requests are lost".to_owned(),
            paths: vec![path],
            explains: names(&["infrastructure.memory", "web.errorRatio", "api.errorRatio"]),
            ..finding(&MEMORY_NEAR_LIMIT, impact, subject(workload))
        })
    });
    found.collect()
}

/// The pod of a workload with the most memory.
fn fullest<'a>(record: &'a BaselineRecord, workload: &Workload) -> Option<(&'a str, f64)> {
    let pods = record.infrastructure_metrics.as_ref()?.memory_mb_by_pod.as_ref()?;
    let own = pods.iter().filter(|(pod, _)| is_of(workload, pod));
    own.max_by(|a, b| a.1.total_cmp(b.1)).map(|(pod, used)| (pod.as_str(), *used))
}

/// Containers that end.
pub(super) const RESTARTS: Rule = Rule {
    id: "restarts",
    fires: || {
        format!(
            "the containers of a workload's pods were restarted at least {RESTARTS_FROM} times; High from {MANY_RESTARTS} times, or where a replica is not ready"
        )
    },
    find: |record| {
        let found = workloads(record).iter().enumerate().filter_map(|(index, workload)| {
            let restarts = workload.restarts.filter(|restarts| *restarts >= RESTARTS_FROM)?;
            let replicas = workload.replicas;
            let is_high = restarts >= MANY_RESTARTS || replicas.ready < replicas.desired;
            Some(Finding {
                evidence: format!(
                    "{} restarts of the pods that exist; {} of {} replicas ready",
                    count(restarts),
                    replicas.ready,
                    replicas.desired
                ),
                action: "Read why they ended: kubectl describe pod shows the last state (OOMKilled: memory limit; Error: logs of --previous), and a failing liveness probe in the Events".to_owned(),
                paths: vec![format!("kubernetes.workloads.{index}")],
                explains: names(&["web.errorRatio", "api.errorRatio"]),
                ..finding(
                    &RESTARTS,
                    if is_high { Impact::High } else { Impact::Medium },
                    subject(workload),
                )
            })
        });
        found.collect()
    },
};
