//! Facts from what was read (pure).

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus,
};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::core::{Selector, SelectorExt as _};
use plimsoll_analysis::quantity;
use plimsoll_analysis::record::{
    Autoscaler, AutoscalerMetric, Container, KubernetesFacts, Replicas, UnknownFact, Usage, Workload,
};

/// Most workloads that are recorded.
pub const MAX_WORKLOADS: usize = 50;

/// What was read; `None` where it could not be, and then `unknown` says why.
#[derive(Debug, Default)]
pub struct Read {
    /// Deployments that the selector names.
    pub deployments: Option<Vec<Deployment>>,
    /// StatefulSets that the selector names.
    pub stateful_sets: Option<Vec<StatefulSet>>,
    /// DaemonSets that the selector names.
    pub daemon_sets: Option<Vec<DaemonSet>>,
    /// All pods of the namespace.
    pub pods: Option<Vec<Pod>>,
    /// All autoscalers of the namespace.
    pub autoscalers: Option<Vec<HorizontalPodAutoscaler>>,
    /// PodMetrics of the namespace.
    pub usage: Option<Vec<DynamicObject>>,
    /// What could not be read.
    pub unknown: Vec<UnknownFact>,
}

/// The facts, workloads by kind and name, and how many workloads are left out beyond the 50 that are recorded.
#[must_use]
pub fn facts(read: &Read) -> (KubernetesFacts, u64) {
    let mut sources = sources(read);
    sources.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    let dropped = sources.len().saturating_sub(MAX_WORKLOADS) as u64;
    sources.truncate(MAX_WORKLOADS);
    let workloads = sources.iter().map(|source| workload(source, read)).collect();
    (KubernetesFacts { workloads, unknown: read.unknown.clone() }, dropped)
}

/// What the three kinds of workloads have in common.
struct Source<'a> {
    kind: &'static str,
    name: String,
    replicas: Replicas,
    selector: Option<&'a LabelSelector>,
    template: Option<&'a PodTemplateSpec>,
}

fn sources(read: &Read) -> Vec<Source<'_>> {
    let mut sources = Vec::new();
    for deployment in read.deployments.iter().flatten() {
        let (spec, status) = (deployment.spec.as_ref(), deployment.status.as_ref());
        sources.push(Source {
            kind: "Deployment",
            name: deployment.name_any(),
            replicas: Replicas {
                desired: spec.and_then(|spec| spec.replicas).unwrap_or(1),
                current: status.and_then(|status| status.replicas).unwrap_or(0),
                ready: status.and_then(|status| status.ready_replicas).unwrap_or(0),
            },
            selector: spec.map(|spec| &spec.selector),
            template: spec.map(|spec| &spec.template),
        });
    }
    for set in read.stateful_sets.iter().flatten() {
        let (spec, status) = (set.spec.as_ref(), set.status.as_ref());
        sources.push(Source {
            kind: "StatefulSet",
            name: set.name_any(),
            replicas: Replicas {
                desired: spec.and_then(|spec| spec.replicas).unwrap_or(1),
                current: status.map_or(0, |status| status.replicas),
                ready: status.and_then(|status| status.ready_replicas).unwrap_or(0),
            },
            selector: spec.map(|spec| &spec.selector),
            template: spec.map(|spec| &spec.template),
        });
    }
    for set in read.daemon_sets.iter().flatten() {
        let (spec, status) = (set.spec.as_ref(), set.status.as_ref());
        sources.push(Source {
            kind: "DaemonSet",
            name: set.name_any(),
            replicas: Replicas {
                desired: status.map_or(0, |status| status.desired_number_scheduled),
                current: status.map_or(0, |status| status.current_number_scheduled),
                ready: status.map_or(0, |status| status.number_ready),
            },
            selector: spec.map(|spec| &spec.selector),
            template: spec.map(|spec| &spec.template),
        });
    }
    sources
}

fn workload(source: &Source<'_>, read: &Read) -> Workload {
    let selector = source.selector.and_then(|selector| Selector::try_from(selector.clone()).ok());
    let pods: Option<Vec<&Pod>> = read.pods.as_ref().map(|pods| {
        let matches = |pod: &&Pod| selector.as_ref().is_some_and(|selector| selector.matches(pod.labels()));
        pods.iter().filter(matches).collect()
    });
    Workload {
        kind: source.kind.to_owned(),
        name: source.name.clone(),
        replicas: source.replicas,
        restarts: pods.as_ref().map(|pods| restarts(pods)),
        containers: source.template.map(containers).unwrap_or_default(),
        autoscaler: read.autoscalers.iter().flatten().find(|hpa| targets(hpa, source)).map(autoscaler),
        usage: match (&read.usage, &pods) {
            (Some(usage), Some(pods)) => self::usage(usage, pods),
            _ => None,
        },
    }
}

fn restarts(pods: &[&Pod]) -> u64 {
    let statuses = pods.iter().filter_map(|pod| pod.status.as_ref());
    let containers = statuses.flat_map(|status| status.container_statuses.iter().flatten());
    containers.map(|container| u64::try_from(container.restart_count).unwrap_or(0)).sum()
}

fn containers(template: &PodTemplateSpec) -> Vec<Container> {
    let amounts = |amounts: Option<&BTreeMap<String, Quantity>>| {
        amounts.into_iter().flatten().map(|(name, quantity)| (name.clone(), quantity.0.clone())).collect()
    };
    let spec = template.spec.iter();
    spec.flat_map(|spec| &spec.containers)
        .map(|container| {
            let resources = container.resources.as_ref();
            Container {
                name: container.name.clone(),
                requests: amounts(resources.and_then(|resources| resources.requests.as_ref())),
                limits: amounts(resources.and_then(|resources| resources.limits.as_ref())),
            }
        })
        .collect()
}

fn targets(hpa: &HorizontalPodAutoscaler, source: &Source<'_>) -> bool {
    hpa.spec.as_ref().is_some_and(|spec| {
        spec.scale_target_ref.kind == source.kind && spec.scale_target_ref.name == source.name
    })
}

fn autoscaler(hpa: &HorizontalPodAutoscaler) -> Autoscaler {
    let spec = hpa.spec.as_ref();
    let status = hpa.status.as_ref();
    let metrics = spec.iter().flat_map(|spec| spec.metrics.iter().flatten());
    let current = status.and_then(|status| status.current_metrics.as_deref()).unwrap_or_default();
    // ScalingLimited only says that a bound holds the count, which the counts show; the others are problems.
    let problems = status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut problems: Vec<String> = problems
        .filter(|condition| condition.type_ != "ScalingLimited" && condition.status != "True")
        .map(|condition| {
            format!(
                "{}={}: {}",
                condition.type_,
                condition.status,
                condition.reason.as_deref().unwrap_or("unknown")
            )
        })
        .collect();
    let metrics: Vec<AutoscalerMetric> = metrics.map(|metric| self::metric(metric, current)).collect();
    // With a custom metric missing the conditions stay True: only the empty entry tells.
    problems.extend(
        metrics
            .iter()
            .filter(|metric| metric.current.is_none() && status.is_some())
            .map(|metric| format!("metric {} is not known to the autoscaler", metric.name)),
    );
    Autoscaler {
        name: hpa.name_any(),
        min_replicas: spec.and_then(|spec| spec.min_replicas).unwrap_or(1),
        max_replicas: spec.map_or(0, |spec| spec.max_replicas),
        current_replicas: status.and_then(|status| status.current_replicas).unwrap_or(0),
        desired_replicas: status.map_or(0, |status| status.desired_replicas),
        metrics,
        problems,
    }
}

fn metric(spec: &MetricSpec, statuses: &[MetricStatus]) -> AutoscalerMetric {
    let (name, target) =
        match (&spec.resource, &spec.pods, &spec.object, &spec.external, &spec.container_resource) {
            (Some(resource), ..) => (resource.name.clone(), Some(&resource.target)),
            (_, Some(pods), ..) => (pods.metric.name.clone(), Some(&pods.target)),
            (_, _, Some(object), ..) => (object.metric.name.clone(), Some(&object.target)),
            (_, _, _, Some(external), _) => (external.metric.name.clone(), Some(&external.target)),
            (_, _, _, _, Some(container)) => (container.name.clone(), Some(&container.target)),
            _ => (spec.type_.clone(), None),
        };
    let current = statuses.iter().filter(|status| status.type_ == spec.type_).find_map(|status| {
        match (&status.resource, &status.pods, &status.object, &status.external, &status.container_resource) {
            (Some(resource), ..) if resource.name == name => Some(&resource.current),
            (_, Some(pods), ..) if pods.metric.name == name => Some(&pods.current),
            (_, _, Some(object), ..) if object.metric.name == name => Some(&object.current),
            (_, _, _, Some(external), _) if external.metric.name == name => Some(&external.current),
            (_, _, _, _, Some(container)) if container.name == name => Some(&container.current),
            _ => None,
        }
    });
    AutoscalerMetric {
        name,
        target: target.map(target_text).unwrap_or_default(),
        current: current.and_then(|current| target.and_then(|target| current_text(target, current))),
    }
}

fn target_text(target: &MetricTarget) -> String {
    match (target.average_utilization, &target.average_value, &target.value) {
        (Some(percent), ..) => format!("{percent}%"),
        (None, Some(value), _) | (None, None, Some(value)) => value.0.clone(),
        (None, None, None) => String::new(),
    }
}

/// The current value in the target's unit.
fn current_text(target: &MetricTarget, current: &MetricValueStatus) -> Option<String> {
    if target.average_utilization.is_some() {
        return current.average_utilization.map(|percent| format!("{percent}%"));
    }
    let value = if target.average_value.is_some() { &current.average_value } else { &current.value };
    value.as_ref().map(|value| value.0.clone())
}

/// Sum over the workload's pods that metrics-server has measured; `None` where it has measured none.
fn usage(metrics: &[DynamicObject], pods: &[&Pod]) -> Option<Usage> {
    let mut usage = Usage { cpu_percent_of_core: 0.0, memory_mib: 0.0, pods: 0 };
    for metric in metrics {
        let name = metric.name_any();
        if !pods.iter().any(|pod| pod.metadata.name.as_deref() == Some(name.as_str())) {
            continue;
        }
        usage.pods += 1;
        for container in metric.data.get("containers").and_then(|list| list.as_array()).into_iter().flatten()
        {
            let amount = |resource: &str| {
                container
                    .pointer(&format!("/usage/{resource}"))
                    .and_then(|text| text.as_str())
                    .and_then(quantity::parse)
            };
            usage.cpu_percent_of_core += amount("cpu").unwrap_or(0.0) * 100.0;
            usage.memory_mib += amount("memory").unwrap_or(0.0) / (1024.0 * 1024.0);
        }
    }
    (usage.pods > 0).then_some(usage)
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
