//! `cargo xtask cluster`: the local cluster, for looking around and for the stories.

use anyhow::{Result, bail};
use clap::Subcommand;
use plimsoll_cluster::Consent;

/// What to do with the local cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterTask {
    /// Bring it up: build what is missing, start what does not run. About 25 minutes the first time, seconds later.
    Up {
        /// Agree that this machine is changed: packages, kernel settings, firewall rules.
        #[arg(long)]
        local_cluster: bool,
    },
    /// Stop it and undo what it changed on this machine.
    Down {
        /// Also delete its data, keys and logs.
        #[arg(long)]
        purge: bool,
    },
    /// Say what runs.
    Status,
}

pub(crate) fn cluster(task: &ClusterTask) -> Result<()> {
    let mut out = std::io::stderr();
    match task {
        ClusterTask::Up { local_cluster } => {
            let cluster = plimsoll_cluster::up(&Consent::new(*local_cluster), &mut out)?;
            eprintln!("\nexport KUBECONFIG={}", cluster.kubeconfig.display());
        }
        ClusterTask::Down { purge } => plimsoll_cluster::down(*purge, &mut out)?,
        ClusterTask::Status => {
            if !plimsoll_cluster::status(&mut std::io::stdout())? {
                bail!("the local cluster does not run; start it with `cargo xtask cluster up`");
            }
        }
    }
    Ok(())
}
