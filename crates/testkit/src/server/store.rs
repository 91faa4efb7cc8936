//! The objects, their versions, their owners and the history of their changes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::clock::FixedClock;

use super::apply::Managers;
use super::route::{ObjectKey, ResourceType};
use super::watch::{Change, Watcher};

/// An object with the owners of its fields.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stored {
    pub(crate) value: Value,
    pub(crate) managers: Managers,
}

/// How often an object was made and removed, by anyone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Lifecycle {
    /// Times that it was made.
    pub creates: usize,
    /// Times that it was removed.
    pub deletes: usize,
}

/// What a commit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Effect {
    /// Nothing: refused, or the object is already so.
    None,
    /// The object was made.
    Created,
    /// The object was changed.
    Updated,
    /// The object was removed, or marked for removal.
    Deleted,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) clock: FixedClock,
    objects: BTreeMap<ObjectKey, Stored>,
    revision: u64,
    /// Changes after `compacted`, oldest first.
    pub(crate) history: Vec<Change>,
    /// Watches from before this revision get 410.
    pub(crate) compacted: u64,
    pub(crate) watchers: Vec<Watcher>,
    /// Watchers are told nothing while true.
    pub(crate) watches_held: bool,
    made: u64,
    /// Every UID that was ever given, also of objects that are gone.
    pub(crate) uids: BTreeMap<String, ObjectKey>,
    pub(crate) lifecycles: BTreeMap<ObjectKey, Lifecycle>,
}

impl Store {
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&Stored> {
        self.objects.get(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Stored)> {
        self.objects.iter()
    }

    /// Objects of a resource, in one namespace or (empty) in all, by namespace and name.
    pub(crate) fn list<'a>(
        &'a self,
        resource: &'a ResourceType,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a ObjectKey, &'a Stored)> {
        self.objects.iter().filter(move |(key, _)| {
            key.resource == *resource && (namespace.is_empty() || key.namespace == namespace)
        })
    }

    /// A number that no earlier call gave.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// A new UID, the same in every run of the same test.
    pub(crate) fn next_uid(&mut self) -> String {
        format!("5a11b0a7-0000-4000-8000-{:012x}", self.next_number())
    }

    /// Stores a new object: UID (unless it has one), creation time, version.
    pub(crate) fn create(&mut self, key: &ObjectKey, mut stored: Stored) -> Value {
        if stored.value["metadata"]["uid"].as_str().is_none_or(str::is_empty) {
            stored.value["metadata"]["uid"] = json!(self.next_uid());
        }
        if stored.value["metadata"]["creationTimestamp"].is_null() {
            stored.value["metadata"]["creationTimestamp"] = json!(seconds(self.clock.now()));
        }
        if let Some(uid) = stored.value["metadata"]["uid"].as_str() {
            self.uids.insert(uid.to_owned(), key.clone());
        }
        self.lifecycles.entry(key.clone()).or_default().creates += 1;
        self.commit(key, None, stored)
    }

    /// Stores a new version of an object that is there.
    pub(crate) fn update(&mut self, key: &ObjectKey, stored: Stored) -> Value {
        let before = self.objects.get(key).map(|stored| stored.value.clone());
        self.commit(key, before, stored)
    }

    /// Keeps new owners of fields without a new version, as a no-op apply does.
    pub(crate) fn set_managers(&mut self, key: &ObjectKey, managers: Managers) {
        if let Some(stored) = self.objects.get_mut(key) {
            stored.managers = managers;
        }
    }

    fn commit(&mut self, key: &ObjectKey, before: Option<Value>, mut stored: Stored) -> Value {
        self.revision += 1;
        stored.value["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let after = stored.value.clone();
        self.objects.insert(key.clone(), stored);
        self.publish(key, before, Some(after.clone()));
        after
    }

    /// Removes an object.
    pub(crate) fn remove(&mut self, key: &ObjectKey) -> Option<Value> {
        let mut before = self.objects.remove(key)?.value;
        self.revision += 1;
        before["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        self.lifecycles.entry(key.clone()).or_default().deletes += 1;
        self.publish(key, Some(before.clone()), None);
        Some(before)
    }

    fn publish(&mut self, key: &ObjectKey, before: Option<Value>, after: Option<Value>) {
        let change = Change { revision: self.revision, key: key.clone(), before, after };
        if !self.watches_held {
            self.watchers.retain_mut(|watcher| watcher.send(&change));
        }
        self.history.push(change);
    }

    /// Ends holding back, and tells every watch what it missed.
    pub(crate) fn release_watches(&mut self) {
        self.watches_held = false;
        let history = &self.history;
        self.watchers.retain_mut(|watcher| history.iter().all(|change| watcher.send(change)));
    }

    /// Forgets every change so far.
    pub(crate) fn compact(&mut self) {
        self.compacted = self.revision;
        self.history.clear();
    }

    /// Sends a bookmark to every watch.
    pub(crate) fn bookmark(&mut self) {
        let revision = self.revision;
        self.watchers.retain(|watcher| watcher.bookmark(revision, "", false));
    }

    /// Removes every object all of whose owners are gone, until none is left; gives their keys.
    pub(crate) fn collect_garbage(&mut self) -> Vec<ObjectKey> {
        let mut collected = Vec::new();
        loop {
            let alive: BTreeSet<(&str, &str)> = self
                .objects
                .iter()
                .filter_map(|(key, stored)| {
                    Some((key.namespace.as_str(), stored.value["metadata"]["uid"].as_str()?))
                })
                .collect();
            let is_orphan = |key: &ObjectKey, stored: &Stored| {
                let owners = stored.value["metadata"]["ownerReferences"].as_array();
                owners.is_some_and(|owners| {
                    !owners.is_empty()
                        && owners.iter().all(|owner| {
                            let uid = owner["uid"].as_str().unwrap_or_default();
                            !alive.contains(&(key.namespace.as_str(), uid)) && !alive.contains(&("", uid))
                        })
                })
            };
            let orphans: Vec<ObjectKey> = self
                .objects
                .iter()
                .filter(|(key, stored)| is_orphan(key, stored) && !is_waiting(&stored.value))
                .map(|(key, _)| key.clone())
                .collect();
            if orphans.is_empty() {
                return collected;
            }
            for key in orphans {
                self.delete(&key);
                collected.push(key);
            }
        }
    }

    /// Removes an object, or marks it where finalizers hold it.
    pub(crate) fn delete(&mut self, key: &ObjectKey) -> Effect {
        let Some(stored) = self.objects.get(key) else { return Effect::None };
        if finalizers(&stored.value).next().is_none() {
            self.remove(key);
            return Effect::Deleted;
        }
        if is_waiting(&stored.value) {
            return Effect::None;
        }
        let mut stored = stored.clone();
        stored.value["metadata"]["deletionTimestamp"] = json!(seconds(self.clock.now()));
        stored.value["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        self.update(key, stored);
        Effect::Deleted
    }

    /// Takes a UID out of every owner reference: its dependents stay.
    pub(crate) fn orphan_dependents(&mut self, uid: &str) {
        let owned: Vec<ObjectKey> = self
            .objects
            .iter()
            .filter(|(_, stored)| owner_uids(&stored.value).any(|owner| owner == uid))
            .map(|(key, _)| key.clone())
            .collect();
        for key in owned {
            let Some(mut stored) = self.objects.get(&key).cloned() else { continue };
            if let Some(owners) = stored.value["metadata"]["ownerReferences"].as_array_mut() {
                owners.retain(|owner| owner["uid"] != uid);
            }
            self.update(&key, stored);
        }
    }
}

/// A time as the API server writes it: RFC 3339 in whole seconds.
pub(crate) fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

pub(crate) fn finalizers(object: &Value) -> impl Iterator<Item = &Value> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten()
}

fn owner_uids(object: &Value) -> impl Iterator<Item = &str> {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.filter_map(|owner| owner["uid"].as_str())
}

/// Whether an object is marked for removal.
pub(crate) fn is_waiting(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}
