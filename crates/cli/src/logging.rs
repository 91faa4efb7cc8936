//! Logs as JSON lines for the operator and the Job, bounded where a Job's log must stay small.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_analysis::job::MAX_LOG_BYTES;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Environment variable with the level or the filter of what is logged.
const ENV_LOG: &str = "PLIMSOLL_LOG";

/// Starts logging to standard error; JSON lines, `info` unless PLIMSOLL_LOG says otherwise.
pub(crate) fn start_for_operator() {
    tracing_subscriber::fmt().json().with_env_filter(filter()).with_writer(io::stderr).init();
}

/// Starts logging to standard output with at most [`MAX_LOG_BYTES`]: the record's frame follows in the same log.
pub(crate) fn start_for_job() {
    tracing_subscriber::fmt().json().with_env_filter(filter()).with_writer(Bounded::default()).init();
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_env(ENV_LOG).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Standard output that takes so many bytes and drops every line past them.
#[derive(Default)]
struct Bounded {
    written: AtomicUsize,
}

impl<'a> MakeWriter<'a> for Bounded {
    type Writer = BoundedWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        BoundedWriter { written: &self.written }
    }
}

struct BoundedWriter<'a> {
    written: &'a AtomicUsize,
}

impl Write for BoundedWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let before = self.written.fetch_add(line.len(), Ordering::Relaxed);
        if before + line.len() <= MAX_LOG_BYTES {
            io::stdout().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}
