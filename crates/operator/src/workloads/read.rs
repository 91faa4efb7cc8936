//! Reads what [`super::assemble`] needs. A right that is missing makes that fact unknown and is never an error.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{ApiResource, DynamicObject, ListParams, ObjectList};
use kube::core::{NamespaceResourceScope, Resource, Selector};
use kube::{Api, Client};
use plimsoll_analysis::record::{SourceReason, UnknownFact};
use serde::de::DeserializeOwned;

use super::assemble::{Read, facts};
use crate::baseline::view::FactsRead;

/// Most objects of one kind that are read: a namespace of tens of thousands of pods must not fill our memory.
const MAX_OBJECTS: usize = 10_000;
/// Objects a page.
const PAGE: u32 = 500;

/// Reads the facts of the workloads that `selector` names; `clock` tells how long that takes.
///
/// # Errors
/// An answer of the API server other than 403 and 404, or none at all.
pub async fn read(
    client: &Client,
    namespace: &str,
    selector: &LabelSelector,
    with_usage: bool,
    clock: &(dyn Fn() -> Timestamp + Send + Sync),
) -> Result<FactsRead, kube::Error> {
    let start = clock();
    let mut reader = Reader { client, namespace, unknown: Vec::new(), reason: None, queries: 0 };
    let labels = match Selector::try_from(selector.clone()) {
        Ok(selector) => selector.to_string(),
        // An empty selector takes all: not what somebody meant who wrote one that means nothing.
        Err(error) => {
            reader.note("workloads", SourceReason::BadAnswer, format!("the selector means nothing: {error}"));
            return Ok(reader.ended(Read::default(), start, clock));
        }
    };
    let deployments = reader.list::<Deployment>("apps", "deployments", Some(&labels)).await?;
    let stateful_sets = reader.list::<StatefulSet>("apps", "statefulsets", Some(&labels)).await?;
    let daemon_sets = reader.list::<DaemonSet>("apps", "daemonsets", Some(&labels)).await?;
    let pods = reader.list::<Pod>("", "pods", None).await?;
    let autoscalers =
        reader.list::<HorizontalPodAutoscaler>("autoscaling", "horizontalpodautoscalers", None).await?;
    let usage = if with_usage { reader.usage().await? } else { None };
    let read =
        Read { deployments, stateful_sets, daemon_sets, pods, autoscalers, usage, unknown: Vec::new() };
    Ok(reader.ended(read, start, clock))
}

struct Reader<'a> {
    client: &'a Client,
    namespace: &'a str,
    unknown: Vec<UnknownFact>,
    /// Why the first of them could not be read.
    reason: Option<SourceReason>,
    queries: u64,
}

impl Reader<'_> {
    async fn list<K>(
        &mut self,
        group: &str,
        plural: &str,
        labels: Option<&str>,
    ) -> Result<Option<Vec<K>>, kube::Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let api = Api::<K>::namespaced(self.client.clone(), self.namespace);
        self.pages(&api, group, plural, labels).await
    }

    /// Usage is an aggregated API that a cluster may not have, which is a fact too.
    async fn usage(&mut self) -> Result<Option<Vec<DynamicObject>>, kube::Error> {
        let resource = ApiResource {
            group: "metrics.k8s.io".to_owned(),
            version: "v1beta1".to_owned(),
            api_version: "metrics.k8s.io/v1beta1".to_owned(),
            kind: "PodMetrics".to_owned(),
            plural: "pods".to_owned(),
        };
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), self.namespace, &resource);
        self.pages(&api, "metrics.k8s.io", "pods", None).await
    }

    async fn pages<K>(
        &mut self,
        api: &Api<K>,
        group: &str,
        plural: &str,
        labels: Option<&str>,
    ) -> Result<Option<Vec<K>>, kube::Error>
    where
        K: Clone + std::fmt::Debug + DeserializeOwned,
    {
        let mut objects = Vec::new();
        let mut token = None;
        loop {
            let mut params = ListParams::default().limit(PAGE);
            params.label_selector = labels.filter(|labels| !labels.is_empty()).map(str::to_owned);
            params.continue_token.clone_from(&token);
            self.queries += 1;
            let page: ObjectList<K> = match api.list(&params).await {
                Ok(page) => page,
                Err(error) => return self.missing(error, group, plural).map(|()| None),
            };
            objects.extend(page.items);
            token = page.metadata.continue_.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(Some(objects));
            }
            if objects.len() >= MAX_OBJECTS {
                let message = format!("there are more than the {MAX_OBJECTS} that are read");
                self.note(plural, SourceReason::BadAnswer, message);
                return Ok(Some(objects));
            }
        }
    }

    /// The facts of what was read since `start`, and of what could not be.
    fn ended(self, read: Read, start: Timestamp, clock: &(dyn Fn() -> Timestamp + Send + Sync)) -> FactsRead {
        let (facts, dropped) = facts(&Read { unknown: self.unknown, ..read });
        FactsRead {
            facts,
            reason: self.reason,
            dropped,
            duration_ms: u64::try_from(clock().duration_since(start).as_millis()).unwrap_or(0),
            queries: self.queries,
        }
    }

    /// Turns a missing right or a missing API into an unknown fact; anything else stays an error.
    fn missing(&mut self, error: kube::Error, group: &str, plural: &str) -> Result<(), kube::Error> {
        let kube::Error::Api(status) = &error else { return Err(error) };
        let fact = if group == "metrics.k8s.io" { "usage" } else { plural };
        match status.code {
            403 => {
                let message = format!(
                    "not allowed; add to the operator's role: apiGroups [\"{group}\"], resources [\"{plural}\"], verbs [\"list\"]"
                );
                self.note(fact, SourceReason::Forbidden, message);
            }
            404 if group == "metrics.k8s.io" => {
                let message = "the cluster has no metrics.k8s.io API; install metrics-server".to_owned();
                self.note(fact, SourceReason::ExtensionMissing, message);
            }
            // An aggregated API whose server is away answers 503.
            503 if group == "metrics.k8s.io" => {
                let message = "the metrics.k8s.io API does not answer; look at metrics-server".to_owned();
                self.note(fact, SourceReason::Unavailable, message);
            }
            _ => return Err(error),
        }
        Ok(())
    }

    fn note(&mut self, fact: &str, reason: SourceReason, message: String) {
        self.reason.get_or_insert(reason);
        self.unknown.push(UnknownFact { fact: fact.to_owned(), message });
    }
}
