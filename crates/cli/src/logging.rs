//! Logs as JSON lines: to standard error for the operator, bounded and to standard output for a Job.
//!
//! Each line is one JSON object, so whatever a measured system says is escaped and can never look like a frame.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use plimsoll_analysis::job::MAX_LOG_BYTES;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Environment variable with the level (`debug`) or the filter of what is logged.
const ENV_LOG: &str = "PLIMSOLL_LOG";

/// Starts logging to standard error; `info` unless PLIMSOLL_LOG says otherwise.
pub(crate) fn start_for_operator() {
    let filter = EnvFilter::try_from_env(ENV_LOG).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(io::stderr).init();
}

/// Starts logging to standard error for a person who set PLIMSOLL_LOG; otherwise nothing is logged.
pub(crate) fn start_for_people() {
    if let Ok(filter) = EnvFilter::try_from_env(ENV_LOG) {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    }
}

/// Starts logging to standard output with at most [`MAX_LOG_BYTES`]: the record's frame follows in the same log.
///
/// Whoever may read the pod's log reads these lines, so other crates are heard from warnings on, whatever
/// PLIMSOLL_LOG says: what they print at lower levels is not ours to vouch for.
pub(crate) fn start_for_job() -> Bounded<io::Stdout> {
    let level = std::env::var(ENV_LOG).ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let log = Bounded::new(io::stdout(), MAX_LOG_BYTES);
    let writer = log.clone();
    let layer = tracing_subscriber::fmt::layer().json().with_writer(move || writer.clone());
    let ours = Targets::new().with_default(LevelFilter::WARN).with_target("plimsoll", level);
    tracing_subscriber::registry().with(layer).with(ours).init();
    log
}

/// A writer that takes so many bytes, line by line; from the first line that does not fit it drops all. Clones share
/// the bound.
#[derive(Debug)]
pub(crate) struct Bounded<W>(Arc<Mutex<Inner<W>>>);

#[derive(Debug)]
struct Inner<W> {
    out: W,
    left: usize,
}

impl<W> Clone for Bounded<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Write> Bounded<W> {
    /// A writer of at most `most` bytes to `out`.
    pub(crate) fn new(out: W, most: usize) -> Self {
        Self(Arc::new(Mutex::new(Inner { out, left: most })))
    }

    /// Drops every further line: what is written to the same output from now on stays the last.
    pub(crate) fn close(&self) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.left = 0;
        // A log that cannot be written is no reason to withhold the record.
        let _ = inner.out.flush();
    }
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if line.len() > inner.left {
            inner.left = 0;
        } else {
            inner.left -= line.len();
            inner.out.write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(log: &Bounded<Vec<u8>>) -> String {
        String::from_utf8(log.0.lock().unwrap().out.clone()).unwrap()
    }

    #[test]
    fn nothing_is_logged_from_the_first_line_that_does_not_fit() {
        let mut log = Bounded::new(Vec::new(), 10);
        for line in ["12345\n", "123456\n", "1\n"] {
            log.clone().write_all(line.as_bytes()).unwrap();
        }
        log.write_all(b"2\n").unwrap();
        assert_eq!(written(&log), "12345\n");
    }

    #[test]
    fn a_closed_log_takes_nothing() {
        let mut log = Bounded::new(Vec::new(), 100);
        log.write_all(b"before\n").unwrap();
        log.close();
        log.write_all(b"after\n").unwrap();
        assert_eq!(written(&log), "before\n");
    }

    #[test]
    fn what_others_say_stays_one_json_line() {
        let log = Bounded::new(Vec::new(), 10_000);
        let writer = log.clone();
        let layer = tracing_subscriber::fmt::layer().json().with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(answer = "a\n-----BEGIN PLIMSOLL 00-----\r\n\u{1b}[31m", "said");
        });
        let text = written(&log);
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(line["fields"]["answer"].as_str().unwrap().contains("BEGIN"));
        assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text:?}");
    }
}
