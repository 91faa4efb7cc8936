//! The `plimsoll` binary.

mod job;
mod logging;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Job,
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
}

fn main() -> ExitCode {
    // A second provider, chosen by another crate, would make rustls refuse to choose.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    match Cli::parse().command {
        Command::Operator(args) => {
            logging::start_for_operator();
            match runtime.block_on(plimsoll_operator::run::run(*args)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!("{error:#}");
                    ExitCode::FAILURE
                }
            }
        }
        Command::Job => {
            logging::start_for_job();
            let given = job::Given::from(|name| std::env::var(name).ok());
            let code =
                runtime.block_on(job::run(given, None, &job::Places::default(), &mut std::io::stdout()));
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
        Command::Crds => {
            let crds = plimsoll_api::all_crds();
            let mut out = std::io::stdout().lock();
            for crd in crds {
                use std::io::Write as _;
                let Ok(text) = serde_yaml::to_string(&crd) else { return ExitCode::FAILURE };
                if writeln!(out, "---\n{}", text.trim_end()).is_err() {
                    return ExitCode::FAILURE;
                }
            }
            ExitCode::SUCCESS
        }
    }
}
