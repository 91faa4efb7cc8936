//! What a test does to the server from outside the client: objects of everybody else, faults, and what happened.

use super::*;

/// A namespaced or cluster-scoped Kubernetes type that is known at compile time.
pub trait Object: kube::Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned {}

impl<K: kube::Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned> Object for K {}

/// Objects, as the rest of the cluster writes and reads them.
impl FakeApiServer {
    /// Stores an object as it stands, with its status, and gives what was stored. What is absent is filled in: UID,
    /// creation time, generation, the defaults of a Job. An object of that name is replaced, as by a user's edit: its
    /// UID and status stay where the new one has none, and its generation counts up where the spec differs.
    ///
    /// # Panics
    /// Where the object has no name.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the store takes the object over; a test builds it in place"
    )]
    pub fn put<K: Object>(&self, object: K) -> K {
        let value = serde_json::to_value(&object).expect("Kubernetes types have a JSON form");
        typed(&self.put_value(&ResourceType::of::<K>(), &value))
    }

    /// [`Self::put`] for a resource without a Rust type, for example `metrics.k8s.io/v1beta1` `pods`.
    ///
    /// # Panics
    /// Where the object has no name.
    pub fn put_value(&self, resource: &ResourceType, object: &Value) -> Value {
        let mut object = handle::normalized(object);
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let key = ObjectKey { resource: resource.clone(), namespace: text("namespace"), name: text("name") };
        assert!(!key.name.is_empty(), "an object to store needs a name: {object}");
        let mut inner = self.lock();
        let Some(Stored { value: before, managers }) = inner.store.get(&key).cloned() else {
            if object["metadata"]["uid"].is_null() {
                object["metadata"]["uid"] = json!(inner.store.next_uid());
            }
            if admit::has_generation(resource) && object["metadata"]["generation"].is_null() {
                object["metadata"]["generation"] = json!(1);
            }
            admit::default_fields(&key, &mut object);
            return inner.store.create(&key, Stored { value: object, managers: Default::default() });
        };
        for field in ["uid", "creationTimestamp", "deletionTimestamp"] {
            if object["metadata"][field].is_null() && !before["metadata"][field].is_null() {
                object["metadata"][field] = before["metadata"][field].clone();
            }
        }
        if object["status"].is_null() && !before["status"].is_null() {
            object["status"] = before["status"].clone();
        }
        admit::default_fields(&key, &mut object);
        if admit::has_generation(resource) {
            let generation = |object: &Value| object["metadata"]["generation"].as_i64().unwrap_or(0);
            let edited = i64::from(object["spec"] != before["spec"]);
            object["metadata"]["generation"] = json!(generation(&object).max(generation(&before) + edited));
        }
        object["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        if object == before { before } else { inner.store.update(&key, Stored { value: object, managers }) }
    }

    /// An object, if it is there; `namespace` is empty for a cluster-scoped one.
    #[must_use]
    pub fn get<K: Object>(&self, namespace: &str, name: &str) -> Option<K> {
        self.get_value(&key::<K>(namespace, name)).map(|value| typed(&value))
    }

    /// An object as JSON, if it is there.
    #[must_use]
    pub fn get_value(&self, key: &ObjectKey) -> Option<Value> {
        self.lock().store.get(key).map(|stored| stored.value.clone())
    }

    /// Objects of a type by name, in one namespace or (empty) in all.
    #[must_use]
    pub fn list<K: Object>(&self, namespace: &str) -> Vec<K> {
        let inner = self.lock();
        inner
            .store
            .list(&ResourceType::of::<K>(), namespace)
            .map(|(_, stored)| typed(&stored.value))
            .collect()
    }

    /// Every object, by key.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<ObjectKey, Value> {
        let inner = self.lock();
        inner.store.iter().map(|(key, stored)| (key.clone(), stored.value.clone())).collect()
    }

    /// Edits an object as a user does: the generation counts up where the spec differs.
    ///
    /// # Panics
    /// Where the object is not there.
    pub fn edit<K: Object>(&self, namespace: &str, name: &str, change: impl FnOnce(&mut K)) -> K {
        let mut object: K = self.get(namespace, name).expect("the object to edit is there");
        change(&mut object);
        self.put(object)
    }

    /// Removes an object as a user does with `kubectl delete`: what it owns goes too, finalizers hold it.
    /// Tells whether it was there.
    pub fn delete<K: Object>(&self, namespace: &str, name: &str) -> bool {
        self.delete_key(&key::<K>(namespace, name))
    }

    /// [`Self::delete`] by key.
    pub fn delete_key(&self, key: &ObjectKey) -> bool {
        let mut inner = self.lock();
        let deleted = inner.store.delete(key);
        inner.store.collect_garbage();
        deleted == Effect::Deleted
    }

    /// Removes every object all of whose owners are gone, as the garbage collector does; it also runs by itself
    /// after each removal. Gives the keys of what went.
    pub fn collect_garbage(&self) -> Vec<ObjectKey> {
        self.lock().store.collect_garbage()
    }

    /// Sets what a container of a pod has printed.
    pub fn set_log(&self, namespace: &str, pod: &str, container: &str, text: &str) {
        let key = (namespace.to_owned(), pod.to_owned(), container.to_owned());
        self.lock().logs.insert(key, text.to_owned());
    }
}

/// Faults and refusals that clients meet.
impl FakeApiServer {
    /// Takes a right from the client: its requests get 403 with the server's own words. `resource` is the plural,
    /// with the subresource where there is one, for example `pods/log`.
    pub fn forbid(&self, verb: Verb, resource: &str) {
        self.lock().hooks.forbidden.push(Target { verb, resource: resource.to_owned() });
    }

    /// Gives a right back.
    pub fn permit(&self, verb: Verb, resource: &str) {
        let target = Target { verb, resource: resource.to_owned() };
        self.lock().hooks.forbidden.retain(|forbidden| *forbidden != target);
    }

    /// Makes the next matching request fail.
    pub fn fail_next(&self, verb: Verb, resource: &str, failure: Failure) {
        self.fail_times(verb, resource, 1, failure);
    }

    /// Makes the next `times` matching requests fail, after those asked for before.
    pub fn fail_times(&self, verb: Verb, resource: &str, times: usize, failure: Failure) {
        self.lock().hooks.push_failure(Target { verb, resource: resource.to_owned() }, times, failure);
    }

    /// Lets at most `limit` objects of a resource be in a namespace; a further create gets 403 `exceeded quota`.
    pub fn set_quota(&self, namespace: &str, resource: &str, limit: usize) {
        let quota = Quota { namespace: namespace.to_owned(), resource: resource.to_owned(), limit };
        let quotas = &mut self.lock().hooks.quotas;
        quotas.retain(|old| old.namespace != quota.namespace || old.resource != quota.resource);
        quotas.push(quota);
    }

    /// Takes an API group away, as where a component or a CRD is not installed: requests get 404.
    pub fn unserve(&self, group: &str) {
        self.lock().hooks.unserved_groups.push(group.to_owned());
    }

    /// Asks for a fault at a write that is still to come.
    pub fn inject(&self, fault: Fault) {
        self.lock().hooks.faults.push(fault);
    }

    /// Faults that have happened.
    #[must_use]
    pub fn fired(&self) -> Vec<Fault> {
        self.lock().hooks.fired.clone()
    }

    /// Whether the client has crashed and not been restarted.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.lock().down
    }

    /// Starts the client again after a crash: its requests arrive. Watches that were open have ended.
    pub fn restart(&self) {
        self.lock().down = false;
    }

    /// Ends every open watch, as the server does after some minutes.
    pub fn close_watches(&self) {
        self.lock().store.watchers.clear();
    }

    /// Tells watches nothing of what changes from now on: caches go stale.
    pub fn hold_watches(&self) {
        self.lock().store.watches_held = true;
    }

    /// Tells watches everything that was held back.
    pub fn release_watches(&self) {
        self.lock().store.release_watches();
    }

    /// Forgets the history: a watch from an older version gets 410 and has to list again.
    pub fn compact(&self) {
        self.lock().store.compact();
    }

    /// Tells every watch that takes bookmarks how far it has come.
    pub fn bookmark(&self) {
        self.lock().store.bookmark();
    }
}

/// What clients did.
impl FakeApiServer {
    /// Every mutating request, oldest first, refused and lost ones too.
    #[must_use]
    pub fn writes(&self) -> Vec<Write> {
        self.lock().writes.clone()
    }

    /// Every reading request, oldest first.
    #[must_use]
    pub fn reads(&self) -> Vec<Read> {
        self.lock().reads.clone()
    }

    /// How often each object was made and removed, by anyone.
    #[must_use]
    pub fn lifecycles(&self) -> BTreeMap<ObjectKey, Lifecycle> {
        self.lock().store.lifecycles.clone()
    }

    /// Which object each UID was given to, also of objects that are gone.
    #[must_use]
    pub fn uids(&self) -> BTreeMap<String, ObjectKey> {
        self.lock().store.uids.clone()
    }
}

fn key<K: Object>(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey { resource: ResourceType::of::<K>(), namespace: namespace.to_owned(), name: name.to_owned() }
}

fn typed<K: Object>(value: &Value) -> K {
    serde_json::from_value(value.clone()).expect("the test stores what its own types can read")
}
