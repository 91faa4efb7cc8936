//! The operator's rights against everything it was ever seen to do. Told last: the audit log then holds all stories.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use plimsoll_operator::rbac::{Place, RULES};
use plimsoll_stories::audit::{Entry, OPERATOR, calls_of};
use plimsoll_stories::story::{SYSTEM, Story};

use crate::alone;

/// Rights of the other chart, on policies by name: `charts/plimsoll-cluster/templates/roles.yaml`.
const OF_THE_CLUSTER_CHART: [&str; 2] = [
    "get admissionregistration.k8s.io/validatingadmissionpolicies",
    "get admissionregistration.k8s.io/validatingadmissionpolicybindings",
];

/// Whether the cluster has a kind: every user may ask (`system:discovery`), by a path that is no resource's.
const DISCOVERED: &str = "/apis/monitoring.coreos.com/v1";

/// Rights that no call shows, and why.
const UNSEEN: [(&str, &str); 5] = [
    (
        "create monitoring.coreos.com/prometheusrules",
        "asked of an apply that makes the object, which the audit log has as a patch",
    ),
    (
        "update plimsoll.dev/performancebaselines/finalizers",
        "asked of whoever sets blockOwnerDeletion by the admission plugin OwnerReferencesPermissionEnforcement, which this cluster does not run",
    ),
    ("get coordination.k8s.io/leases", "the audit policy leaves Leases out"),
    ("create coordination.k8s.io/leases", "the audit policy leaves Leases out"),
    ("patch coordination.k8s.io/leases", "the audit policy leaves Leases out"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_right_was_used_and_nothing_else_was_tried() {
    alone("rights", |story: Story| async move {
        let calls = calls_of(&story.admin, OPERATOR).await?;
        let granted = granted();
        let mut used = BTreeMap::<String, usize>::new();
        let mut strange = BTreeSet::new();
        for call in &calls {
            let name = call.call();
            let is_placed =
                granted.get(&name).is_some_and(|places| places.iter().any(|place| is_at(call, *place)));
            let is_discovery = call.verb == "get" && call.request_uri == DISCOVERED;
            if is_discovery {
                continue;
            }
            if !is_placed && !OF_THE_CLUSTER_CHART.contains(&name.as_str()) {
                strange.insert(format!("{name} in {:?}", call.object_ref.namespace));
            } else if call.is_allowed() {
                *used.entry(name).or_default() += 1;
            }
        }
        println!("{} calls: {used:#?}", calls.len());
        ensure!(strange.is_empty(), "tried without a rule in rbac.rs: {strange:?}");
        let all = granted.keys().map(String::as_str).chain(OF_THE_CLUSTER_CHART);
        let unused: Vec<&str> = all
            .filter(|right| !used.contains_key(*right) && !UNSEEN.iter().any(|(unseen, _)| unseen == right))
            .collect();
        ensure!(unused.is_empty(), "granted and never used: {unused:?}");
        let seen: Vec<_> = UNSEEN.iter().filter(|(right, _)| used.contains_key(*right)).collect();
        ensure!(seen.is_empty(), "no exemption is needed for {seen:?}");
        for (right, why) in UNSEEN {
            println!("not seen: {right}: {why}");
        }
        let lease = Api::<Lease>::namespaced(story.admin.clone(), SYSTEM).get("plimsoll").await?;
        let managers = lease.metadata.managed_fields.context("managers of the Lease's fields")?;
        let by_operator = |manager: &Option<String>| {
            manager.as_ref().is_some_and(|manager| manager.starts_with("plimsoll-lease"))
        };
        ensure!(managers.iter().any(|entry| by_operator(&entry.manager)), "{managers:?}");
        Ok(())
    })
    .await;
}

/// Every right of `rbac.rs` by the name that a call has, with where it is granted.
fn granted() -> BTreeMap<String, Vec<Place>> {
    let mut granted = BTreeMap::<String, Vec<Place>>::new();
    for rule in RULES {
        for resource in rule.resources {
            for verb in rule.verbs {
                let slash = if rule.group.is_empty() { "" } else { "/" };
                granted
                    .entry(format!("{verb} {}{slash}{resource}", rule.group))
                    .or_default()
                    .push(rule.place);
            }
        }
    }
    granted
}

fn is_at(call: &Entry, place: Place) -> bool {
    match place {
        // All namespaces, or those of its release's values.
        Place::Served => true,
        Place::Own => call.object_ref.namespace == SYSTEM,
        Place::Default => call.object_ref.namespace == "default",
    }
}
