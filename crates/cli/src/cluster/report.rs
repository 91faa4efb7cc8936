//! `kubectl plimsoll report`: the record of a run, as the cluster keeps it.

use std::io::Write;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use plimsoll_analysis::record::BaselineRecord;
use plimsoll_api::{PerformanceBaseline, PerformanceBaselineStatus};
use plimsoll_operator::record_map;

use super::{ObjectRef, Place, Target, one_line};
use crate::failure::Failure;
use crate::output::{self, Format};

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kubectl plimsoll report baseline/smart-dairy -n smart-dairy
  kubectl plimsoll report baseline/smart-dairy -o markdown > report.md
  kubectl plimsoll report baseline/smart-dairy --run smart-dairy-3f9c2a81d0 -o json

`kubectl plimsoll status` lists the runs whose records are kept. A record that does not match the SHA-256 in the
baseline's status was changed after it was written, and is refused.")]
pub(crate) struct ReportArgs {
    /// Which object, for example baseline/smart-dairy.
    #[arg(value_name = "KIND/NAME")]
    object: ObjectRef,
    /// How the record is written.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Which run; the newest with a record by default.
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Runs the command.
///
/// # Errors
/// The object or its record is not there, may not be read, or was changed.
pub(crate) async fn run(
    args: &ReportArgs,
    place: &Place,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<u8, Failure> {
    let baseline = place.baseline(&args.object.name).await?;
    let chosen = choose(&baseline, args.run.as_deref())?;
    if let Some(note) = &chosen.note {
        writeln!(err, "{note}")?;
    }
    let record = read(place, &chosen).await?;
    output::write(&record, args.output, out)?;
    Ok(0)
}

/// A run and what its record must be.
#[derive(Debug, PartialEq, Eq)]
struct Chosen {
    run: String,
    sha256: String,
    /// What to say beside the report.
    note: Option<String>,
}

async fn read(place: &Place, chosen: &Chosen) -> Result<BaselineRecord, Failure> {
    let maps: Api<ConfigMap> = Api::namespaced(place.client.clone(), &place.namespace);
    let run = &chosen.run;
    let found = maps.get_opt(run).await;
    let map = found.map_err(|error| place.explain(&error, &format!("read ConfigMap {run}")))?.ok_or_else(|| {
        Failure::failed(format_args!(
            "the record of run {run} is gone: ConfigMap {run} was deleted from namespace {}; request a new run",
            place.namespace
        ))
    })?;
    let (record, sha256) = record_map::read(&map)
        .map_err(|error| Failure::failed(format_args!("ConfigMap {run}: {error}; request a new run")))?;
    if sha256 != chosen.sha256 {
        return Err(Failure::failed(format_args!(
            "ConfigMap {run} was changed after its record was written: its SHA-256 is {sha256} and status says {}; \
             it is not shown, request a new run",
            one_line(&chosen.sha256)
        )));
    }
    Ok(record)
}

/// The run that was asked for, or the newest whose record is kept.
fn choose(baseline: &PerformanceBaseline, run: Option<&str>) -> Result<Chosen, Failure> {
    let none = PerformanceBaselineStatus::default();
    let status = baseline.status.as_ref().unwrap_or(&none);
    let last = status.last_run.as_ref();
    // The last run may be so new that it is in the history by the next write only.
    let newest = last.and_then(|last| Some((last.name.as_str(), last.record_sha256.as_deref()?)));
    let kept = status.history.iter().map(|kept| (kept.name.as_str(), kept.record_sha256.as_str()));
    let mut all = newest.into_iter().chain(kept);
    let chosen = match run {
        Some(run) => all.find(|(name, _)| *name == run),
        None => all.next(),
    };
    let failed = last.filter(|last| last.record_sha256.is_none());
    let why = failed.map(|last| {
        let reason = last.reason.as_deref().unwrap_or("Incomplete");
        let message = last.message.as_deref().unwrap_or_default();
        one_line(&format!("the last run, {}, has no record ({reason}): {message}", last.name))
    });
    match (chosen, run) {
        (Some((name, sha256)), _) => {
            let note = why
                .filter(|_| run.is_none())
                .map(|why| format!("{why}\nThis is the record of the run before it, {name}."));
            Ok(Chosen { run: name.to_owned(), sha256: sha256.to_owned(), note })
        }
        (None, Some(run)) => {
            let known: Vec<&str> = status.history.iter().map(|kept| kept.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Err(Failure::failed(format_args!("no record of a run {run:?} is kept; kept are: {known}")))
        }
        (None, None) => Err(Failure::failed(why.unwrap_or_else(|| {
            "no run has finished yet; `kubectl plimsoll status` says what is under way".to_owned()
        }))),
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
