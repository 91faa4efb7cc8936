//! The Prometheus source: what a request asks for, as sections of a record.

mod api;
mod client;
mod custom;
mod failure;
mod infrastructure;
mod latency;
mod parse;
mod queries;
mod requests;
mod session;
mod tls;
mod transport;
mod web;

use std::time::Instant;

use plimsoll_analysis::record::{BaselineRecord, Cost, Source, SourceReason, SourceState};
use plimsoll_analysis::request::{BaselineRequest, PrometheusRequest};

use self::client::Client;
use self::failure::{Failure, MAX_MESSAGE, cleaned};
use self::session::Session;
use crate::guard::AddressPolicy;
use crate::keys::{Keys, MissingKey};
use crate::progress::Progress;

/// Name of the source in a record.
const NAME: &str = "prometheus";

/// How to reach the source: what every source of a run shares.
#[derive(Clone, Copy)]
pub(crate) struct Means<'a> {
    pub(crate) keys: &'a Result<Keys, MissingKey>,
    pub(crate) policy: &'a AddressPolicy,
    pub(crate) deadline: Instant,
    pub(crate) progress: &'a dyn Progress,
}

/// Reads every section that the request asks of Prometheus into the record, and says how the source answered.
pub(crate) async fn collect(
    request: &BaselineRequest,
    prometheus: &PrometheusRequest,
    means: Means<'_>,
    record: &mut BaselineRecord,
) -> Source {
    let started = Instant::now();
    let steps = steps(request);
    let mut source = match client(request, prometheus, means) {
        Err(failure) => source(&[failure], false, None),
        Ok(client) => {
            let mut session = Session::new(client, record.window, means.progress, steps);
            sections(&mut session, request, record).await;
            let has_data = record.web_metrics.is_some()
                || record.api_metrics.is_some()
                || record.infrastructure_metrics.is_some()
                || record.custom_metrics.as_ref().is_some_and(|found| !found.is_empty());
            let mut source = source(&session.failures, has_data, Some(session.client().cost()));
            source.warnings = session.warnings;
            record.basis.append(&mut session.basis);
            source
        }
    };
    means.progress.step(steps, steps, NAME);
    source.duration_ms = Some(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    source
}

fn client(
    request: &BaselineRequest,
    prometheus: &PrometheusRequest,
    means: Means<'_>,
) -> Result<Client, Failure> {
    let keys =
        means.keys.as_ref().map_err(|missing| Failure::of_source(missing.reason(), missing.to_string()))?;
    let policy = means.policy.and(&request.forbidden_addresses).map_err(|error| {
        Failure::of_source(SourceReason::Unreachable, format!("forbidden_addresses: {error}"))
    })?;
    Client::new(prometheus, keys, policy, means.deadline)
}

/// How many steps the sections announce.
fn steps(request: &BaselineRequest) -> usize {
    let web = request.web.as_ref().map_or(0, |_| web::STEPS);
    let api = request.api.as_ref().map_or(0, |_| api::STEPS);
    web + api + infrastructure::STEPS + request.metrics.len()
}

async fn sections(session: &mut Session<'_>, request: &BaselineRequest, record: &mut BaselineRecord) {
    if let Some(web) = &request.web {
        record.web_metrics = web::collect(session, web).await;
    }
    if let Some(api) = request.api.as_ref().filter(|_| !session.is_stopped()) {
        record.api_metrics = api::collect(session, api).await;
    }
    if !session.is_stopped() {
        record.infrastructure_metrics = infrastructure::collect(session, &request.namespace).await;
    }
    if !request.metrics.is_empty() && !session.is_stopped() {
        record.custom_metrics = custom::collect(session, &request.metrics).await;
    }
}

/// Judges a source by what failed and by whether anything was read.
fn source(failures: &[Failure], has_data: bool, cost: Option<Cost>) -> Source {
    let (state, reason, message) = match failures {
        [] if has_data => (SourceState::Collected, None, None),
        [] => (
            SourceState::Failed,
            Some(SourceReason::NoData),
            Some(
                "the server answered and holds no series of what was asked for in the window; \
                 check metric names and matchers (the basis of each figure names its selector), and whether the \
                 workloads are scraped"
                    .to_owned(),
            ),
        ),
        [first, rest @ ..] => {
            let state = if has_data { SourceState::Partial } else { SourceState::Failed };
            let more = match rest.len() {
                0 => String::new(),
                1 => " (and one more read failed)".to_owned(),
                more => format!(" (and {more} more reads failed)"),
            };
            (state, Some(first.reason), Some(format!("{}{more}", first.message)))
        }
    };
    Source {
        name: NAME.to_owned(),
        state,
        reason,
        message: message.map(|text| cleaned(&text, MAX_MESSAGE)),
        duration_ms: None,
        cost,
        warnings: Vec::new(),
    }
}
