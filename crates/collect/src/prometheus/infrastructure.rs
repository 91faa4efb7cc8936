//! The record's `infrastructure_metrics`: CPU, throttling, memory and network of the namespace's pods, from cAdvisor's
//! metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use indexmap::IndexMap;
use plimsoll_analysis::coverage::{Presence, scrape_interval};
use plimsoll_analysis::ranking::{largest_and_others, largest_first};
use plimsoll_analysis::record::InfrastructureMetrics;

use super::queries::{self, Selector};
use super::session::{Session, Unread, add_note, rounded};

/// How many steps the section has, for progress.
pub(crate) const STEPS: usize = 4;

/// Pods listed in each map; the rest is summed.
const PODS: usize = 50;
const MIB: f64 = 1024.0 * 1024.0;
/// Steps that the window is cut into to find a pod's first and last sample, and the longest of them in seconds.
const GRID_POINTS: u64 = 20_000;
const MAX_GRID_STEP: u64 = 240;

const CPU: &str = "infrastructure_metrics.cpu_usage_by_pod";
const THROTTLED: &str = "infrastructure_metrics.cpu_throttled_percent_by_pod";
const MEMORY: &str = "infrastructure_metrics.memory_mb_by_pod";
const NETWORK: [&str; 2] =
    ["infrastructure_metrics.network_receive_mbps", "infrastructure_metrics.network_receive_mib_per_second"];

type ByPod = (IndexMap<String, f64>, u64);

/// Reads the section; `None` where none of its figures could be had.
pub(crate) async fn collect(session: &mut Session<'_>, namespace: &str) -> Option<InfrastructureMetrics> {
    session.begin("CPU by pod");
    let cpu = cpu(session, namespace).await.ok().flatten();
    session.begin("throttling by pod");
    let throttled = throttled(session, namespace).await.ok().flatten();
    session.begin("memory by pod");
    let memory = memory(session, namespace).await.ok().flatten();
    session.begin("network");
    let network = network(session, namespace).await.ok().flatten();
    let summed = [&cpu, &memory].into_iter().flatten().map(|(_, summed)| *summed).max();
    let metrics = InfrastructureMetrics {
        cpu_usage_by_pod: cpu.map(|found| found.0),
        cpu_throttled_percent_by_pod: throttled,
        memory_mb_by_pod: memory.map(|found| found.0),
        network_receive_mbps: network,
        network_receive_mib_per_second: network,
        pods_summed: summed,
    };
    (metrics != InfrastructureMetrics::default()).then_some(metrics)
}

/// Percent of a core by pod: the increase of its containers over the time that it was seen in the window.
async fn cpu(session: &mut Session<'_>, namespace: &str) -> Result<Option<ByPod>, Unread> {
    let selector = queries::containers("container_cpu_usage_seconds_total", namespace);
    let selector = session.built(selector)?;
    let coverage = session.seen(&selector).await?;
    let increases = match coverage {
        None => Vec::new(),
        Some(_) => session.by_label(queries::increase_by_pod(&selector, session.whole()), "pod").await?,
    };
    if increases.is_empty() {
        session.absent(
            CPU,
            coverage.as_ref(),
            &nothing(&selector, "a scrape of the kubelets' /metrics/cadvisor"),
        );
        return Ok(None);
    }
    session.plan.cpu = Some(selector.clone());
    let step = session.length().as_secs().div_ceil(GRID_POINTS).clamp(1, MAX_GRID_STEP);
    let presences = presences(session, &selector, Duration::from_secs(step)).await?;
    let all: Vec<Presence> = presences.values().copied().collect();
    let (interval, span) = (scrape_interval(&all, step as f64), session.span());
    let usage = increases.into_iter().filter_map(|(pod, increase)| {
        let seconds = presences.get(&pod)?.extrapolated_seconds(span, interval, step as f64)?;
        Some((pod, increase / seconds * 100.0))
    });
    let found = largest_and_others(usage, PODS);
    if found.0.is_empty() {
        session.absent(CPU, coverage.as_ref(), "no pod was scraped twice in the window");
        return Ok(None);
    }
    let mut basis = session.window_basis(coverage.as_ref());
    let scrapes = all.iter().map(|presence| presence.samples).fold(0.0, f64::max);
    basis.samples = Some(rounded(scrapes));
    note_others(&mut basis, found.1);
    session.set_basis(CPU, basis);
    Ok(Some(found))
}

/// Percent of the CFS periods in which a pod with a CPU limit was throttled at it, over the window.
///
/// A pod that has periods and no throttled one has 0. Pods beyond those listed are left out: percentages have no sum.
async fn throttled(
    session: &mut Session<'_>,
    namespace: &str,
) -> Result<Option<IndexMap<String, f64>>, Unread> {
    let selector = queries::containers("container_cpu_cfs_periods_total", namespace);
    let selector = session.built(selector)?;
    let periods = session.by_label(queries::increase_by_pod(&selector, session.whole()), "pod").await?;
    if periods.is_empty() {
        let needed = "pods with a CPU limit and a scrape of the kubelets' /metrics/cadvisor";
        session.absent(THROTTLED, None, &nothing(&selector, needed));
        return Ok(None);
    }
    let coverage = session.seen(&selector).await?;
    let cut = queries::containers("container_cpu_cfs_throttled_periods_total", namespace);
    let cut = session.built(cut)?;
    let cut = session.by_label(queries::increase_by_pod(&cut, session.whole()), "pod").await?;
    let cut: BTreeMap<String, f64> = cut.into_iter().collect();
    let parts = periods.into_iter().filter(|(_, periods)| *periods > 0.0).map(|(pod, periods)| {
        let part = cut.get(&pod).map_or(0.0, |cut| cut / periods);
        (pod, (part * 100.0).min(100.0))
    });
    let mut parts = largest_first(parts);
    let left_out = parts.len().saturating_sub(PODS);
    parts.truncate(PODS);
    let mut basis = session.window_basis(coverage.as_ref());
    if left_out > 0 {
        add_note(&mut basis, &format!("{left_out} more pods, throttled less, are left out"));
    }
    session.set_basis(THROTTLED, basis);
    Ok(Some(parts.into_iter().collect()))
}

/// When each pod was seen in the window.
async fn presences(
    session: &mut Session<'_>,
    selector: &Selector,
    step: Duration,
) -> Result<BTreeMap<String, Presence>, Unread> {
    let (whole, length) = (session.whole(), session.length());
    let counts = session.by_label(queries::scrapes_by_pod(selector, whole), "pod").await?;
    let first = queries::first_step_by_pod(selector, length, step);
    let first: BTreeMap<String, f64> = session.by_label(first, "pod").await?.into_iter().collect();
    let last = queries::last_step_by_pod(selector, length, step);
    let last: BTreeMap<String, f64> = session.by_label(last, "pod").await?.into_iter().collect();
    let known = counts.into_iter().filter_map(|(pod, samples)| {
        let presence = Presence { first: *first.get(&pod)?, last: *last.get(&pod)?, samples };
        Some((pod, presence))
    });
    Ok(known.collect())
}

/// MiB by pod at the evaluation instant; a pod that ended has no sample there.
async fn memory(session: &mut Session<'_>, namespace: &str) -> Result<Option<ByPod>, Unread> {
    let selector = queries::containers("container_memory_usage_bytes", namespace);
    let selector = session.built(selector)?;
    let bytes = session.by_label(queries::value_by_pod(&selector), "pod").await?;
    let mut basis = session.instant_basis();
    if bytes.is_empty() {
        add_note(&mut basis, &nothing(&selector, "a scrape of the kubelets' /metrics/cadvisor"));
        session.set_basis(MEMORY, basis);
        return Ok(None);
    }
    session.plan.memory = Some(selector);
    let found = largest_and_others(bytes.into_iter().map(|(pod, bytes)| (pod, bytes / MIB)), PODS);
    note_others(&mut basis, found.1);
    session.set_basis(MEMORY, basis);
    Ok(Some(found))
}

/// MiB a second received by all pods, over the time in which any was seen.
async fn network(session: &mut Session<'_>, namespace: &str) -> Result<Option<f64>, Unread> {
    let selector = session.built(queries::pod_network(namespace))?;
    let coverage = session.seen(&selector).await?;
    let received = match coverage.filter(|coverage| coverage.extent() > 0.0) {
        None => None,
        Some(coverage) => {
            let (range, seconds) = session.covered(&coverage);
            let bytes = session.number(queries::network_increase(&selector, range)).await?;
            bytes.map(|bytes| bytes / MIB / seconds)
        }
    };
    let mut basis = session.window_basis(coverage.as_ref());
    if received.is_some() {
        basis.samples = session.scrapes(&selector).await.ok().flatten();
    } else {
        add_note(&mut basis, &nothing(&selector, "a runtime that reports pods' networks"));
    }
    for path in NETWORK {
        session.set_basis(path, basis.clone());
    }
    Ok(received)
}

fn nothing(selector: &Selector, needed: &str) -> String {
    format!("no increase of {}; it needs {needed}", selector.text())
}

fn note_others(basis: &mut plimsoll_analysis::record::Basis, summed: u64) {
    if summed > 0 {
        add_note(basis, &format!("{summed} more pods are summed in (others)"));
    }
}
