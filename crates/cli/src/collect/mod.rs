//! `plimsoll collect`: one baseline run without a cluster, by the very code that a Job runs.

mod environment;
mod input;
mod judge;
mod progress;

use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_analysis::record::{BaselineRecord, SourceState};
use plimsoll_analysis::request::BaselineRequest;
use plimsoll_collect::{AddressPolicy, Keys, Means, NoProgress, Progress, TimeLimit};

use crate::failure::{EXIT_INCOMPLETE, Failure};
use crate::output::{self, Format};
use crate::record_file;
use input::{Input, Overrides};

pub(crate) use input::timeout;

/// Arguments of `plimsoll collect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without -f, environment variables say what is read, each source where its own is set:
  PROMETHEUS_URL  web and API metrics by their default names over 7 days, and the pods of the namespace smart-dairy or
                  of --namespace; http://prometheus:9090 where no source is set
  DB_HOST         PostgreSQL, with DB_PORT (5432), DB_NAME (smartdairy), DB_USER (admin) and DB_PASSWORD; TLS is used
                  where the server offers it, and nothing is verified (sslMode Prefer): use -f for sslMode VerifyFull
  REDIS_HOST      Redis, with REDIS_PORT (6379) and REDIS_PASSWORD (none is sent when it is not set), without TLS
PostgreSQL and Redis are watched for 60 seconds, for figures of now and not of the server's lifetime.

With -f, the files hold one PerformanceBaseline and the Secrets and ConfigMaps that it names. Values of Secrets are
never printed. The addresses that a Job may not contact (loopback and others) may be contacted from here.
Its objectives are judged; it is compared with --compare-with, or with the exported record that compareTo names.

Examples:
  plimsoll collect -f baseline.yaml -f secret.yaml
  plimsoll collect -f baseline.yaml --window 1h -o markdown > report.md
  plimsoll collect -f baseline.yaml --compare-with before.json -o html > report.html
  DB_HOST=localhost DB_PASSWORD=... REDIS_HOST=localhost plimsoll collect
  PROMETHEUS_URL=http://localhost:9090 plimsoll collect -o json > performance_baseline.json

Exit codes: 0 every source was collected, 3 some source was not (the record is printed all the same), 2 bad input;
objectives and comparison change none of them, `plimsoll compare` has exit codes for that")]
pub(crate) struct CollectArgs {
    /// Files or folders with the baseline and what it names, or - for standard input.
    #[arg(short = 'f', long = "filename", value_name = "FILE", num_args = 1..)]
    filename: Vec<PathBuf>,
    /// How the record is written.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Namespace whose pods are measured; the baseline's own by default.
    #[arg(short, long)]
    namespace: Option<String>,
    /// How far to look back instead of the baseline's window, for example 1h.
    #[arg(long, value_name = "DURATION")]
    window: Option<String>,
    /// Compare with the record of a file: record.json, the output of `collect -o json`, or an exported ConfigMap.
    #[arg(long, value_name = "FILE")]
    compare_with: Option<PathBuf>,
    /// End of the window, for example 2026-11-23T02:00:00Z; now by default.
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// How long reading may take; what is not read by then is said to have timed out.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = timeout)]
    timeout: Duration,
}

/// Runs the command; the exit code. `variable` reads the environment; `err` takes what failed, for people.
pub(crate) fn run(
    args: &CollectArgs,
    variable: impl Fn(&str) -> Option<String>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<u8, Failure> {
    args.output.check_terminal()?;
    let now = Timestamp::now();
    // Before anything is measured: a file that is wrong is told at once.
    let before = args.compare_with.as_deref().map(record_file::read).transpose()?;
    let overrides = Overrides {
        namespace: args.namespace.as_deref(),
        window: args.window.as_deref(),
        to: args.to,
        compares: before.is_some(),
    };
    let input = if args.filename.is_empty() {
        let (baseline, secrets) = environment::baseline(variable, args.namespace.as_deref())?;
        input::without_files(baseline, &secrets, &overrides, now)?
    } else {
        input::from_files(&args.filename, &overrides, now)?
    };
    let Input { request, keys, mut standard } = input;
    standard.before = before.or(standard.before);
    let record = record(&request, &keys, args.timeout, now)?;
    let judgement = judge::judge(&record, &standard);
    output::write(&record, Some(&judgement), args.output, out)?;
    // The forms for people say it themselves.
    let is_for_programs = matches!(args.output, Format::Json | Format::Yaml);
    let failed = record.sources.iter().filter(|source| source.state != SourceState::Collected);
    for source in failed.filter(|_| is_for_programs) {
        let message = source.message.as_deref().unwrap_or("it was not collected whole");
        let reason = source.reason.map_or_else(String::new, |reason| format!(" ({reason:?})"));
        // The record is out: a closed standard error changes nothing.
        let _ = writeln!(err, "{}: {:?}{reason}: {message}", source.name, source.state);
    }
    Ok(if record.complete { 0 } else { EXIT_INCOMPLETE })
}

fn record(
    request: &BaselineRequest,
    keys: &Keys,
    timeout: Duration,
    now: Timestamp,
) -> Result<BaselineRecord, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let progress: Box<dyn Progress> =
        if std::io::stderr().is_terminal() { Box::new(progress::Bar::new()) } else { Box::new(NoProgress) };
    let limit = TimeLimit::at(Instant::now() + timeout);
    let means =
        Means { keys, policy: &AddressPolicy::Unrestricted, limit: &limit, progress: progress.as_ref() };
    let record = runtime.block_on(plimsoll_collect::collect(request, means, now));
    // A name that is still being looked up must not hold the process.
    runtime.shutdown_background();
    Ok(record)
}

#[cfg(test)]
#[path = "collect_tests.rs"]
mod tests;
