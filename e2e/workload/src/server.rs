//! The service: routes, probes, metrics, and a stop that loses no request.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, Form, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use http::{Method, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

use crate::data::{Data, DataError, Settings};
use crate::latency::{Latencies, Quantiles};
use crate::metrics::{self, Metrics};
use crate::routes::{Role, Route};
use crate::work;

/// How the service runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Web application or API.
    pub role: Role,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Seed of what requests do.
    pub seed: u64,
    /// Hash rounds of a request of work 1, at most [`work::MAX_ROUNDS`].
    pub work_rounds: u32,
    /// How many requests are worked on at once; further ones wait for a worker. At least 1.
    pub workers: usize,
    /// After the request to stop, how long requests are still accepted while /readyz says no: the time that Endpoints and
    /// kube-proxy take to send no more.
    pub drain_delay: Duration,
    /// After that, how long requests under way may take.
    pub drain_timeout: Duration,
    /// Where database and cache are; without them a query is a timed wait.
    pub data: Option<Settings>,
}

/// What a service did in its life. Also the answer of `/stats`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Web application or API.
    pub role: Role,
    /// Answered requests: all but probes, scrapes, beacons and this page.
    pub requests: u64,
    /// Those answered with a status of 500 or more.
    pub errors: u64,
    /// Time from arrival to answer, as the service saw it on a monotonic clock; absent without requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Quantiles>,
}

/// Why the service did not start or did not stop in order.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, not of this machine, or not allowed.
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The database or the cache cannot be used as configured.
    #[error("{0}")]
    Data(#[from] DataError),
    /// The listener broke.
    #[error("serving stopped: {0}")]
    Serve(#[source] io::Error),
    /// Requests were still under way when the time for them was over.
    #[error("requests were still under way {0:?} after the stop; raise --drain-timeout or lower the load")]
    Cut(Duration),
}

/// A service that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    config: Config,
}

struct Shared {
    config: Config,
    metrics: Metrics,
    data: Option<Data>,
    workers: Semaphore,
    /// Requests so far of each route, in the order of [`Role::routes`]: their numbers for the draws.
    numbers: Vec<AtomicU64>,
    requests: AtomicU64,
    errors: AtomicU64,
    latencies: Mutex<Latencies>,
    stopping: AtomicBool,
}

#[derive(Deserialize)]
struct Beacon {
    page: String,
    seconds: f64,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// [`ServeError::Listen`].
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, config })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` ends, then stops being ready, waits the drain delay, finishes what is under way and ends.
    ///
    /// # Errors
    /// [`ServeError::Data`] at once, [`ServeError::Serve`], or [`ServeError::Cut`] when the drain timeout passed first.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<Summary, ServeError> {
        let (delay, timeout) = (self.config.drain_delay, self.config.drain_timeout);
        let shared = Arc::new(Shared::new(self.config)?);
        let _looking_after = LookingAfter::start(&shared);
        let listener = self.listener.tap_io(|stream| {
            // Answers are small: Nagle's algorithm would hold them back for the client's delayed acknowledgement.
            let _ = stream.set_nodelay(true);
        });
        let (closing, closed) = oneshot::channel::<()>();
        let state = Arc::clone(&shared);
        let graceful = async move {
            stop.await;
            state.stopping.store(true, Ordering::Relaxed);
            tokio::time::sleep(delay).await;
            let _ = closing.send(());
        };
        let serving = axum::serve(listener, router(Arc::clone(&shared))).with_graceful_shutdown(graceful);
        let overdue = async move {
            if closed.await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(timeout).await;
        };
        tokio::select! {
            ended = async { serving.await } => ended.map_err(ServeError::Serve)?,
            () = overdue => return Err(ServeError::Cut(timeout)),
        }
        Ok(shared.summary())
    }
}

/// The task that looks after the database; it ends with the service.
struct LookingAfter(tokio::task::JoinHandle<()>);

impl LookingAfter {
    fn start(shared: &Arc<Shared>) -> Self {
        let shared = Arc::clone(shared);
        Self(tokio::spawn(async move {
            if let Some(data) = &shared.data {
                // One of the two services changes indexes and views; both need them.
                data.look_after(shared.config.role == Role::Api).await;
            }
        }))
    }
}

impl Drop for LookingAfter {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Shared {
    fn new(config: Config) -> Result<Self, DataError> {
        Ok(Self {
            data: config.data.clone().map(Data::new).transpose()?,
            metrics: Metrics::new(config.role),
            workers: Semaphore::new(config.workers.clamp(1, Semaphore::MAX_PERMITS)),
            numbers: config.role.routes().iter().map(|_| AtomicU64::new(0)).collect(),
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            latencies: Mutex::default(),
            stopping: AtomicBool::new(false),
            config,
        })
    }

    fn summary(&self) -> Summary {
        Summary {
            role: self.config.role,
            requests: self.requests.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            latency_ms: self.latencies.lock().unwrap_or_else(PoisonError::into_inner).quantiles(),
        }
    }

    /// Share of the workers that are busy, 0 to 1.
    fn busy(&self) -> f64 {
        let workers = self.config.workers.max(1);
        workers.saturating_sub(self.workers.available_permits()) as f64 / workers as f64
    }

    fn count(&self, path: &str, status: StatusCode, took: Duration) {
        self.metrics.answered(path, status.as_u16(), took);
        self.requests.fetch_add(1, Ordering::Relaxed);
        if status.is_server_error() {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).add(took);
    }

    /// Works on one request of a route as a worker process would: one at a time, queries first, then the page. The time
    /// spent waiting for a worker is part of the answer's time.
    ///
    /// Without a database behind the service a query is a timed wait; what is recorded is the time that really passed.
    async fn perform(&self, index: usize, route: &Route) -> (StatusCode, u64) {
        let _worker = self.workers.acquire().await;
        let number = self.numbers[index].fetch_add(1, Ordering::Relaxed);
        let script = route.script(self.config.seed, number, self.config.work_rounds);
        for (query, time) in script.queries {
            let Some(data) = &self.data else {
                let begun = Instant::now();
                tokio::time::sleep(time).await;
                self.metrics.queried(query, begun.elapsed());
                continue;
            };
            let got = data.get(query, script.choice, |took| self.metrics.queried(query, took)).await;
            if let Err(error) = got {
                tracing::warn!(query, "{error}");
                return (StatusCode::INTERNAL_SERVER_ERROR, 0);
            }
        }
        let hash = tokio::task::spawn_blocking(move || work::burn(script.rounds, number)).await;
        match (hash, StatusCode::from_u16(script.status)) {
            (Ok(hash), Ok(status)) => (status, hash),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, 0),
        }
    }
}

fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .route("/metrics", get(scrape))
        .route("/stats", get(stats));
    if shared.config.role == Role::Odoo {
        router = router.route("/rum", post(beacon));
    }
    router.fallback(answer).layer(DefaultBodyLimit::max(1024)).with_state(shared)
}

async fn readiness(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    if shared.stopping.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else if shared.data.as_ref().is_some_and(|data| !data.prepared()) {
        // Only until the database was reached once: later, a pod that says no would not bring it back.
        (StatusCode::SERVICE_UNAVAILABLE, "waiting for the database\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn scrape(State(shared): State<Arc<Shared>>) -> Response {
    match shared.metrics.encode(shared.busy()) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn stats(State(shared): State<Arc<Shared>>) -> Json<Summary> {
    Json(shared.summary())
}

/// Takes a page load time that a browser measured. Only known pages and times up to ten minutes, so that no caller makes
/// series or spoils the sum with a number that is none.
async fn beacon(State(shared): State<Arc<Shared>>, Form(beacon): Form<Beacon>) -> StatusCode {
    let known = shared.config.role.routes().iter().any(|route| route.path == beacon.page);
    if !known || !(0.0..=600.0).contains(&beacon.seconds) {
        return StatusCode::BAD_REQUEST;
    }
    shared.metrics.page_loaded(&beacon.page, Duration::from_secs_f64(beacon.seconds));
    StatusCode::NO_CONTENT
}

async fn answer(State(shared): State<Arc<Shared>>, method: Method, uri: Uri) -> Response {
    let arrived = Instant::now();
    // A task of its own: a client that goes away drops this future, but the request was made and has its cost, and a count
    // that forgets it would differ from what the client sent.
    let state = Arc::clone(&shared);
    let task = tokio::spawn(async move {
        let found = state.config.role.routes().iter().enumerate().find(|(_, route)| route.path == uri.path());
        let (path, status, hash) = match found {
            None => (metrics::OTHER, StatusCode::NOT_FOUND, 0),
            Some((_, route)) if method != Method::GET && method != Method::HEAD => {
                (route.path, StatusCode::METHOD_NOT_ALLOWED, 0)
            }
            Some((index, route)) => {
                let (status, hash) = state.perform(index, route).await;
                (route.path, status, hash)
            }
        };
        state.count(path, status, arrived.elapsed());
        page(state.config.role, path, status, hash)
    });
    let mut response = task.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response());
    if shared.stopping.load(Ordering::Relaxed) {
        // Sends clients to another pod while this one still answers.
        response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    }
    response
}

/// The answer's body. It shows the work's hash, so that the work has a result that somebody reads.
fn page(role: Role, path: &str, status: StatusCode, hash: u64) -> Response {
    let work = format!("{hash:016x}");
    let status_code = status.as_u16();
    match role {
        Role::Odoo => {
            let html = format!(
                "<!doctype html>\n<title>Smart Dairy {path}</title>\n<p>status {status_code}, work {work}</p>\n"
            );
            (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
        }
        Role::Api => {
            let body = serde_json::json!({"endpoint": path, "status": status_code, "work": work});
            (status, Json(body)).into_response()
        }
    }
}
