//! `kubectl plimsoll run`: asks for a run by the annotation `plimsoll.dev/run`, and waits for its answer.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::await_condition;
use plimsoll_analysis::duration;
use plimsoll_api::condition::types;
use plimsoll_api::{PerformanceBaseline, RUN_ANNOTATION, condition};
use serde_json::json;

use super::{ObjectRef, Place, Target, chain, status};
use crate::collect::timeout;
use crate::failure::{EXIT_INCOMPLETE, Failure};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kubectl plimsoll run baseline/smart-dairy -n smart-dairy
  kubectl plimsoll run baseline/smart-dairy --wait --timeout 5m

Exit codes with --wait: 0 the baseline is Ready, 3 the run ended without that or did not end in time")]
pub(crate) struct RunArgs {
    /// Which object, for example baseline/smart-dairy.
    #[arg(value_name = "KIND/NAME")]
    object: ObjectRef,
    /// Wait until the run has ended, then print the status.
    #[arg(long)]
    wait: bool,
    /// How long to wait.
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = timeout)]
    timeout: Duration,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Runs the command. `now` is the request's value, so it must be fresh.
///
/// # Errors
/// The object is not there, may not be changed, or its run is not what was asked for.
pub(crate) async fn run(
    args: &RunArgs,
    place: &Place,
    now: Timestamp,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<u8, Failure> {
    let name = &args.object.name;
    let value = now.to_string();
    let patch = json!({"metadata": {"annotations": {RUN_ANNOTATION: value}}});
    let patched = place.baselines().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
    let baseline = patched.map_err(|error| place.explain(&error, &format!("annotate baseline/{name}")))?;
    if baseline.spec.suspend {
        writeln!(err, "baseline/{name} is suspended: the run starts when spec.suspend is false")?;
        if args.wait {
            return Ok(EXIT_INCOMPLETE);
        }
    }
    if !args.wait {
        writeln!(out, "performancebaseline.plimsoll.dev/{name}: run {value} requested")?;
        return Ok(0);
    }
    writeln!(err, "waiting for run {value} of baseline/{name}, at most {}", duration::format(args.timeout))?;
    let waiting = await_condition(place.baselines(), name, |found: Option<&PerformanceBaseline>| {
        found.is_none_or(|baseline| answer(baseline, &value).is_some())
    });
    let ended = match tokio::time::timeout(args.timeout, waiting).await {
        Ok(Ok(found)) => found.and_then(|baseline| Some((answer(&baseline, &value)?, baseline))),
        Ok(Err(error)) => {
            return Err(Failure::failed(format_args!("watch baseline/{name}: {}", chain(&error))));
        }
        Err(_) => {
            let baseline = place.baseline(name).await?;
            out.write_all(status::block(&baseline, Timestamp::now()).as_bytes())?;
            let message = format!("run {value} has not ended within {}", duration::format(args.timeout));
            return Err(Failure::with(EXIT_INCOMPLETE, [message]));
        }
    };
    let Some((answer, baseline)) = ended else {
        return Err(Failure::failed(format_args!("baseline/{name} was deleted before its run had ended")));
    };
    out.write_all(status::block(&baseline, Timestamp::now()).as_bytes())?;
    match answer {
        Answer::Handled if status::is_ready(&baseline) => Ok(0),
        Answer::Handled | Answer::Invalid => Ok(EXIT_INCOMPLETE),
        Answer::Superseded => Err(Failure::with(
            EXIT_INCOMPLETE,
            ["a newer request took this one's place and was answered instead; somebody else asked for a run"],
        )),
    }
}

/// Why there is nothing more to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// The run has ended.
    Handled,
    /// A newer request was answered instead.
    Superseded,
    /// The spec means nothing, so no run starts.
    Invalid,
}

fn answer(baseline: &PerformanceBaseline, value: &str) -> Option<Answer> {
    let status = baseline.status.as_ref()?;
    let handled = status.last_request_handled.as_deref();
    let asked =
        baseline.metadata.annotations.as_ref().and_then(|all| all.get(RUN_ANNOTATION)).map(String::as_str);
    if handled == Some(value) {
        return Some(Answer::Handled);
    }
    if asked != Some(value) && asked.is_some() && handled == asked {
        return Some(Answer::Superseded);
    }
    let is_invalid = condition::get(&status.conditions, types::STALLED).is_some_and(|stalled| {
        stalled.status == "True"
            && stalled.reason == "InvalidSpec"
            && stalled.observed_generation == baseline.metadata.generation
    });
    is_invalid.then_some(Answer::Invalid)
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
