//! The schema and CEL rules of our kinds on real API servers: what they accept, what they refuse and with which words,
//! what they store, and what `kubectl` shows of it. The verdict of `plimsoll validate` must be the server's.

mod bases;
mod case;
mod catalogue;
mod explain;
mod fields;
mod judging;
mod objects;
mod oracle;
mod rules;
mod server;
mod text;

use std::time::Instant;

use anyhow::{Result, ensure};
use plimsoll_cluster::apiserver::ApiVersion;

use server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_accepts_refuses_and_explains_as_it_says_on_1_33() -> Result<()> {
    everything(ApiVersion::V1_33).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_accepts_refuses_and_explains_as_it_says_on_1_36() -> Result<()> {
    everything(ApiVersion::V1_36).await
}

/// All of it on one server, since starting one takes longer than most of the questions.
async fn everything(version: ApiVersion) -> Result<()> {
    let server = Server::start(version).await?;
    let begin = Instant::now();
    let mut wrong = objects::stored(&server).await?;
    wrong.extend(objects::shared_lists(&server).await?);
    wrong.extend(objects::shown(&server).await?);
    let cases = case::all(&server).await?;
    let count = cases.len();
    wrong.extend(case::judge(&server, cases).await?);
    let cases_took = begin.elapsed();
    let begin = Instant::now();
    let (explained, unclear) = explain::check(&server)?;
    wrong.extend(unclear);
    println!(
        "{version:?}: {count} cases in {:.1} s, {explained} fields explained in {:.1} s, {} wrong",
        cases_took.as_secs_f64(),
        begin.elapsed().as_secs_f64(),
        wrong.len()
    );
    ensure!(wrong.is_empty(), "{version:?}:\n{}", wrong.join("\n"));
    Ok(())
}
