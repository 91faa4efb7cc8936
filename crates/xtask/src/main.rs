//! `cargo xtask`: the project's own tasks. Each says what it does, shows progress, and fails with the reason.

#![expect(clippy::print_stderr, reason = "progress of a developer's task goes to standard error")]

mod check;
mod generate;
mod process;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of the Plimsoll project", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every check and test, in the order of their cost; what CI runs.
    Test(check::TestOptions),
    /// Write the generated files: CRDs, roles, API reference.
    Gen {
        /// Change nothing; fail where a file differs from what would be written.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Test(options) => check::test(&options),
        Task::Gen { check } => generate::generate(check),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
