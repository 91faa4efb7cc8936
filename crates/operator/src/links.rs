//! Which baselines are compared with which (pure): a new run of one is a reason to look at the others again.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{Hash as _, Hasher as _};

use plimsoll_api::PerformanceBaseline;

/// Namespace and name.
type Key = (String, String);

/// What is known of one baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// Over the runs whose records it keeps.
    history: u64,
    /// Name of the baseline that it is compared with.
    compared_with: Option<String>,
}

/// What is compared with what, as far as a watch has told.
#[derive(Debug, Default)]
pub struct Links {
    seen: HashMap<Key, Seen>,
    /// Names of those that are compared with a baseline of their namespace.
    dependents: HashMap<Key, BTreeSet<String>>,
    /// Those that a list has named so far, while one is under way.
    listed: Option<HashSet<Key>>,
}

impl Links {
    /// Notes a baseline as it is now; those to be looked at again because of it.
    pub fn applied(&mut self, baseline: &PerformanceBaseline) -> Vec<Key> {
        let Some(key) = key(baseline) else { return Vec::new() };
        if let Some(listed) = &mut self.listed {
            listed.insert(key.clone());
        }
        let compare = baseline.spec.compare_to.as_ref().and_then(|compare| compare.baseline.as_ref());
        let compared_with = compare.map(|other| other.name.clone()).filter(|name| *name != key.1);
        let mut hasher = DefaultHasher::new();
        for kept in baseline.status.iter().flat_map(|status| &status.history) {
            (&kept.name, &kept.record_sha256, kept.complete).hash(&mut hasher);
        }
        let now = Seen { history: hasher.finish(), compared_with };
        let before = self.seen.insert(key.clone(), now.clone());
        let linked = before.as_ref().and_then(|before| before.compared_with.clone());
        if linked != now.compared_with {
            self.unlink(&key, linked);
            if let Some(name) = now.compared_with {
                self.dependents.entry((key.0.clone(), name)).or_default().insert(key.1.clone());
            }
        }
        if before.is_some_and(|before| before.history == now.history) { Vec::new() } else { self.of(&key) }
    }

    /// Forgets a baseline; those to be looked at again because of it.
    pub fn deleted(&mut self, namespace: &str, name: &str) -> Vec<Key> {
        let key = (namespace.to_owned(), name.to_owned());
        let before = self.seen.remove(&key);
        self.unlink(&key, before.and_then(|before| before.compared_with));
        self.of(&key)
    }

    /// A list of all baselines begins.
    pub fn list_begins(&mut self) {
        self.listed = Some(HashSet::new());
    }

    /// A list of all baselines is complete: what it did not name is gone.
    pub fn list_ends(&mut self) -> Vec<Key> {
        let listed = self.listed.take().unwrap_or_default();
        let gone: Vec<Key> = self.seen.keys().filter(|key| !listed.contains(*key)).cloned().collect();
        gone.into_iter().flat_map(|(namespace, name)| self.deleted(&namespace, &name)).collect()
    }

    fn unlink(&mut self, key: &Key, from: Option<String>) {
        let Some(from) = from else { return };
        let other = (key.0.clone(), from);
        if let Some(names) = self.dependents.get_mut(&other) {
            names.remove(&key.1);
            if names.is_empty() {
                self.dependents.remove(&other);
            }
        }
    }

    fn of(&self, key: &Key) -> Vec<Key> {
        let names = self.dependents.get(key).into_iter().flatten();
        names.map(|name| (key.0.clone(), name.clone())).collect()
    }
}

fn key(baseline: &PerformanceBaseline) -> Option<Key> {
    Some((baseline.metadata.namespace.clone()?, baseline.metadata.name.clone()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_testkit::fixtures::{NAMESPACE, baseline};
    use serde_json::json;

    fn plain(name: &str) -> PerformanceBaseline {
        baseline(name)
    }

    fn compared(name: &str, with: &str) -> PerformanceBaseline {
        let mut baseline = baseline(name);
        let compare = json!({"type": "Baseline", "baseline": {"name": with}});
        baseline.spec.compare_to = serde_json::from_value(compare).unwrap();
        baseline
    }

    fn with_run(mut baseline: PerformanceBaseline, run: &str) -> PerformanceBaseline {
        let kept = json!([{"name": run, "finishedAt": "2026-11-24T10:00:00Z", "complete": true, "recordSha256": "a"}]);
        let status = baseline.status.get_or_insert_default();
        status.history = serde_json::from_value(kept).unwrap();
        baseline
    }

    fn names(keys: Vec<Key>) -> Vec<String> {
        keys.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn a_new_run_wakes_those_that_are_compared_with_it_and_nobody_else() {
        let mut links = Links::default();
        for baseline in [compared("b", "a"), compared("c", "a"), compared("d", "x"), plain("e")] {
            assert_eq!(links.applied(&baseline), Vec::new());
        }
        assert_eq!(names(links.applied(&plain("a"))), ["b", "c"], "it is there now");
        assert_eq!(names(links.applied(&plain("a"))), Vec::<String>::new(), "nothing that matters changed");
        assert_eq!(names(links.applied(&with_run(plain("a"), "a-1"))), ["b", "c"]);
        assert_eq!(names(links.applied(&with_run(plain("a"), "a-1"))), Vec::<String>::new());
        links.applied(&compared("b", "x"));
        links.applied(&plain("c"));
        assert_eq!(names(links.applied(&with_run(plain("a"), "a-2"))), Vec::<String>::new());
        assert_eq!(names(links.applied(&with_run(plain("x"), "x-1"))), ["b", "d"]);
    }

    #[test]
    fn one_that_is_gone_wakes_them_too_also_where_only_a_list_tells() {
        let mut links = Links::default();
        links.applied(&plain("a"));
        links.applied(&compared("b", "a"));
        assert_eq!(names(links.deleted(NAMESPACE, "a")), ["b"]);
        links.applied(&plain("a"));
        links.list_begins();
        links.applied(&compared("b", "a"));
        assert_eq!(names(links.list_ends()), ["b"]);
        links.deleted(NAMESPACE, "b");
        assert_eq!(links.applied(&plain("a")), Vec::new());
        assert!(links.dependents.is_empty());
    }

    #[test]
    fn another_namespace_is_another_world_and_nobody_wakes_himself() {
        let mut links = Links::default();
        let mut elsewhere = compared("b", "a");
        elsewhere.metadata.namespace = Some("elsewhere".to_owned());
        links.applied(&elsewhere);
        links.applied(&compared("a", "a"));
        assert_eq!(links.applied(&with_run(compared("a", "a"), "a-1")), Vec::new());
    }
}
