//! A stateful fake of the Kubernetes API server, as the service that a [`kube::Client`] is made from.

mod admit;
mod apply;
mod control;
mod delete;
mod fault;
mod fields;
mod handle;
mod log;
mod read;
mod route;
mod select;
mod status;
mod store;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::clock::FixedClock;
use fault::{Hooks, Quota, Target};
use handle::Answer;
use route::Route;
use store::{Store, Stored};
use watch::ResponseBody;

pub use control::Object;
pub use fault::{Disconnected, Failure, Fault, FaultKind, is_disconnected};
pub use log::{Read, Write};
pub use route::{ObjectKey, ResourceType, Verb};
pub use status::ApiFailure;
pub use store::{Effect, Lifecycle};

/// Everything that the server knows.
#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) hooks: Hooks,
    pub(crate) writes: Vec<Write>,
    pub(crate) reads: Vec<Read>,
    /// Logs by namespace, pod and container.
    pub(crate) logs: BTreeMap<(String, String, String), String>,
    /// Whether the client has crashed: nothing of it arrives.
    down: bool,
}

/// A stateful fake API server. Clones share one state.
///
/// What a client does goes through [`FakeApiServer::client`] and is logged; what a test does through the other
/// methods stands for everybody else in the cluster: it is not logged, and works while the client is down.
#[derive(Debug, Clone, Default)]
pub struct FakeApiServer(Arc<Mutex<Inner>>);

impl FakeApiServer {
    /// An empty server whose clock stands at [`FixedClock::default`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(FixedClock::default())
    }

    /// An empty server that takes the time of what it stores from `clock`.
    #[must_use]
    pub fn with_clock(clock: FixedClock) -> Self {
        let server = Self::default();
        {
            let mut inner = server.lock();
            inner.store.clock = clock;
            inner.hooks.user = "system:serviceaccount:plimsoll:plimsoll".to_owned();
        }
        server
    }

    /// The server's clock.
    #[must_use]
    pub fn clock(&self) -> FixedClock {
        self.lock().store.clock.clone()
    }

    /// A client of this server; its default namespace is `default`.
    ///
    /// # Panics
    /// Outside a tokio runtime: the client's queue is a task.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        let server = self.clone();
        let service = tower::service_fn(move |request| {
            let server = server.clone();
            async move { server.serve(request).await }
        });
        kube::Client::new(service, "default")
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, request: Request<Body>) -> Result<Response<ResponseBody>, Disconnected> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Disconnected("the request's body broke off"))?.to_bytes();
        let mut inner = self.lock();
        if inner.down {
            return Err(Disconnected("the client has crashed and not been restarted"));
        }
        if let Some(found) = read::discovery(&inner, parts.uri.path()) {
            return Ok(respond(200, None, Full::new(Bytes::from(found.to_string())).boxed_unsync()));
        }
        match Route::parse(&parts) {
            Err(failure) => Ok(refuse(&failure)),
            Ok(route) if route.verb.is_mutating() && !handle::is_access_review(&route.resource) => {
                inner.serve_write(&route, &body)
            }
            Ok(route) => inner.serve_read(&route, &body),
        }
    }
}

impl Inner {
    fn serve_read(&mut self, route: &Route, body: &[u8]) -> Result<Response<ResponseBody>, Disconnected> {
        let answer = match self.hooks.take_failure(route) {
            Some(Failure::Disconnect) => return Err(Disconnected("a failure that the test asked for")),
            Some(Failure::Refuse(failure) | Failure::DoneBut(failure)) => Err(failure),
            None => handle::perform(self, route, body),
        };
        let code = answer.as_ref().map_or_else(|failure| failure.code, |answer| answer.code);
        let subresource = route.subresource.clone();
        self.reads.push(Read { verb: route.verb, object: route.key(), subresource, code });
        Ok(answer.map_or_else(|failure| refuse(&failure), |answer| respond(answer.code, None, answer.body)))
    }

    fn serve_write(&mut self, route: &Route, body: &[u8]) -> Result<Response<ResponseBody>, Disconnected> {
        let number = self.writes.len() + 1;
        let fault = self.hooks.take_fault(number);
        let failure = self.hooks.take_failure(route);
        let mut entry = Write {
            number,
            verb: route.verb,
            object: route.key(),
            subresource: route.subresource.clone(),
            field_manager: route.field_manager(),
            code: None,
            answered: false,
            effect: Effect::None,
        };
        if entry.object.name.is_empty() {
            entry.object.name = sent_name(body);
        }
        if fault == Some(FaultKind::CrashBefore) {
            self.crash();
            self.writes.push(entry);
            return Err(Disconnected("the client crashed before the write"));
        }
        if failure == Some(Failure::Disconnect) {
            self.writes.push(entry);
            return Err(Disconnected("a failure that the test asked for"));
        }
        let answer = match &failure {
            Some(Failure::Refuse(failure)) => Err(failure.clone()),
            _ => handle::perform(self, route, body),
        };
        if let Ok(Answer { key, effect, .. }) = &answer {
            entry.object = key.clone();
            entry.effect = *effect;
        }
        let answer = match (failure, answer) {
            (Some(Failure::DoneBut(failure)), Ok(_)) => Err(failure),
            (_, answer) => answer,
        };
        entry.code = Some(answer.as_ref().map_or_else(|failure| failure.code, |answer| answer.code));
        entry.answered = fault != Some(FaultKind::InDoubt);
        self.writes.push(entry);
        match fault {
            Some(FaultKind::InDoubt) => return Err(Disconnected("the answer to the write was lost")),
            Some(FaultKind::CrashAfter) => self.crash(),
            Some(FaultKind::CrashBefore) | None => {}
        }
        Ok(answer.map_or_else(|failure| refuse(&failure), |answer| respond(answer.code, None, answer.body)))
    }

    fn crash(&mut self) {
        self.down = true;
        self.store.watchers.clear();
    }
}

/// The name in the body of a create; its URL has none.
fn sent_name(body: &[u8]) -> String {
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn refuse(failure: &ApiFailure) -> Response<ResponseBody> {
    let body = Full::new(Bytes::from(failure.to_json().to_string())).boxed_unsync();
    respond(failure.code, failure.retry_after_seconds, body)
}

fn respond(code: u16, retry_after: Option<u32>, body: ResponseBody) -> Response<ResponseBody> {
    let mut response =
        Response::builder().status(code).header(http::header::CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry_after {
        response = response.header(http::header::RETRY_AFTER, seconds);
    }
    response.body(body).expect("codes and headers come from this crate")
}
