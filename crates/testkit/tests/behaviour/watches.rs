//! Watches, as kube's own watcher and controller machinery see them.

use std::time::Duration;

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PartialObjectMeta, Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use plimsoll_testkit::FakeApiServer;
use plimsoll_testkit::fixtures::NAMESPACE;
use plimsoll_testkit::server::{ApiFailure, Failure, Verb};
use serde_json::json;

use crate::{config_map, config_maps, object};

/// The next event in words.
async fn next<S>(events: &mut S) -> String
where
    S: Stream<Item = watcher::Result<Event<ConfigMap>>> + Unpin,
{
    let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await;
    let name = |object: ConfigMap| object.metadata.name.unwrap();
    match event.expect("an event comes in time").expect("watchers do not end") {
        Ok(Event::Init) => "init".to_owned(),
        Ok(Event::InitApply(object)) => format!("init {}", name(object)),
        Ok(Event::InitDone) => "init done".to_owned(),
        Ok(Event::Apply(object)) => format!("apply {}", name(object)),
        Ok(Event::Delete(object)) => format!("delete {}", name(object)),
        Err(error) => format!("error {error:?}"),
    }
}

async fn expect_initial<S>(events: &mut S, names: &[&str])
where
    S: Stream<Item = watcher::Result<Event<ConfigMap>>> + Unpin,
{
    assert_eq!(next(events).await, "init");
    for name in names {
        assert_eq!(next(events).await, format!("init {name}"));
    }
    assert_eq!(next(events).await, "init done");
}

#[tokio::test]
async fn a_watcher_sees_what_was_there_and_what_comes() {
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let server = FakeApiServer::new();
        server.put(config_map("milk", json!({"a": "1"})));
        let mut events = watcher(config_maps(&server), config).boxed();
        expect_initial(&mut events, &["milk"]).await;
        server.put(config_map("cream", json!({})));
        assert_eq!(next(&mut events).await, "apply cream");
        let api = config_maps(&server);
        let same = Patch::Merge(json!({"data": {"a": "1"}}));
        api.patch("milk", &PatchParams::default(), &same).await.unwrap();
        server.delete::<ConfigMap>(NAMESPACE, "milk");
        assert_eq!(next(&mut events).await, "delete milk", "a write that changes nothing makes no event");
    }
}

#[tokio::test]
async fn a_watcher_of_a_label_sees_objects_come_and_go_by_it() {
    let labelled = |name: &str, app: &str| -> ConfigMap {
        object(json!({"metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": app}}}))
    };
    let server = FakeApiServer::new();
    server.put(labelled("milk", "odoo"));
    server.put(labelled("cream", "api"));
    let mut events = watcher(config_maps(&server), watcher::Config::default().labels("app=odoo")).boxed();
    expect_initial(&mut events, &["milk"]).await;
    server.put(labelled("milk", "api"));
    assert_eq!(next(&mut events).await, "delete milk");
    server.put(labelled("cream", "odoo"));
    assert_eq!(next(&mut events).await, "apply cream");
}

#[tokio::test]
async fn a_watch_goes_on_after_it_was_closed_and_lists_again_after_a_compaction() {
    let server = FakeApiServer::new();
    let mut events = watcher(config_maps(&server), watcher::Config::default()).boxed();
    expect_initial(&mut events, &[]).await;
    server.put(config_map("milk", json!({})));
    assert_eq!(next(&mut events).await, "apply milk");
    server.close_watches();
    server.put(config_map("cream", json!({})));
    assert_eq!(next(&mut events).await, "apply cream", "history is replayed from the last version seen");
    server.hold_watches();
    server.put(config_map("whey", json!({})));
    server.close_watches();
    server.compact();
    let error = next(&mut events).await;
    assert!(error.contains("too old resource version"), "{error}");
    expect_initial(&mut events, &["cream", "milk", "whey"]).await;
}

#[tokio::test]
async fn held_watches_are_stale_and_catch_up() {
    let server = FakeApiServer::new();
    let mut events = watcher(config_maps(&server), watcher::Config::default()).boxed();
    expect_initial(&mut events, &[]).await;
    // The watch opens with the poll that follows the list.
    server.put(config_map("first", json!({})));
    assert_eq!(next(&mut events).await, "apply first");
    server.hold_watches();
    server.put(config_map("milk", json!({})));
    server.bookmark();
    let early = tokio::time::timeout(Duration::from_millis(50), events.next()).await;
    assert!(early.is_err(), "{early:?}");
    server.release_watches();
    assert_eq!(next(&mut events).await, "apply milk");
}

#[tokio::test]
async fn a_metadata_watcher_gets_metadata() {
    let server = FakeApiServer::new();
    server.put(config_map("milk", json!({"secret": "x"})));
    let api: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(server.client(), NAMESPACE);
    let events = watcher(api, watcher::Config::default()).applied_objects();
    let first = tokio::time::timeout(Duration::from_secs(10), events.boxed().next()).await.unwrap();
    assert_eq!(first.unwrap().unwrap().metadata.name.as_deref(), Some("milk"));
}

#[tokio::test]
async fn a_refused_watch_is_an_error_and_the_watcher_goes_on() {
    let server = FakeApiServer::new();
    server.forbid(Verb::List, "configmaps");
    let mut events = watcher(config_maps(&server), watcher::Config::default()).boxed();
    assert_eq!(next(&mut events).await, "init");
    assert!(next(&mut events).await.contains("cannot list resource"));
    server.permit(Verb::List, "configmaps");
    server.fail_next(Verb::List, "configmaps", Failure::Refuse(ApiFailure::internal("etcd is away")));
    let mut seen = Vec::new();
    while seen.last().is_none_or(|event: &String| event != "init done") {
        seen.push(next(&mut events).await);
    }
    assert!(seen.iter().any(|event| event.contains("etcd is away")), "{seen:?}");
}
