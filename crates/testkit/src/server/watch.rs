//! Watches: what a client is told of changes, from a resource version on.

use std::convert::Infallible;

use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::route::{ObjectKey, ResourceType, Route};
use super::select::Selector;
use super::status::ApiFailure;
use super::store::Store;

/// Body of every answer.
pub(crate) type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

/// One change of one object; absent before a create and after a removal.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: ObjectKey,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

/// A client that watches.
#[derive(Debug)]
pub(crate) struct Watcher {
    resource: ResourceType,
    namespace: String,
    selector: Selector,
    metadata_only: bool,
    bookmarks: bool,
    /// Last change that it was told or that it skipped.
    seen: u64,
    events: mpsc::UnboundedSender<Bytes>,
}

impl Watcher {
    /// Tells of a change, if it concerns the watch. False once the client has gone.
    pub(crate) fn send(&mut self, change: &Change) -> bool {
        if change.revision <= self.seen {
            return true;
        }
        self.seen = change.revision;
        let in_scope = change.key.resource == self.resource
            && (self.namespace.is_empty() || self.namespace == change.key.namespace);
        let selected = |object: &Option<Value>| {
            object.as_ref().filter(|object| in_scope && self.selector.matches(object)).is_some()
        };
        let kind = match (selected(&change.before), selected(&change.after)) {
            (false, false) => return !self.events.is_closed(),
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        match change.after.as_ref().or(change.before.as_ref()) {
            Some(object) => self.emit(kind, object),
            None => true,
        }
    }

    fn emit(&self, kind: &str, object: &Value) -> bool {
        let object = shape(object, self.metadata_only);
        self.line(&json!({"type": kind, "object": object}))
    }

    /// Tells how far the watch has come, if the client takes bookmarks. False once the client has gone.
    pub(crate) fn bookmark(&self, revision: u64, kind: &str, end_of_initial_events: bool) -> bool {
        if !self.bookmarks {
            return !self.events.is_closed();
        }
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if end_of_initial_events {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let api_version = self.resource.api_version();
        self.line(&json!({
            "type": "BOOKMARK",
            "object": {"apiVersion": api_version, "kind": kind, "metadata": metadata},
        }))
    }

    fn line(&self, event: &Value) -> bool {
        self.events.send(Bytes::from(format!("{event}\n"))).is_ok()
    }
}

/// Opens a watch: what happened since the asked-for version, then what happens.
///
/// Without a version, or with version 0, every object comes first as `ADDED`, and with `sendInitialEvents` a bookmark
/// ends them.
///
/// # Errors
/// 400 for unreadable selectors or versions. A version that is no longer kept is answered in the stream, as
/// the real server does.
pub(crate) fn open(store: &mut Store, route: &Route) -> Result<ResponseBody, ApiFailure> {
    let (events, mut receiver) = mpsc::unbounded_channel();
    let from: u64 = match route.option("resourceVersion") {
        None => 0,
        Some(text) => text.parse().map_err(|_| {
            ApiFailure::bad_request(format!("resourceVersion: Invalid value: {text:?}: invalid number"))
        })?,
    };
    let initial_events = route.flag("sendInitialEvents");
    let mut watcher = Watcher {
        resource: route.resource.clone(),
        namespace: route.namespace.clone(),
        selector: Selector::parse(route.option("labelSelector"), route.option("fieldSelector"))?,
        metadata_only: route.metadata_only,
        bookmarks: route.flag("allowWatchBookmarks"),
        seen: from,
        events,
    };
    if from == 0 || initial_events {
        let mut kind = String::new();
        for (_, stored) in store.list(&route.resource, &route.namespace) {
            if watcher.selector.matches(&stored.value) {
                watcher.emit("ADDED", &stored.value);
            }
            kind = stored.value["kind"].as_str().unwrap_or_default().to_owned();
        }
        watcher.seen = store.revision();
        if initial_events {
            watcher.bookmark(store.revision(), &kind, true);
        }
        store.watchers.push(watcher);
    } else if from < store.compacted {
        watcher.line(&json!({
            "type": "ERROR",
            "object": ApiFailure::expired(from, store.compacted).to_json(),
        }));
    } else {
        if !store.watches_held {
            for change in &store.history {
                watcher.send(change);
            }
        }
        store.watchers.push(watcher);
    }
    let frames = stream::poll_fn(move |context| receiver.poll_recv(context));
    let frames = futures::StreamExt::map(frames, |line| Ok(hyper::body::Frame::data(line)));
    Ok(StreamBody::new(frames).boxed_unsync())
}

/// An object as the client asked for it: whole, or its metadata alone.
pub(crate) fn shape(object: &Value, metadata_only: bool) -> Value {
    if metadata_only {
        json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"],
        })
    } else {
        object.clone()
    }
}
