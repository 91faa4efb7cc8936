//! The Prometheus source: what a request asks for, as sections of a record.

mod api;
mod client;
mod custom;
mod database;
mod infrastructure;
mod latency;
mod parse;
mod queries;
mod requests;
mod series;
mod session;
mod slots;
mod transport;
mod web;

use std::time::Instant;

use plimsoll_analysis::record::{BaselineRecord, Source, SourceReason};
use plimsoll_analysis::request::{BaselineRequest, DatabaseRequest, PrometheusRequest};

use self::client::Client;
use self::session::Session;
use crate::Means;
use crate::failure::{Failure, judged};

/// Name of the source in a record.
const NAME: &str = "prometheus";
/// What to do where the server holds nothing of what was asked for.
const NO_DATA: &str = "the server answered and holds no series of what was asked for in the window; check metric names \
                       and matchers (the basis of each figure names its selector), and whether the workloads are scraped";

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
        Err(failure) => judged(NAME, &[failure], false, NO_DATA),
        Ok(client) => {
            let mut session = Session::new(client, record.window, means.progress, steps);
            sections(&mut session, request, record).await;
            let has_data = record.web_metrics.is_some()
                || record.api_metrics.is_some()
                || record.database_metrics.is_some()
                || record.infrastructure_metrics.is_some()
                || record.custom_metrics.as_ref().is_some_and(|found| !found.is_empty());
            let mut source = judged(NAME, &session.failures, has_data, NO_DATA);
            source.cost = Some(session.client().cost());
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
    let policy = means.policy.and(&request.forbidden_addresses).map_err(|error| {
        Failure::of_source(SourceReason::Unreachable, format!("forbidden_addresses: {error}"))
    })?;
    Client::new(prometheus, means.keys, policy, means.limit.clone())
}

/// How many steps the sections announce.
fn steps(request: &BaselineRequest) -> usize {
    let web = request.web.as_ref().map_or(0, |_| web::STEPS);
    let api = request.api.as_ref().map_or(0, |_| api::STEPS);
    let database = histogram(request).map_or(0, |_| database::STEPS);
    web + api + database + infrastructure::STEPS + request.metrics.len() + series::STEPS
}

/// The database section, where it names a histogram of query times.
fn histogram(request: &BaselineRequest) -> Option<(&DatabaseRequest, &str)> {
    let database = request.database.as_ref()?;
    Some((database, database.latency_histogram.as_deref()?))
}

async fn sections(session: &mut Session<'_>, request: &BaselineRequest, record: &mut BaselineRecord) {
    if let Some(web) = &request.web {
        record.web_metrics = web::collect(session, web).await;
    }
    if let Some(api) = request.api.as_ref().filter(|_| !session.is_stopped()) {
        record.api_metrics = api::collect(session, api).await;
    }
    if let Some((database, histogram)) = histogram(request).filter(|_| !session.is_stopped()) {
        record.database_metrics = database::collect(session, histogram, &database.matchers).await;
    }
    if !session.is_stopped() {
        record.infrastructure_metrics = infrastructure::collect(session, &request.namespace).await;
    }
    if !request.metrics.is_empty() && !session.is_stopped() {
        record.custom_metrics = custom::collect(session, &request.metrics).await;
    }
    record.series = series::collect(session).await;
}
