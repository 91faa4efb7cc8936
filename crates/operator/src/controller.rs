//! The one place where a controller is built: streams, predicates, concurrency, backoff, reports.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{self, Action, Config, Controller};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{Predicate as _, WatchStreamExt as _, predicates, watcher};
use kube::{Api, ResourceExt as _};
use plimsoll_api::{MANAGED_BY, PerformanceBaseline};
use tokio_util::sync::CancellationToken;

use crate::baseline;
use crate::baseline::view::KIND;
use crate::context::Context;
use crate::error::{Error, backoff};
use crate::gauges::{Gauges, Key};
use crate::links::Links;
use crate::metrics::{KindLabels, ReconcileLabels};

/// Longest delay that is added so that equal delays do not march in step: a slot is never later than that.
const MAX_JITTER: Duration = Duration::from_secs(10);
/// Longest delay of all.
const MAX_DELAY: Duration = Duration::from_secs(3600);

type Guarded = DeserializeGuard<PerformanceBaseline>;

/// What one controller's reconciles share.
struct Shared {
    context: Context,
    /// Consecutive failures by namespace and name, dropped on success and when the object is gone.
    failures: Mutex<HashMap<Key, u32>>,
}

/// Runs the controller of PerformanceBaselines in one namespace, or in all, until the token is cancelled. `synced` is
/// called once its cache is filled.
pub async fn run(
    context: Context,
    namespace: Option<&str>,
    concurrency: u16,
    stop: CancellationToken,
    synced: impl FnOnce() + Send + 'static,
) {
    let client = context.client.clone();
    let (baselines, jobs): (Api<Guarded>, Api<Job>) = match namespace {
        Some(namespace) => (Api::namespaced(client.clone(), namespace), Api::namespaced(client, namespace)),
        None => (Api::all(client.clone()), Api::all(client)),
    };
    let (reader, writer) = reflector::store();
    let mut present = Present::new(context.metrics.gauges.clone(), namespace);
    // Reflected before it is filtered, so that the cache still sees every change of status.
    let mut synced = Some(synced);
    let (wake, woken) = futures::channel::mpsc::unbounded();
    let mut links = Links::default();
    let stream = watcher(baselines, watcher::Config::default())
        .default_backoff()
        .inspect_ok(move |event| {
            for (namespace, name) in linked(&mut links, event) {
                // Nobody listens any more only where the controller ends.
                let _ = wake.unbounded_send(ObjectRef::new(&name).within(&namespace));
            }
            present.follow(event);
            if matches!(event, watcher::Event::InitDone)
                && let Some(synced) = synced.take()
            {
                synced();
            }
        })
        .modify(|baseline| baseline.managed_fields_mut().clear())
        .reflect(writer)
        .applied_objects()
        .predicate_filter(
            predicates::generation.combine(predicates::annotations).combine(predicates::finalizers),
            kube::runtime::PredicateConfig::default(),
        );
    let ours = watcher::Config::default().labels(&format!("app.kubernetes.io/managed-by={MANAGED_BY}"));
    let shared = Arc::new(Shared { context, failures: Mutex::default() });
    Controller::for_stream(stream, reader)
        .owns(jobs, ours)
        .reconcile_on(woken)
        .with_config(Config::default().concurrency(concurrency).debounce(Duration::from_millis(100)))
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile, on_error, shared.clone())
        .for_each(|result| {
            match result {
                // Told where it happened.
                Ok(_) | Err(controller::Error::ReconcilerFailed(..)) => {}
                Err(controller::Error::ObjectNotFound(gone)) => {
                    let key = (gone.namespace.clone().unwrap_or_default(), gone.name.clone());
                    shared.context.metrics.gauges.remove(&key);
                    forget(&shared, &key);
                }
                // A watch that is refused serves nobody; it is tried again with growing delays.
                Err(error) => tracing::warn!(kind = KIND, %error, "a watch failed; it is opened again"),
            }
            std::future::ready(())
        })
        .await;
}

/// Takes the gauges of objects away that are no longer there, also of those that went while nobody watched.
struct Present {
    gauges: Arc<Gauges>,
    namespace: Option<String>,
    listed: BTreeSet<Key>,
}

impl Present {
    fn new(gauges: Arc<Gauges>, namespace: Option<&str>) -> Self {
        Self { gauges, namespace: namespace.map(str::to_owned), listed: BTreeSet::new() }
    }

    fn follow(&mut self, event: &watcher::Event<Guarded>) {
        let key = |object: &Guarded| (object.namespace().unwrap_or_default(), object.name_any());
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(object) => drop(self.listed.insert(key(object))),
            watcher::Event::InitDone => {
                let is_served =
                    |key: &Key| self.namespace.as_ref().is_none_or(|namespace| key.0 == *namespace);
                self.gauges.keep(is_served, &std::mem::take(&mut self.listed));
            }
            watcher::Event::Delete(object) => self.gauges.remove(&key(object)),
            watcher::Event::Apply(_) => {}
        }
    }
}

/// Who is to be looked at again after an event of somebody else.
fn linked(links: &mut Links, event: &watcher::Event<Guarded>) -> Vec<Key> {
    match event {
        watcher::Event::Init => {
            links.list_begins();
            Vec::new()
        }
        watcher::Event::InitDone => links.list_ends(),
        watcher::Event::InitApply(guarded) | watcher::Event::Apply(guarded) => match &guarded.0 {
            Ok(baseline) => links.applied(baseline),
            Err(_) => Vec::new(),
        },
        watcher::Event::Delete(guarded) => {
            links.deleted(&guarded.namespace().unwrap_or_default(), &guarded.name_any())
        }
    }
}

async fn reconcile(guarded: Arc<Guarded>, shared: Arc<Shared>) -> Result<Action, Error> {
    let baseline = match &guarded.0 {
        Ok(baseline) => baseline,
        Err(invalid) => {
            // An object that an older or newer schema let in stops no other; its next edit is looked at again.
            let name = invalid.metadata.name.as_deref().unwrap_or_default();
            let namespace = invalid.metadata.namespace.as_deref().unwrap_or_default();
            tracing::warn!(
                kind = KIND,
                namespace,
                name,
                error = invalid.error,
                "this object cannot be read; it is left alone"
            );
            return Ok(Action::await_change());
        }
    };
    let start = Instant::now();
    // A defect that one object brings to light must not take the others along.
    let result =
        std::panic::AssertUnwindSafe(baseline::reconcile(baseline, &shared.context)).catch_unwind().await;
    let result = result.unwrap_or(Err(Error::Panicked));
    let metrics = &shared.context.metrics;
    metrics.duration.get_or_create(&KindLabels { kind: KIND }).observe(start.elapsed().as_secs_f64());
    let outcome = match &result {
        Ok(rest) if rest.changed => "changed",
        Ok(_) => "unchanged",
        Err(_) => "error",
    };
    metrics.reconciles.get_or_create(&ReconcileLabels { kind: KIND, outcome }).inc();
    let rest = result?;
    forget(&shared, &(baseline.namespace().unwrap_or_default(), baseline.name_any()));
    Ok(Action::requeue(jittered(rest.wake)))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is the runtime's")]
fn on_error(guarded: Arc<Guarded>, error: &Error, shared: Arc<Shared>) -> Action {
    let (namespace, name) = (guarded.namespace().unwrap_or_default(), guarded.name_any());
    let failures = {
        let mut failures = shared.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = failures.entry((namespace.clone(), name.clone())).or_default();
        *count += 1;
        *count
    };
    let delay = if error.is_conflict() { conflict_delay(failures - 1) } else { backoff(failures - 1) };
    // A conflict only says that somebody else wrote; the next round reads anew.
    if error.is_conflict() && failures < 5 {
        tracing::debug!(kind = KIND, namespace, name, error = error.chain(), "reconcile");
    } else {
        tracing::warn!(
            kind = KIND,
            namespace,
            name,
            category = error.category(),
            error = error.chain(),
            "reconcile failed; it is repeated"
        );
    }
    Action::requeue(jittered(delay))
}

fn forget(shared: &Shared, key: &Key) {
    shared.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(key);
}

/// Delay before the n-th repetition (from 0) after a conflict: 200 ms doubled up to 5 s.
fn conflict_delay(failures: u32) -> Duration {
    Duration::from_millis(200 << failures.min(5)).min(Duration::from_secs(5))
}

/// A delay a little longer, so that equal delays of many objects do not march in step; never shorter, so that a slot
/// is not just missed.
fn jittered(delay: Duration) -> Duration {
    let most = (delay / 10).min(MAX_JITTER);
    (delay + most.mul_f64(rand::random::<f64>())).min(MAX_DELAY)
}

/// The reference by which others ask for a reconcile.
#[must_use]
pub fn reference(name: &str, namespace: &str) -> ObjectRef<PerformanceBaseline> {
    ObjectRef::new(name).within(namespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_delay_gets_a_little_longer_and_never_shorter(seconds in 0_u64..3_600) {
            let delay = Duration::from_secs(seconds);
            let jittered = jittered(delay);
            prop_assert!(jittered >= delay && jittered <= delay + MAX_JITTER && jittered <= MAX_DELAY);
        }
    }

    #[test]
    fn the_gauges_of_an_object_go_with_it_also_where_it_went_unseen() {
        use crate::gauges::{Figures, Gauges};
        let object = |namespace: &str, name: &str| {
            let mut baseline =
                PerformanceBaseline::new(name, plimsoll_testkit::fixtures::baseline(name).spec);
            baseline.metadata.namespace = Some(namespace.to_owned());
            DeserializeGuard(Ok(baseline))
        };
        let gauges = Arc::new(Gauges::default());
        let show = |namespace: &str, name: &str| {
            let figures = Figures { verdict: Some("Improved"), ..Figures::default() };
            gauges.set((namespace.to_owned(), name.to_owned()), figures);
        };
        let shown = || gauges.shown().into_iter().map(|key| key.1).collect::<Vec<_>>();
        for (namespace, name) in [("farm", "a"), ("farm", "b"), ("farm", "c"), ("other", "d")] {
            show(namespace, name);
        }
        let mut present = Present::new(gauges.clone(), Some("farm"));
        present.follow(&watcher::Event::Delete(object("farm", "a")));
        assert_eq!(shown(), ["b", "c", "d"]);
        // The watch broke off; when it is back, b is gone.
        present.follow(&watcher::Event::Init);
        present.follow(&watcher::Event::InitApply(object("farm", "c")));
        present.follow(&watcher::Event::InitDone);
        assert_eq!(shown(), ["c", "d"]);
    }

    #[test]
    fn delays_after_failures_grow_to_their_bounds() {
        let conflicts: Vec<u128> = (0..7).map(|count| conflict_delay(count).as_millis()).collect();
        assert_eq!(conflicts, [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        let failures: Vec<u64> = [0, 1, 8, 9, 4_000_000_000].map(|count| backoff(count).as_secs()).into();
        assert_eq!(failures, [1, 2, 256, 300, 300]);
    }
}
