//! The rights that the operator needs, next to the reason for each. The charts' roles are generated from here, and
//! a story compares them with the audit log of a real run: nothing unused, nothing missing.

/// Where a rule is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In every namespace that the operator serves: a ClusterRole, or one Role a namespace.
    Served,
    /// In the operator's own namespace.
    Own,
    /// In the namespace `default`, where the API server's address stands.
    Default,
}

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Where it is granted.
    pub place: Place,
    /// API group; empty is core.
    pub group: &'static str,
    /// Resources, with their subresource.
    pub resources: &'static [&'static str],
    /// Names it is limited to; empty is all.
    pub names: &'static [&'static str],
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// What it is for.
    pub why: &'static str,
}

const fn served(
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    why: &'static str,
) -> Rule {
    Rule { place: Place::Served, group, resources, names: &[], verbs, why }
}

/// Every right of the operator. There is none on Secrets, and none that runs or enters a pod.
pub const RULES: &[Rule] = &[
    served("plimsoll.dev", &["performancebaselines"], &["get", "list", "watch"], "the resources themselves"),
    served("plimsoll.dev", &["performancebaselines/status"], &["patch"], "conditions and results"),
    served(
        "plimsoll.dev",
        &["performancebaselines/finalizers"],
        &["update"],
        "owner references that block deletion, where the cluster enforces that right",
    ),
    served("batch", &["jobs"], &["get", "list", "watch", "create", "patch", "delete"], "one Job a run"),
    served("", &["pods"], &["list"], "how a run's pod ended, and restarts of the workloads"),
    served("", &["pods/log"], &["get"], "the record of a run"),
    served("", &["configmaps"], &["get", "create", "patch", "delete"], "records and reports"),
    served(
        "monitoring.coreos.com",
        &["prometheusrules"],
        &["get", "create", "patch", "delete"],
        "alerts of objectives, where the cluster has that kind",
    ),
    served("", &["events"], &["list"], "why a Job has no pod"),
    served("events.k8s.io", &["events"], &["create", "patch"], "what happened, for people"),
    served(
        "apps",
        &["deployments", "statefulsets", "daemonsets"],
        &["list"],
        "requests, limits and replicas of the workloads",
    ),
    served("autoscaling", &["horizontalpodautoscalers"], &["list"], "state of the autoscalers"),
    served("metrics.k8s.io", &["pods"], &["list"], "usage of the workloads now"),
    Rule {
        place: Place::Own,
        group: "coordination.k8s.io",
        resources: &["leases"],
        names: &[],
        verbs: &["get", "create", "patch"],
        why: "one operator at a time",
    },
    Rule {
        place: Place::Default,
        group: "discovery.k8s.io",
        resources: &["endpointslices"],
        names: &["kubernetes"],
        verbs: &["get"],
        why: "the API server's addresses, which no Job may contact",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rule_reads_a_secret_or_enters_a_pod() {
        for rule in RULES {
            for resource in rule.resources {
                assert!(
                    !["secrets", "pods/exec", "pods/attach", "serviceaccounts/token", "*"].contains(resource),
                    "{resource}"
                );
            }
            assert!(!rule.verbs.iter().any(|verb| ["*", "escalate", "bind", "impersonate"].contains(verb)));
            assert!(!rule.group.contains('*'));
        }
    }
}
