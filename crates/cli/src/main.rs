//! The `plimsoll` binary.

mod cluster;
mod collect;
mod compare;
mod failure;
mod job;
mod logging;
mod manifest;
mod output;
mod record_file;
#[cfg(test)]
#[path = "../tests/support/prometheus.rs"]
mod test_prometheus;
mod validate;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use failure::Failure;
use jiff::Timestamp;

/// Name under which kubectl finds the program as its plugin.
const KUBECTL_PLUGIN: &str = "kubectl-plimsoll";

/// Measures how services on Kubernetes perform, and keeps it as custom resources.
#[derive(Debug, Parser)]
#[command(
    name = "plimsoll",
    version,
    disable_help_subcommand = true,
    long_about = "Measures how services on Kubernetes perform, and keeps it as custom resources of plimsoll.dev.\n\n\
        The commands report, status, run and export work on a cluster with your own credentials, also as \
        `kubectl plimsoll`.\nThe others need no cluster.",
    after_help = "\
Examples:
  plimsoll crds | kubectl apply --server-side -f -
  plimsoll validate -f deploy/
  plimsoll collect -f baseline.yaml -f secret.yaml
  plimsoll compare before.json after.json
  kubectl plimsoll run baseline/smart-dairy -n smart-dairy --wait
  kubectl plimsoll report baseline/smart-dairy -n smart-dairy -o markdown"
)]
struct Cli {
    /// As in `kubectl --context NAME ...`; the commands that work on a cluster take it behind their name too.
    #[arg(long, hide = true, value_name = "CONTEXT")]
    context: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the record of a run that the cluster keeps, with objectives, findings and comparison.
    Report(cluster::report::ReportArgs),
    /// Print conditions, runs, objectives, change and sources of a baseline.
    Status(cluster::status::StatusArgs),
    /// Ask for a new run, and wait for it if you like.
    Run(cluster::run::RunArgs),
    /// Print the record of a run as a ConfigMap for a Git repository.
    Export(cluster::export::ExportArgs),
    /// Run one baseline without a cluster and print its record.
    Collect(collect::CollectArgs),
    /// Compare two records without a cluster: improved, unchanged, regressed, with a stated confidence.
    Compare(compare::CompareArgs),
    /// Check manifests without a cluster: schema, rules and meaning.
    Validate(validate::ValidateArgs),
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
    /// Run the controllers; the chart starts it.
    Operator(Box<plimsoll_operator::args::OperatorArgs>),
    /// Measure what a run's Job was asked to; the operator starts it.
    Job(job::JobArgs),
}

fn main() -> ExitCode {
    let started = Instant::now();
    // A second provider, chosen by another crate, would make rustls refuse to choose.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match dispatch(parse(), started) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            let mut err = std::io::stderr().lock();
            for line in failure.lines.iter().filter(|_| !failure.is_silent) {
                let _ = writeln!(err, "error: {line}");
            }
            ExitCode::from(failure.code)
        }
    }
}

/// Reads the arguments; the usage has the name by which the program was started.
fn parse() -> Cli {
    let mut command = Cli::command();
    let program = std::env::args_os().next().map(PathBuf::from);
    if program.as_deref().and_then(Path::file_stem).is_some_and(|name| name == KUBECTL_PLUGIN) {
        command = command.bin_name("kubectl plimsoll");
    }
    Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}

fn dispatch(cli: Cli, started: Instant) -> Result<u8, Failure> {
    let Cli { context, command } = cli;
    match command {
        Command::Job(args) => Ok(job::run(&args, started)),
        Command::Operator(args) => {
            logging::start_for_operator();
            operator(*args)
        }
        command => {
            logging::start_for_people();
            for_people(command, context)
        }
    }
}

fn for_people(command: Command, context: Option<String>) -> Result<u8, Failure> {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let now = Timestamp::now();
    match command {
        Command::Report(args) => on_cluster(&args.target.clone().in_context(context), async |place| {
            cluster::report::run(&args, &place, &mut out, &mut err).await
        }),
        Command::Status(args) => on_cluster(&args.target.clone().in_context(context), async |place| {
            cluster::status::run(&args, &place, now, &mut out).await
        }),
        Command::Run(args) => on_cluster(&args.target.clone().in_context(context), async |place| {
            cluster::run::run(&args, &place, now, &mut out, &mut err).await
        }),
        Command::Export(args) => on_cluster(&args.target.clone().in_context(context), async |place| {
            cluster::export::run(&args, &place, &mut out, &mut err).await
        }),
        _ if context.is_some() => Err(Failure::bad_input(
            "--context belongs to the commands report, status, run and export; leave it out",
        )),
        Command::Collect(args) => collect::run(&args, |name| std::env::var(name).ok(), &mut out, &mut err),
        Command::Compare(args) => compare::run(&args, &mut out, &mut err),
        Command::Validate(args) => validate::run(&args, now, &mut out),
        Command::Crds => crds(&mut out),
        // They do not come here: `dispatch` took them out.
        Command::Operator(_) | Command::Job(_) => Ok(0),
    }
}

/// Connects and runs a command.
fn on_cluster(
    target: &cluster::Target,
    command: impl AsyncFnOnce(cluster::Place) -> Result<u8, Failure>,
) -> Result<u8, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let result = runtime.block_on(async { command(target.connect().await?).await });
    runtime.shutdown_background();
    result
}

fn operator(args: plimsoll_operator::args::OperatorArgs) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::failed)?;
    match runtime.block_on(plimsoll_operator::run::run(args)) {
        Ok(()) => Ok(0),
        Err(error) => {
            // Its standard error is lines of JSON: the failure is one of them.
            tracing::error!("{error:#}");
            Err(Failure { is_silent: true, ..Failure::failed(error) })
        }
    }
}

fn crds(out: &mut dyn std::io::Write) -> Result<u8, Failure> {
    for crd in plimsoll_api::all_crds() {
        let text = serde_yaml::to_string(&crd).map_err(Failure::failed)?;
        writeln!(out, "---\n{}", text.trim_end())?;
    }
    Ok(0)
}
