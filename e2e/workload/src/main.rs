//! `plimsoll-workload serve` and `plimsoll-workload traffic`.

use std::process::ExitCode;

use clap::Parser as _;
use plimsoll_workload::cli::Cli;
use plimsoll_workload::traffic::PlanError;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            // 2 is also what clap ends with on bad arguments.
            ExitCode::from(if error.is::<PlanError>() { 2 } else { 1 })
        }
    }
}
