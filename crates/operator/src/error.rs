//! What can go wrong in a reconcile: talking to the API server, and little else. A failed source is no error but a
//! fact in the record.

use std::time::Duration;

use crate::record_map::RecordError;

/// Why a reconcile did not reach its end. It is tried again with growing delays.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A read failed.
    #[error("read {what}")]
    Read {
        /// What was read.
        what: &'static str,
        /// The answer.
        source: kube::Error,
    },
    /// A write failed.
    #[error("write {what}")]
    Write {
        /// What was written.
        what: &'static str,
        /// The answer.
        source: kube::Error,
    },
    /// A record could not be written as JSON.
    #[error("write the record")]
    Record(#[from] RecordError),
    /// The steps did not come to rest, which is a defect.
    #[error(
        "the steps of this reconcile did not come to rest after {0}; please report this with the operator's log"
    )]
    Restless(usize),
    /// A reconcile panicked, which is a defect.
    #[error("a defect in this reconcile was caught; please report this with the operator's log")]
    Panicked,
}

impl Error {
    /// Whether somebody else wrote the object meanwhile.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Write { source: kube::Error::Api(status), .. } if status.code == 409)
    }

    /// One word for metrics and logs.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
            Self::Record(_) => "record",
            Self::Restless(_) | Self::Panicked => "defect",
        }
    }

    /// The error and what caused it, each once: kube's errors already print their own sources.
    #[must_use]
    pub fn chain(&self) -> String {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } => format!("{self}: {source}"),
            Self::Record(error) => format!("{self}: {error}"),
            Self::Restless(_) | Self::Panicked => self.to_string(),
        }
    }
}

/// Delay before the n-th repetition (from 0) of a failing reconcile: 1 s doubled up to 5 min.
#[must_use]
pub fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1u64 << failures.min(9)).min(Duration::from_secs(300))
}

/// Reads with a name for errors.
pub(crate) fn reading(what: &'static str) -> impl FnOnce(kube::Error) -> Error {
    move |source| Error::Read { what, source }
}

/// Writes with a name for errors.
pub(crate) fn writing(what: &'static str) -> impl FnOnce(kube::Error) -> Error {
    move |source| Error::Write { what, source }
}
