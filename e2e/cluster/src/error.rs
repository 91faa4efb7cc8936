//! What can go wrong, said so that the reader knows what to do next.

use std::io;
use std::path::PathBuf;

/// A failure of the local cluster. Its text names what failed, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The machine would be changed and nobody agreed to it. Callers exit with status 2.
    #[error(
        "this changes the machine ({}) and nobody agreed to it: pass --local-cluster, set CI=true, or answer yes at a terminal",
        changes.join("; ")
    )]
    NoConsent {
        /// What would have been changed, each in a few words.
        changes: Vec<String>,
    },
    /// Something that this machine must have is not there. Callers exit with status 2.
    #[error("{what}: {remedy}")]
    Missing {
        /// What is missing.
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// A file, a folder or a process could not be reached.
    #[error("{action}: {source}")]
    Io {
        /// What was tried, with the path.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A command ended with a failure.
    #[error("`{command}` failed ({status}):\n{output}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote.
        output: String,
    },
    /// A part of the cluster did not become ready in time.
    #[error("{what} after {seconds} s.\n{log_tail}\nThe whole log is {}. {remedy}", log.display())]
    NotReady {
        /// What was waited for.
        what: String,
        /// For how many seconds.
        seconds: u64,
        /// The log of the process that was waited for.
        log: PathBuf,
        /// Its last lines.
        log_tail: String,
        /// What to do about it.
        remedy: String,
    },
    /// No local cluster is running.
    #[error("no local cluster is running ({reason}): start it with `cargo xtask cluster up`")]
    NotRunning {
        /// How that was found out.
        reason: String,
    },
    /// A certificate could not be made.
    #[error("making the certificate of {name}: {reason}")]
    Certificate {
        /// Whose certificate.
        name: String,
        /// Why it failed.
        reason: String,
    },
}

impl ClusterError {
    /// The exit status of a command that ends with this error: 2 where the caller must change something before the
    /// same command can work (consent, a missing prerequisite), else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoConsent { .. } | Self::Missing { .. } => 2,
            _ => 1,
        }
    }
}

/// Adds what was tried to an [`io::Error`].
pub(crate) trait IoContext<T> {
    /// Turns the error into a [`ClusterError::Io`] whose action is `action()`.
    fn during(self, action: impl FnOnce() -> String) -> Result<T, ClusterError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn during(self, action: impl FnOnce() -> String) -> Result<T, ClusterError> {
        self.map_err(|source| ClusterError::Io { action: action(), source })
    }
}
