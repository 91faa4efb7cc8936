//! Pods by CPU and memory, and the network.

use plimsoll_analysis::record::{BaselineRecord, InfrastructureMetrics};

use super::figures::{self, Figure};
use super::{basis_of_entry, has_basis};
use crate::document::{Block, Grid, Text, list, numbers, words};
use crate::format;

/// Path of the section.
const SECTION: &str = "infrastructure_metrics";
/// The entry that sums the pods beyond the longest list.
const OTHERS: &str = "(others)";

pub(super) fn blocks(record: &BaselineRecord) -> Vec<Block> {
    if record.infrastructure_metrics.is_none() && !has_basis(record, SECTION) {
        return Vec::new();
    }
    let metrics = record.infrastructure_metrics.clone().unwrap_or_default();
    let mut blocks = vec![Block::Heading("Infrastructure")];
    let pods = pods(record, &metrics).block();
    if pods.is_some() {
        let paths = ["cpu_usage_by_pod", "memory_mb_by_pod"].map(|key| format!("{SECTION}.{key}"));
        let source = paths.iter().find(|path| record.basis.contains_key(*path));
        blocks.push(Block::Paragraph(explanation(&metrics).source(source.map(String::as_str))));
    }
    blocks.extend(pods);
    let figures = figures(record, &metrics);
    let (maps, network) = figures.split_at(2);
    blocks.extend(figures::table(network, record).block());
    let known = |figure: &&Figure<'_>| figure.value.is_some() || figure.basis.is_some();
    let noted: Vec<Figure<'_>> = maps.iter().chain(network).filter(known).cloned().collect();
    blocks.extend(list(figures::notes(&noted, figures::NO_REASON)));
    if blocks.len() == 1 {
        blocks.push(Block::Paragraph(Text::new("No pod of the namespace was seen within the window.")));
    }
    blocks
}

/// The two maps as a whole, then the network.
fn figures<'a>(record: &'a BaselineRecord, metrics: &InfrastructureMetrics) -> [Figure<'a>; 3] {
    let figure = |name: &str, key: &str, value: Option<String>| Figure {
        group: None,
        name: name.to_owned(),
        value,
        basis: record.basis.get(&format!("{SECTION}.{key}")),
        sample: figures::SCRAPE,
    };
    let network = metrics.network_receive_mib_per_second.or(metrics.network_receive_mbps);
    let mut received = figure(
        "Network received",
        "network_receive_mib_per_second",
        network.map(|rate| format!("{}/s", format::mebibytes(rate))),
    );
    received.basis = received.basis.or_else(|| record.basis.get(&format!("{SECTION}.network_receive_mbps")));
    [
        figure("CPU", "cpu_usage_by_pod", metrics.cpu_usage_by_pod.as_ref().map(|_| String::new())),
        figure("Memory", "memory_mb_by_pod", metrics.memory_mb_by_pod.as_ref().map(|_| String::new())),
        received,
    ]
}

/// Pods in the order of the record (highest CPU first), then those with memory alone, the summed ones last.
fn pods(record: &BaselineRecord, metrics: &InfrastructureMetrics) -> Grid {
    let mut grid = Grid::new([
        words("Pod"),
        numbers("CPU, of a core"),
        numbers("Throttled"),
        numbers("Memory"),
        numbers("CPU coverage"),
    ]);
    let (cpu, memory) = (metrics.cpu_usage_by_pod.as_ref(), metrics.memory_mb_by_pod.as_ref());
    let throttled = metrics.cpu_throttled_percent_by_pod.as_ref();
    let in_cpu = |pod: &str| cpu.is_some_and(|cpu| cpu.contains_key(pod));
    let mut names: Vec<&String> = cpu.into_iter().flatten().map(|(pod, _)| pod).collect();
    names.extend(memory.into_iter().flatten().map(|(pod, _)| pod).filter(|pod| !in_cpu(pod)));
    names.sort_by_key(|pod| *pod == OTHERS);
    for pod in names {
        let label = match metrics.pods_summed {
            Some(count) if pod == OTHERS => format!("{} other pods, summed", format::count(count)),
            _ => pod.clone(),
        };
        let short = basis_of_entry(record, &format!("{SECTION}.cpu_usage_by_pod"), pod)
            .filter(|basis| in_cpu(pod) && !figures::coverage_is_judged(Some(basis)));
        grid.row([
            Some(label),
            cpu.and_then(|cpu| cpu.get(pod)).map(|percent| format::percent(*percent)),
            throttled.and_then(|throttled| throttled.get(pod)).map(|percent| format::percent(*percent)),
            memory.and_then(|memory| memory.get(pod)).map(|memory| format::mebibytes(*memory)),
            short.and_then(figures::coverage),
        ]);
    }
    grid
}

/// What the columns mean.
fn explanation(metrics: &InfrastructureMetrics) -> Text {
    let (cpu, memory) = (metrics.cpu_usage_by_pod.as_ref(), metrics.memory_mb_by_pod.as_ref());
    let filled = |map: Option<&indexmap::IndexMap<String, f64>>| map.is_some_and(|map| !map.is_empty());
    let mut sentences = Vec::new();
    if filled(cpu) {
        sentences.push("CPU is the mean over the time in which the pod was seen.");
    }
    if filled(metrics.cpu_throttled_percent_by_pod.as_ref()) {
        sentences.push("Throttled is the part of the CPU periods in which it was held back at its limit.");
    }
    if filled(memory) {
        sentences.push("Memory is at the window's end.");
    }
    if let (Some(cpu), Some(memory)) = (cpu, memory)
        && cpu.keys().any(|pod| !memory.contains_key(pod))
    {
        sentences.push("A pod without memory had ended by then.");
    }
    Text::new(sentences.join(" "))
}
