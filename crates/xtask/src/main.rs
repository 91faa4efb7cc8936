//! `cargo xtask`: the project's own tasks. Each says what it does, shows progress, and fails with the reason.

#![expect(clippy::print_stderr, reason = "progress of a developer's task goes to standard error")]

mod bench;
mod check;
mod cluster;
mod demo;
mod deny;
#[cfg(test)]
mod docs;
mod generate;
mod image;
mod process;
mod secrets;
mod target;

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
    /// Show the main job end to end: cluster, images, Helm install, example, baseline, report.
    Demo(demo::DemoOptions),
    /// Run every check and test, in the order of their cost; what CI runs.
    Test(check::TestOptions),
    /// The local cluster: up, down, status.
    #[command(subcommand)]
    Cluster(cluster::ClusterTask),
    /// Measure what reading costs a server, beside the field's tools on the same server.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Build the images as OCI archives.
    Image(image::ImageOptions),
    /// Write the generated files: CRDs, roles, API reference.
    Gen {
        /// Change nothing; fail where a file differs from what would be written.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Demo(options) => demo::demo(&options),
        Task::Cluster(task) => cluster::cluster(&task),
        Task::Bench(which) => bench::bench(&which),
        Task::Image(options) => image::image(&options),
        Task::Test(options) => check::test(&options),
        Task::Gen { check } => generate::generate(check),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            // No consent, or something missing on this machine, is not a failure of the task itself.
            let code = error
                .downcast_ref::<plimsoll_cluster::ClusterError>()
                .map_or(1, plimsoll_cluster::ClusterError::exit_code);
            ExitCode::from(code)
        }
    }
}
