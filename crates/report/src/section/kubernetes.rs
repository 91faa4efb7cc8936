//! Workloads as the Kubernetes API shows them: replicas, restarts, resources, autoscalers.

use plimsoll_analysis::record::{Autoscaler, BaselineRecord, Workload};

use super::resources;
use crate::document::{Block, Grid, Text, list, numbers, words};
use crate::format;

pub(super) fn blocks(record: &BaselineRecord) -> Vec<Block> {
    let Some(facts) = &record.kubernetes else {
        return Vec::new();
    };
    let mut blocks = vec![Block::Heading("Kubernetes")];
    if facts.workloads.is_empty() && facts.unknown.is_empty() {
        let text = "No Deployment, StatefulSet or DaemonSet of the namespace matches the selector.";
        blocks.push(Block::Paragraph(Text::new(text)));
    }
    blocks.extend(workloads(&facts.workloads).block());
    blocks.extend(resources::blocks(record, &facts.workloads));
    blocks.extend(autoscalers(&facts.workloads).block());
    let problems =
        facts.workloads.iter().filter_map(|workload| workload.autoscaler.as_ref()).flat_map(problems);
    let unknown = facts
        .unknown
        .iter()
        .map(|unknown| Text::new("Unknown: ").strong(&unknown.fact).plain(": ").sentence(&unknown.message));
    blocks.extend(list(problems.chain(unknown).collect()));
    blocks
}

fn workloads(workloads: &[Workload]) -> Grid {
    let mut grid = Grid::new([words("Workload"), numbers("Ready"), numbers("Existing"), numbers("Restarts")]);
    // Existing differs from desired only while something is under way.
    let settled = workloads.iter().all(|workload| workload.replicas.current == workload.replicas.desired);
    for workload in workloads {
        let replicas = workload.replicas;
        grid.row([
            Some(format!("{} {}", workload.kind, workload.name)),
            Some(format!("{} of {}", replicas.ready, replicas.desired)),
            (!settled).then(|| replicas.current.to_string()),
            workload.restarts.map(format::count),
        ]);
    }
    grid
}

/// One row a metric; what belongs to the autoscaler as a whole stands in its first row.
fn autoscalers(workloads: &[Workload]) -> Grid {
    let mut grid = Grid::new([
        words("Autoscaler"),
        words("Of"),
        numbers("Replicas"),
        numbers("Wanted"),
        numbers("Bounds"),
        words("Metric"),
        numbers("Current"),
        numbers("Target"),
    ]);
    for workload in workloads {
        let Some(autoscaler) = &workload.autoscaler else { continue };
        let mut metrics = autoscaler.metrics.iter();
        let first = metrics.next();
        let current = |metric: &plimsoll_analysis::record::AutoscalerMetric| {
            metric.current.clone().unwrap_or_else(|| "unknown".to_owned())
        };
        grid.row([
            Some(autoscaler.name.clone()),
            Some(format!("{} {}", workload.kind, workload.name)),
            Some(autoscaler.current_replicas.to_string()),
            Some(autoscaler.desired_replicas.to_string()),
            Some(format!("{} to {}", autoscaler.min_replicas, autoscaler.max_replicas)),
            first.map(|metric| metric.name.clone()),
            first.map(current),
            first.map(|metric| metric.target.clone()),
        ]);
        for metric in metrics {
            grid.row([
                Some(autoscaler.name.clone()),
                Some(format!("{} {}", workload.kind, workload.name)),
                None,
                None,
                None,
                Some(metric.name.clone()),
                Some(current(metric)),
                Some(metric.target.clone()),
            ]);
        }
    }
    grid
}

/// What is wrong with an autoscaler, and that it cannot grow any more.
fn problems(autoscaler: &Autoscaler) -> Vec<Text> {
    let name = || Text::new("Autoscaler ").strong(&autoscaler.name);
    let mut texts: Vec<Text> =
        autoscaler.problems.iter().map(|problem| name().plain(": ").sentence(problem)).collect();
    if autoscaler.current_replicas >= autoscaler.max_replicas {
        texts.push(name().plain(" is at its maximum and cannot scale up further."));
    }
    texts
}
