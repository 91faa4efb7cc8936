//! Why a command ends without its result, and with which exit code.

use std::fmt;
use std::io;

/// Exit code of a command that failed, or of an input that was judged and is wrong.
pub(crate) const EXIT_FAILED: u8 = 1;
/// Exit code of an input that cannot be worked with: arguments, files, missing Secrets.
pub(crate) const EXIT_BAD_INPUT: u8 = 2;
/// Exit code of a result that is not whole: a source failed, a baseline is not Ready.
pub(crate) const EXIT_INCOMPLETE: u8 = 3;
/// Exit code of a comparison that the data do not decide.
pub(crate) const EXIT_INCONCLUSIVE: u8 = 4;

/// What went wrong, where, why and what to do; one line each.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The process's exit code.
    pub(crate) code: u8,
    /// At least one line.
    pub(crate) lines: Vec<String>,
    /// Whether the reader of the output has gone, so that there is nobody to tell.
    pub(crate) is_silent: bool,
}

impl Failure {
    /// Input that cannot be worked with.
    pub(crate) fn bad_input(message: impl fmt::Display) -> Self {
        Self::with(EXIT_BAD_INPUT, [message])
    }

    /// Anything else.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::with(EXIT_FAILED, [message])
    }

    /// Several things at once.
    pub(crate) fn with<M: fmt::Display>(code: u8, messages: impl IntoIterator<Item = M>) -> Self {
        Self { code, lines: messages.into_iter().map(|line| line.to_string()).collect(), is_silent: false }
    }
}

impl From<io::Error> for Failure {
    /// Writing the output failed. A reader that has gone (`| head`) is no error of ours.
    fn from(error: io::Error) -> Self {
        let mut failure = Self::failed(format_args!("write the output: {error}"));
        if error.kind() == io::ErrorKind::BrokenPipe {
            failure.is_silent = true;
            failure.code = 0;
        }
        failure
    }
}
