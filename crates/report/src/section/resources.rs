//! What a pod of a workload uses, beside what it requests and may use.

use plimsoll_analysis::record::{BaselineRecord, Container, Workload};

use crate::document::{Block, Grid, Text, numbers, words};
use plimsoll_analysis::quantity;

use crate::format;

/// Characters of a pod's random suffix and of a ReplicaSet's hash (k8s.io/apimachinery/pkg/util/rand).
const SAFE_CHARACTERS: &str = "bcdfghjklmnpqrstvwxz2456789";

/// What one pod uses: the mean over the pods that were measured.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Use {
    cores: Option<f64>,
    bytes: Option<f64>,
    pods: usize,
}

/// The amounts of one resource that the containers of a pod declare.
#[derive(Debug, Clone, PartialEq)]
enum Declared {
    /// No container declares any.
    None,
    /// Every container declares some: the sum.
    Whole(f64),
    /// Some containers declare none: the others' sum.
    Part { sum: f64, with: usize, of: usize },
    /// An amount that is no Quantity, as written.
    Unread(String),
}

pub(super) fn blocks(record: &BaselineRecord, workloads: &[Workload]) -> Vec<Block> {
    let mut grid = Grid::new([
        words("Workload"),
        words("Resource"),
        numbers("Used"),
        numbers("Requested"),
        numbers("Of request"),
        numbers("Limit"),
        numbers("Of limit"),
        numbers("Pods seen"),
    ]);
    let mut remarks = Remarks::default();
    for workload in workloads.iter().filter(|workload| !workload.containers.is_empty()) {
        let measured = match workload.usage {
            Some(_) => now(workload),
            None => over_window(record, workload, workloads),
        };
        remarks.now |= measured.is_some() && workload.usage.is_some();
        remarks.window |= measured.is_some() && workload.usage.is_none();
        for resource in resources(workload) {
            remarks.partly |= row(&mut grid, workload, &resource, measured);
        }
    }
    let Some(grid) = grid.block() else { return Vec::new() };
    vec![Block::Paragraph(Text::new(remarks.text())), grid]
}

/// What a reader must be told about the rows.
#[derive(Debug, Clone, Copy, Default)]
struct Remarks {
    /// Some use is of the window, from Prometheus.
    window: bool,
    /// Some use is of the moment of recording, from metrics-server.
    now: bool,
    /// Some amount is declared by a part of the containers only.
    partly: bool,
}

impl Remarks {
    fn text(self) -> String {
        let mut text = "Amounts of one pod".to_owned();
        text.push_str(if self.window || self.now { "; use is the mean over the pods seen." } else { "." });
        if self.window {
            text.push_str(
                " CPU is the mean over the window, memory at its end; pods are told by their names.",
            );
        }
        if self.now {
            let whose = if self.window { "Where Prometheus shows no pod, it" } else { "It" };
            text.push_str(&format!(" {whose} is what metrics-server said when the run was recorded."));
        }
        if self.partly {
            text.push_str(
                " An amount with \"1 of 2\" is declared by one of two containers, so no share is known.",
            );
        }
        text
    }
}

/// `cpu` and `memory` always, since what is not requested matters too; then whatever else is declared.
fn resources(workload: &Workload) -> Vec<String> {
    let mut names = vec!["cpu".to_owned(), "memory".to_owned()];
    for container in &workload.containers {
        for name in container.requests.keys().chain(container.limits.keys()) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

/// Appends a row, and tells whether one of its amounts is declared by a part of the containers only.
fn row(grid: &mut Grid, workload: &Workload, resource: &str, measured: Option<Use>) -> bool {
    let used = measured.and_then(|measured| match resource {
        "cpu" => measured.cores,
        "memory" => measured.bytes,
        _ => None,
    });
    let amount = |value: f64| match resource {
        "cpu" => format::cores(value),
        name if name.contains("memory") || name.contains("storage") || name.starts_with("hugepages-") => {
            format::bytes(value)
        }
        _ => format::number(value),
    };
    let requested = declared(&workload.containers, |container| container.requests.get(resource));
    let limit = declared(&workload.containers, |container| container.limits.get(resource));
    let share = |declared: &Declared| match (used, declared) {
        (Some(used), Declared::Whole(sum)) if *sum > 0.0 => Some(format::percent(used / sum * 100.0)),
        _ => None,
    };
    let (of_request, of_limit) = (share(&requested), share(&limit));
    let partly = [&requested, &limit].into_iter().any(|declared| matches!(declared, Declared::Part { .. }));
    grid.row([
        Some(format!("{} {}", workload.kind, workload.name)),
        Some(if resource == "cpu" { "CPU".to_owned() } else { resource.to_owned() }),
        used.map(amount),
        Some(requested.text(amount)),
        of_request,
        Some(limit.text(amount)),
        of_limit,
        used.and(measured).map(|measured| measured.pods.to_string()),
    ]);
    partly
}

impl Declared {
    fn text(self, amount: impl Fn(f64) -> String) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Whole(sum) => amount(sum),
            Self::Part { sum, with, of } => format!("{} ({with} of {of})", amount(sum)),
            Self::Unread(text) => text,
        }
    }
}

fn declared<'c>(containers: &'c [Container], pick: impl Fn(&'c Container) -> Option<&'c String>) -> Declared {
    let texts: Vec<&String> = containers.iter().filter_map(pick).collect();
    let amounts: Option<Vec<f64>> = texts.iter().map(|text| quantity::parse(text)).collect();
    match amounts {
        None => Declared::Unread(texts.into_iter().cloned().collect::<Vec<_>>().join(" + ")),
        Some(amounts) if amounts.is_empty() => Declared::None,
        Some(amounts) if amounts.len() == containers.len() => Declared::Whole(amounts.iter().sum()),
        Some(amounts) => {
            Declared::Part { sum: amounts.iter().sum(), with: amounts.len(), of: containers.len() }
        }
    }
}

/// Use now, from metrics-server.
fn now(workload: &Workload) -> Option<Use> {
    let usage = workload.usage.filter(|usage| usage.pods > 0)?;
    let pods = usize::try_from(usage.pods).ok()?;
    Some(Use {
        cores: Some(usage.cpu_percent_of_core / 100.0 / float(pods)),
        bytes: Some(usage.memory_mib * 1_048_576.0 / float(pods)),
        pods,
    })
}

/// Use over the window, from the pods that Prometheus shows under the workload's name.
///
/// Only pods alive at the window's end count, which are those with memory. A pod whose name two workloads could
/// have given counts for neither.
fn over_window(record: &BaselineRecord, workload: &Workload, workloads: &[Workload]) -> Option<Use> {
    let metrics = record.infrastructure_metrics.as_ref()?;
    let memory = metrics.memory_mb_by_pod.as_ref()?;
    let own = |pod: &str| {
        let mut owners = workloads.iter().filter(|other| names(other, pod));
        owners.next().is_some_and(|owner| std::ptr::eq(owner, workload)) && owners.next().is_none()
    };
    let pods: Vec<&String> = memory.keys().filter(|pod| own(pod)).collect();
    let mean = |map: &indexmap::IndexMap<String, f64>| {
        let values: Option<Vec<f64>> = pods.iter().map(|pod| map.get(*pod).copied()).collect();
        values.map(|values| values.iter().sum::<f64>() / float(values.len()))
    };
    (!pods.is_empty()).then(|| Use {
        cores: metrics.cpu_usage_by_pod.as_ref().and_then(&mean).map(|percent| percent / 100.0),
        bytes: mean(memory).map(|mebibytes| mebibytes * 1_048_576.0),
        pods: pods.len(),
    })
}

/// Whether a pod's name is one that the workload's controller gives: `NAME-HASH-RANDOM` for a Deployment,
/// `NAME-ORDINAL` for a StatefulSet, `NAME-RANDOM` for a DaemonSet.
fn names(workload: &Workload, pod: &str) -> bool {
    let Some(rest) = pod.strip_prefix(&workload.name).and_then(|rest| rest.strip_prefix('-')) else {
        return false;
    };
    let random = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.chars().all(|c| SAFE_CHARACTERS.contains(c))
    };
    match workload.kind.as_str() {
        "Deployment" => {
            rest.split_once('-').is_some_and(|(hash, suffix)| random(hash, 1..=10) && random(suffix, 5..=5))
        }
        "StatefulSet" => !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()),
        "DaemonSet" => random(rest, 5..=5),
        _ => false,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of pods")]
fn float(value: usize) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_analysis::record::Replicas;

    fn workload(kind: &str, name: &str) -> Workload {
        Workload {
            kind: kind.to_owned(),
            name: name.to_owned(),
            replicas: Replicas { desired: 1, current: 1, ready: 1 },
            restarts: None,
            containers: Vec::new(),
            autoscaler: None,
            usage: None,
        }
    }

    #[test]
    fn a_pod_is_told_by_the_name_its_controller_gives() {
        for (kind, name, pod, own) in [
            ("Deployment", "odoo", "odoo-7f9c8d6b54-x2x9k", true),
            ("Deployment", "odoo", "odoo-worker-x2x9k", false),
            ("Deployment", "odoo", "odoo-worker-7f9c8d6b54-x2x9k", false),
            ("Deployment", "odoo-worker", "odoo-worker-7f9c8d6b54-x2x9k", true),
            ("Deployment", "odoo", "odoo", false),
            ("StatefulSet", "postgres", "postgres-0", true),
            ("StatefulSet", "postgres", "postgres-", false),
            ("StatefulSet", "postgres", "postgres-x", false),
            ("DaemonSet", "agent", "agent-x2x9k", true),
            ("DaemonSet", "agent", "agent-7f9c8d6b54-x2x9k", false),
            ("CloneSet", "odoo", "odoo-x2x9k", false),
        ] {
            assert_eq!(names(&workload(kind, name), pod), own, "{kind} {name}: {pod}");
        }
    }

    #[test]
    fn amounts_of_containers_are_summed_and_gaps_are_named() {
        let container = |cpu: Option<&str>| Container {
            name: "c".to_owned(),
            requests: cpu.map(|cpu| ("cpu".to_owned(), cpu.to_owned())).into_iter().collect(),
            limits: std::collections::BTreeMap::new(),
        };
        for (cpus, text) in [
            (vec![Some("500m"), Some("1")], "1500m"),
            (vec![Some("500m"), None], "500m (1 of 2)"),
            (vec![None, None], "none"),
            (vec![Some("half"), Some("1")], "half + 1"),
        ] {
            let containers: Vec<Container> = cpus.into_iter().map(container).collect();
            let declared = declared(&containers, |container| container.requests.get("cpu"));
            assert_eq!(declared.text(format::cores), text);
        }
    }
}
