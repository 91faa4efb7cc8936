//! Running a command to its end.

use std::process::{Command, Output, Stdio};

use crate::error::{ClusterError, IoContext};

/// How much of a failed command's output an error quotes, in bytes.
const QUOTED_OUTPUT: usize = 4000;

/// Runs `command` without input and returns what it wrote to its standard output.
///
/// # Errors
/// The command could not be started, or ended with another status than 0: then its last output is quoted.
pub(crate) fn run(command: &mut Command) -> Result<String, ClusterError> {
    let output = output(command)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(ClusterError::Command {
        command: line(command),
        status: output.status.to_string(),
        output: tail_of(&text, QUOTED_OUTPUT).to_owned(),
    })
}

/// Runs `command` without input and says whether it ended with status 0.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    output(command).is_ok_and(|output| output.status.success())
}

fn output(command: &mut Command) -> Result<Output, ClusterError> {
    command.stdin(Stdio::null()).output().during(|| format!("starting `{}`", line(command)))
}

/// The command as a person would type it, without quotes.
pub(crate) fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy().into_owned()));
    words.join(" ")
}

/// The last `bytes` bytes of `text`, from the start of a line where there is one.
pub(crate) fn tail_of(text: &str, bytes: usize) -> &str {
    let text = text.trim_end();
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    if start == 0 {
        return text;
    }
    let tail = &text[start..];
    tail.find('\n').map_or(tail, |end_of_line| &tail[end_of_line + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_starts_with_a_whole_line() {
        assert_eq!(tail_of("one\ntwo\nthree\n", 100), "one\ntwo\nthree");
        assert_eq!(tail_of("one\ntwo\nthree\n", 7), "three");
        assert_eq!(tail_of("äääää", 3), "ä");
        assert_eq!(tail_of("", 3), "");
    }

    #[test]
    fn a_failed_command_quotes_its_line_status_and_output() {
        let error =
            run(Command::new("sh").args(["-c", "echo said; echo why >&2; exit 3"])).unwrap_err().to_string();
        for part in ["sh -c", "exit status: 3", "said", "why"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
