//! The PostgreSQL source: what a request asks for, as sections of a record.
//!
//! One connection reads catalogs and statistics, each statement in a read-only transaction of its own; a statement that
//! fails takes only its own figures with it.

mod address;
mod basis;
mod connect;
mod error;
mod indexes;
mod run;
mod server;
mod session;
mod settings;
mod sql;
mod statements;
mod tables;
mod tls;
mod watch;

use std::time::Instant;

use plimsoll_analysis::record::{BaselineRecord, Source, SourceReason};
use plimsoll_analysis::request::{BaselineRequest, DatabaseRequest, PostgresRequest};

use self::connect::Route;
use self::session::Session;
use crate::Means;
use crate::failure::{Failure, judged};

/// Name of the source in a record.
const NAME: &str = "postgres";
/// What to do where nothing was read and nothing failed.
const NO_DATA: &str = "the server answered and gave none of the figures that were asked for";

/// Reads every section that the request asks of the server into the record, and says how the source answered.
pub(crate) async fn collect(
    request: &BaselineRequest,
    source: &PostgresRequest,
    means: Means<'_>,
    record: &mut BaselineRecord,
) -> Source {
    let started = Instant::now();
    let mut found = match &request.database {
        None => {
            let message =
                "nothing is asked of this source; add spec.database (database: {} takes the defaults)";
            judged(NAME, &[Failure::of_source(SourceReason::NoData, message)], false, NO_DATA)
        }
        Some(database) => match open(request, source, means).await {
            Err(failure) => judged(NAME, &[failure], false, NO_DATA),
            Ok(session) => read(session, request, database, means, record).await,
        },
    };
    means.progress.step(run::STEPS, run::STEPS, NAME);
    found.duration_ms = Some(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    found
}

async fn open<'a>(
    request: &BaselineRequest,
    source: &PostgresRequest,
    means: Means<'a>,
) -> Result<Session<'a>, Failure> {
    let route = Route::new(request, source, means)?;
    let ignored = route.address.ignored.clone();
    let mut session = Session::open(route, means.limit).await?;
    session.warnings.extend(ignored.into_iter().map(|name| {
        format!("the parameter {name} of the URI is left out of account; the spec decides (sources.postgres.sslMode)")
    }));
    Ok(session)
}

async fn read(
    mut session: Session<'_>,
    request: &BaselineRequest,
    database: &DatabaseRequest,
    means: Means<'_>,
    record: &mut BaselineRecord,
) -> Source {
    run::sections(&mut session, request.sample_seconds, database, means.progress, record).await;
    let has_data = record.database_metrics.is_some() || record.database_analysis.is_some();
    let mut source = judged(NAME, &session.failures, has_data, NO_DATA);
    source.cost = Some(session.cost());
    source.warnings = std::mem::take(&mut session.warnings);
    source.warnings.truncate(10);
    session.close().await;
    source
}
