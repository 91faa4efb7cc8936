//! What each figure of a database covers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plimsoll_analysis::record::{Basis, BasisKind};

/// Times that figures refer to, and the bases said so far.
#[derive(Debug)]
pub(crate) struct Bases {
    pub(crate) found: BTreeMap<String, Basis>,
    /// When the server started, for statistics whose reset is not recorded.
    pub(crate) started: Option<Timestamp>,
    /// `stats_reset` of this database's statistics.
    pub(crate) reset: Option<Timestamp>,
}

/// What a figure since a reset lacks where none is recorded.
const NO_RESET: &str = "no reset is recorded; statistics outlive a clean restart, so this may cover more than the time \
                        since the server's start";

impl Bases {
    pub(crate) fn new(started: Option<Timestamp>) -> Self {
        Self { found: BTreeMap::new(), started, reset: None }
    }

    pub(crate) fn set(&mut self, path: &str, basis: Basis) {
        self.found.insert(path.to_owned(), basis);
    }

    /// A figure of one instant.
    pub(crate) fn instant(&mut self, path: &str, at: Timestamp, note: Option<String>) {
        self.set(path, Basis { note, ..basis(BasisKind::Instant, at, at) });
    }

    /// The same for a figure that may be absent, and then has no basis.
    pub(crate) fn at<T>(&mut self, path: &str, at: Timestamp, found: Option<T>) -> Option<T> {
        if found.is_some() {
            self.instant(path, at, None);
        }
        found
    }

    /// A figure since this database's statistics were reset; an absent one has no basis.
    pub(crate) fn lifetime<T>(&mut self, path: &str, at: Timestamp, found: Option<T>) -> Option<T> {
        if found.is_some() {
            let basis = self.since(self.reset, at);
            self.set(path, basis);
        }
        found
    }

    /// The basis of a figure since a reset, or since the server's start where none is recorded.
    pub(crate) fn since(&self, reset: Option<Timestamp>, at: Timestamp) -> Basis {
        let from = reset.or(self.started).unwrap_or(at).min(at);
        let note = reset.is_none().then(|| NO_RESET.to_owned());
        Basis { note, ..basis(BasisKind::Lifetime, from, at) }
    }
}

/// A basis with nothing but its time.
pub(crate) fn basis(kind: BasisKind, from: Timestamp, to: Timestamp) -> Basis {
    Basis { kind, from, to, coverage_percent: None, samples: None, resolution_ms: None, note: None }
}

/// Adds to a note.
pub(crate) fn add_note(basis: &mut Basis, more: &str) {
    basis.note = Some(match basis.note.take() {
        None => more.to_owned(),
        Some(note) => format!("{note}; {more}"),
    });
}
