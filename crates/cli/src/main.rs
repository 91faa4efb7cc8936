//! The `plimsoll` binary.

mod collect;
mod failure;
mod job;
mod logging;
mod manifest;
mod output;
#[cfg(test)]
#[path = "../tests/support/prometheus.rs"]
mod test_prometheus;
mod validate;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use failure::Failure;
use jiff::Timestamp;

/// Measures how services on Kubernetes perform, and keeps it as custom resources.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controllers.
    Operator(Box<plimsoll_operator::args::OperatorArgs>),
    /// Measure what a run's Job was asked to; started by the operator.
    Job(job::JobArgs),
    /// Run one baseline without a cluster and print its record.
    Collect(collect::CollectArgs),
    /// Check manifests of plimsoll.dev without a cluster: schema, rules and meaning.
    Validate(validate::ValidateArgs),
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
}

fn main() -> ExitCode {
    let started = Instant::now();
    // A second provider, chosen by another crate, would make rustls refuse to choose.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match dispatch(Cli::parse().command, started) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if !failure.is_silent {
                let mut err = std::io::stderr().lock();
                for line in &failure.lines {
                    let _ = writeln!(err, "error: {line}");
                }
            }
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(command: Command, started: Instant) -> Result<u8, Failure> {
    let mut out = std::io::stdout();
    match command {
        Command::Job(args) => return Ok(job::run(&args, started)),
        Command::Operator(_) => logging::start_for_operator(),
        _ => logging::start_for_people(),
    }
    match command {
        Command::Operator(args) => operator(*args),
        Command::Job(_) => Ok(0),
        Command::Collect(args) => {
            collect::run(&args, |name| std::env::var(name).ok(), &mut out, &mut std::io::stderr())
        }
        Command::Validate(args) => validate::run(&args, Timestamp::now(), &mut out),
        Command::Crds => crds(&mut out),
    }
}

fn operator(args: plimsoll_operator::args::OperatorArgs) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::failed)?;
    runtime.block_on(plimsoll_operator::run::run(args)).map_err(|error| {
        tracing::error!("{error:#}");
        Failure::failed(format_args!("{error:#}"))
    })?;
    Ok(0)
}

fn crds(out: &mut dyn std::io::Write) -> Result<u8, Failure> {
    for crd in plimsoll_api::all_crds() {
        let text = serde_yaml::to_string(&crd).map_err(Failure::failed)?;
        writeln!(out, "---\n{}", text.trim_end())?;
    }
    Ok(0)
}
