//! What the integration tests share: requests, a server that misbehaves on demand, and real Prometheus servers.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "test code outside of #[test] functions"
)]

pub mod data;
pub mod http;
pub mod pg;
pub mod postgres;
pub mod proxy;
pub mod real;
pub mod remote_write;
pub mod servers;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_analysis::record::{BaselineRecord, Source};
use plimsoll_analysis::request::{self, ApiRequest, BaselineRequest, PrometheusRequest, WebRequest};
use plimsoll_collect::{AddressPolicy, Keys, Means, NoProgress, Progress, TimeLimit, collect};

/// A request for everything, with the default names, of the server at `url`.
pub fn request(url: &str) -> BaselineRequest {
    BaselineRequest {
        schema: request::SCHEMA.to_owned(),
        name: "smart-dairy".to_owned(),
        namespace: "smart-dairy".to_owned(),
        uid: String::new(),
        run: "smart-dairy-0123456789".to_owned(),
        run_key: "sha256:0".to_owned(),
        window_seconds: 604_800,
        to: None,
        sample_seconds: 0,
        prometheus: Some(PrometheusRequest {
            url: url.to_owned(),
            auth: None,
            ca: None,
            server_name: None,
            headers: Vec::new(),
        }),
        web: Some(WebRequest {
            latency_histogram: "http_request_duration_seconds".to_owned(),
            request_counter: "http_requests_total".to_owned(),
            matchers: "job=\"odoo\"".to_owned(),
            error_matchers: "status=~\"5..\"".to_owned(),
        }),
        api: Some(ApiRequest {
            latency_histogram: "api_request_duration_seconds".to_owned(),
            request_counter: "api_requests_total".to_owned(),
            matchers: String::new(),
            error_matchers: "status=~\"5..\"".to_owned(),
            endpoint_label: "endpoint".to_owned(),
            top: 10,
        }),
        postgres: None,
        redis: None,
        database: None,
        cache: None,
        metrics: Vec::new(),
        forbidden_addresses: Vec::new(),
    }
}

/// Runs a request as on one's own machine, without keys.
pub async fn run(request: &BaselineRequest) -> BaselineRecord {
    run_for(request, Keys::default(), Duration::from_secs(60)).await
}

/// Runs a request with keys and a time limit.
pub async fn run_for(request: &BaselineRequest, keys: Keys, limit: Duration) -> BaselineRecord {
    let limit = TimeLimit::at(Instant::now() + limit);
    let policy = &AddressPolicy::Unrestricted;
    collect(request, Means { keys: &keys, policy, limit: &limit, progress: &NoProgress }, Timestamp::now())
        .await
}

/// Every step that a run announced: how many were done, of how many, and what began.
#[derive(Default)]
pub struct Steps(Mutex<Vec<(usize, usize, String)>>);

impl Progress for Steps {
    fn step(&self, done: usize, total: usize, what: &str) {
        self.0.lock().unwrap().push((done, total, what.to_owned()));
    }
}

/// Runs a request and gives the names of its steps, which must count from 0 to their total.
pub async fn steps(request: &BaselineRequest) -> Vec<String> {
    let steps = Steps::default();
    let limit = TimeLimit::at(Instant::now() + Duration::from_secs(60));
    let (keys, policy) = (&Keys::default(), &AddressPolicy::Unrestricted);
    collect(request, Means { keys, policy, limit: &limit, progress: &steps }, Timestamp::now()).await;
    let mut steps = steps.0.into_inner().unwrap();
    // A step may turn from one of its parts to the next.
    steps.dedup_by_key(|step| step.0);
    let total = steps.len() - 1;
    assert!(steps.iter().map(|step| step.0).eq(0..=total), "{steps:?}");
    assert!(steps.iter().all(|step| step.1 == total), "{steps:?}");
    steps.into_iter().map(|step| step.2).collect()
}

/// The only source of a record.
pub fn source(record: &BaselineRecord) -> &Source {
    assert_eq!(record.sources.len(), 1, "{:?}", record.sources);
    &record.sources[0]
}

/// The message of the only source.
pub fn message(record: &BaselineRecord) -> &str {
    source(record).message.as_deref().unwrap_or_default()
}

/// Parameters of the request line of an HTTP request.
pub fn parameters(target: &str) -> BTreeMap<String, String> {
    let url = url::Url::parse("http://h").unwrap().join(target).unwrap();
    url.query_pairs().into_owned().collect()
}
