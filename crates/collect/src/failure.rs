//! Why something was not read, in the words of a record.

use std::fmt;

use plimsoll_analysis::record::{Source, SourceReason, SourceState};

use crate::keys::MissingKey;

/// Most characters of a source's message in a record.
pub(crate) const MAX_MESSAGE: usize = 1024;

/// A query that was not answered as it should be. The message says what, where, why and what to do, and holds
/// nothing of a secret or of an answer's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: SourceReason,
    pub(crate) message: String,
    /// Whether every further query would fail in the same way, so that none is sent.
    pub(crate) stops: bool,
}

impl Failure {
    /// A failure of one query.
    pub(crate) fn of_query(reason: SourceReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), stops: false }
    }

    /// A failure of the source as a whole.
    pub(crate) fn of_source(reason: SourceReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), stops: true }
    }

    /// The same failure, with what was being read in front.
    pub(crate) fn reading(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl From<MissingKey> for Failure {
    fn from(missing: MissingKey) -> Self {
        Self::of_source(missing.reason(), missing.to_string())
    }
}

/// How a source answered, by what failed and by whether anything was read. `no_data` says what to do where it answered
/// and holds nothing of what was asked for.
pub(crate) fn judged(name: &str, failures: &[Failure], has_data: bool, no_data: &str) -> Source {
    let (state, reason, message) = match failures {
        [] if has_data => (SourceState::Collected, None, None),
        [] => (SourceState::Failed, Some(SourceReason::NoData), Some(no_data.to_owned())),
        [first, rest @ ..] => {
            let state = if has_data { SourceState::Partial } else { SourceState::Failed };
            let more = match rest.len() {
                0 => String::new(),
                1 => " (and one more read failed)".to_owned(),
                more => format!(" (and {more} more reads failed)"),
            };
            (state, Some(first.reason), Some(format!("{}{more}", first.message)))
        }
    };
    Source {
        name: name.to_owned(),
        state,
        reason,
        message: message.map(|text| cleaned(&text, MAX_MESSAGE)),
        duration_ms: None,
        cost: None,
        warnings: Vec::new(),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

/// Text that others wrote, fit for a record: no control characters, at most `most` characters.
pub(crate) fn cleaned(text: &str, most: usize) -> String {
    let mut cut: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most + 1).collect();
    if cut.chars().count() > most {
        cut = cut.chars().take(most.saturating_sub(1)).collect();
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_cut_and_has_no_control_characters() {
        assert_eq!(cleaned("a\u{1b}[31mb\nc", 20), "a [31mb c");
        assert_eq!(cleaned("äöüß", 4), "äöüß");
        assert_eq!(cleaned("äöüßx", 4), "äöü…");
    }
}
